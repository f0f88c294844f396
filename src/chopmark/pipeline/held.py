"""Pictures that were made, marked and signed, and wait for a person to let them out.

Where what is to be reviewed does not leave (``CHOPMARK_ON_REVIEW=refuse``), a picture that was sent
to review is finished like any other and lies sealed beside the record of its request, under the
key of the person who asked: it goes when that content goes. A picture that was blocked is never
kept, nor any of a request that touches a restricted category.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chopmark.errors import ChopmarkError, RecordNotFound
from chopmark.pipeline.seal_pictures import seal_pictures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from chopmark.audit import Record
    from chopmark.pipeline.cases import GenerationCase, SealCase
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.released import Output
    from chopmark.pipeline.steps import Steps
    from chopmark.provenance import InputIngredient
    from chopmark.safety import Verdict
    from chopmark.settings import Settings

__all__ = ["HeldFile", "held_file", "hold_pictures", "is_held", "keep_held"]

_LOG = logging.getLogger(__name__)
_PREFIX: Final = "held:"  # chopmark.audit.custody.attachments.HELD_PREFIX
_FOREVER: Final = timedelta(days=36_500)
_MIMES: Final = {
    b"\x89PNG": ("image/png", "png"),
    b"\xff\xd8\xff": ("image/jpeg", "jpg"),
    b"RIFF": ("image/webp", "webp"),
}


@dataclass(frozen=True, kw_only=True)
class HeldFile:
    """A held picture's file, as it would have left."""

    data: bytes = field(repr=False)
    mime: str
    name: str


def is_held(verdict: Verdict, others: Sequence[Verdict], settings: Settings) -> bool:
    """Tell whether a picture that may not leave yet is kept for a person to decide on.

    Args:
        verdict: On the picture.
        others: On the prompt and the input pictures.
        settings: Whether what is to be reviewed leaves.
    """
    return (
        settings.on_review == "refuse"
        and verdict.action == "review"
        and not any(one.restricted for one in (verdict, *others))
    )


async def hold_pictures(
    steps: Steps,
    case: GenerationCase | SealCase,
    inputs: Sequence[InputIngredient],
    waiting: Sequence[tuple[int, Image.Image, Verdict]],
) -> list[str]:
    """Finish pictures that may not leave yet, and keep them; return the ids of those that are held.

    They stay whatever happens: where one cannot be finished or kept, nothing is held, and the
    request ends as it would without this.

    Args:
        steps: Runs the work.
        case: The request.
        inputs: What its input pictures say of themselves.
        waiting: Number, picture and verdict of each that :func:`is_held`.
    """
    if not waiting:
        return []
    try:
        outputs, _ = await seal_pictures(steps, case, inputs, waiting)
        return await steps.run(
            case, "sign", lambda: keep_held(steps.parts, case.record_id, outputs)
        )
    except ChopmarkError as error:
        _LOG.error("pictures of record %s are not held", case.record_id, exc_info=error)
        return []


def keep_held(parts: Parts, record_id: str, outputs: Sequence[Output]) -> list[str]:
    """Keep finished pictures beside the prompt that they were made from; a failure is logged.

    Args:
        parts: Whose log keeps them.
        record_id: Of the request, before its end is booked.
        outputs: Marked and signed.

    Returns:
        The output ids of those that are held now.
    """
    if not outputs:
        return []
    log = parts.request_log
    files = {f"{_PREFIX}{output.output_id}": output.data for output in outputs}
    try:
        kept = log.custody.attachments.keep(
            log.records(record_id)[0].index,
            files,
            most_bytes=parts.settings.held_pictures_mb * 2**20,
        )
    except ChopmarkError as error:
        _LOG.error("held pictures of record %s were not kept", record_id, exc_info=error)
        return []
    if not kept:
        _LOG.warning("held pictures of record %s are too many to keep", record_id)
    return [output.output_id for output in outputs] if kept else []


def held_file(parts: Parts, records: Sequence[Record], output_id: str) -> HeldFile:
    """Return a held picture.

    Raises:
        RecordNotFound: It is not kept (any more): erased, or its retention is over.
    """
    kept = parts.request_log.custody.attachments.of(records[0].index, younger_than=_FOREVER)
    data = (kept or {}).get(f"{_PREFIX}{output_id}")
    if data is None:
        raise RecordNotFound(f"output {output_id} is not kept any more")
    mime, suffix = next(
        (kind for magic, kind in _MIMES.items() if data.startswith(magic)), ("image/avif", "avif")
    )
    return HeldFile(data=data, mime=mime, name=f"chopmark-{output_id}.{suffix}")
