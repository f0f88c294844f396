"""``make demo``: one prompt through the whole pipeline, then verified as a stranger would."""

from __future__ import annotations

import asyncio
import sys
import warnings
from pathlib import Path

from chopmark import GenerationRequest, Pipeline
from chopmark.cli.output import progress_bar, warn
from chopmark.errors import ChopmarkError
from chopmark.pipeline.inspect import examine
from chopmark.settings import load_settings

PROMPT = "a red apple on a blue background"
FOLDER = Path("demo")


def main() -> int:
    """Generate, verify, prove; return 0 only when the picture is shown to be made here."""
    warnings.showwarning = warn
    FOLDER.mkdir(exist_ok=True)
    picture, proof = FOLDER / "picture.png", FOLDER / "receipt.json"
    with (
        progress_bar(quiet=False) as told,
        Pipeline.from_settings(load_settings(), progress=told) as pipeline,
    ):
        request = GenerationRequest(prompt=PROMPT, seed=7)
        released = asyncio.run(pipeline.generate(request, progress=told))
        released.outputs[0].save(picture)
        proof.write_text(released.receipt.to_json(), encoding="utf-8")
        report = examine(pipeline.parts, picture.read_bytes())
    print(f'prompt    "{PROMPT}"')
    print(f"picture   {picture}  ({released.outputs[0].width}x{released.outputs[0].height} px)")
    print(f"verdict   {report.verdict}: {report.summary}")
    print(f"record    {released.record_id}")
    print(f"receipt   {proof}  (chopmark audit verify --receipt {proof})")
    for stage, spent in released.timings_ms.items():
        print(f"time      {stage:<13} {spent:8.0f} ms")
    print(f"now try   .venv/bin/chopmark verify {picture}")
    return 0 if report.verdict == "made_here" else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ChopmarkError as error:
        sys.exit(f"error ({error.code}): {error.explain()}")
