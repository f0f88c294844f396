"""Draw what newcomers ask for: ``python -m training.generation.newcomers --home HOME``.

Thirty-two prompts, written before any of their pictures was seen, as somebody types them who knows
nothing of the model's vocabulary. The sheet is for people to count on; what the model says it does
not know is printed beside each prompt.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from PIL import Image

from chopmark.generation import GenerationJob, load_generator

PROMPTS: Final = (
    "a dog",
    "a cat wearing a hat",
    "sunset over the ocean",
    "a red sports car",
    "a pizza with mushrooms",
    "an astronaut riding a horse",
    "a birthday cake with candles",
    "a cute penguin",
    "a cozy cabin in the snow",
    "a bowl of fruit",
    "a robot playing chess",
    "a bicycle leaning against a wall",
    "a dragon breathing fire",
    "a cup of coffee on a desk",
    "mountains at night with stars",
    "a blue bird on a branch",
    "a smiling sun",
    "a sailboat on a lake",
    "a panda eating bamboo",
    "a bouquet of roses",
    "a rocket flying to the moon",
    "a green frog on a lily pad",
    "a teddy bear",
    "a castle on a hill",
    "a yellow taxi in New York",
    "a hot air balloon",
    "a doctor with a stethoscope",
    "two cats sleeping on a sofa",
    "a logo for a bakery",
    "an old tree in autumn",
    "the word HELLO in big letters",
    "a plate of sushi",
)
_COLUMNS: Final = 8
_TILE: Final = 192


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, required=True, help="where the model is unpacked")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--out", type=Path, default=Path("out/newcomers.png"))
    parser.add_argument("--prompts", type=int, default=len(PROMPTS), help="so many of them")
    options = parser.parse_args()
    generator = load_generator(options.model, home=options.home)
    taught = generator.info.taught
    prompts = PROMPTS[: options.prompts]
    rows = -(-len(prompts) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _TILE, rows * _TILE), "white")
    for at, prompt in enumerate(prompts):
        width, height = generator.info.default_size
        job = GenerationJob(prompt=prompt, seed=1, width=width, height=height)
        (picture,) = generator.generate(job)
        place = at % _COLUMNS * _TILE, at // _COLUMNS * _TILE
        sheet.paste(picture.resize((_TILE, _TILE), Image.Resampling.LANCZOS), place)
        unknown = () if taught is None else taught.unknown(prompt)
        print(f"{prompt}: {', '.join(unknown) or 'every word is known'}", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.out)


if __name__ == "__main__":
    main()
