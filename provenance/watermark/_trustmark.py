"""TrustMark (Adobe, MIT) behind our seam, where the deployer has the package and its weights.

The package fetches weights by itself when it finds none. That is never let happen: before it is
asked for a model, its files are compared with the checksums that the package itself lists, and what
is missing is a ConfigurationError that says where it belongs.

Its 100 raw bits carry the 8 bytes of payload and a 36-bit keyed check (HMAC-SHA256), all of it
XORed with a keyed stream, in place of the package's own error-correcting code: that code decodes
one random word in a hundred, so its success proves nothing. If a picture was made without the key,
its 100 bits are independent of the check's key, which then agrees with probability 2^-36 (1.5e-11):
that is the p-value of a blind detection, in which none of the 100 bits may be wrong. With N
``candidates``, k differing bits from the nearest keyed word give
p = N * P(Binomial(100, 1/2) <= k).

Not run with the real weights where this was written (none were at hand): the tests drive it with a
stand-in of the package.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from chopmark.errors import ConfigurationError, InvalidRequest
from chopmark.provenance.watermark._invisible import binomial_tail
from chopmark.provenance.watermark._pixels import opened
from chopmark.provenance.watermark._result import P_DETECT, MarkResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from chopmark.provenance.watermark._keys import MarkKey

__all__ = ["TrustMark", "make"]

MIN_SIDE = 150  # of the papers' own measurements
PAYLOAD_BYTES = 8
_MODEL = "Q"
_BITS = 100
_CHECK_BITS = _BITS - 8 * PAYLOAD_BYTES
_FILES = (f"trustmark_{_MODEL}.yaml", f"encoder_{_MODEL}.ckpt", f"decoder_{_MODEL}.ckpt")
_INSTALL = "pip install trustmark, then put its files of variant Q into its folder models/"


def make() -> TrustMark:
    """Return the method, its networks loaded.

    Raises:
        ConfigurationError: The package or its weights are not there, or not the right ones.
    """
    return TrustMark(_networks())


class TrustMark:
    """Variant Q, as a :class:`~chopmark.provenance.watermark.Watermarker`."""

    name = "trustMark"
    blind = True

    def __init__(self, networks: Any) -> None:
        self._networks = networks

    def embed(self, image: Image.Image, payload: bytes, key: MarkKey) -> Image.Image:
        """Return a marked copy: RGB, or RGBA where the picture has alpha, which is kept.

        Raises:
            UnsupportedImage: Animated, or a mode that cannot be shown as RGB.
            ImageTooSmall: A side is under 150 pixels.
            ImageTooLarge: A side is over 8192 pixels.
            InvalidRequest: The payload has not 8 bytes.
        """
        source = opened(image, min_side=MIN_SIDE)
        word = "".join(str(bit) for bit in _word(key, payload))
        marked: Image.Image = self._networks.encode(_rgb(source), word, MODE="binary")
        if source.mode in {"RGBA", "LA"}:
            marked.putalpha(source.getchannel("A"))
        return marked

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
            ImageTooSmall: A side is under 150 pixels.
            ImageTooLarge: A side is over 8192 pixels.
        """
        shown = _rgb(opened(image, min_side=MIN_SIDE))
        text, *_ = self._networks.decode(shown, MODE="binary")
        bits = np.array([int(bit) for bit in text], np.uint8)
        if candidates is None:
            payload = _open_word(key, bits)
            return self._result(payload, 1.0 if payload is None else 2.0**-_CHECK_BITS)
        if not candidates:
            return self._result(None, 1.0)
        wrong = [int((_word(key, each) != bits).sum()) for each in candidates]
        best = int(np.argmin(wrong))
        p_value = min(1.0, len(candidates) * binomial_tail(_BITS, wrong[best]))
        return self._result(candidates[best], p_value)

    def _result(self, payload: bytes | None, p_value: float) -> MarkResult:
        detected = payload is not None and p_value <= P_DETECT
        return MarkResult(
            detected=detected,
            payload=payload if detected else None,
            p_value=p_value,
            method=self.name,
        )


def _word(key: MarkKey, payload: bytes) -> NDArray[np.uint8]:
    if len(payload) != PAYLOAD_BYTES:
        raise InvalidRequest(
            f"trustMark carries 8 bytes, not {len(payload)}", hint="an output id has 8 bytes"
        )
    check = _digest(key, "check", payload)[: _CHECK_BITS // 8 + 1]
    bits = np.unpackbits(np.frombuffer(payload + check, np.uint8))[:_BITS]
    return bits ^ _stream(key)


def _open_word(key: MarkKey, bits: NDArray[np.uint8]) -> bytes | None:
    payload = np.packbits((bits ^ _stream(key))[: 8 * PAYLOAD_BYTES]).tobytes()
    return payload if np.array_equal(_word(key, payload), bits) else None


def _stream(key: MarkKey) -> NDArray[np.uint8]:
    return np.unpackbits(np.frombuffer(_digest(key, "stream", b"")[:13], np.uint8))[:_BITS]


def _digest(key: MarkKey, label: str, message: bytes) -> bytes:
    return hmac.new(
        key.secret, f"chopmark trustmark {label}\0".encode() + message, hashlib.sha256
    ).digest()


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I;16":
        grey = np.rint(np.asarray(image) / 257).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    return image.convert("RGB")


@cache
def _networks() -> Any:
    # find_spec of a top-level package does not run it: torch stays out until the files are there.
    spec = importlib.util.find_spec("trustmark")
    if spec is None or spec.origin is None:
        raise ConfigurationError("trustmark is not installed", hint=_INSTALL)
    folder = Path(spec.origin).parent / "models"
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ConfigurationError(
            f"weights of trustmark are missing: {', '.join(missing)}",
            hint=f"put them into {folder}; Chopmark never fetches weights",
        )
    try:
        package = importlib.import_module("trustmark.trustmark")
    except (ImportError, OSError) as error:
        raise ConfigurationError(f"trustmark cannot be loaded: {error}", hint=_INSTALL) from error
    for name in _FILES:
        _check(folder / name, package.MODEL_CHECKSUMS[name])
    return package.TrustMark(
        use_ECC=False, verbose=False, secret_len=_BITS, model_type=_MODEL, loadRemover=False
    )


def _check(path: Path, expected: str) -> None:
    # MD5 is what the package lists; a file that differs would be fetched anew without asking.
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    if found.hexdigest() != expected:
        raise ConfigurationError(
            f"{path} is not the file that trustmark expects (MD5 {found.hexdigest()})",
            hint=f"its MD5 must be {expected}",
        )
