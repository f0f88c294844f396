"""The methods of invisible-watermark 0.2.0 (MIT) behind our seam, with a p-value that means it.

The package has no key, no code and no score of its own, so all of that is added here:

* ``dwtDct`` and ``dwtDctSvd`` carry 104 bits: the 8 bytes of payload and a 40-bit keyed check
  (HMAC-SHA256), all of it XORed with a keyed stream. If a picture was made without the key, its
  104 raw bits are independent of the check's key, which then agrees with probability 2^-40
  (9.1e-13): that is the p-value of a blind detection. Not one of the 104 bits may be wrong.
* ``rivaGan`` carries 32 bits, too few for payload and check: it carries a 32-bit keyed tag of
  the payload, and can only answer "is it one of these payloads?".
* With N ``candidates``, any method compares bits: if k of m bits differ from the nearest of the N
  keyed words, p = N * P(Binomial(m, 1/2) <= k). The words are pseudo-random under the key, so this
  too holds for any picture made without it.

Its modules are loaded one at a time: the package's own ``__init__`` imports torch. The rivaGan
networks are run through onnxruntime directly. What the package does to pictures stays as it is
(its U channel, its block order), so the weaknesses measured in ``docs/watermark.md`` stay too.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import math
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from chopmark.errors import ConfigurationError, ImageTooSmall, InvalidRequest, UnknownMethod
from chopmark.provenance.watermark._pixels import MIN_SIDE, opened
from chopmark.provenance.watermark._result import P_DETECT, MarkResult

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    import onnxruntime

    from chopmark.provenance.watermark._keys import MarkKey

__all__ = ["InvisibleWatermark", "binomial_tail", "make"]

MIN_PIXELS = 256 * 256  # the package's own limit
PAYLOAD_BYTES = 8
_CHECK_BYTES = 5
_WORD_BITS = {"dwtDct": 104, "dwtDctSvd": 104, "rivaGan": 32}
_INSTALL = "pip install --no-deps invisible-watermark==0.2.0 PyWavelets==1.9.0"
# The threshold on the decoder's output that the package itself uses.
_RIVAGAN_THRESHOLD = 0.52

Bits = NDArray[np.uint8]
Bgr = NDArray[np.uint8]


def make(name: str) -> InvisibleWatermark:
    """Return the method of this name.

    Raises:
        UnknownMethod: The package has no such method.
        ConfigurationError: The package (or what the method needs of it) is not installed.
    """
    if name not in _WORD_BITS:
        raise UnknownMethod(f"invisible-watermark has no method {name!r}")
    if name == "rivaGan":
        _rivagan("encoder")
    else:
        _module({"dwtDct": "maxDct", "dwtDctSvd": "dwtDctSvd"}[name])
    return InvisibleWatermark(name)


class InvisibleWatermark:
    """One method of the package, as a :class:`~chopmark.provenance.watermark.Watermarker`."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """``dwtDct``, ``dwtDctSvd`` or ``rivaGan``."""
        return self._name

    @property
    def blind(self) -> bool:
        """Whether payload and check fit into the bits: not into rivaGan's 32."""
        return self._name != "rivaGan"

    def embed(self, image: Image.Image, payload: bytes, key: MarkKey) -> Image.Image:
        """Return a marked copy: RGB, or RGBA where the picture has alpha, which is kept.

        Raises:
            UnsupportedImage: Animated, or a mode that cannot be shown as RGB.
            ImageTooSmall: Under 256 x 256 pixels in all, which the package refuses.
            ImageTooLarge: A side is over 8192 pixels.
            InvalidRequest: The payload has not 8 bytes.
        """
        source = opened(image)
        bgr = _bgr(source)
        marked = _encode(self._name, bgr, _word(self._name, key, payload))
        result = Image.fromarray(np.ascontiguousarray(marked[..., ::-1]))
        if source.mode in {"RGBA", "LA"}:
            result.putalpha(source.getchannel("A"))
        # An ink or grey profile would be wrong for the RGB that comes out.
        kept = {"exif", "dpi", "xmp"} | ({"icc_profile"} if source.mode[:3] == "RGB" else set())
        result.info = {k: v for k, v in source.info.items() if k in kept}
        return result

    def detect(
        self,
        image: Image.Image,
        key: MarkKey,
        *,
        candidates: Sequence[bytes] | None = None,
        original: Image.Image | None = None,  # noqa: ARG002 - the package cannot use it
    ) -> MarkResult:
        """Look for a mark of ``key``; see the module for what the p-value means.

        Raises:
            UnsupportedImage: Animated, or a mode that cannot be shown as RGB.
            ImageTooSmall: Under 256 x 256 pixels in all.
            ImageTooLarge: A side is over 8192 pixels.
        """
        bits = _decode(self._name, _bgr(opened(image)))
        if candidates is not None:
            return self._nearest(bits, key, candidates)
        if self._name == "rivaGan":
            return self._result(None, 1.0, {"note": "32 bits: detects among candidates only"})
        payload = _open_word(self._name, key, bits)
        return self._result(payload, 1.0 if payload is None else 2.0 ** (-8 * _CHECK_BYTES), {})

    def _nearest(self, bits: Bits, key: MarkKey, candidates: Sequence[bytes]) -> MarkResult:
        if not candidates:
            return self._result(None, 1.0, {})
        words = np.stack([_word(self._name, key, candidate) for candidate in candidates])
        wrong = (words != bits).sum(axis=1)
        best = int(wrong.argmin())
        p_value = min(1.0, len(candidates) * binomial_tail(bits.size, int(wrong[best])))
        details = {"wrong_bits": int(wrong[best]), "of_bits": int(bits.size)}
        return self._result(candidates[best], p_value, details)

    def _result(self, payload: bytes | None, p_value: float, details: dict[str, Any]) -> MarkResult:
        detected = payload is not None and p_value <= P_DETECT
        return MarkResult(
            detected=detected,
            payload=payload if detected else None,
            p_value=p_value,
            method=self._name,
            details=details,
        )


