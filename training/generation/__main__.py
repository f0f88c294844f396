"""Train the embedded model: ``python -m training.generation COMMAND``.

``prepare`` renders the drawings and writes the training set (a CPU and the npm registry, half a
minute; ``--wide`` adds a thousand things, grounds and relations, and wants openclipart-svg);
``train`` trains on it (one GPU, twelve minutes, no network) and writes packed weights; ``onward``
goes on from finished weights, on a CPU if need be; ``measure`` draws the grids and asks the judge.
``warm`` compiles; ``train`` starts it by itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chopmark.generation.taught import FILE_NAME
from training.generation import klein
from training.generation.schedule import Schedule
from training.generation.trainer import Trainer
from training.generation.warm import start_warm_up, warm_up
from training.generation.wide.onward import Course, go_on
from training.generation.wide.prepare import CLIPART
from training.generation.words import write_words

if TYPE_CHECKING:
    from diffusers import Flux2KleinPipeline

#: What a test and a laptop can do: every line of the way, and no picture worth looking at.
SMOKE: Final = (
    klein.KleinConfig(
        native_size=256,
        double_blocks=1,
        single_blocks=1,
        heads=2,
        head_width=16,
        latent_channels=4,
        encoder_widths=(8, 8, 8, 8),
        decoder_widths=(8, 8, 8, 8),
        version="smoke",
    ),
    Schedule(steps=2, batch=(2, 4, 4), examples=24, looked_at=4, device="cpu", compile=False),
)
GPU: Final = (klein.KleinConfig(), Schedule())
PRESETS: Final = {"gpu": GPU, "smoke": SMOKE}


def main() -> None:
    """Read the command line and do one of the parts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", choices=("prepare", "train", "onward", "measure", "warm"))
    parser.add_argument("--preset", choices=tuple(PRESETS), default="gpu")
    parser.add_argument("--data", type=Path, default=Path("out/data"), help="the training set")
    parser.add_argument("--out", type=Path, default=Path("out/train"), help="state, log, result")
    parser.add_argument("--cache", type=Path, help="folder with npm tarballs (default: DATA/npm)")
    parser.add_argument("--wide", action="store_true", help="prepare: with 1,000 further things")
    parser.add_argument(
        "--clipart", type=Path, default=Path(CLIPART), help="Debian's openclipart-svg, for --wide"
    )
    parser.add_argument("--model", type=Path, help="onward: the embedded model, unpacked")
    parser.add_argument("--half", action="store_true", help="onward: bfloat16 on this processor")
    parser.add_argument("--device", help="torch device (default: the preset's)")
    parser.add_argument("--compile", action="store_true", help="compile on any device")
    parser.add_argument("--minutes", help="of the four stages, as 2.2,2.4,5,1; of onward, as 40")
    options = parser.parse_args()
    config, schedule = PRESETS[options.preset]
    if options.device:
        schedule = dataclasses.replace(schedule, device=options.device)
    if options.compile:
        schedule = dataclasses.replace(schedule, compile=True)
    if options.command == "onward":
        if options.model is None:
            parser.error("onward wants --model, the unpacked embedded model")
        course = Course(minutes=float(options.minutes or 40), half=options.half)
        packed = go_on(options.model, options.data, options.out, course)
        shutil.copy(options.data / FILE_NAME, packed)
        return
    if options.minutes:
        one, two, three, four = map(float, options.minutes.split(","))
        schedule = dataclasses.replace(schedule, minutes=(one, two, three, four))
    if options.command == "prepare":
        from training.generation.prepare import prepare

        cache = options.cache or options.data / "npm"
        clipart = options.clipart if options.wide else None
        prepare(options.data, cache, clipart=clipart, progress=_tell)
        write_words(options.data / FILE_NAME, wide=options.wide)
    elif options.command == "warm":
        warm_up(klein.build(config, text=False), options.data, schedule)
    elif options.command == "train":
        train(options.data, options.out, config, schedule)
    else:
        from training.generation.measure import measure

        measure(options.data, options.out)


def train(data: Path, out: Path, config: klein.KleinConfig, schedule: Schedule) -> None:
    """Train, and write ``out/embedded``: the weights as the repository carries them."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "log.txt").open("a", encoding="utf-8") as lines:

        def log(line: str) -> None:
            line = f"{time.strftime('%H:%M:%S')} {line}"
            print(line, flush=True)
            print(line, file=lines, flush=True)

        log(json.dumps({**dataclasses.asdict(config), **dataclasses.asdict(schedule)}))
        pipeline: Flux2KleinPipeline = klein.build(config, text=False)
        trainer = Trainer(pipeline, data, out, schedule, log=log)
        trainer.run(lambda: start_warm_up(sys.argv[2:]))
        size = klein.export(pipeline.to("cpu"), out / "embedded", config)
        if (data / FILE_NAME).exists():
            shutil.copy(data / FILE_NAME, out / "embedded")
        log(f"packed weights: {size / 2**20:.1f} MiB")


def _tell(done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        print(f"{done} of {total} sprites", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
