"""Lists as they are kept: state, compiled arrays, pages of a service, a remote matcher."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from typer.testing import CliRunner

from chopmark.cli import app
from chopmark.errors import GuardFailed, HashListError
from chopmark.safety import ImageGuard, draw_test_card, load_policy
from chopmark.safety.hashes.bank import HashBank, HashEntry
from chopmark.safety.hashes.compiled import CompiledBank, compile_bank
from chopmark.safety.hashes.folder import ListFolder
from chopmark.safety.hashes.formats import write_csv
from chopmark.safety.hashes.perceptual import hash_picture
from chopmark.safety.hashes.remote import HmaBank, pages
from chopmark.safety.hashes.state import ListState, read_state, write_state
from tests.support.http import Asked, Loopback, Reply
from tests.support.wait import until

CARD = draw_test_card()
HASHES = hash_picture(CARD)
PDQ = HASHES.pdq[0].tobytes().hex()
Answer = Callable[[str], tuple[int, bytes]]


@pytest.fixture
def service() -> Iterator[Callable[[Answer], str]]:
    """Returns a starter of a loopback service that answers as told."""
    with ExitStack() as running:

        def start(answer: Answer) -> str:
            def reply(asked: Asked) -> Reply:
                status, body = answer(asked.path)
                return Reply(status, body, {"location": body.decode()} if status == 302 else {})

            return running.enter_context(Loopback(reply)).url

        yield start


def _entries(count: int) -> list[HashEntry]:
    dice = np.random.default_rng(count)
    rows = dice.integers(0, 256, (count, 32), dtype=np.uint8)
    made = [
        HashEntry(kind="pdq", value=row.tobytes().hex(), category="hate", reference=f"n{at}")
        for at, row in enumerate(rows)
    ]
    small = HASHES.phash[0].tobytes().hex()
    return [
        *made,
        HashEntry(kind="pdq", value=PDQ, category="sexual/minors", reference="the card"),
        HashEntry(kind="sha256", value=HASHES.sha256, reference="its pixels"),
        HashEntry(kind="phash", value=small, category="sexual", reference="its phash"),
    ]


def test_a_compiled_list_matches_as_the_plain_one_does(tmp_path: Path) -> None:
    entries = _entries(300)
    assert compile_bank(iter(entries), tmp_path / "big.bank") == len(entries)
    plain, compiled = (
        HashBank(name="big", entries=tuple(entries)),
        CompiledBank(tmp_path / "big.bank"),
    )
    assert compiled.match(HASHES) == plain.match(HASHES)
    assert {match.entry.reference for match in compiled.match(HASHES)} == {
        "the card",
        "its pixels",
        "its phash",
    }
    assert compiled.categories == {"hate": 300, "sexual/minors": 1, "listed": 1, "sexual": 1}


@pytest.mark.parametrize("kinds", [(), ("sha256",), ("phash",)])
def test_a_compiled_list_may_lack_a_kind(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    entries = [entry for entry in _entries(0) if entry.kind in kinds]
    compile_bank(entries, tmp_path / "few.bank")
    assert len(CompiledBank(tmp_path / "few.bank").match(HASHES)) == len(kinds)


def test_a_damaged_compiled_list_is_never_half_used(tmp_path: Path) -> None:
    compile_bank(_entries(5), tmp_path / "a.bank")
    (tmp_path / "a.bank" / "pdq.ends.npy").write_bytes(b"no array")
    with pytest.raises(HashListError, match=r"a\.bank"):
        ListFolder(tmp_path)


def test_a_switch_is_followed_soon_and_never_guessed(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    write_csv(HashBank(name="mine", entries=tuple(_entries(0))), path)
    folder = ListFolder(tmp_path)

    def names() -> list[str]:
        return [bank.name for bank in folder.banks()]

    assert names() == ["chopmark-test", "mine"]
    write_state(path, ListState(enabled=False))
    until(lambda: names() == ["chopmark-test"])
    (tmp_path / "mine.json").write_text('{"enabled": "perhaps"}')
    with pytest.raises(HashListError, match="damaged"):
        read_state(path)


def _threat_page(number: int, more: str) -> bytes:
    row = {"id": str(number), "type": "HASH_PDQ", "indicator": f"{number:064x}"}
    return json.dumps({"data": [row], "paging": {"next": more} if more else {}}).encode()


def test_a_list_is_synced_page_by_page_with_versions_and_retractions(
    tmp_path: Path, service: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = tmp_path / "lists"
    gone: list[int] = []

    def answer(path: str) -> tuple[int, bytes]:
        page = int(parse_qs(urlsplit(path).query).get("page", ["1"])[0])
        if page in gone:
            row = {"id": str(page), "type": "HASH_PDQ", "should_delete": True}
            return 200, json.dumps({"data": [row]}).encode()
        return 200, _threat_page(page, f"/t?page={page + 1}" if page < 3 else "")

    url = service(answer)
    run = CliRunner()

    def sync() -> dict[str, Any]:
        done = run.invoke(
            app, ["hashes", "sync", "te", f"{url}/t?key=secret", "--lists", str(lists), "--json"]
        )
        assert done.exit_code == 0, done.output
        said: dict[str, Any] = json.loads(done.output)
        return said

    first = sync()
    assert (first["entries"], first["pages"], first["version"]) == (3, 3, 1)
    assert sync()["version"] == 1  # nothing changed
    gone.append(1)
    again = sync()
    assert (again["entries"], again["retracted"], again["version"]) == (2, 1, 2)
    assert "secret" not in (lists / "te.json").read_text()
    shown = json.loads(run.invoke(app, ["hashes", "list", "--lists", str(lists), "--json"]).output)
    assert [(row["list"], row["version"], row["enabled"]) for row in shown["lists"]] == [
        ("chopmark-test", 0, True),
        ("te", 2, True),
    ]
    assert run.invoke(app, ["hashes", "disable", "te", "--lists", str(lists)]).exit_code == 0
    assert read_state(lists / "te.csv").enabled is False
    assert read_state(lists / "te.csv").version == 2


def test_a_stopncii_token_leads_to_the_next_page(service: Callable[[Answer], str]) -> None:
    asked = []

    def answer(path: str) -> tuple[int, bytes]:
        query = parse_qs(urlsplit(path).query)
        asked.append(query)
        row = {"hashValue": "ab" * 32, "hashStatus": "Active", "signalType": "ImagePDQ"}
        token = "" if "nextPageToken" in query else "t 1"
        return 200, json.dumps({"hashRecords": [row], "nextPageToken": token}).encode()

    got = list(pages(service(answer) + "/v1?size=1"))
    assert len(got) == 2
    assert asked[1] == {"size": ["1"], "nextPageToken": ["t 1"]}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda _: (401, b"no"), "did not answer"),
        (lambda _: (302, b"http://127.0.0.1:9/elsewhere"), "did not answer"),
        (lambda _: (200, b"<!DOCTYPE x><queryResult/>"), "DOCTYPE"),
        (lambda _: (200, _threat_page(1, "http://example.invalid/next")), "another host"),
        (lambda _: (200, _threat_page(1, "?page=1")), "circle"),
    ],
    ids=["refused", "redirect", "doctype", "other-host", "circle"],
)
def test_a_service_that_misbehaves_changes_nothing(
    service: Callable[[Answer], str], answer: Answer, message: str
) -> None:
    with pytest.raises(HashListError, match=message):
        list(pages(service(answer) + "/list?page=1"))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "http:///x", "nonsense"])
def test_only_http_addresses_are_fetched(url: str) -> None:
    with pytest.raises(HashListError, match="no http address"):
        list(pages(url))


def test_a_match_of_hma_blocks_and_a_csam_bank_is_restricted(
    service: Callable[[Answer], str],
) -> None:
    asked = []

    def answer(path: str) -> tuple[int, bytes]:
        query = parse_qs(urlsplit(path).query)
        asked.append(query["signal"][0])
        found = query["signal"] == [PDQ]
        body = {"NCMEC_TEST": [{"bank_content_id": 7, "distance": "4"}]} if found else {}
        return 200, json.dumps(body).encode()

    guard = ImageGuard.load(also_ask=[HmaBank(url=service(answer))])
    policy = load_policy("default")
    verdict = guard.judge(CARD, policy)
    assert verdict.restricted
    assert any("hma:NCMEC_TEST" in item.detail for item in verdict.evidence)
    assert PDQ in asked
    # Another picture is asked about too, and is on no list.
    asked.clear()
    other = CARD.rotate(45).resize((256, 256))
    assert guard.judge(other, policy).action != "block"
    assert asked


@pytest.mark.parametrize(
    "answer", [lambda _: (503, b""), lambda _: (200, b"[1, 2]"), lambda _: (200, b"{")]
)
def test_hma_that_does_not_answer_fails_closed(
    service: Callable[[Answer], str], answer: Answer
) -> None:
    guard = ImageGuard.load(also_ask=[HmaBank(url=service(answer), timeout_s=60)])
    with pytest.raises(GuardFailed) as caught:
        guard.judge(CARD, load_policy("default"))
    assert caught.value.status == 503
