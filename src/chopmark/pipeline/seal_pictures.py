"""Steps 5 and 6 for the pictures of one request, each for itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from chopmark import errors
from chopmark.kit import ids
from chopmark.kit.raw_picture import as_image
from chopmark.pipeline import seal
from chopmark.pipeline.cases import GenerationCase, SealCase
from chopmark.pipeline.cut_out import cut_out, with_alpha
from chopmark.pipeline.released import Output, Withheld
from chopmark.pipeline.sealer import sealer_of
from chopmark.pipeline.side_by_side import side_by_side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.steps import Steps
    from chopmark.provenance import InputIngredient
    from chopmark.safety import Verdict

__all__ = ["seal_pictures"]


async def seal_pictures(
    steps: Steps,
    case: GenerationCase | SealCase,
    inputs: Sequence[InputIngredient],
    judged: Sequence[tuple[int, Image.Image, Verdict]],
) -> tuple[list[Output], list[Withheld]]:
    """Mark and sign pictures; one that takes no mark is withheld and costs the others nothing.

    Args:
        steps: Runs them.
        case: The request.
        inputs: What its input pictures say of themselves.
        judged: Number, picture and verdict of each that may leave.

    Raises:
        MarkNotReadable: Not one of them takes a mark in the format and quality that was asked for.
        ChopmarkError: A step failed.
    """

    async def sealed(
        index: int, picture: Image.Image, verdict: Verdict
    ) -> Output | errors.MarkNotReadable:
        try:
            return await _seal(steps, case, inputs, index, picture, verdict)
        except errors.MarkNotReadable as error:
            return error

    ends = await side_by_side(case, [partial(sealed, *item) for item in judged])
    outputs = [end for end in ends if isinstance(end, Output)]
    failed = [end for end in ends if not isinstance(end, Output)]
    if failed and not outputs:
        raise failed[0]
    weak = [
        Withheld(index=index, verdict=verdict, reason="mark_too_weak")
        for (index, _, verdict), end in zip(judged, ends, strict=True)
        if not isinstance(end, Output)
    ]
    return outputs, weak


def _as_transparent(parts: Parts, picture: Image.Image, file: bytes) -> Image.Image:
    """Return a picture to seal with the transparency that its file has.

    It was judged on white, on black and without alpha: whatever it is laid on, that was seen.
    """
    from PIL import ImageOps

    mask = parts.files.alpha_mask(file)
    if mask == file:  # it has no alpha channel
        return picture
    alpha = ImageOps.invert(as_image(parts.files.decode(mask)).convert("L"))
    opaque = alpha.getextrema() == (255, 255)
    return picture if opaque else with_alpha(as_image(picture), alpha)


async def _seal(
    steps: Steps,
    case: GenerationCase | SealCase,
    inputs: Sequence[InputIngredient],
    index: int,
    picture: Image.Image,
    verdict: Verdict,
) -> Output:
    from chopmark.generation import batch_size

    request, parts = case.request, steps.parts
    sealer = sealer_of(parts)
    output_id = ids.output_id(case.record_id, index)
    case.tell(index, request.n, "marking and signing")
    if isinstance(case, GenerationCase) and case.request.background == "transparent":
        # What was judged is all that can be seen of it.
        opaque = picture
        picture = await steps.run(case, "mark", lambda: cut_out(opaque))
    elif isinstance(case, SealCase) and case.format != "jpeg":
        on_white, sent = picture, case.request.image
        picture = await steps.run(case, "mark", lambda: _as_transparent(parts, on_white, sent))
    earlier = await steps.run(
        case, "mark", lambda: seal.earlier_mark(parts, picture, request, inputs)
    )
    marked = await steps.run(
        case,
        "mark",
        lambda: sealer.mark(
            picture, request, output_id=output_id, format=case.format, earlier=earlier
        ),
    )
    signed = await steps.run(
        case,
        "sign",
        lambda: sealer.sign(
            marked, request, output_id=output_id, format=case.format,
            model=case.maker, inputs=inputs,
        ),
    )  # fmt: skip
    sealed = await steps.run(
        case,
        "sign",
        lambda: seal.keep(
            parts, signed, output_id=output_id, record_id=case.record_id, pdq=marked.pdq
        ),
    )
    case.pdq[output_id] = sealed.pdq
    return Output(
        index=index,
        output_id=output_id,
        data=sealed.data,
        format=case.format,
        width=marked.width,
        height=marked.height,
        seed=case.seed + index - 1 if isinstance(case, GenerationCase) else None,
        batch=batch_size(picture),
        manifest_id=sealed.manifest_id,
        verdict=verdict,
    )
