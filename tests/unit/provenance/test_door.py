"""The door is short, cheap and shows how it is used."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
import warnings

import pytest

import chopmark.provenance as door

MODULES = ("", ".credential", ".label", ".resolver", ".store")
# What other people build on: a name that goes or comes is a decision, and shows here.
NAMES = {
    "LABEL_PROFILES",
    "Aigc",
    "AnchorList",
    "Credential",
    "CredentialProvider",
    "CredentialRotationWarning",
    "CredentialSource",
    "DevelopmentCredentialWarning",
    "InputIngredient",
    "LabelStyle",
    "Limits",
    "ManifestInfo",
    "ManifestRepository",
    "ManifestStore",
    "MarkKey",
    "MarkKeySource",
    "MarkKeys",
    "MarkResult",
    "NoTimestampWarning",
    "Pkcs11Signer",
    "QueueRun",
    "RemoteSigner",
    "Report",
    "Resolver",
    "Signed",
    "Signer",
    "TimestampAuthority",
    "TimestampQueue",
    "TrustAnchors",
    "XmpFields",
    "detect_mark",
    "draw_label",
    "embed_mark",
    "encode_image",
    "fetch_public",
    "fingerprint",
    "key_algorithm",
    "load_anchors",
    "load_credential",
    "load_mark_keys",
    "mark_algorithm",
    "pixel_digest",
    "read_ingredient",
    "read_secret",
    "read_xmp",
    "reattach",
    "rotate_credential",
    "sign",
    "signed_copy",
    "verify",
    "write_xmp",
}


def test_every_name_in_the_door_is_there() -> None:
    assert set(door.__all__) == NAMES
    for name in door.__all__:
        assert getattr(door, name) is not None
    assert set(dir(door)) == NAMES
    with pytest.raises(AttributeError):
        _ = door.nothing_of_the_kind


def test_importing_the_door_loads_nothing_heavy() -> None:
    code = (
        "import sys, time; t = time.process_time(); import chopmark.provenance;"
        "spent = time.process_time() - t;"
        "heavy = {'torch', 'numpy', 'cv2', 'c2pa', 'PIL', 'onnxruntime', 'cryptography'};"
        "print(spent, sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    spent, heavy = out.stdout.split(maxsplit=1)
    assert heavy.strip() == "[]"
    assert float(spent) < 0.1


def test_verify_needs_no_torch() -> None:
    code = (
        "import sys, io; from chopmark.provenance import verify; from PIL import Image;"
        "b = io.BytesIO(); Image.new('RGB', (300, 300)).save(b, 'PNG');"
        "print(verify(b.getvalue()).verdict, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.split() == ["no_signal", "False"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(f"chopmark.provenance{name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
