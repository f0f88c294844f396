"""What a detector says, and the seam every watermark method fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL import Image

    from chopmark.kit.types import JsonValue
    from chopmark.provenance.watermark._keys import MarkKey

__all__ = ["P_DETECT", "MarkResult", "Watermarker"]

P_DETECT = 1e-9
"""A mark counts as detected when its p-value is at most this."""


@dataclass(frozen=True, kw_only=True)
class MarkResult:
    """What one look at one picture found.

    Attributes:
        detected: Whether ``p_value <= 1e-9``.
        payload: The bytes read; None when nothing was detected.
        p_value: Bound on the probability that a picture which was made without the key gives a
            result as strong as this, all tests of the look counted; 0..1.
        method: The method that read it (the last one tried when none did).
        key_id: The key that read it; None when nothing was detected.
        details: Geometry and statistics, method-specific, JSON-serialisable.
    """

    detected: bool
    payload: bytes | None
    p_value: float
    method: str
    key_id: str | None = None
    details: Mapping[str, JsonValue] = field(default_factory=dict)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON form; ``payload`` as hex digits or None."""
        return {
            "detected": self.detected,
            "payload": None if self.payload is None else self.payload.hex(),
            "p_value": self.p_value,
            "method": self.method,
            "key_id": self.key_id,
            "details": dict(self.details),
        }


@runtime_checkable
class Watermarker(Protocol):
    """One way of striking a payload into pixels and of reading it again."""

    @property
    def name(self) -> str:
        """The name under which the method is registered."""

    @property
    def blind(self) -> bool:
        """Whether a mark can be read without being told what it may say."""

    def embed(self, image: Image.Image, payload: bytes, key: MarkKey) -> Image.Image:
        """Return a marked copy of ``image`` in the same size and, where it can be, mode.

        Raises:
            UnsupportedImage: Animated, or a mode that cannot be marked.
            ImageTooSmall: Under the method's least size.
            ImageTooLarge: Over the method's greatest size.
            InvalidRequest: The payload has a length that the method cannot carry.
        """

    def detect(
        self,
        image: Image.Image,
        key: MarkKey,
        *,
        candidates: Sequence[bytes] | None = None,
        original: Image.Image | None = None,
    ) -> MarkResult:
        """Look for a mark of ``key``.

        Args:
            image: The picture as received.
            key: The key it may have been marked with.
            candidates: Known-id mode: the only payloads that count; the fewer, the surer.
            original: Informed mode: the unmarked picture, where it is at hand.

        Raises:
            UnsupportedImage: Animated, or a mode that cannot be read.
            ImageTooSmall: Under the method's least size.
            ImageTooLarge: Over the method's greatest size.
        """