def binomial_tail(size: int, at_most: int) -> float:
    """Return P(Binomial(size, 1/2) <= at_most)."""
    return float(sum(math.comb(size, k) for k in range(at_most + 1)) / 2**size)


def _word(name: str, key: MarkKey, payload: bytes) -> Bits:
    if len(payload) != PAYLOAD_BYTES:
        raise InvalidRequest(
            f"{name} carries 8 bytes, not {len(payload)}", hint="an output id has 8 bytes"
        )
    check = _digest(key, f"{name} check", payload)
    if name == "rivaGan":
        return np.unpackbits(np.frombuffer(check[:4], np.uint8))
    check = check[:_CHECK_BYTES]
    return np.unpackbits(np.frombuffer(payload + check, np.uint8)) ^ _stream(name, key)


def _open_word(name: str, key: MarkKey, bits: Bits) -> bytes | None:
    word = np.packbits(bits ^ _stream(name, key)).tobytes()
    payload, check = word[:PAYLOAD_BYTES], word[PAYLOAD_BYTES:]
    right = _digest(key, f"{name} check", payload)[:_CHECK_BYTES]
    return payload if hmac.compare_digest(check, right) else None


def _stream(name: str, key: MarkKey) -> Bits:
    stream = _digest(key, f"{name} stream", b"")[: PAYLOAD_BYTES + _CHECK_BYTES]
    return np.unpackbits(np.frombuffer(stream, np.uint8))


def _digest(key: MarkKey, label: str, message: bytes) -> bytes:
    prefix = f"chopmark invisible-watermark {label}\0".encode()
    return hmac.new(key.secret, prefix + message, hashlib.sha256).digest()


def _bgr(image: Image.Image) -> Bgr:
    if image.width * image.height < MIN_PIXELS:
        raise ImageTooSmall(
            f"invisible-watermark needs {MIN_PIXELS} pixels, {image.width}x{image.height} are less",
            hint=f"the method 'lattice' marks pictures from {MIN_SIDE} pixels a side",
        )
    if image.mode == "I;16":
        grey = np.rint(np.asarray(image) / 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    rgb = np.asarray(image.convert("RGB"))
    return np.ascontiguousarray(rgb[..., ::-1])


def _encode(name: str, bgr: Bgr, word: Bits) -> Bgr:
    if name == "rivaGan":
        inputs = {"frame": _frame(bgr), "data": word[None].astype(np.float32)}
        (frame,) = _rivagan("encoder").run(None, inputs)
        shown = (np.clip(frame[0, :, 0], -1, 1).transpose(1, 2, 0) + 1) * 127.5
        return np.asarray(shown, np.uint8)
    return np.asarray(_dwt(name, word).encode(bgr.copy()), np.uint8)


def _decode(name: str, bgr: Bgr) -> Bits:
    if name == "rivaGan":
        (data,) = _rivagan("decoder").run(None, {"frame": _frame(bgr)})
        return np.asarray(data[0] > _RIVAGAN_THRESHOLD, np.uint8)
    return np.asarray(_dwt(name, np.zeros(_WORD_BITS[name], np.uint8)).decode(bgr), np.uint8)


def _frame(bgr: Bgr) -> NDArray[np.float32]:
    scaled = bgr.astype(np.float32) / 127.5 - 1
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None, :, None])


def _dwt(name: str, word: Bits) -> Any:
    if name == "dwtDct":
        return _module("maxDct").EmbedMaxDct(watermarks=word.tolist(), wmLen=word.size)
    return _module("dwtDctSvd").EmbedDwtDctSvd(watermarks=word.tolist(), wmLen=word.size)


@cache
def _package_folder() -> Path:
    # find_spec of a top-level package does not run it.
    spec = importlib.util.find_spec("imwatermark")
    if spec is None or spec.origin is None:
        raise ConfigurationError("invisible-watermark is not installed", hint=_INSTALL)
    return Path(spec.origin).parent


@cache
def _module(name: str) -> ModuleType:
    path = _package_folder() / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"_chopmark_imwatermark_{name}", path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} cannot be loaded", hint=_INSTALL)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError) as error:
        del sys.modules[spec.name]
        raise ConfigurationError(
            f"invisible-watermark cannot be loaded: {error}", hint=_INSTALL
        ) from error
    return module


@cache
def _rivagan(part: str) -> onnxruntime.InferenceSession:
    path = _package_folder() / f"rivagan_{part}.onnx"
    try:
        import onnxruntime

        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigurationError(
            f"the rivaGan networks cannot be loaded: {error}", hint=_INSTALL
        ) from error
