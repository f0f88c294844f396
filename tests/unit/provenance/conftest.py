"""A maker of pictures (home, credential, keys, store, log), and outsiders with certificates "
"of their own."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import io
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chopmark.kit.ids import record_of
from chopmark.provenance import (
    Credential,
    DevelopmentCredentialWarning,
    ManifestInfo,
    ManifestStore,
    MarkKeys,
    Report,
    Signed,
    XmpFields,
    embed_mark,
    encode_image,
    fingerprint,
    load_anchors,
    load_credential,
    load_mark_keys,
    pixel_digest,
    sign,
    verify,
    write_xmp,
)
from chopmark.provenance.xmp import SOURCE_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL import Image

    from chopmark.kit.types import ImageFormat
    from tests.unit.provenance.provenance_attacks import Outsider

OUTPUT = "a3f09c1122334451"


def _decoded(data: bytes) -> Image.Image:
    from PIL import Image as Pillow

    with Pillow.open(io.BytesIO(data)) as opened:
        opened.load()
        return opened.copy()


@dataclasses.dataclass
class Maker:
    """Makes pictures the way the pipeline does, without a generator and a log server."""

    home: Path
    credential: Credential
    keys: MarkKeys
    store: ManifestStore
    log: dict[str, dict[str, Any]]

    def make(
        self,
        image: Image.Image,
        fmt: ImageFormat = "png",
        *,
        output_id: str = OUTPUT,
        mark: bool = True,
        book: bool = True,
        parent: bytes | None = None,
        **changes: Any,
    ) -> Signed:
        payload = bytes.fromhex(output_id)
        marked = embed_mark(image, payload, key=self.keys.active) if mark else image
        encoded = encode_image(marked, fmt)
        fields = XmpFields(system="tiny", system_version="1", source_type=SOURCE_TYPES["created"])
        info = ManifestInfo(
            output_id=output_id,
            record_id=record_of(output_id),
            model_id="tiny",
            model_version="1",
            created_at=dt.datetime.now(dt.UTC),
            generator_version="0.1.0",
            action="edited" if parent is not None else "created",
            parent=parent,
            mark_method="lattice" if mark else None,
            mark_payload=payload if mark else None,
            pdq=fingerprint(marked)[0],
            pixels_sha256=pixel_digest(_decoded(encoded)),
        )
        info = dataclasses.replace(info, **changes)
        signed = sign(write_xmp(encoded, fmt, fields), fmt, info, self.credential)
        self.store.put(
            manifest_id=signed.manifest_id,
            manifest=signed.manifest,
            output_id=info.output_id,
            record_id=info.record_id,
            pdq=info.pdq or "",
            signed_sha256=hashlib.sha256(signed.data).hexdigest(),
        )
        if book:
            self.log[info.record_id] = {"record_id": info.record_id, "time": "2026-11-23T00:00:00Z"}
        return signed

    def verify(self, data: bytes, **changes: Any) -> Report:
        options: dict[str, Any] = {
            "anchors": load_anchors(self.home),
            "mark_keys": self.keys.all,
            "store": self.store,
            "find_record": self.log.get,
        }
        return verify(data, **(options | changes))

    def look(self, data: bytes, **changes: Any) -> Report:
        """Verify without the slow search for a watermark, where that is not the point."""
        return self.verify(data, mark_keys=(), **changes)


@pytest.fixture(scope="session")
def session_maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    home = tmp_path_factory.mktemp("maker")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DevelopmentCredentialWarning)
        credential = load_credential(home)
    store = ManifestStore.open(home)
    yield Maker(home, credential, load_mark_keys(home), store, {})
    store.close()


@pytest.fixture(scope="session")
def made(session_maker: Maker, photograph: Callable[..., Image.Image]) -> dict[str, Signed]:
    """One marked, signed, booked picture in each format."""
    return {
        fmt: session_maker.make(photograph(seed=7), fmt, output_id=f"a3f09c112233445{index}")  # type: ignore[arg-type]
        for index, fmt in enumerate(("png", "jpeg", "webp", "avif"), 1)
    }


@pytest.fixture
def maker(session_maker: Maker) -> Maker:
    return session_maker


@pytest.fixture(scope="session")
def photograph() -> Callable[..., Image.Image]:
    """Returns a factory of pictures with edges, gradients and texture, detailed enough for PDQ."""
    import numpy as np
    from PIL import Image as Pillow

    def make(width: int = 512, height: int = 512, *, seed: int = 0) -> Image.Image:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:height, 0:width] / max(width, height)
        base = np.stack([x, y, 1 - x], axis=-1) * 120 + 60
        for _ in range(12):
            cx, cy, r = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.04, 0.25)
            base[(x - cx) ** 2 + (y - cy) ** 2 < r**2] = rng.uniform(20, 235, 3)
        base += rng.normal(0, 3, (height, width, 1))
        picture: Image.Image = Pillow.fromarray(np.clip(base, 0, 255).astype(np.uint8))
        return picture

    return make


@pytest.fixture(scope="session")
def outsider() -> Callable[..., Outsider]:
    """Returns a factory of strangers with a private root of their own."""
    from provenance_attacks import Outsider as Made  # type: ignore[import-not-found]

    found: Callable[..., Outsider] = Made
    return found


SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")


@pytest.fixture
def softhsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Path]:
    """Returns a maker of a SoftHSM token ``chop`` with a key ``signer``, which gives the library.

    A test without SoftHSM (``apt-get install softhsm2``) says so and is skipped.
    """
    if not SOFTHSM.exists() or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed (apt-get install softhsm2): no PKCS#11 token")
    pytest.importorskip("pkcs11", reason="pip install 'chopmark[pkcs11]'")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm.conf"))

    def make(key: Any) -> Path:
        pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / "key.p8").write_bytes(pkcs8)
        for arguments in (
            ["--init-token", "--free", "--label", "chop", "--pin", "1234", "--so-pin", "5678"],
            ["--import", str(tmp_path / "key.p8"), "--token", "chop", "--label", "signer",
             "--id", "01", "--pin", "1234"],
        ):  # fmt: skip
            subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True)
        return SOFTHSM

    return make
