"""What a user would write instead of Chopmark: FastAPI and diffusers, nothing governed.

``python -m benchmarks.plain_server --home HOME --port 8001 --int8`` serves the embedded model's
weights over the same route, with the same size, steps and answer as ``chopmark serve``: one
pipeline behind one lock, the PNG by Pillow outside of it, base64 in JSON. It judges nothing, marks
nothing, signs nothing and keeps nothing.

``--int8`` is torch's own dynamic quantization of the linear layers, which needs no further package
and one line; ``--int8 ours`` is what Chopmark itself does (:mod:`chopmark.generation.int8`).
"""

from __future__ import annotations

import argparse
import base64
import io
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from chopmark.generation.embedded import materialize

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["create_app", "load"]

#: What the model was trained at, and what its card says to call it with.
_SIDE = 256
_CALL = {
    "width": _SIDE,
    "height": _SIDE,
    "num_inference_steps": 4,
    "guidance_scale": 1.0,
    "max_sequence_length": 32,
    "text_encoder_out_layers": (2, 4, 6),
}


class Body(BaseModel):
    """As much of OpenAI's request as this server knows."""

    prompt: str
    seed: int = 0
    size: str = "512x512"


def load(folder: Path, *, int8: str = "") -> Any:
    """Load the pipeline; ``int8`` is ``dynamic``, ``ours`` or empty."""
    from diffusers import DiffusionPipeline  # takes seconds, which the tests need not spend

    pipeline = DiffusionPipeline.from_pretrained(str(folder), torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    for name in ("transformer", "text_encoder") if int8 else ():
        part = getattr(pipeline, name)
        if int8 == "ours":
            from chopmark.generation.int8 import quantize_linears

            quantize_linears(part)
        else:
            quantize: Any = torch.ao.quantization.quantize_dynamic
            part = quantize(part, {torch.nn.Linear}, dtype=torch.qint8)
            setattr(pipeline, name, part)
    return pipeline


def create_app(pipeline: Any) -> FastAPI:
    """Return the application around a loaded pipeline."""
    app, lock = FastAPI(), threading.Lock()

    @app.post("/v1/images/generations")
    def generate(body: Body) -> dict[str, Any]:  # a plain function: FastAPI runs it in a thread
        seeded = torch.Generator().manual_seed(body.seed)
        with lock, torch.inference_mode():
            made: Image.Image = pipeline(prompt=body.prompt, generator=seeded, **_CALL).images[0]
        width, _, height = body.size.partition("x")
        file = io.BytesIO()
        made.resize((int(width), int(height))).save(file, "PNG")
        return {"created": 0, "data": [{"b64_json": base64.b64encode(file.getvalue()).decode()}]}

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, required=True, help="where the model is unpacked")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--int8", nargs="?", const="dynamic", default="", help="dynamic or ours")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    app = create_app(load(materialize(options.home), int8=options.int8))
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
