"""The register of methods, and the two verbs that go through it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from chopmark.errors import InvalidRequest, MarkNotReadable, UnknownMethod
from chopmark.provenance.watermark._result import P_DETECT, MarkResult, Watermarker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL import Image

    from chopmark.provenance.watermark._keys import MarkKey

__all__ = ["detect_mark", "embed_mark", "get_method", "method_names", "register_method"]


def _lattice() -> Watermarker:
    from chopmark.provenance.watermark.lattice import Lattice

    return Lattice()


def _invisible(name: str) -> Callable[[], Watermarker]:
    def make() -> Watermarker:
        from chopmark.provenance.watermark import _invisible

        return _invisible.make(name)

    return make


def _trustmark() -> Watermarker:
    from chopmark.provenance.watermark import _trustmark

    return _trustmark.make()


_FACTORIES: dict[str, Callable[[], Watermarker]] = {
    "lattice": _lattice,
    "dwtDct": _invisible("dwtDct"),
    "dwtDctSvd": _invisible("dwtDctSvd"),
    "rivaGan": _invisible("rivaGan"),
    "trustMark": _trustmark,
}


def register_method(name: str, factory: Callable[[], Watermarker]) -> None:
    """Register a method under ``name``; ``factory`` is called when it is first used.

    Raises:
        InvalidRequest: The name is taken by another factory.
    """
    if _FACTORIES.setdefault(name, factory) is not factory:
        raise InvalidRequest(f"a watermark method {name!r} is registered already")


def method_names() -> tuple[str, ...]:
    """Return the names of all registered methods."""
    return tuple(sorted(_FACTORIES))


@cache
def get_method(name: str) -> Watermarker:
    """Return the method of this name.

    Raises:
        UnknownMethod: There is none.
        ConfigurationError: Its package is not installed.
    """
    factory = _FACTORIES.get(name)
    if factory is None:
        raise UnknownMethod(
            f"there is no watermark method {name!r}", hint=f"one of {', '.join(method_names())}"
        )
    return factory()


def embed_mark(
    image: Image.Image,
    payload: bytes,
    *,
    key: MarkKey,
    method: str = "lattice",
    read_back: bool = True,
) -> Image.Image:
    """Return a copy of ``image`` that carries ``payload``, read back before it is returned.

    Args:
        image: 64 to 8192 pixels a side; RGB, RGBA, grey, palette, 16-bit grey or CMYK; one frame.
        payload: What the mark says; 8 bytes for ``lattice``.
        key: The key to strike it with.
        method: One of :func:`method_names`.
        read_back: False where the caller reads the mark himself, from the file that he makes.

    Raises:
        MarkNotReadable: The mark cannot be read back from this picture with p <= 1e-9.
        UnknownMethod: No method of this name.
        UnsupportedImage: Animated, or a mode that cannot be marked.
        ImageTooSmall: A side is under the method's least.
        ImageTooLarge: A side is over the method's greatest.
        InvalidRequest: The payload has a length that the method cannot carry.
    """
    watermarker = get_method(method)
    marked = watermarker.embed(image, payload, key)
    if not read_back:
        return marked
    candidates = None if watermarker.blind else [payload]
    result = watermarker.detect(marked, key, candidates=candidates)
    if not result.detected or result.payload != payload:
        raise MarkNotReadable(
            f"the {method} mark cannot be read back from this picture (p = {result.p_value:.1e})",
            hint="the picture has too little room: a larger or less uniform one can be marked",
        )
    return marked


def detect_mark(
    image: Image.Image,
    *,
    keys: Sequence[MarkKey],
    methods: Sequence[str] = ("lattice",),
    candidates: Sequence[bytes] | None = None,
    original: Image.Image | None = None,
) -> MarkResult:
    """Look for a mark of any of ``keys`` by any of ``methods``.

    The p-value counts every key and method tried: each result's own p is multiplied by their
    number (the union bound), whether or not the search stopped early.

    Args:
        image: The picture as received.
        keys: The keys that may have struck the mark; all of them, old ones too.
        methods: Names of methods, tried in order.
        candidates: Known-id mode: the only payloads that count.
        original: Informed mode: the unmarked picture.

    Raises:
        UnknownMethod: No method of such a name.
        UnsupportedImage: Animated, or a mode that cannot be read.
        ImageTooSmall: A side is under the method's least.
        ImageTooLarge: A side is over the method's greatest.
        InvalidRequest: No keys or no methods, or a candidate of a wrong length.
    """
    if not keys or not methods:
        raise InvalidRequest("detection needs at least one key and one method")
    tries = len(keys) * len(methods)
    best: MarkResult | None = None
    for method in methods:
        watermarker = get_method(method)
        for key in keys:
            found = watermarker.detect(image, key, candidates=candidates, original=original)
            found = _times(found, tries, key)
            if found.detected:
                return found
            if best is None or found.p_value < best.p_value:
                best = found
    assert best is not None  # noqa: S101 - keys and methods are not empty
    return best


def _times(result: MarkResult, tries: int, key: MarkKey) -> MarkResult:
    p_value = min(1.0, result.p_value * tries)
    detected = result.detected and p_value <= P_DETECT
    return MarkResult(
        detected=detected,
        payload=result.payload if detected else None,
        p_value=p_value,
        method=result.method,
        key_id=key.key_id if detected else None,
        details=result.details,
    )
