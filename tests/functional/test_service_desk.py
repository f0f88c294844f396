"""The routes of the desk: what each does, who may, and that no tenant finds another's."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chopmark import Pipeline
from chopmark.api.public_log import PublicLog
from chopmark.audit import Actor, Rule, check_export
from chopmark.audit.log.merkle import leaf_hash
from chopmark.service.deployment import Deployment
from chopmark.service.state import state_of
from chopmark.tenancy import AccessStore, People, Tenant
from chopmark.tenancy.shared_state import MemoryState
from tests.support.generator import StandIn
from tests.support.server import Live, serve

if TYPE_CHECKING:
    import httpx

BLOCKED = "explicit photo of a naked woman having sex"
MISSING = "0123456789abcde0"


@dataclass
class House:
    """A server with two tenants, their people and one refused request each."""

    live: Live
    people: People
    refused: dict[str, str] = field(default_factory=dict)
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def pipeline(self) -> Pipeline:
        return self.live.pipeline

    def client(self) -> httpx.Client:
        self.clients.append(self.live.client())
        return self.clients[-1]

    def sign_in(self, name: str, tenant: str | None, *roles: str) -> httpx.Client:
        self.people.add(name, roles=roles, tenant=tenant)
        client = self.client()
        said = client.post("/api/v1/session", json={"link": self.people.link(name)})
        client.headers["x-csrf-token"] = said.json()["csrf_token"]
        return client

    def refuse(self, tenant: str, prompt: str = BLOCKED) -> str:
        with AccessStore.open(self.pipeline.parts.home) as store:
            key = store.create_key(tenant).text
        answer = self.client().post(
            "/v1/images/generations",
            json={"prompt": prompt, "user": "42"},
            headers={"authorization": f"Bearer {key}"},
        )
        return str(answer.json()["error"]["decision_id"])

    def queue(self, tenant: str, name: str = "blocks") -> None:
        actor = Actor(name="router", roles=frozenset({"writer"}), tenant=tenant)
        self.pipeline.parts.log.desk(actor, purpose="test").review.route(
            [Rule(queue=name, decision="block")]
        )


@pytest.fixture
def house(home: Path, tmp_path: Path, open_pipeline: Callable[..., Pipeline]) -> Iterator[House]:
    pipeline = open_pipeline(
        generator=StandIn(), hash_lists=tmp_path / "lists", requests_per_minute=0
    )
    with People.open(home) as people, serve(pipeline) as live:
        with AccessStore.open(home) as store:
            for name in ("acme", "globex"):
                store.set_tenant(Tenant(name=name))
        made = House(live, people)
        made.refused = {name: made.refuse(name) for name in ("acme", "globex")}
        yield made
        for client in made.clients:
            client.close()


def _code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


# Looking


def test_a_reader_finds_records_and_sees_no_content(house: House) -> None:
    ada = house.sign_in("ada", "acme", "reader")
    hits = ada.post("/api/v1/search", json={"text": "naked", "decision": "block"}).json()["hits"]
    assert [hit["record_id"] for hit in hits] == [house.refused["acme"]]
    record = ada.get(f"/api/v1/records/{house.refused['acme']}").json()
    assert record["events"][0]["kind"] == "request.received"
    assert "naked" not in json.dumps(record)
    url = f"/api/v1/records/{house.refused['acme']}?evidence=true"
    assert _code(ada.get(url)) == "invalid_request"  # no purpose
    assert _code(ada.get(f"{url}&purpose=curious")) == "not_permitted"
    searched = house.pipeline.parts.log.find(kind="access.searched")
    assert (house.pipeline.parts.log.private(searched[0].index) or {})["by"] == "ada"


def test_an_investigator_sees_the_evidence_and_it_is_booked(house: House) -> None:
    ida = house.sign_in("ida", "acme", "investigator")
    answer = ida.get(
        f"/api/v1/records/{house.refused['acme']}",
        params={"evidence": True, "purpose": "case 7"},
    )
    events = answer.json()["events"]
    assert events[0]["private"]["prompt"] == BLOCKED
    assert any(event["private"] and "evidence" in event["private"] for event in events)
    looked = house.pipeline.parts.log.find(kind="access.viewed")[0]
    assert looked.public["of"] == house.refused["acme"]
    private = house.pipeline.parts.log.private(looked.index) or {}
    assert (private["by"], private["purpose"]) == ("ida", "case 7")


def test_pages_of_a_search_go_on(house: House) -> None:
    for _ in range(2):
        house.refuse("acme")
    ada = house.sign_in("ada", "acme", "reader")
    seen: list[str] = []
    before = None
    for _ in range(4):
        page = ada.post("/api/v1/search", json={"limit": 1, "before": before}).json()
        seen += [hit["record_id"] for hit in page["hits"]]
        before = page["next"]
        if before is None:
            break
    assert len(seen) == len(set(seen)) == 3


# Review


def test_a_reviewer_leases_sees_and_decides(house: House) -> None:
    house.queue("acme")
    rex = house.sign_in("rex", "acme", "reviewer")
    mine = house.refused["acme"]
    assert rex.get("/api/v1/review/tasks").json()["tasks"][0]["record_id"] == mine
    look = {"evidence": "true", "purpose": "review"}
    assert _code(rex.get(f"/api/v1/records/{mine}", params=look)) == "not_permitted"
    task = rex.post("/api/v1/review/lease", json={"queue": "blocks"}).json()["task"]
    assert (task["record_id"], task["holder"]) == (mine, "rex")
    assert rex.get(f"/api/v1/records/{mine}", params=look).status_code == 200
    sue = house.sign_in("sue", "acme", "reviewer")
    assert sue.post("/api/v1/review/lease", json={"queue": "blocks"}).json()["task"] is None
    said = {"decision": "confirmed", "rationale": "as it says"}
    assert _code(sue.post(f"/api/v1/review/{mine}/decide", json=said)) == "not_permitted"
    assert rex.post(f"/api/v1/review/{mine}/renew").status_code == 200
    assert rex.post(f"/api/v1/review/{mine}/release").status_code == 200
    assert sue.post("/api/v1/review/lease", json={"queue": "blocks"}).json()["task"]
    assert sue.post(f"/api/v1/review/{mine}/decide", json=said).status_code == 200
    assert house.pipeline.parts.log.records(mine)[-1].public["decision"] == "confirmed"


def test_a_program_reviews_with_the_scope(house: House) -> None:
    house.queue("acme")
    with AccessStore.open(house.pipeline.parts.home) as store:
        texts = [store.create_key("acme", scopes=s).text for s in (["read"], ["read", "review"])]
    heads = [{"authorization": f"Bearer {text}"} for text in texts]
    client = house.client()
    body = {"queue": "blocks"}
    refused = client.post("/api/v1/review/lease", json=body, headers=heads[0])
    assert _code(refused) == "missing_scope"
    task = client.post("/api/v1/review/lease", json=body, headers=heads[1]).json()["task"]
    assert task["holder"].startswith("key:")


# Appeals


def test_whoever_was_refused_appeals_without_an_account(house: House) -> None:
    anybody = house.client()
    body = {"decision_id": house.refused["acme"], "statement": "it was a painting"}
    opened = anybody.post("/api/v1/appeals", json=body)
    assert opened.status_code == 200, opened.text
    ticket = opened.json()["ticket"]
    url = f"/api/v1/appeals/{house.refused['acme']}"
    assert anybody.get(url, params={"ticket": ticket}).json()["outcome"] is None
    for wrong in ("", "x", ticket[:-1], "y", "z"):
        assert _code(anybody.get(url, params={"ticket": wrong})) == "record_not_found"
    assert _code(anybody.get(url, params={"ticket": "w"})) == "rate_limit_exceeded"
    assert _code(anybody.post("/api/v1/appeals", json=body)) == "rate_limit_exceeded"
    assert anybody.get(url, params={"ticket": ticket}).status_code == 200

    rex = house.sign_in("rex", "acme", "reviewer")
    assert rex.post("/api/v1/review/appeals/lease").json()["appeal"]["tenant"] == "acme"
    said = {"outcome": "overturned", "rationale": "a known painting"}
    assert (
        rex.post(f"/api/v1/review/appeals/{house.refused['acme']}/decide", json=said).status_code
        == 200
    )
    assert rex.get("/api/v1/review/appeals").json()["appeals"] == []
    state = state_of(house.live.app, Deployment).state
    assert isinstance(state, MemoryState)
    state._windows.clear()
    told = anybody.get(url, params={"ticket": ticket}).json()
    assert (told["outcome"], told["rationale"]) == ("overturned", "a known painting")
    assert _code(anybody.post("/api/v1/appeals", json=body)) == "duplicate_record"


@pytest.mark.parametrize("left", [b"", b"\0" * 31], ids=["empty", "short"])
def test_a_ticket_key_that_a_full_disk_cut_short_opens_nothing(house: House, left: bytes) -> None:
    """An empty key would be one that everybody knows: tickets could be computed at home."""
    anybody, name = house.client(), house.refused["acme"]
    path = house.pipeline.parts.home / "tenancy" / "tickets.key"
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(left)
    body = {"decision_id": name, "statement": "it was a painting"}
    assert _code(anybody.post("/api/v1/appeals", json=body)) == "configuration_error"
    forged = {"ticket": hmac.new(left, name.encode(), hashlib.sha256).hexdigest()}
    url = f"/api/v1/appeals/{name}"
    assert _code(anybody.get(url, params=forged)) == "configuration_error"
    assert path.read_bytes() == left

    path.unlink()  # as the hint says, where it never was whole
    assert _code(anybody.get(url, params=forged)) == "record_not_found"
    assert len(path.read_bytes()) == 32
    # Nothing was booked without a ticket: the appeal can be opened now, and asked about.
    opened = anybody.post("/api/v1/appeals", json=body)
    assert opened.status_code == 200
    assert anybody.get(url, params={"ticket": opened.json()["ticket"]}).status_code == 200


def test_an_appeal_needs_a_refusal_that_exists(house: House) -> None:
    anybody = house.client()
    for decision_id, code in ((MISSING, "record_not_found"), ("../../etc", "invalid_request")):
        body = {"decision_id": decision_id, "statement": "why"}
        assert _code(anybody.post("/api/v1/appeals", json=body)) == code
    assert _code(anybody.get("/api/v1/review/appeals")) == "invalid_api_key"


def test_appeals_are_slowed_down_by_address(house: House) -> None:
    anybody = house.client()
    body = {"decision_id": MISSING, "statement": "why"}
    answers = [anybody.post("/api/v1/appeals", json=body) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [404] * 5 + [429]
    assert answers[-1].headers["retry-after"]


# Lists, policies, reports


CSV = "kind,value,category,reference\nsha256,{},illicit,ticket-7\n".format("ab" * 32)


def test_hash_lists_are_an_operators_of_every_tenant(
    house: House, make_picture: Any, to_bytes: Any
) -> None:
    file = {"file": ("list.csv", CSV.encode())}
    for name, tenant, roles in (
        ("ada", "acme", ["operator", "reader"]),
        ("bob", None, ["investigator"]),
    ):
        client = house.sign_in(name, tenant, *roles)
        assert _code(client.post("/api/v1/hashes/mine", files=file)) == "not_permitted"
        assert _code(client.get("/api/v1/hashes")) == "not_permitted"
    root = house.sign_in("root", None, "operator")
    said = root.post("/api/v1/hashes/mine", files=file)
    assert said.status_code == 200, said.text
    assert said.json()["entries"] == 1
    listed = {each["name"]: each for each in root.get("/api/v1/hashes").json()["lists"]}
    assert listed["mine"]["categories"] == {"illicit": 1}
    assert "abab" not in json.dumps(listed)
    assert _code(root.post("/api/v1/hashes/mine", files={"file": ("a", b"\0\1")})) in {
        "hash_list_error",
        "invalid_request",
    }
    assert root.post("/api/v1/hashes/..%2f..%2fevil", files=file).status_code in {400, 404}
    eve = house.sign_in("eve", "acme", "creator")
    matched = eve.post("/api/v1/hashes/match", files={"image": to_bytes(make_picture())})
    assert matched.json()["matches"] == []


def test_a_picture_on_a_list_matches_without_the_lists_reference(
    house: House, make_picture: Any, to_bytes: Any
) -> None:
    from chopmark.safety.hashes.perceptual import pixel_sha256

    picture = make_picture()
    csv = f"kind,value,category,reference\nsha256,{pixel_sha256(picture)},illicit,ticket-7\n"
    root = house.sign_in("root", None, "operator", "creator")
    said = root.post("/api/v1/hashes/mine", files={"file": ("list.csv", csv.encode())})
    assert said.status_code == 200, said.text
    matched = root.post("/api/v1/hashes/match", files={"image": to_bytes(picture)})
    assert [m["list"] for m in matched.json()["matches"]] == ["mine"], matched.text
    assert "ticket-7" not in matched.text


def test_policies_are_shown_compared_and_tried(house: House) -> None:
    from chopmark.safety.policy.load import policy_path

    strict = policy_path("strict").read_text(encoding="utf-8")
    ada = house.sign_in("ada", "acme", "reader")
    active = ada.get("/api/v1/policies/active").json()
    assert active["digest"] == house.pipeline.parts.policies.active().digest()
    changes = ada.post("/api/v1/policies/diff", json={"yaml": strict}).json()["changes"]
    assert {change["effect"] for change in changes} >= {"stricter"}
    assert _code(ada.post("/api/v1/policies/diff", json={"yaml": "name: ["})) == "invalid_policy"
    shadow = "/api/v1/policies/shadow"
    why = {"purpose": "next month's policy"}
    body = {"yaml": strict}
    assert _code(ada.post(shadow, json=body)) == "invalid_request"
    assert _code(ada.post(shadow, json=body, params=why)) == "not_permitted"
    ida = house.sign_in("ida", "acme", "investigator")
    tried = ida.post(shadow, json=body, params={**why, "only_changed": False}).json()
    assert [row["record_id"] for row in tried["rows"]] == [house.refused["acme"]]
    assert tried["rows"][0]["would_be"] == "block"


def test_a_report_counts_ones_own_tenant(house: House) -> None:
    house.refuse("globex")
    said = house.sign_in("ada", "acme", "auditor").get("/api/v1/report").json()
    everything = house.sign_in("root", None, "auditor").get("/api/v1/report").json()
    assert said != everything
    assert "globex" not in json.dumps(said)


# Exports


def test_an_export_takes_two_exporters(house: House, tmp_path: Path) -> None:
    one, two = (house.sign_in(name, "acme", "exporter") for name in ("one", "two"))
    body = {"query": {"decision": "block"}, "content": True, "purpose": "court order 7"}
    asked = one.post("/api/v1/exports", json=body).json()
    url = f"/api/v1/exports/{asked['export_id']}"
    assert asked["files"] == []
    assert _code(one.get(f"{url}/files/manifest.json")) == "record_not_found"
    assert _code(one.post(f"{url}/agree")) == "not_permitted"
    ada = house.sign_in("ada", "acme", "reader")
    assert _code(ada.post(f"{url}/agree")) == "not_permitted"
    done = two.post(f"{url}/agree").json()
    assert (done["asked_by"], done["agreed_by"]) == ("one", "two")
    assert _code(two.post(f"{url}/agree")) == "invalid_request"
    folder = tmp_path / "fetched"
    folder.mkdir()
    for name in done["files"]:
        (folder / name).write_bytes(one.get(f"{url}/files/{name}").content)
    assert check_export(folder, house.pipeline.parts.log.public_key) == ()
    text = (folder / "entries.jsonl").read_text()
    assert house.refused["acme"] in text
    assert house.refused["globex"] not in text
    for path in ("asked.json", "..%2f..%2fdata.db", "entries.exe"):
        assert one.get(f"{url}/files/{path}").status_code in {400, 404}


# The log's public files and keys


def test_anybody_checks_the_log_from_its_public_files(house: House) -> None:
    anybody = house.client()
    said = anybody.get("/api/v1/keys")
    assert said.status_code == 200, said.text
    keys = said.json()
    assert keys["log"]["verifier_key"] == house.pipeline.parts.log.public_key
    assert keys["signing"]["chain_pem"].startswith("-----BEGIN CERTIFICATE")
    assert house.pipeline.parts.mark_keys.active.key_id in keys["watermark"]["key_ids"]
    assert "PRIVATE" not in json.dumps(keys)
    answer = anybody.get("/log/checkpoint")
    assert answer.headers["content-type"].startswith("text/plain")
    size = int(answer.text.splitlines()[1])
    tile = anybody.get(f"/log/tile/0/000.p/{size}")
    assert tile.headers["content-type"] == "application/octet-stream"
    assert len(tile.content) == 32 * size
    # The bundle tells of other tenants: not for everybody.
    bundle = f"/log/tile/entries/000.p/{size}"
    assert _code(anybody.get(bundle)) == "invalid_api_key"
    auditor = house.sign_in("aud", "acme", "auditor")
    assert _code(auditor.get(bundle)) == "not_permitted"
    auditor = house.sign_in("audit", None, "auditor")
    data = auditor.get(bundle).content
    at = 0
    for index in range(size):
        length = int.from_bytes(data[at : at + 2], "big")
        leaf = data[at + 2 : at + 2 + length]
        assert leaf_hash(leaf) == tile.content[32 * index : 32 * index + 32]
        at += 2 + length
    assert at == len(data)


def test_an_older_partial_tile_is_cut_out_of_a_newer_one(house: House) -> None:
    anybody = house.client()
    size = int(anybody.get("/log/checkpoint").text.splitlines()[1])
    before = anybody.get(f"/log/tile/0/000.p/{size}").content
    house.refuse("acme")
    state_of(house.live.app, PublicLog)._at = float("-inf")
    newer = int(anybody.get("/log/checkpoint").text.splitlines()[1])
    assert newer > size
    assert anybody.get(f"/log/tile/0/000.p/{size}").content == before
    assert anybody.get(f"/log/tile/0/000.p/{newer}").content[: 32 * size] == before
    assert _code(anybody.get(f"/log/tile/0/000.p/{newer + 1}")) == "record_not_found"
    assert _code(anybody.get("/log/tile/0/000")) == "record_not_found"


@pytest.mark.parametrize(
    "path",
    ["0/../../log.db", "0/000.p/0", "0/000.p/256", "64/000", "0/0", "entries/../checkpoint",
     "-1/000", "0/x00/000", "0/000.p/1/2", "%2e%2e/%2e%2e/log.db", "0/000%00"],
)  # fmt: skip
def test_no_other_file_is_under_the_tiles(house: House, path: str) -> None:
    answer = house.client().get(f"/log/tile/{path}")
    assert answer.status_code == 404


# No tenant finds another's

Route = tuple[str, str, dict[str, Any]]
BY_ID: list[Route] = [
    ("GET", "/api/v1/records/{id}", {}),
    ("GET", "/api/v1/records/{id}", {"params": {"evidence": "true", "purpose": "x"}}),
    ("GET", "/api/v1/receipts/{id}", {}),
    ("POST", "/api/v1/review/{id}/renew", {}),
    ("POST", "/api/v1/review/{id}/release", {}),
    ("POST", "/api/v1/review/{id}/decide", {"json": {"decision": "confirmed", "rationale": "x"}}),
    (
        "POST",
        "/api/v1/review/appeals/{id}/decide",
        {"json": {"outcome": "upheld", "rationale": "x"}},
    ),
]


@pytest.fixture
def all_roles(house: House) -> httpx.Client:
    roles = ["reader", "reviewer", "investigator", "exporter", "auditor", "operator", "creator"]
    return house.sign_in("all", "acme", *roles)


@pytest.mark.parametrize(("method", "path", "more"), BY_ID)
def test_a_record_of_another_tenant_is_as_if_there_were_none(
    house: House, all_roles: httpx.Client, method: str, path: str, more: dict[str, Any]
) -> None:
    house.queue("globex")
    house.pipeline.parts.log.appeals.open(house.refused["globex"], statement="why")
    answers = [
        all_roles.request(method, path.replace("{id}", each), **more)
        for each in (house.refused["globex"], MISSING)
    ]
    hidden, missing = (
        (each.status_code, each.text.replace(house.refused["globex"], MISSING)) for each in answers
    )
    assert hidden == missing
    assert hidden[0] in {403, 404}
    last = house.pipeline.parts.log.records(house.refused["globex"])[-1]
    assert last.kind == "appeal.opened"  # nothing was done to it


LISTS: list[Route] = [
    ("POST", "/api/v1/search", {"json": {}}),
    ("POST", "/api/v1/search", {"json": {"text": "naked"}}),
    ("POST", "/api/v1/search", {"json": {"subject": "globex:42"}}),
    ("GET", "/api/v1/review/tasks", {}),
    ("POST", "/api/v1/review/lease", {"json": {"queue": "theirs"}}),
    ("GET", "/api/v1/review/appeals", {"params": {"only_open": "false"}}),
    ("POST", "/api/v1/review/appeals/lease", {}),
    ("GET", "/api/v1/report", {}),
    ("GET", "/api/v1/exports", {}),
    ("GET", "/api/v1/policies/active", {}),
]


@pytest.mark.parametrize(("method", "path", "more"), LISTS)
def test_no_list_holds_anything_of_another_tenant(
    house: House, all_roles: httpx.Client, method: str, path: str, more: dict[str, Any]
) -> None:
    house.queue("globex", "theirs")
    house.pipeline.parts.log.appeals.open(house.refused["globex"], statement="why")
    other = house.sign_in("other", "globex", "exporter")
    other.post("/api/v1/exports", json={"purpose": "x"})
    answer = all_roles.request(method, path, **more)
    assert answer.status_code == 200, answer.text
    assert house.refused["globex"] not in answer.text
    assert "globex" not in answer.text


def test_another_tenant_cannot_be_asked_for(house: House, all_roles: httpx.Client) -> None:
    answer = all_roles.post("/api/v1/search", json={"tenant": "globex"})
    assert _code(answer) == "not_permitted"
    why = {"purpose": "x"}
    asked = all_roles.post("/api/v1/exports", json={"query": {"tenant": "globex"}, **why}).json()
    second = house.sign_in("second", "acme", "exporter")
    agreed = second.post(f"/api/v1/exports/{asked['export_id']}/agree")
    assert _code(agreed) == "not_permitted"


def test_an_export_of_another_tenant_is_as_if_there_were_none(
    house: House, all_roles: httpx.Client
) -> None:
    other = house.sign_in("other", "globex", "exporter")
    asked = other.post("/api/v1/exports", json={"purpose": "x"}).json()
    partner = house.sign_in("partner", "globex", "exporter")
    url = f"/api/v1/exports/{asked['export_id']}"
    assert _code(all_roles.post(f"{url}/agree")) == "record_not_found"
    assert partner.post(f"{url}/agree").status_code == 200
    assert _code(all_roles.get(f"{url}/files/manifest.json")) == "record_not_found"


def test_every_route_of_the_desk_is_closed_to_who_is_not_signed_in(house: House) -> None:
    anybody = house.client()
    filled: Callable[[str], str] = lambda path: path.replace("{id}", MISSING)
    for method, path, more in [*BY_ID, *LISTS]:
        answer = anybody.request(method, filled(path), **more)
        assert answer.status_code == 401, path
    with_role_only = house.sign_in("none", "acme", "creator")
    for method, path, more in [*BY_ID, *LISTS]:
        answer = with_role_only.request(method, filled(path), **more)
        assert answer.status_code == 403, path
