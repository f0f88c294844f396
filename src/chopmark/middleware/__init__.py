"""What stands around somebody else's generator: everything that leaves it is sealed first.

``governed`` wraps a diffusers pipeline, ``GovernedImages`` an ASGI server of OpenAI's Images API,
and :mod:`chopmark.middleware.comfyui` is a node for ComfyUI. All go through ``Pipeline.seal``::

    from chopmark import Pipeline, Settings
    from chopmark.middleware import governed

    pipe = governed(pipe, Pipeline.from_settings(Settings()), model="a model of mine")
    result = pipe("a red apple")
    result.images[0]  # judged and marked; result.files[0] is the signed file

``docs/integrations.md`` has an example of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.kit.door import lazy_door

if TYPE_CHECKING:
    from chopmark.middleware.images_api import GovernedImages
    from chopmark.middleware.wrapped import GovernedResult, governed

__all__ = ["GovernedImages", "GovernedResult", "governed"]

__getattr__, __dir__ = lazy_door(
    __name__,
    {"GovernedImages": "images_api", "GovernedResult": "wrapped", "governed": "wrapped"},
)
