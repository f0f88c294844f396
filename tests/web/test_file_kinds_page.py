"""What the page says of files whose pixels are not read here: what can be done about it."""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.util
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from typer.testing import CliRunner

from chopmark.kit.pictures import KINDS
from tests.support.other_files import mp4, pdf, wav
from tests.support.picture_files import encoded

if TYPE_CHECKING:
    from types import ModuleType

    from tests.web.conftest import Site

SCRIPT = Path(__file__).parents[1] / "unit" / "provenance" / "provenance_attacks.py"

FILES = {
    "jxl": b"\xff\x0a" + bytes(64),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "pdf": b"%PDF-1.7\n%%EOF",
    "raw": b"II*\0\x10\0\0\0CR\2\0" + bytes(64),
    "video": mp4(),
    "wav": wav(),
    "flac": b"fLaC" + bytes(64),
    "m4a": b"\0\0\0\x18ftypM4A \0\0\0\0isommp42" + bytes(64),
    "html": b"<!doctype html><title>not found</title>",
}
SIGNED = {"pdf": pdf(), "video": mp4(), "wav": wav()}


@pytest.fixture(scope="module")
def attacks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("attacks_for_kinds", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.mark.parametrize("kind", FILES)
def test_the_page_says_what_can_be_done(site: Site, kind: str) -> None:
    with site.client() as anybody:
        said = anybody.post("/verify", files={"image": ("a.bin", FILES[kind])})
        told = anybody.post("/api/v1/verify", files={"image": ("a.bin", FILES[kind])})
    assert said.status_code == told.status_code == 415
    words = html.unescape(said.text)
    advice = KINDS[kind].advice
    assert KINDS[kind].unseen in words
    assert f"<p>{advice[0].upper()}{advice[1:]}.</p>" in words
    assert "unsupported_image" in told.text
    assert advice in told.text


def test_the_page_shows_what_viewers_show(site: Site) -> None:
    hidden, shown = Image.new("RGB", (64, 48), "red"), Image.new("RGB", (64, 48), "blue")
    data = encoded(hidden, save_all=True, append_images=[shown], default_image=True)
    with site.client() as anybody:
        words = html.unescape(anybody.post("/verify", files={"image": ("a.png", data)}).text)
    copy = re.search(r'class="looked" src="data:image/webp;base64,([^"]+)"', words)
    assert copy is not None
    with Image.open(io.BytesIO(base64.b64decode(copy[1]))) as seen:
        red, _, blue = seen.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert blue > 200
    assert red < 60
    assert hashlib.sha256(data).hexdigest() in words


@pytest.mark.parametrize("kind", SIGNED)
def test_of_signed_files_of_other_kinds_the_manifest_is_told(
    site: Site,
    attacks: ModuleType,
    kind: str,
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from chopmark.cli import app

    monkeypatch.setenv("CHOPMARK_HOME", str(home))
    whole = attacks.Outsider(organisation="Film Ltd").sign(
        SIGNED[kind], source_type="trainedAlgorithmicMedia"
    )
    # One byte of what is shown or heard; a recording has its manifest at the end.
    at = whole.index(b"data") + 12 if kind == "wav" else len(whole) - 8
    changed = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    for data, state, verdict, headline in (
        (whole, "intact", "made_by_ai_elsewhere", "Says that it was made by AI"),
        (changed, "broken", "edited_after_signing", "Does not fit its credentials"),
    ):
        with site.client() as anybody:
            page = anybody.post("/verify", files={"image": ("a.bin", data)})
            told = anybody.post("/api/v1/verify", files={"image": ("a.bin", data)}).json()
        (tmp_path / "a.bin").write_bytes(data)
        said = CliRunner().invoke(app, ["verify", str(tmp_path / "a.bin"), "--public", "--json"])
        assert said.exit_code == 4
        for report in (told, json.loads(said.stdout)):
            assert report["format"] == kind
            assert (report["manifest"]["state"], report["verdict"]) == (state, verdict)
            assert report["watermark"]["state"] == "not_examined"
            assert KINDS[kind].unseen in report["summary"]
        words = html.unescape(page.text)
        assert headline in words
        assert "Film Ltd" in words
        assert KINDS[kind].advice in words
        assert "tone-good" not in words.partition("</header>")[0]
