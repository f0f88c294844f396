from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from chopmark.errors import GuardFailed
from chopmark.safety.image._model import open_model


def test_a_missing_another_and_a_damaged_file_are_each_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    with pytest.raises(GuardFailed, match=r"model\.onnx does not load") as caught:
        open_model(file, sha256="0" * 64, hint="reinstall it")
    assert caught.value.hint == "reinstall it"
    file.write_bytes(b"no model")
    with pytest.raises(GuardFailed, match="not 0000000000000000"):
        open_model(file, sha256="0" * 64, hint="reinstall it")
    digest = hashlib.sha256(b"no model").hexdigest()
    with pytest.raises(GuardFailed, match="does not load"):
        open_model(file, sha256=digest, hint="reinstall it")
