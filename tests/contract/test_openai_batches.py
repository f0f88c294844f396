"""Files and batches with OpenAI's client, unmodified, and jobs: what is handed over and fetched."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from chopmark.service.deployment import Deployment
from chopmark.service.state import state_of
from chopmark.tenancy import AccessStore, Tenant
from tests.support.http import Asked, Loopback, Reply
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCKED = "explicit photo of a naked woman having sex"
IMAGES: Any = "/v1/images/generations"
EDITS: Any = "/v1/images/edits"
MODERATIONS: Any = "/v1/moderations"
OVER = {"completed", "failed", "expired", "cancelled"}


def _client(live: Any, key: str = "unused") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{live.url}/v1", api_key=key, max_retries=0)


def _lines(endpoint: str, *bodies: dict[str, Any]) -> bytes:
    return b"".join(
        json.dumps(
            {"custom_id": f"line {number}", "method": "POST", "url": endpoint, "body": body}
        ).encode()
        + b"\n"
        for number, body in enumerate(bodies)
    )


def _begin(client: openai.OpenAI, lines: bytes, endpoint: Any, **options: Any) -> Any:
    file = client.files.create(file=("lines.jsonl", lines), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", **options
    )


def _over(client: openai.OpenAI, batch_id: str) -> Any:
    found: list[Any] = []

    def look() -> bool:
        found[:] = [client.batches.retrieve(batch_id)]
        return found[0].status in OVER

    until(look)
    return found[0]


def _read(client: openai.OpenAI, file_id: str) -> dict[str, Any]:
    rows = [json.loads(line) for line in client.files.content(file_id).text.splitlines()]
    return {row["custom_id"]: row for row in rows}


def _kinds(live: Any) -> list[str]:
    log = live.pipeline.parts.log
    return [log.get(index).kind for index in range(log.size)]


def test_files_are_kept_listed_fetched_and_let_go(live: Any) -> None:
    with _client(live) as client:
        lines = _lines(MODERATIONS, {"input": "a hill"})
        first = client.files.create(file=("a.jsonl", lines), purpose="batch")
        second = client.files.create(
            file=("b.png", b"\x89PNG"),
            purpose="vision",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
        assert (first.filename, first.bytes, first.purpose) == ("a.jsonl", len(lines), "batch")
        assert second.expires_at == second.created_at + 3600
        assert client.files.content(first.id).content == lines
        assert {one.id for one in client.files.list()} == {first.id, second.id}
        assert [one.id for one in client.files.list(purpose="vision")] == [second.id]
        # Page by page, as the client does it by itself.
        assert len(list(client.files.list(limit=1, order="asc"))) == 2
        assert client.files.delete(first.id).deleted
        with pytest.raises(openai.NotFoundError) as caught:
            client.files.retrieve(first.id)
        assert caught.value.code == "file_not_found"
        with pytest.raises(openai.BadRequestError):
            client.files.create(file=("a.jsonl", b""), purpose="batch")


def test_a_batch_of_pictures_and_its_errors(live: Any) -> None:
    with _client(live) as client:
        lines = _lines(
            IMAGES,
            {"prompt": "a red apple", "stream": True, "seed": 7},
            {"prompt": BLOCKED},
            {"prompt": "a lake", "size": "7x7"},
            {"prompt": "a hill", "n": 2},
        )
        begun = _begin(client, lines, IMAGES, metadata={"of": "a test"})
        assert begun.status == "validating"
        done = _over(client, begun.id)
        assert done.status == "completed"
        counts = done.request_counts
        assert (counts.total, counts.completed, counts.failed) == (4, 2, 2)
        assert done.metadata == {"of": "a test"}
        made = _read(client, done.output_file_id)
        assert {name: len(row["response"]["body"]["data"]) for name, row in made.items()} == {
            "line 0": 1,
            "line 3": 2,
        }
        picture = base64.b64decode(made["line 0"]["response"]["body"]["data"][0]["b64_json"])
        assert picture.startswith(b"\x89PNG")
        failed = _read(client, done.error_file_id)
        codes = {name: row["response"]["body"]["error"]["code"] for name, row in failed.items()}
        assert codes == {"line 1": "moderation_blocked", "line 2": "invalid_request"}
        assert [one.id for one in client.batches.list()] == [begun.id]
        shown = client.files.retrieve(done.output_file_id)
        assert shown.purpose == "batch_output"
        assert shown.bytes == len(client.files.content(shown.id).content)
    assert len(live.generator.jobs) == 2


def test_edits_and_moderations_in_batches(
    live: Any, make_picture: Any, to_bytes: Callable[..., bytes]
) -> None:
    picture = base64.b64encode(to_bytes(make_picture())).decode()
    url = f"data:image/png;base64,{picture}"
    with _client(live) as client:
        edits = _begin(
            client, _lines(EDITS, {"prompt": "a lake", "images": [{"image_url": url}]}), EDITS
        )
        judged = _begin(
            client, _lines(MODERATIONS, {"input": BLOCKED}, {"input": ["a", "b"]}), MODERATIONS
        )
        made = _read(client, _over(client, edits.id).output_file_id)
        assert made["line 0"]["response"]["status_code"] == 200
        verdicts = _read(client, _over(client, judged.id).output_file_id)
    assert verdicts["line 0"]["response"]["body"]["results"][0]["flagged"]
    assert len(verdicts["line 1"]["response"]["body"]["results"]) == 2


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        (b"{}\n", [1]),
        (b"no json\n" + _lines(IMAGES, {"prompt": "a"}), [1]),
        (_lines(MODERATIONS, {"input": "a"}), [1]),
        (2 * _lines(IMAGES, {"prompt": "a"}), [2]),
        (b"\n\n", [None]),
        (b"[" * 5000 + b"\n", [1]),
    ],
    ids=["empty", "no json", "another path", "one name twice", "no lines", "too deep"],
)
def test_a_file_that_cannot_be_used_sends_nothing(live: Any, lines: bytes, where: Any) -> None:
    with _client(live) as client:
        done = _over(client, _begin(client, lines, IMAGES).id)
    assert done.status == "failed"
    assert [one.line for one in done.errors.data] == where
    assert not live.generator.jobs


def test_nothing_of_another_tenant_is_there(live: Any) -> None:
    with AccessStore.open(live.pipeline.parts.home) as store:
        store.set_tenant(Tenant(name="other"))
        mine = store.create_key("default").text
        theirs = store.create_key("other").text
        judge = store.create_key("default", scopes=["moderate"]).text
    with _client(live, mine) as client, _client(live, theirs) as other:
        begun = _begin(client, _lines(MODERATIONS, {"input": "a hill"}), MODERATIONS)
        done = _over(client, begun.id)
        assert not list(other.files.list())
        assert not list(other.batches.list())
        asks: list[Callable[[], Any]] = [
            lambda: other.files.content(done.output_file_id),
            lambda: other.files.delete(done.input_file_id),
            lambda: other.batches.retrieve(done.id),
            lambda: other.batches.cancel(done.id),
            lambda: other.batches.create(
                input_file_id=done.input_file_id, endpoint=MODERATIONS, completion_window="24h"
            ),
        ]
        for ask in asks:
            with pytest.raises(openai.NotFoundError):
                ask()
    with _client(live, judge) as client, pytest.raises(openai.PermissionDeniedError):
        _begin(client, _lines(IMAGES, {"prompt": "a"}), IMAGES)


def test_the_day_of_a_tenant_bounds_a_batch_which_waits(live: Any) -> None:
    with AccessStore.open(live.pipeline.parts.home) as store:
        store.set_tenant(Tenant(name="small", images_per_day=2))
        key = store.create_key("small").text
    lines = _lines(IMAGES, *({"prompt": f"apple {number}"} for number in range(4)))
    with _client(live, key) as client:
        begun = _begin(client, lines, IMAGES)

        def counts() -> Any:
            return client.batches.retrieve(begun.id).request_counts

        until(lambda: counts().completed == 2)
        until(lambda: live.log.getvalue().count('"insufficient_quota"') >= 1)
        assert client.batches.retrieve(begun.id).status == "in_progress"
        client.batches.cancel(begun.id)
        done = _over(client, begun.id)
        assert done.status == "cancelled"
        assert len(_read(client, done.output_file_id)) == 2
        assert done.request_counts.total == 4
    assert len(live.generator.jobs) == 2


def test_a_revoked_key_sends_nothing_more(live: Any) -> None:
    live.generator.gate.clear()
    with AccessStore.open(live.pipeline.parts.home) as store:
        mine, other = (store.create_key("default") for _ in range(2))
        lines = _lines(IMAGES, *({"prompt": f"apple {number}"} for number in range(4)))
        with _client(live, mine.text) as client:
            begun = _begin(client, lines, IMAGES)
        until(lambda: len(live.generator.jobs) == 2)
        store.revoke(mine.key.key_id)
    live.generator.gate.set()
    with _client(live, other.text) as client:
        done = _over(client, begun.id)
        assert (done.request_counts.completed, done.request_counts.failed) == (2, 2)
        codes = {row["error"]["code"] for row in _read(client, done.error_file_id).values()}
        assert codes == {"invalid_api_key"}


def test_who_is_erased_is_erased_within_a_file(live: Any) -> None:
    with _client(live) as client:
        lines = _lines(IMAGES, {"prompt": "a red apple", "user": "ada"}, {"prompt": "a lake"})
        done = _over(client, _begin(client, lines, IMAGES).id)
        live.pipeline.parts.log.custody.erase("default:ada", reason="asked", by=("ada", "bob"))
        for follow in live.pipeline.parts.followers:
            follow(live.pipeline.parts.log)
        left = _read(client, done.output_file_id)
        assert left["line 0"]["error"]["code"] == "answer_erased"
        assert left["line 0"]["response"] is None
        assert left["line 1"]["response"]["status_code"] == 200
        assert b"red apple" not in client.files.content(done.input_file_id).content
        assert b"a lake" in client.files.content(done.input_file_id).content
        # What was kept of it in between is gone as well.
        assert client.files.retrieve(done.output_file_id).bytes == len(
            client.files.content(done.output_file_id).content
        )


def test_whoever_wants_to_know_is_told_in_the_clients_shape(live_server: Any) -> None:
    got: list[Asked] = []

    def answer(asked: Asked) -> Reply:
        got.append(asked)
        return Reply(204)

    with (
        Loopback(answer) as there,
        live_server(webhooks_private=True) as live,
        httpx.Client(base_url=live.url, trust_env=False, timeout=60) as http,
    ):
        with AccessStore.open(live.pipeline.parts.home) as store:
            key = store.create_key("default", scopes=["moderate", "review"]).text
        body = {"url": f"{there.url}/hook", "events": ["batch.completed"]}
        hook = http.post(
            "/api/v1/webhooks", json=body, headers={"authorization": f"Bearer {key}"}
        ).json()
        with _client(live, key) as client:
            begun = _begin(client, _lines(MODERATIONS, {"input": "a hill"}), MODERATIONS)
            until(lambda: got)
            told = client.webhooks.unwrap(
                got[0].body.decode(), got[0].headers, secret=hook["secret"]
            )
    assert told.type == "batch.completed"
    assert told.data.id == begun.id
    assert len(got) == 1


def test_a_job_is_answered_later_and_once(
    live: Any, make_picture: Any, to_bytes: Callable[..., bytes]
) -> None:
    later = {"prefer": "wait=5, respond-async", "idempotency-key": "one"}
    live.generator.gate.clear()
    with live.client() as http:
        asked = http.post(IMAGES, json={"prompt": "a red apple"}, headers=later)
        assert asked.status_code == 202
        assert asked.headers["preference-applied"] == "respond-async"
        place = asked.headers["location"]
        assert http.get(place).json()["status"] == "in_progress"
        again = http.post(IMAGES, json={"prompt": "a red apple"}, headers=later)
        assert again.headers["location"] == place
        live.generator.gate.set()
        until(lambda: http.get(place).json()["status"] == "completed")
        said = http.get(place).json()
        assert said["response"]["status_code"] == 200
        assert len(said["response"]["body"]["data"]) == 1
        # A form is taken as it came.
        form = {"image": ("a.png", to_bytes(make_picture()), "image/png")}
        edit = http.post(
            EDITS, data={"prompt": "a lake"}, files=form, headers={"prefer": "respond-async"}
        )
        refused = http.post(IMAGES, json={"prompt": BLOCKED}, headers={"prefer": "respond-async"})
        for answer, status in ((edit, 200), (refused, 400)):
            where = answer.headers["location"]
            until(lambda where=where: http.get(where).json()["status"] == "completed")  # type: ignore[misc]
            assert http.get(where).json()["response"]["status_code"] == status
        streaming = http.post(
            IMAGES, json={"prompt": "a", "stream": True}, headers={"prefer": "respond-async"}
        )
        assert streaming.status_code == 400
        assert streaming.json()["error"]["param"] == "stream"
        assert http.get("/api/v1/jobs/job_none").status_code == 404
    assert _kinds(live).count("request.completed") == 2


def test_a_server_that_is_gone_leaves_nothing_behind_and_nothing_twice(
    live_server: Any,
) -> None:
    """Two servers over one home: the second one finishes what the first had begun."""
    lines = _lines(IMAGES, *({"prompt": f"apple {number}"} for number in range(5)))
    with live_server(shutdown_s=0) as live, _client(live) as client:
        live.generator.gate.clear()
        begun = _begin(client, lines, IMAGES)
        until(lambda: len(live.generator.jobs) == 2)
        live.generator.gate.set()
        live.server.should_exit = True
    with live_server() as live, _client(live) as client:
        done = _over(client, begun.id)
        assert done.request_counts.completed == 5
        rows = _read(client, done.output_file_id).values()
        records = {row["response"]["body"]["provenance"]["record_id"] for row in rows}
        assert len(records) == 5
        assert _kinds(live).count("request.completed") == 5


def test_a_url_opens_its_picture_on_every_server_over_the_home(live_server: Any) -> None:
    with live_server(public_url="http://127.0.0.1:1") as live, _client(live) as client:
        made = client.images.generate(prompt="a red apple", response_format="url")
        place = (made.data or [])[0].url or ""
        tool: Any = [{"type": "image_generation"}]
        first = client.responses.create(model="gpt-5.5", input="a red apple", tools=tool)
    with live_server(public_url="http://127.0.0.1:1") as live, _client(live) as client:
        path = httpx.URL(place).raw_path.decode()
        with live.client() as http:
            assert http.get(path).content.startswith(b"\x89PNG")
        said = client.responses.create(
            model="gpt-5.5", input="make it blue", tools=tool, previous_response_id=first.id
        )
        assert said.output[0].to_dict()["action"] == "edit"
        files = state_of(live.app, Deployment).files
        assert not list(client.files.list())
        # Each is known by its record, and goes with that.
        files.forget(files.records())
        with live.client() as http:
            assert http.get(path).status_code == 404
