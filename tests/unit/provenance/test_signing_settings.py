"""What the settings say reaches the picture: signer, label, time stamps, XMP, soft bindings."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import json
import shutil
from typing import TYPE_CHECKING, Any

import c2pa
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image

from chopmark import GenerationRequest, Pipeline, Settings
from chopmark.cli import app
from chopmark.errors import ConfigurationError, CredentialRefused
from chopmark.pipeline.inspect import examine
from chopmark.pipeline.parts import Parts
from chopmark.plugins import signing_settings
from chopmark.provenance import (
    CredentialRotationWarning,
    DevelopmentCredentialWarning,
    NoTimestampWarning,
    read_xmp,
)
from chopmark.service.timestamps import stamping
from tests.support.generator import StandIn
from tests.support.home import GUARDS
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark.generation import GenerationJob
    from tests.unit.provenance.provenance_attacks import Outsider
    from tests.unit.provenance.provenance_signer import Service
    from tests.unit.provenance.provenance_tsa import LocalAuthority
else:
    from provenance_signer import Service
    from provenance_tsa import LocalAuthority


@pytest.fixture
def pipeline_with(
    open_pipeline: Callable[..., Pipeline], photograph: Callable[..., Image.Image]
) -> Callable[..., Pipeline]:
    """Opens pipelines that sign with what the settings say; the guards alone are shared."""

    def draw(job: GenerationJob, seed: int) -> Image.Image:
        return photograph(job.width, job.height, seed=seed)

    def make(**settings: Any) -> Pipeline:
        generator = StandIn(draw, default_size=(512, 512))
        return open_pipeline(lend=GUARDS, generator=generator, **settings)

    return make


def _picture(pipeline: Pipeline, fmt: str = "png") -> bytes:
    request = GenerationRequest(prompt="a red apple", seed=3, format=fmt)  # type: ignore[arg-type]
    return asyncio.run(pipeline.generate(request)).outputs[0].data


def _assertions(data: bytes) -> dict[str, Any]:
    read = json.loads(c2pa.Reader("image/png", io.BytesIO(data)).json())
    found = read["manifests"][read["active_manifest"]]["assertions"]
    return {one["label"]: one["data"] for one in found}


@pytest.fixture
def own(tmp_path: Path, outsider: Callable[..., Outsider]) -> tuple[Outsider, Path, Path]:
    """A certificate that somebody issued to us, with its key."""
    we = outsider(organisation="Our company", name="Our signer")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    _put(we, cert, key)
    return we, cert, key


def _put(we: Outsider, cert: Path, key: Path) -> None:
    cert.write_text(we.chain_pem)
    key.touch(0o600)
    key.write_bytes(we.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.mark.filterwarnings("ignore::chopmark.provenance.DevelopmentCredentialWarning")
def test_what_is_said_by_default(pipeline_with: Callable[..., Pipeline]) -> None:
    data = _picture(pipeline_with())
    said = _assertions(data)
    assert said["cawg.training-mining"]["entries"]["cawg.ai_training"]["use"] == "notAllowed"
    assert "c2pa.soft-binding" in said
    assert "prompt" not in said["org.chopmark.record"]
    assert b"a red apple" not in data
    assert b"TC260" not in data


@pytest.mark.filterwarnings("ignore::chopmark.provenance.DevelopmentCredentialWarning")
def test_what_is_said_by_setting(pipeline_with: Callable[..., Pipeline]) -> None:
    pipeline = pipeline_with(
        manifest_prompt=True,
        training_mining="allowed",
        soft_binding=False,
        aigc_producer="91310000EXAMPLE",
    )
    data = _picture(pipeline)
    said = _assertions(data)
    assert said["cawg.training-mining"]["entries"]["cawg.ai_training"]["use"] == "allowed"
    assert "c2pa.soft-binding" not in said
    assert said["c2pa.actions.v2"]["actions"][-1]["action"] == "c2pa.watermarked.unbound"
    assert said["org.chopmark.record"]["prompt"] == "a red apple"
    assert read_xmp(data).aigc_label == "1"
    assert b"91310000EXAMPLE" in data
    # The watermark leads to the manifest all the same: the store needs no soft binding for it.
    report = examine(pipeline.parts, data)
    assert report.verdict == "made_here"
    assert report.watermark.state == "detected"


@pytest.mark.filterwarnings("ignore::chopmark.provenance.DevelopmentCredentialWarning")
@pytest.mark.parametrize("profile", ["default", "china", "india"])
def test_a_visible_label(
    pipeline_with: Callable[..., Pipeline],
    photograph: Callable[..., Image.Image],
    profile: str,
) -> None:
    pipeline = pipeline_with(label=profile)
    data = _picture(pipeline)
    bare = photograph(512, 512, seed=3)
    with Image.open(io.BytesIO(data)) as shown:
        lower, upper = (0, 450, 512, 512), (0, 0, 512, 400)
        assert _difference(shown.crop(lower), bare.crop(lower)) > 5
        assert _difference(shown.crop(upper), bare.crop(upper)) < 3
    # It was drawn first: the mark is read over it, and the manifest binds it.
    assert examine(pipeline.parts, data).verdict == "made_here"


def _difference(one: Image.Image, other: Image.Image) -> float:
    import numpy as np

    a, b = (np.asarray(picture.convert("RGB"), dtype=float) for picture in (one, other))
    return float(abs(a - b).mean())


def test_a_label_that_cannot_be_drawn_is_refused_at_start(home: Path) -> None:
    style = signing_settings.label(
        Settings(home=home, label="default", label_text="Made by a machine", label_size=0.1)
    )
    assert style is not None
    assert (style.text, style.size) == ("Made by a machine", 0.1)
    assert signing_settings.label(Settings(home=home)) is None
    with pytest.raises(ConfigurationError, match="no glyph"):
        signing_settings.label(Settings(home=home, label="india", label_text="एआई"))
    with pytest.raises(ConfigurationError, match="font"):
        signing_settings.label(Settings(home=home, label="default", label_font=home / "none.ttf"))


def test_a_certificate_of_our_own(
    pipeline_with: Callable[..., Pipeline], own: tuple[Outsider, Path, Path]
) -> None:
    _, cert, key = own
    pipeline = pipeline_with(signing_cert=cert, signing_key=key)
    with pytest.warns(NoTimestampWarning, match="CHOPMARK_TSA_URL"):
        data = _picture(pipeline)
    report = examine(pipeline.parts, data)
    assert (report.verdict, report.credential.issuer) == ("made_here", "Our company")
    assert report.credential.anchor == "own credential"


def test_rotation_without_a_restart(
    pipeline_with: Callable[..., Pipeline],
    own: tuple[Outsider, Path, Path],
    outsider: Callable[..., Outsider],
) -> None:
    _, cert, key = own
    pipeline = pipeline_with(
        signing_cert=cert, signing_key=key, tsa_url="http://127.0.0.1:9/", tsa_wait_s=0
    )
    before = _picture(pipeline)
    mark = pipeline.parts.mark_keys.active.key_id
    _put(outsider(organisation="Renewed", name="Renewed signer"), cert, key)
    pipeline.parts.mark_keys.rotate(pipeline.parts.home)
    after = _picture(pipeline)
    assert pipeline.parts.mark_keys.active.key_id != mark
    for data, issuer in ((before, "Our company"), (after, "Renewed")):
        report = examine(pipeline.parts, data)
        assert (report.verdict, report.credential.issuer) == ("made_here", issuer)
        assert report.watermark.state == "detected"
    # Nobody had to say so: the log has both, with what was before.
    assert [len(keys) for keys in _booked(pipeline.parts.home).values()] == [2, 2]
    # A file that no verifier would accept changes nothing, and says so.
    key.write_bytes(b"no key")
    with pytest.warns(CredentialRotationWarning, match="old one stays"):
        again = _picture(pipeline)
    assert examine(pipeline.parts, again).credential.issuer == "Renewed"


def test_a_signing_service(
    pipeline_with: Callable[..., Pipeline], own: tuple[Outsider, Path, Path], tmp_path: Path
) -> None:
    we, cert, _ = own
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("s3cret\n")
    service = Service(we.key)
    pipeline = pipeline_with(
        signer="remote",
        signing_cert=cert,
        remote_signer_url=service.where,
        remote_signer_token_file=token,
        tsa_url="http://127.0.0.1:9/",
        tsa_wait_s=0,
    )
    try:
        data = _picture(pipeline)
    finally:
        service.close()
    assert examine(pipeline.parts, data).verdict == "made_here"
    assert ("/sign?alg=es256", "Bearer s3cret") in service.callers


def test_a_token(
    pipeline_with: Callable[..., Pipeline],
    own: tuple[Outsider, Path, Path],
    softhsm: Callable[[Any], Path],
    tmp_path: Path,
) -> None:
    we, cert, _ = own
    module = softhsm(we.key)
    pin = tmp_path / "pin"
    pin.touch(0o600)
    pin.write_text("1234\n")
    pipeline = pipeline_with(
        signer="pkcs11",
        signing_cert=cert,
        pkcs11_module=module,
        pkcs11_token="chop",
        pkcs11_key="signer",
        pkcs11_pin_file=pin,
        tsa_url="http://127.0.0.1:9/",
        tsa_wait_s=0,
    )
    assert examine(pipeline.parts, _picture(pipeline)).verdict == "made_here"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"signer": "pkcs11"}, "signing_cert"),
        ({"signer": "remote", "signing_cert": "CERT"}, "remote_signer_url"),
        ({"signer": "pkcs11", "signing_cert": "CERT"}, "pkcs11_pin_file"),
        ({"signing_key": "KEY"}, "a key without a certificate"),
        ({"signing_cert": "CERT"}, "a certificate without a key"),
        ({"signing_cert": "CERT", "signing_key": "CERT"}, "others may read it"),
        (
            {"signer": "remote", "signing_cert": "CERT", "remote_signer_url": "http://kms.test/"},
            "without TLS",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_at_start(
    home: Path, own: tuple[Outsider, Path, Path], settings: dict[str, str], words: str
) -> None:
    _, cert, key = own
    cert.chmod(0o644)
    files = {"CERT": cert, "KEY": key}
    given: dict[str, Any] = {name: files.get(value, value) for name, value in settings.items()}
    with pytest.raises(ConfigurationError, match=words):
        _ = Parts(Settings(home=home, **given)).credential


def test_a_certificate_that_verifiers_refuse_is_refused_at_start_in_words(
    home: Path, tmp_path: Path, outsider: Callable[..., Outsider]
) -> None:
    def no_use(values: dict[str, Any], _: object) -> None:
        values["eku"] = None

    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    _put(outsider(leaf_changes=no_use), cert, key)
    parts = Parts(Settings(home=home, signing_cert=cert, signing_key=key))
    with pytest.raises(CredentialRefused, match="no ExtendedKeyUsage"):
        parts.open_all()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.filterwarnings("ignore::chopmark.provenance.DevelopmentCredentialWarning")
def test_an_authority_that_is_down_stops_nothing_and_stamps_later(
    pipeline_with: Callable[..., Pipeline], tmp_path: Path, home: Path
) -> None:
    tsa = LocalAuthority(tmp_path / "tsa")
    tsa.mode = "error"
    (home / "anchors" / "tsa").mkdir(parents=True)
    (home / "anchors" / "tsa" / "local.pem").write_text(tsa.root_pem)
    pipeline = pipeline_with(tsa_url=tsa.url, tsa_every_s=0.05)
    data = _picture(pipeline)
    assert tsa.asked
    assert pipeline.parts.stamps.waiting() == 1
    assert examine(pipeline.parts, data).time.state == "absent"
    # Durable: another process finds it, and stamps it as soon as the authority is back.
    pipeline.close()
    again = pipeline_with(tsa_url=tsa.url, tsa_every_s=0.05)
    tsa.mode = "ok"
    with stamping(again.parts):
        until(lambda: not again.parts.stamps.waiting())
    report = examine(again.parts, data)
    assert report.time.state == "trusted"
    assert report.verdict == "made_here"
    assert report.manifest.updates is not None
    # With the authority up, a picture is stamped before it leaves.
    prompt = examine(again.parts, _picture(again))
    assert (prompt.time.state, prompt.manifest.updates) == ("trusted", None)
    assert again.parts.stamps.waiting() == 0
    tsa.close()


def _booked(home: Path) -> dict[str, list[str]]:
    """Which keys the log says were in force, the oldest first."""
    found: dict[str, list[str]] = {}
    with Pipeline.from_settings(Settings(home=home)) as pipeline:
        for record in reversed(pipeline.parts.log.find(kind="key.rotated")):
            found.setdefault(str(record.public["what"]), []).append(str(record.public["now"]))
    return found


def _run(*words: str) -> Any:
    from typer.testing import CliRunner

    return CliRunner().invoke(app, list(words))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_keys_commands(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = _run("keys", "show")
    assert isinstance(nothing.exception, ConfigurationError)
    with pytest.warns(DevelopmentCredentialWarning):
        made = json.loads(_run("keys", "init", "--json").stdout)
    assert json.loads(_run("keys", "init", "--json").stdout) == made
    assert made["signing"]["development"]
    turned = json.loads(_run("keys", "rotate", "--json").stdout)
    shown = json.loads(_run("keys", "show", "--json").stdout)
    assert shown["signing"]["sha256"] == turned["signing"]["sha256"] != made["signing"]["sha256"]
    assert shown["watermark"] == turned["watermark"]
    assert shown["watermark_before"] == [made["watermark"]]
    assert shown["time_stamps"] == {"authority": None, "waiting": 0}
    assert _booked(home) == {
        "signing certificate": [made["signing"]["sha256"], turned["signing"]["sha256"]],
        "watermark key": [made["watermark"], turned["watermark"]],
    }
    assert isinstance(_run("keys", "stamp").exception, ConfigurationError)
    tsa = LocalAuthority(tmp_path / "tsa")
    monkeypatch.setenv("CHOPMARK_TSA_URL", tsa.url)
    said = json.loads(_run("keys", "stamp", "--json").stdout)
    assert said == {"stamped": 0, "failed": 0, "waiting": 0, "reason": None}
    tsa.close()


def test_ed25519_by_setting(home: Path) -> None:
    with pytest.warns(DevelopmentCredentialWarning):
        credential = Parts(Settings(home=home, development_key="ed25519")).credential
    assert credential.alg == "ed25519"
    assert credential.leaf.not_valid_after_utc > dt.datetime.now(dt.UTC)
