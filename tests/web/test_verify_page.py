"""The page ``/verify``: several files, reports to download, receipts and reports checked."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

import pytest

from chopmark.audit.proof.signed_report import SignedReport
from tests.web.conftest import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image


@pytest.fixture(scope="module")
def made(site: Site) -> tuple[bytes, str]:
    """A picture that was made here, and the id of its record."""
    with site.client("cleo") as cleo:
        said = cleo.post(
            "/studio",
            data={"csrf": site.csrf(cleo), "prompt": "a green disc", "n": "1", "seed": "31"},
        )
        path = re.search(r'href="(/studio/pictures/[^"?]+)\?download=1"', said.text)
        assert path is not None
        data = cleo.get(path[1] + "?download=1").content
    from chopmark.pipeline.inspect import examine

    record = examine(site.pipeline.parts, data).record
    assert record is not None
    return data, str(record["record_id"])


def _report_in(page: str) -> bytes:
    found = re.search(r'href="data:application/json;base64,([A-Za-z0-9+/=]+)" download=', page)
    assert found is not None
    return base64.b64decode(found[1])


def test_a_report_is_downloaded_and_holds_for_its_file_only(
    site: Site, made: tuple[bytes, str]
) -> None:
    data, record_id = made
    with site.client() as anybody:
        page = anybody.post("/verify", files={"image": ("p.png", data)}).text
        text = _report_in(page)
        signed = SignedReport.from_json(text)
        assert signed.verify(site.pipeline.parts.log.public_key) == ()
        assert signed.claims["report"]["verdict"] == "made_here"
        assert signed.receipt is not None
        assert signed.receipt.record.record_id == record_id
        assert "p.png" not in text.decode()
        files = {"proof": ("r.json", text), "of": ("p.png", data)}
        said = anybody.post("/verify/proof", files=files).text
        assert "The report holds" in said
        assert "the very file" in said
        other = {"proof": ("r.json", text), "of": ("p.png", data + b" ")}
        assert "Of another file" in anybody.post("/verify/proof", files=other).text
        members = json.loads(text)
        first = members["signature"][0]
        members["signature"] = ("A" if first != "A" else "B") + members["signature"][1:]
        forged = {"proof": ("r.json", json.dumps(members).encode())}
        said = anybody.post("/verify/proof", files=forged).text
        assert "does not hold" in said
        assert "tone-good" not in said


def test_a_receipt_is_told_and_of_which_picture(site: Site, made: tuple[bytes, str]) -> None:
    data, record_id = made
    receipt = site.pipeline.parts.log.proof.receipt(record_id).to_json().encode()
    with site.client() as anybody:
        files = {"proof": ("r.json", receipt), "of": ("p.png", data)}
        said = anybody.post("/verify/proof", files=files).text
        assert "The receipt holds" in said
        assert record_id in said
        assert "is one of these" in said
        members = json.loads(receipt)
        members["leaf"] = members["leaf"].replace("completed", "refused")
        forged = {"proof": ("r.json", json.dumps(members).encode())}
        assert "does not hold" in anybody.post("/verify/proof", files=forged).text
        nothing = anybody.post("/verify/proof", files={"proof": ("r.json", b"{}")})
        assert nothing.status_code == 400


def test_a_receipt_of_another_log_is_said_to_be_one(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from chopmark.audit import AuditLog, Event
    from chopmark.kit.ids import new_record_id

    record_id = new_record_id()
    with AuditLog.open(tmp_path_factory.mktemp("elsewhere")) as log:
        log.append(Event(kind="request.received", record_id=record_id, tenant="default"))
        receipt = log.proof.receipt(record_id).to_json().encode()
    with site.client() as anybody:
        said = anybody.post("/verify/proof", files={"proof": ("r.json", receipt)}).text
    assert "Of another log" in said
    assert "tone-good" not in said


def test_several_files_are_looked_at_and_one_stops_none(
    site: Site,
    made: tuple[bytes, str],
    make_picture: Callable[..., Image.Image],
    to_bytes: Callable[..., bytes],
) -> None:
    files = [
        ("image", ("made.png", made[0])),
        ("image", ("notes.txt", b"no picture")),
        ("image", ("photo.png", to_bytes(make_picture()))),
    ]
    with site.client() as anybody:
        said = anybody.post("/verify", files=files)
        assert said.status_code == 200
        assert said.text.count("<article") == 3
        for words in ("Made here, by AI", "Could not be looked at", "No signal found",
                      "made.png", "notes.txt", "photo.png"):  # fmt: skip
            assert words in said.text
        many = anybody.post("/verify", files=[("image", (f"{n}.png", b"x")) for n in range(11)])
        assert many.status_code == 400


def test_names_of_files_are_text(site: Site, made: tuple[bytes, str]) -> None:
    name = "<script>alert(1)</script>\u202egnp.exe"
    files = [("image", (name, made[0])), ("image", ("b.png", made[0])), ("image", ("c.png", b""))]
    with site.client() as anybody:
        said = anybody.post("/verify", files=files).text
    assert "<script>alert" not in said
    assert "&lt;script&gt;" in said
    assert "\u202e" not in said
    # An empty file is not passed over in silence.
    assert said.count("<article") == 3
    assert "The file is empty." in said
