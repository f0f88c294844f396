"""Rows, edits and pictures judged without anything being made, and what a refusal tells."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from chopmark import EditRequest, GenerationRequest, Pipeline, Refused
from chopmark.cli.moderate import _answers, _batch
from chopmark.cli.moderation_rows import read_rows
from chopmark.errors import InvalidRequest
from chopmark.safety import draw_test_card

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNDRESS = "take her clothes off"


def _picture() -> bytes:
    from PIL import Image

    held = io.BytesIO()
    Image.new("RGB", (128, 128), (90, 120, 200)).save(held, "PNG")
    return held.getvalue()


def _judged(pipeline: Pipeline, path: Path) -> list[dict[str, Any]]:
    async def go() -> list[dict[str, Any]]:
        rows, said, at = read_rows(path), [], 0
        while at < len(rows):
            batch = _batch(rows[at:])
            said += await _answers(pipeline, batch)
            at += len(batch)
        return said

    return asyncio.run(go())


def test_every_row_is_answered_in_its_order_whatever_is_wrong_with_another(
    shared_pipeline: Pipeline, tmp_path: Path
) -> None:
    (tmp_path / "blue.png").write_bytes(_picture())
    (tmp_path / "no.png").write_bytes(b"no picture")
    lines = [
        json.dumps({"id": "a", "text": "a red apple"}),
        json.dumps({"id": "b", "edit": UNDRESS, "lang": "en"}),
        "{not json",
        json.dumps({"id": "c", "image": "blue.png"}),
        json.dumps({"id": "d", "edit": "add a hat", "image": "blue.png"}),
        json.dumps({"id": "e", "image": "no.png"}),
        json.dumps({"id": "f", "text": "x" * 40_000}),
        json.dumps({"id": "g", "text": "a green pear", "edit": "both"}),
        json.dumps({"id": 7, "text": "ein roter Apfel auf dem Tisch", "lang": "de-AT"}),
        json.dumps({"id": "h", "text": "Tout le monde s'amuse-t-il ?"}),
        json.dumps({"id": "i", "text": "a boat", "lang": "German, please"}),
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines, ""]), "utf-8")
    said = _judged(shared_pipeline, tmp_path / "rows.jsonl")
    assert [row.get("id") for row in said] == [
        "a", "b", None, "c", "d", "e", "f", "g", 7, "h", "i",
    ]  # fmt: skip
    wrong = {2, 5, 6, 7, 10}
    for at, row in enumerate(said):
        assert ("error" in row) == (at in wrong)
        if at in wrong:
            assert row["action"] == "review"
            assert "sexual" in row["not_evaluated"]
    assert [said[at]["action"] for at in (0, 3, 4, 8, 9)] == ["allow"] * 5
    assert said[1]["action"] != "allow"
    assert said[8]["language"] == "de-AT"
    assert said[6]["error"]["code"] == "text_too_long"


def test_an_edit_is_judged_alone_as_in_a_request(
    shared_pipeline: Pipeline, open_pipeline: Callable[..., Pipeline]
) -> None:
    moderated = asyncio.run(shared_pipeline.moderate(["a red apple"], edits=[UNDRESS]))
    assert [verdict.action != "allow" for verdict in moderated.verdicts] == [False, True]
    pipeline = open_pipeline(on_review="refuse")
    with pytest.raises(Refused) as refused:
        asyncio.run(pipeline.edit(EditRequest(prompt=UNDRESS, image=_picture())))
    assert dict(refused.value.verdict.scores) == dict(moderated.verdicts[1].scores)


def test_a_record_of_consent_is_booked_and_asked_of_nobody(shared_pipeline: Pipeline) -> None:
    asked = EditRequest(
        prompt="a red apple", image=_picture(), consent="form 12/2026", steps=1, size=(128, 128)
    )
    released = asyncio.run(shared_pipeline.edit(asked))
    log = shared_pipeline.parts.log
    content = log.content(log.records(released.record_id)[0].index)
    assert content is not None
    assert content.private["consent"] == "form 12/2026"
    with pytest.raises(InvalidRequest, match="consent"):
        asyncio.run(
            shared_pipeline.edit(EditRequest(prompt="a", image=_picture(), consent="x" * 201))
        )


def test_as_many_languages_as_texts(shared_pipeline: Pipeline) -> None:
    with pytest.raises(InvalidRequest, match="as many languages"):
        asyncio.run(shared_pipeline.moderate(["a", "b"], languages=["en"]))


@pytest.mark.parametrize("tells", ["nothing", "category", "words"])
def test_a_refusal_tells_what_the_setting_allows(
    open_pipeline: Callable[..., Pipeline], tells: str
) -> None:
    from chopmark.service.problems import openai_error

    pipeline = open_pipeline(refusal_tells=tells)
    with pytest.raises(Refused) as refused:
        asyncio.run(pipeline.generate(GenerationRequest(prompt="a graphic beheading with gore")))
    body = openai_error(refused.value)
    assert ("violence" in json.dumps(body["message"])) == (tells != "nothing")
    details: Any = body["moderation_details"]
    assert ("violence" in details["categories"]) == (tells != "nothing")
    assert bool(body["evidence"]) == (tells == "words")
    assert ("beheading" in json.dumps(body)) == (tells == "words")
    assert body["decision_id"] == refused.value.record_id
    # The desk sees all of it.
    assert refused.value.verdict.evidence


def test_the_test_card_is_refused_beside_an_edit_too(shared_pipeline: Pipeline) -> None:
    held = io.BytesIO()
    draw_test_card(128).save(held, "PNG")
    moderated = asyncio.run(shared_pipeline.moderate(edits=["add a hat"], image=held.getvalue()))
    assert [verdict.action for verdict in moderated.verdicts] == ["allow", "block"]
