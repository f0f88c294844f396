"""Pictures at the desk: a leaked copy leads to its record, and a list that knows one blocks it."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.support.desk_house import DeskHouse, code_of, open_house
from tests.support.generator import StandIn
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    from chopmark import Pipeline


@pytest.fixture
def house(open_pipeline: Callable[..., Pipeline], tmp_path: Path) -> Iterator[DeskHouse]:
    pipeline = open_pipeline(
        generator=StandIn(default_size=(512, 512), max_size=512),
        requests_per_minute=0,
        abuse="none",
        hash_lists=tmp_path / "lists",
    )
    (tmp_path / "lists").mkdir()
    with open_house(pipeline, "acme", "globex") as made:
        yield made


def _made(house: DeskHouse, client: httpx.Client, **more: Any) -> tuple[str, bytes]:
    answer = house.ask(client, "a red disc", response_format="b64_json", **more)
    assert answer.status_code == 200, answer.text
    data = base64.b64decode(answer.json()["data"][0]["b64_json"])
    return answer.headers["x-record-id"], data


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=70)
    return out.getvalue()


def _find(client: httpx.Client, data: bytes) -> Any:
    answer = client.post("/api/v1/search/by-image", files={"image": data})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_side_crop_leads_to_its_record_by_the_mark(house: DeskHouse) -> None:
    key, reader = house.key("acme"), house.key("acme", "read")
    record, data = _made(house, key)
    with Image.open(io.BytesIO(data)) as picture:
        crop = _jpeg(picture.crop((180, 0, 512, 512)))
        whole = _jpeg(picture)
    found = _find(reader, crop)
    assert (found["hits"][0]["record_id"], found["hits"][0]["by"]) == (record, "watermark")
    assert found["hits"][0]["p_value"] < 1e-9
    assert found["hits"][0]["output_id"] == f"{record[:-1]}1"
    assert _find(reader, whole)["hits"][0]["record_id"] == record
    # Another tenant's record is not there, by mark or by fingerprint.
    assert _find(house.key("globex", "read"), whole)["hits"] == []
    log = house.pipeline.parts.log
    assert log.find(kind="access.searched", limit=1)
    nothing = reader.post("/api/v1/search/by-image", files={"image": b"x"})
    assert code_of(nothing) == "unsupported_image"


def test_a_picture_is_put_on_a_list_and_the_next_one_like_it_is_refused(house: DeskHouse) -> None:
    key, olga = house.key("acme"), house.sign_in("olga", None, "operator")
    record, _ = _made(house, key, seed=5)
    url = "/api/v1/hashes/desk/entries"
    added = olga.post(url, json={"record_id": record})
    assert added.status_code == 200, added.text
    assert added.json()["added"] == {"pdq": 1}
    assert added.json()["event"]["public"]["list"] == "desk"
    assert olga.post(url, json={"record_id": record}).json()["added"] == {}
    noise = _jpeg(Image.effect_noise((256, 256), 90))
    edit: dict[str, Any] = {
        "data": {"prompt": "a red disc"},
        "files": {"image": ("a.jpg", noise, "image/jpeg")},
    }
    before = key.post("/v1/images/edits", data=edit["data"], files=edit["files"])
    assert before.status_code == 200, before.text
    uploaded = olga.post(url, files={"image": noise})
    assert uploaded.json()["added"] == {"sha256": 1, "pdq": 1}
    assert uploaded.json()["entries"] == added.json()["entries"] + 2
    match = {"image": noise}
    until(lambda: bool(key.post("/api/v1/hashes/match", files=match).json()["matches"]))

    def asked() -> str:
        answer = key.post("/v1/images/edits", data=edit["data"], files=edit["files"])
        return "" if answer.status_code == 200 else code_of(answer)

    until(lambda: asked() == "moderation_blocked")
    assert code_of(olga.post(url, json={"record_id": "0123456789abcde0"})) == "record_not_found"
    assert code_of(olga.post(url, json={})) == "invalid_request"
    for other in (key, house.sign_in("one", "acme", "operator")):
        assert code_of(other.post(url, json={"record_id": record})) == "not_permitted"
    # And back, with a reason: it passes again, and nothing else went off the list.
    off = {"image": noise}
    assert code_of(olga.post(f"{url}/remove", files=off)) == "invalid_request"
    gone = olga.post(f"{url}/remove", files=off, data={"rationale": "ours after all"})
    assert gone.status_code == 200, gone.text
    assert gone.json()["removed"] == {"sha256": 1, "pdq": 1}
    assert gone.json()["entries"] == added.json()["entries"]
    until(lambda: asked() == "")
    again = olga.post(f"{url}/remove", files=off, data={"rationale": "again"})
    assert code_of(again) == "record_not_found"
    booked = gone.json()["event"]
    assert (booked["kind"], booked["public"]["list"]) == ("hash.removed", "desk")
