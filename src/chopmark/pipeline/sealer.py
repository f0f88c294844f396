"""Who marks and signs: this process, or one that has the keys and sees no stranger's file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from chopmark.kit.raw_picture import RawPicture
from chopmark.pipeline import seal
from chopmark.pipeline.elsewhere import Elsewhere
from chopmark.pipeline.request import EditRequest, SealRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from chopmark.generation import ModelInfo
    from chopmark.kit.types import ImageFormat
    from chopmark.pipeline.maker import Maker
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.pipeline.seal import Marked
    from chopmark.provenance import InputIngredient, MarkResult, Signed

__all__ = ["Sealer", "SealerElsewhere", "SealerHere", "sealer_of"]


def sealer_of(parts: Parts) -> Sealer:
    """Return who marks and signs with these parts."""
    if parts.engine is None:
        return SealerHere(parts)
    return SealerElsewhere(parts.engine, parts.settings)


class Sealer(Protocol):
    """Steps 5 and 6, but for what goes into a database; see :mod:`chopmark.pipeline.seal`."""

    def mark(
        self,
        picture: Image.Image,
        request: GenerationRequest | SealRequest,
        *,
        output_id: str,
        format: ImageFormat,  # noqa: A002  the field's name
        earlier: MarkResult | None = None,
    ) -> Marked:
        """Draw the label, strike the watermark, encode, and read the mark back."""

    def sign(
        self,
        marked: Marked,
        request: GenerationRequest | SealRequest,
        *,
        output_id: str,
        format: ImageFormat,  # noqa: A002  the field's name
        model: ModelInfo | Maker,
        inputs: Sequence[InputIngredient] = (),
    ) -> Signed:
        """Write the metadata, sign the manifest last, and validate the result."""


class SealerHere:
    """Marks and signs in this process.

    Args:
        parts: With the keys.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def mark(
        self,
        picture: Image.Image,
        request: GenerationRequest | SealRequest,
        *,
        output_id: str,
        format: ImageFormat,  # noqa: A002  the field's name
        earlier: MarkResult | None = None,
    ) -> Marked:
        """Mark a picture; see :func:`chopmark.pipeline.seal.mark`."""
        return seal.mark(
            self._parts, picture, request, output_id=output_id, format=format, earlier=earlier
        )

    def sign(
        self,
        marked: Marked,
        request: GenerationRequest | SealRequest,
        *,
        output_id: str,
        format: ImageFormat,  # noqa: A002  the field's name
        model: ModelInfo | Maker,
        inputs: Sequence[InputIngredient] = (),
    ) -> Signed:
        """Sign a file; see :func:`chopmark.pipeline.seal.sign`."""
        return seal.sign(
            self._parts, marked, request,
            output_id=output_id, format=format, model=model, inputs=inputs,
        )  # fmt: skip


class SealerElsewhere(Elsewhere):
    """Marks and signs; see :class:`Sealer`."""

    def mark(
        self,
        picture: Image.Image,
        request: GenerationRequest | SealRequest,
        *,
        output_id: str,
        format: ImageFormat,  # noqa: A002  the field's name
        earlier: MarkResult | None = None,
    ) -> Marked:
        """Draw the label, strike the watermark, encode, read the mark back."""
        raw = RawPicture.of(picture)
        marked: Marked = self.ask(
            "trusted", "mark", (raw.head, _without_files(request), output_id, format, earlier),
            raw.data,
            limit_s=self.settings.seal_timeout_s,
        ).value  # fmt: skip
        return marked

    def sign(
        self,
        marked: Marked,
        request: GenerationRequest | SealRequest,
        *,
        output_id: str,
        format: ImageFormat,  # noqa: A002  the field's name
        model: ModelInfo | Maker,
        inputs: Sequence[InputIngredient] = (),
    ) -> Signed:
        """Write the metadata and the manifest, signed last."""
        value = marked, _without_files(request), output_id, format, model, inputs
        signed: Signed = self.ask(
            "trusted", "sign", value,
            limit_s=self.settings.seal_timeout_s,
        ).value  # fmt: skip
        return signed


def _without_files(
    request: GenerationRequest | SealRequest,
) -> GenerationRequest | SealRequest:
    """Return the request with as many pictures and nothing in them: who signs sees no file."""
    if isinstance(request, SealRequest):
        return replace(request, image=b"")
    if not isinstance(request, EditRequest):
        return request
    return replace(request, image=b"", references=(b"",) * len(request.references), mask=None)
