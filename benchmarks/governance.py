"""What it costs to govern one picture: CPU milliseconds of each stage, one picture after another.

``python -m benchmarks.governance`` judges, marks, encodes, reads back, fingerprints and signs a
picture of the embedded model at 512, 1024 and 2048 px as PNG and as JPEG, through the very
functions that the pipeline calls, and verifies the result. ``--before PATH`` names a checkout of an
earlier commit (``git worktree add PATH COMMIT``): it is measured in turns with this one, each turn
in a process of its own. ``--picture FILE`` takes another picture.

Time is the CPU time of the whole process, all threads: the wall clock is shared with others.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL import Image

SIDES: Final = (512, 1024, 2048)
FORMATS: Final = ("png", "jpeg")
#: Shown name, and the functions whose time it is, where the pipeline looks them up.
STAGES: Final[dict[str, tuple[str, ...]]] = {
    "judge": (),
    "mark": ("embed_mark",),
    "encode": ("encode_image", "encode_with_pixels"),
    "read back": ("detect_mark",),
    "fingerprint": ("fingerprint",),
    "digest": ("pixel_digest",),
    "XMP": ("write_xmp",),
    "sign and validate": ("sign",),
}
Spent = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", type=Path, help="a checkout of an earlier commit")
    parser.add_argument("--picture", type=Path, help="instead of one of the embedded model's")
    parser.add_argument("--rounds", type=int, default=7, help="pictures a turn, size and format")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(_measured(options.child, options.rounds)))
        return
    here = Path(__file__).resolve().parents[1]
    trees = {"before": options.before, "now": here} if options.before else {"now": here}
    with tempfile.TemporaryDirectory() as folder:
        picture = options.picture or _generated(Path(folder))
        found: dict[str, Spent] = {name: defaultdict(list) for name in trees}
        for _ in range(options.turns):
            for name, tree in trees.items():
                for what, spent in _turn(tree, picture, options.rounds).items():
                    found[name][what] += spent
    text = _table({name: _medians(spent) for name, spent in found.items()})
    print(text)
    if options.write:
        from benchmarks.report import write_section

        before = " --before PATH" if options.before else ""
        command = f"python -m benchmarks.governance --rounds {options.rounds}{before} --write"
        write_section("governance", text, command=command)


def _generated(folder: Path) -> Path:
    """Let the embedded model draw the picture, in a process that is gone when it is measured."""
    code = (
        "import sys; from pathlib import Path; from chopmark import Settings;"
        "from chopmark.pipeline.parts import Parts; from chopmark.generation import GenerationJob;"
        "parts = Parts(Settings(home=Path(sys.argv[1]) / 'home'));"
        "job = GenerationJob("
        "prompt='a red apple on a blue background', seed=7, width=512, height=512);"
        "parts.generator.generate(job)[0].save(sys.argv[2])"
    )
    picture = folder / "picture.png"
    subprocess.run([sys.executable, "-c", code, str(folder), str(picture)], check=True)
    return picture


def _turn(tree: Path, picture: Path, rounds: int) -> Spent:
    command = [sys.executable, __file__, "--child", str(picture), "--rounds", str(rounds)]
    paths = os.pathsep.join(map(str, (tree / "src", tree)))
    # One thread: what a request costs, and not how fast idle cores can make it look.
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: Spent = json.loads(done.stdout)
    return found


def _measured(path: Path, rounds: int) -> Spent:
    """Return CPU milliseconds by ``side format stage``; the first of each is not counted."""
    warnings.simplefilter("ignore")
    from PIL import Image

    import chopmark.provenance
    import chopmark.provenance.encode
    from chopmark import Settings
    from chopmark.pipeline.parts import Parts

    clock = _Clock()
    for stage, names in STAGES.items():
        for name in names:
            for module in (chopmark.provenance, chopmark.provenance.encode):
                # As the module's own, where it has one: a lazy door would only hand it on.
                if module is chopmark.provenance or name in vars(module):
                    clock.watch(module, name, stage)
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    spent: Spent = defaultdict(list)
    with tempfile.TemporaryDirectory() as home:
        parts = Parts(Settings(home=Path(home) / "home"))
        for side in SIDES:
            scaled = picture.resize((side, side), Image.Resampling.LANCZOS)
            for fmt in FORMATS:
                for number in range(rounds + 1):
                    clock.spent.clear()
                    _govern(parts, scaled, fmt, number, clock)
                    if number:
                        for stage, ms in clock.spent.items():
                            spent[f"{side} {fmt} {stage}"].append(ms)
        parts.close()
    return spent


def _govern(parts: Any, picture: Image.Image, fmt: Any, number: int, clock: _Clock) -> None:
    from chopmark import GenerationRequest
    from chopmark.kit import ids
    from chopmark.pipeline import seal
    from chopmark.provenance import verify
    from tests.support.generator import StandIn

    request, record_id = GenerationRequest(prompt="a red apple"), ids.new_record_id()
    named = {"output_id": ids.output_id(record_id, 1), "format": fmt}
    begun = time.process_time()
    with clock.running("judge"):
        parts.image_guard.judge(picture, parts.policies.for_tenant("default"), stage="output")
    marked = seal.mark(parts, picture, request, **named)
    if "model" in inspect.signature(seal.sign).parameters:
        signed: Any = seal.sign(parts, marked, request, **named, model=StandIn().info)
    else:  # before it was split: it kept the manifest as well, and asked the generator who it is
        parts.use(generator=StandIn())
        signed = seal.sign(parts, marked, request, **named)
    clock.spent["all"] = (time.process_time() - begun) * 1000
    with clock.running("verify it"):
        report = verify(signed.data, anchors=parts.anchors, mark_keys=parts.mark_keys.all)
    if report.watermark.payload != named["output_id"] or report.manifest.state != "intact":
        raise SystemExit(f"picture {number} was not what it should be")


class _Clock:
    """Adds up CPU time by stage; a stage within another counts for itself alone."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._within = False

    @contextlib.contextmanager
    def running(self, stage: str) -> Iterator[None]:
        begun = time.process_time()
        self._within = True
        try:
            yield
        finally:
            self._within = False
            self.spent[stage] += (time.process_time() - begun) * 1000

    def watch(self, module: Any, name: str, stage: str) -> None:
        if not hasattr(module, name):
            return
        real: Callable[..., Any] = getattr(module, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._within:  # within another stage, such as a verification
                return real(*args, **kwargs)
            with self.running(stage):
                return real(*args, **kwargs)

        setattr(module, name, timed)


def _medians(spent: Spent) -> dict[str, float]:
    return {what: statistics.median(values) for what, values in spent.items()}


def _table(found: dict[str, dict[str, float]]) -> str:
    heads = [f"{fmt.upper()} {side}" for fmt in FORMATS for side in SIDES]
    rows = ["| CPU ms | " + " | ".join(heads) + " |", "|" + "---|" * (len(heads) + 1)]
    for stage in (*STAGES, "all", "verify it"):
        cells = [
            " / ".join(f"{one.get(f'{side} {fmt} {stage}', 0):.0f}" for one in found.values())
            for fmt in FORMATS
            for side in SIDES
        ]
        rows.append(f"| {stage} | " + " | ".join(cells) + " |")
    if len(found) > 1:
        rows += ["", "The first figure of each pair is the earlier commit, the second is this one."]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
