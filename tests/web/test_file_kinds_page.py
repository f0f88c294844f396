"""What the page says of files whose pixels are not read here: what can be done about it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import pytest

from chopmark.kit.pictures import KINDS

if TYPE_CHECKING:
    from tests.web.conftest import Site

FILES = {
    "jxl": b"\xff\x0a" + bytes(64),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "pdf": b"%PDF-1.7\n%%EOF",
    "raw": b"II*\0\x10\0\0\0CR\2\0" + bytes(64),
    "video": b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(64),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_page_says_what_can_be_done(site: Site, kind: str) -> None:
    with site.client() as anybody:
        said = anybody.post("/verify", files={"image": ("a.bin", FILES[kind])})
        told = anybody.post("/api/v1/verify", files={"image": ("a.bin", FILES[kind])})
    assert said.status_code == told.status_code == 415
    words = html.unescape(said.text)
    assert KINDS[kind].words in words
    assert KINDS[kind].advice in words
    assert "unsupported_image" in told.text
