"""Judging before somebody else's generator runs, and sealing what it made, from any thread."""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from chopmark.pipeline.moderation import stops
from chopmark.pipeline.released import Refused
from chopmark.pipeline.request import SealRequest

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from PIL import Image

    from chopmark.pipeline import Pipeline
    from chopmark.pipeline.released import Released

__all__ = ["as_png", "check_prompts", "seal", "wait_for"]

T = TypeVar("T")


async def check_prompts(pipeline: Pipeline, prompts: Sequence[str], *, tenant: str) -> None:
    """Judge prompts before anything is made of them; one record for the call.

    Raises:
        Refused: One of them may not be drawn.
        ChopmarkError: They could not be judged.
    """
    texts = [prompt for prompt in prompts if prompt.strip()]
    if not texts:
        return
    judged = await pipeline.moderate(texts, tenant=tenant)
    for verdict in judged.verdicts:
        if stops(verdict, pipeline.settings):
            raise Refused(
                record_id=judged.record_id,
                stage="input",
                verdict=verdict,
                tells=pipeline.settings.refusal_tells,
            )


async def seal(
    pipeline: Pipeline, image: bytes, *, prompt: str, model: str, tenant: str
) -> Released | Refused:
    """Return a picture sealed, or why it may not leave.

    Raises:
        ChopmarkError: It could not be judged, marked, signed or booked.
    """
    try:
        return await pipeline.seal(
            SealRequest(image=image, prompt=prompt, model=model, tenant=tenant)
        )
    except Refused as refused:
        return refused


def as_png(picture: Image.Image) -> bytes:
    """Return a picture as a file that loses nothing of it."""
    out = io.BytesIO()
    picture.convert("RGB").save(out, "PNG", compress_level=1)
    return out.getvalue()


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end in a thread of its own: the caller's may have a loop that runs."""
    with ThreadPoolExecutor(1, thread_name_prefix="chopmark-seal") as pool:
        return pool.submit(asyncio.run, work).result()
