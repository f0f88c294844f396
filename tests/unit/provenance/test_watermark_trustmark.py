"""TrustMark behind our seam, with a stand-in of its package: the real weights were not at hand.

The stand-in writes its 100 bits as steps of brightness in a 10 x 10 grid; the adapter, its check,
its p-values and its refusals are what is tested.
"""

from __future__ import annotations

import hashlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chopmark.errors import ConfigurationError, ImageTooSmall, InvalidRequest
from chopmark.provenance.watermark import (
    MarkKey,
    _trustmark,
    detect_mark,
    embed_mark,
    get_method,
    method_names,
)

PAYLOAD = bytes.fromhex("a3f09c1122334451")
KEY = MarkKey(key_id="test", secret=bytes(range(32)))
OTHER = MarkKey(key_id="other", secret=bytes(range(1, 33)))
FILES = ("trustmark_Q.yaml", "encoder_Q.ckpt", "decoder_Q.ckpt")
STAND_IN = """
    import numpy as np
    from PIL import Image

    MODEL_CHECKSUMS = {checksums!r}

    class TrustMark:
        def __init__(self, use_ECC, verbose, secret_len, model_type, loadRemover):
            assert (use_ECC, secret_len, model_type, loadRemover) == (False, 100, "Q", False)

        def encode(self, picture, word, MODE):
            assert MODE == "binary" and len(word) == 100
            values = np.asarray(picture).astype(int)
            height, width = values.shape[0] // 10, values.shape[1] // 10
            for number, bit in enumerate(word):
                y, x = (number // 10) * height, (number % 10) * width
                values[y:y + height, x:x + width] = 140 if bit == "1" else 110
            return Image.fromarray(values.astype(np.uint8))

        def decode(self, picture, MODE):
            values = np.asarray(picture.convert("L"))
            height, width = values.shape[0] // 10, values.shape[1] // 10
            blocks = values[:10 * height, :10 * width].reshape(10, height, 10, width)
            bits = blocks.mean(axis=(1, 3)).ravel() > 125
            return "".join(str(int(bit)) for bit in bits), True, -1
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stand-in of the package with small files for weights."""
    folder = tmp_path / "trustmark"
    models = folder / "models"
    models.mkdir(parents=True)
    checksums = {}
    for name in FILES:
        (models / name).write_bytes(name.encode())
        checksums[name] = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    (folder / "__init__.py").write_text("", encoding="ascii")
    source = textwrap.dedent(STAND_IN).replace("{checksums!r}", repr(checksums))
    (folder / "trustmark.py").write_text(source, encoding="ascii")
    monkeypatch.syspath_prepend(str(tmp_path))
    _forget()
    yield models
    _forget()


def _forget() -> None:
    _trustmark._networks.cache_clear()
    get_method.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "trustmark"]:
        del sys.modules[name]


def ground() -> Image.Image:
    return Image.new("RGB", (200, 200), (125, 125, 125))


@pytest.mark.usefixtures("package")
def test_what_is_struck_is_read() -> None:
    marked = embed_mark(ground(), PAYLOAD, key=KEY, method="trustMark")
    result = detect_mark(marked, keys=[KEY], methods=["trustMark"])
    assert result.payload == PAYLOAD
    assert result.p_value == 2.0**-36
    assert not detect_mark(marked, keys=[OTHER], methods=["trustMark"]).detected
    assert not detect_mark(ground(), keys=[KEY], methods=["trustMark"]).detected


@pytest.mark.usefixtures("package")
def test_damaged_bits_need_candidates() -> None:
    marked = embed_mark(ground(), PAYLOAD, key=KEY, method="trustMark")
    values = np.asarray(marked).copy()
    values[:20, :200] = 255 - values[:20, :200]  # ten of the hundred bits
    damaged = Image.fromarray(values)
    assert not detect_mark(damaged, keys=[KEY], methods=["trustMark"]).detected
    others = [bytes([number] * 8) for number in range(100)]
    found = detect_mark(damaged, keys=[KEY], methods=["trustMark"], candidates=[*others, PAYLOAD])
    assert found.payload == PAYLOAD
    assert 0 < found.p_value <= 1e-9
    assert not detect_mark(damaged, keys=[KEY], methods=["trustMark"], candidates=[]).detected


@pytest.mark.usefixtures("package")
def test_refusals_and_alpha() -> None:
    with pytest.raises(ImageTooSmall):
        embed_mark(Image.new("RGB", (149, 300)), PAYLOAD, key=KEY, method="trustMark")
    with pytest.raises(InvalidRequest, match="8 bytes"):
        embed_mark(ground(), b"short", key=KEY, method="trustMark")
    clear = ground().convert("RGBA")
    clear.putalpha(77)
    marked = embed_mark(clear, PAYLOAD, key=KEY, method="trustMark")
    assert marked.getchannel("A").getextrema() == (77, 77)


def test_missing_weights_are_named_and_never_fetched(package: Path) -> None:
    (package / "decoder_Q.ckpt").unlink()
    with pytest.raises(ConfigurationError, match=r"decoder_Q\.ckpt") as caught:
        get_method("trustMark")
    assert "never fetches" in caught.value.hint


def test_weights_of_another_content_are_refused(package: Path) -> None:
    (package / "encoder_Q.ckpt").write_bytes(b"something else")
    with pytest.raises(ConfigurationError, match="is not the file"):
        get_method("trustMark")


def test_absence_is_said() -> None:
    _forget()
    assert "trustMark" in method_names()
    if importlib_has_trustmark():
        pytest.skip("trustmark is installed here")
    with pytest.raises(ConfigurationError, match="not installed"):
        get_method("trustMark")


def importlib_has_trustmark() -> bool:
    import importlib.util

    return importlib.util.find_spec("trustmark") is not None
