"""A node for ComfyUI that seals pictures and saves the signed files.

Put into ``ComfyUI/custom_nodes/chopmark.py``::

    from chopmark.middleware.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

It takes the place of "Save Image": what is saved by that one beside it is not sealed.
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from PIL import Image

from chopmark.middleware.sealing import as_png, check_prompts, seal, wait_for
from chopmark.pipeline.released import Refused

if TYPE_CHECKING:
    from chopmark.pipeline import Pipeline

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "SealImages"]


class SealImages:
    """Judges, marks, signs and books a batch of pictures, and saves what may leave.

    ComfyUI reads the class members by their names (its node protocol); a picture is a tensor of the
    shape (batch, height, width, 3) with values 0 to 1.
    """

    CATEGORY: ClassVar[str] = "image/chopmark"
    FUNCTION: ClassVar[str] = "seal"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("IMAGE", "STRING")
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ("images", "record_ids")
    OUTPUT_NODE: ClassVar[bool] = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  ComfyUI's name
        """Tell what goes in."""
        return {
            "required": {
                "images": ("IMAGE",),
                "prompt": ("STRING", {"multiline": True, "default": ""}),
                "model": ("STRING", {"default": "a model in ComfyUI"}),
                "filename_prefix": ("STRING", {"default": "chopmark"}),
            }
        }

    def seal(self, images: Any, prompt: str, model: str, filename_prefix: str) -> dict[str, Any]:
        """Seal a batch.

        Raises:
            Refused: The prompt, or every picture; the node turns red and says why.
            ChopmarkError: Something could not be judged, marked, signed or booked.
        """
        pipeline = _pipeline()
        wait_for(check_prompts(pipeline, [prompt], tenant="default"))
        folder = _output_folder()
        kept: list[int] = []
        saved: list[dict[str, str]] = []
        records: list[str] = []
        refused: Refused | None = None
        for number, one in enumerate(images):
            pixels = np.clip(np.asarray(one) * 255.0 + 0.5, 0, 255).astype(np.uint8)
            data = as_png(Image.fromarray(pixels))
            sealed = wait_for(seal(pipeline, data, prompt=prompt, model=model, tenant="default"))
            if isinstance(sealed, Refused):
                refused = refused or sealed
                continue
            output = sealed.outputs[0]
            # The prefix is a name and no path: a workflow comes from anybody.
            name = f"{Path(filename_prefix).name or 'chopmark'}-{output.output_id}.{output.format}"
            output.save(folder / name)
            kept.append(number)
            records.append(sealed.record_id)
            saved.append({"filename": name, "subfolder": "", "type": "output"})
        if refused is not None and not kept:
            raise refused
        return {"ui": {"images": saved}, "result": (images[kept], "\n".join(records))}


@cache
def _pipeline() -> Pipeline:
    """Return the one pipeline of this ComfyUI, with the settings of its environment."""
    from chopmark.pipeline import Pipeline
    from chopmark.settings import Settings

    return Pipeline.from_settings(Settings())


def _output_folder() -> Path:
    """Return where ComfyUI saves pictures."""
    return Path(importlib.import_module("folder_paths").get_output_directory())


NODE_CLASS_MAPPINGS: Final = {"ChopmarkSeal": SealImages}
NODE_DISPLAY_NAME_MAPPINGS: Final = {"ChopmarkSeal": "Seal and save (Chopmark)"}
