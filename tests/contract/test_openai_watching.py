"""Logs, metrics and the cool-down of somebody who is refused again and again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from chopmark import Pipeline
from chopmark.service.deployment import Deployment
from chopmark.service.metrics import Metrics
from chopmark.service.state import state_of
from chopmark.tenancy import AccessStore
from chopmark.tenancy.refused_person import RefusedPerson
from chopmark.tenancy.shared_state import digest_name
from tests.support.wait import until

BLOCKED = "explicit photo of a naked woman having sex"
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def lines(live: Any) -> Any:
    """Returns a reader of the running server's log."""

    def read(count: int, event: str = "request") -> list[dict[str, Any]]:
        """The lines of an event, as soon as there are so many."""

        def found() -> list[dict[str, Any]]:
            lines = [json.loads(line) for line in live.log.getvalue().splitlines()]
            return [line for line in lines if line["event"] == event]

        until(lambda: len(found()) >= count)  # a line is written after the answer has left
        return found()

    return read


def _numbers(text: str) -> dict[str, float]:
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in rows}


def test_a_request_is_one_line_without_prompt_key_or_address(live: Any, lines: Any) -> None:
    with AccessStore.open(live.pipeline.parts.home) as store:
        made = store.create_key("default")
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=made.text) as client:
        raw = client.images.with_raw_response.generate(prompt="a red apple", user="alice")
        with pytest.raises(openai.BadRequestError):
            client.images.generate(prompt=BLOCKED)
    httpx.get(f"{live.url}/v1/models?key=cm_secret&prompt=a", trust_env=False)
    good, refused, unknown = lines(3)
    assert good["request_id"] == raw.headers["x-request-id"]
    assert good["record_id"] == raw.headers["x-record-id"]
    assert good["route"] == "/v1/images/generations"
    assert (good["status"], good["tenant"], good["key_id"]) == (200, "default", made.key.key_id)
    assert (refused["status"], refused["code"]) == (400, "moderation_blocked")
    assert (unknown["status"], unknown["code"]) == (401, "invalid_api_key")
    told = json.dumps([good, refused, unknown])
    for secret in ("apple", "naked", made.text, "cm_secret", "alice", "127.0.0.1"):
        assert secret not in told


def test_nobody_writes_lines_into_the_log(live: Any, lines: Any) -> None:
    import socket
    from urllib.parse import urlsplit

    where = urlsplit(live.url)
    assert where.hostname is not None
    for target in (
        "/x%0a%7b%22event%22:%22forged%22%7d",
        "/v1/models/%0d%0aforged",
        "/api/v1/records/forged%0aforged",
    ):
        with socket.create_connection((where.hostname, where.port or 0)) as raw:
            raw.sendall(
                f"GET {target} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: forged\r\n"
                "User-Agent: forged\r\nConnection: close\r\n\r\n".encode()
            )
            while raw.recv(4096):
                pass
    told = lines(3)
    assert len(told) == 3
    assert "forged" not in json.dumps(told)


def test_a_failure_tells_its_cause_but_neither_prompt_nor_key(live: Any, lines: Any) -> None:
    with AccessStore.open(live.pipeline.parts.home) as store:
        key = store.create_key("default").text

    def broken(job: Any, **_: Any) -> Any:
        local = f"{job.prompt} {key}"  # what stands in a frame is never looked at
        raise RuntimeError(f"no tokens for {local!r}, token 'APPLE'") from OSError(job.prompt)

    live.generator.generate = broken
    with (
        openai.OpenAI(base_url=f"{live.url}/v1", api_key=key, max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.images.generate(prompt="a red apple", user="alice")
    assert "apple" not in str(caught.value.body)
    (line,), (failed,) = lines(1), lines(1, event="log")
    assert line["code"] == "generation_failed"
    assert line["request_id"] in str(caught.value.body)  # where whoever asked may point to
    assert failed["request_id"] == line["request_id"]
    kinds = [record.kind for record in live.pipeline.parts.log.records(failed["record_id"])]
    assert kinds[-1] == "request.failed"
    assert (failed["level"], failed["logger"]) == ("error", "chopmark.pipeline.steps")
    for told in (line["cause"], failed["cause"]):
        runtime = next(link for link in told if link["type"] == "builtins.RuntimeError")
        assert runtime["message"] == "no tokens for '[redacted] [redacted]', token '[redacted]'"
        assert re.fullmatch(r"test_openai_watching\.py:\d+ broken", runtime["frames"][-1])
        assert told[-1]["type"] == "builtins.OSError"
    whole = json.dumps([line, failed]).lower()
    for secret in ("apple", key.lower(), key[-43:].lower(), "alice", "127.0.0.1"):
        assert secret not in whole


def test_metrics_count_what_happens(live: Any) -> None:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", max_retries=0) as client:
        client.images.generate(prompt="a red apple", n=2)
        client.moderations.create(input=["a red apple", "a blue sky"])
        for prompt in (BLOCKED, "a test card"):
            with pytest.raises(openai.BadRequestError):
                client.images.generate(prompt=prompt)
        live.generator.generate = None
        with pytest.raises(openai.InternalServerError):
            client.images.generate(prompt="a red apple")
    answer = httpx.get(f"{live.url}/metrics", trust_env=False)
    assert answer.headers["content-type"].startswith("text/plain")
    now = _numbers(answer.text)
    route = 'method="POST",route="/v1/images/generations"'
    assert now[f'chopmark_requests_total{{{route},status="200"}}'] == 1
    assert now[f'chopmark_requests_total{{{route},status="400"}}'] == 2
    assert now[f'chopmark_requests_total{{{route},status="500"}}'] == 1
    assert now['chopmark_pictures_total{outcome="released"}'] == 2
    assert now['chopmark_verdicts_total{action="allow",category="none",stage="output"}'] == 2
    assert now['chopmark_verdicts_total{action="allow",category="none",stage="prompt"}'] == 3
    assert now['chopmark_verdicts_total{action="block",category="sexual",stage="input"}'] == 1
    assert now['chopmark_failures_total{code="generation_failed"}'] == 1
    assert now['chopmark_stage_seconds_count{stage="sign"}'] == 1
    assert now["chopmark_mark_readback_failures_total"] == 0
    assert now['chopmark_running{line="making"}'] == 0
    assert now["chopmark_log_entries"] == live.pipeline.parts.log.size
    assert 0 <= now["chopmark_checkpoint_age_seconds"] < 600


def test_a_mark_that_is_not_read_back_is_counted(
    live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import chopmark.provenance

    monkeypatch.setattr(chopmark.provenance, "embed_mark", lambda picture, *_, **__: picture)
    with (
        openai.OpenAI(base_url=f"{live.url}/v1", api_key="unused", max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.images.generate(prompt="a red apple")
    assert caught.value.code == "mark_not_readable"
    now = _numbers(httpx.get(f"{live.url}/metrics", trust_env=False).text)
    assert now["chopmark_mark_readback_failures_total"] == 1


def test_every_metric_is_in_the_manual(shared_pipeline: Pipeline) -> None:
    text = (DOCS / "http.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(chopmark_\w+)`", text))
    parts = shared_pipeline.parts
    metrics = Metrics(parts, {}, repeats=parts.answer_cache)
    metrics.watch_state(lambda: "")
    names = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name
        for metric in metrics.registry.collect()
    }
    assert told == names


RULES = """
name: test
rules:
  - {name: often, counts: refusals, at_least: 2, within_minutes: 5, then: wait, minutes: 7}
  - {name: near, counts: probes, at_least: 2, within_minutes: 5, then: wait, minutes: 9}
  - {name: again, counts: waits, at_least: 1, within_minutes: 9, then: review, minutes: 9, queue: q}
"""


@pytest.fixture
def strict_house(live_server: Any, tmp_path: Path) -> Any:
    rules = tmp_path / "abuse.yaml"
    rules.write_text(RULES)
    with live_server(abuse=str(rules)) as live:
        yield live


def test_who_is_refused_again_and_again_waits_and_nobody_else(strict_house: Any) -> None:
    with openai.OpenAI(base_url=f"{strict_house.url}/v1", api_key="unused") as client:
        for _ in range(2):
            with pytest.raises(openai.BadRequestError):
                client.images.generate(prompt=BLOCKED, user="mallory")
        with pytest.raises(openai.RateLimitError) as caught:
            client.images.generate(prompt="a red apple", user="mallory")
        assert caught.value.code == "cooling_down"
        assert 0 < int(caught.value.response.headers["retry-after"]) <= 420
        assert caught.value.response.headers["x-should-retry"] == "false"
        # What they asked for is booked, and found with all that they ever asked for.
        record_id = caught.value.response.headers["x-record-id"]
        assert caught.value.body["decision_id"] == record_id  # type: ignore[index]
        log = strict_house.pipeline.parts.log
        away = log.records(record_id)[0]
        assert log.content(away.index).subject == "default:mallory"
        assert log.private(away.index)["prompt"] == "a red apple"
        assert (away.kind, away.public["code"]) == ("request.turned_away", "cooling_down")
        assert client.images.generate(prompt="a red apple", user="alice").data
        for _ in range(3):  # whoever is not named is not counted
            with pytest.raises(openai.BadRequestError):
                client.images.generate(prompt=BLOCKED)
        assert client.images.generate(prompt="a red apple").data
    now = _numbers(httpx.get(f"{strict_house.url}/metrics", trust_env=False).text)
    assert now['chopmark_abuse_total{counts="refusals",then="wait"}'] == 1


def test_small_changes_of_a_refused_prompt_end_in_a_wait(strict_house: Any) -> None:
    with openai.OpenAI(
        base_url=f"{strict_house.url}/v1", api_key="unused", max_retries=0
    ) as client:
        with pytest.raises(openai.BadRequestError):
            client.images.generate(prompt=BLOCKED, user="mallory")
        # The judge is set to let everything pass: a probe counts also when it gets through.
        guard = strict_house.pipeline.parts.prompt_guard
        allow = guard.judge("a red apple", strict_house.pipeline.parts.policies.active())

        class Lenient:
            def judge(self, *_: Any, **__: Any) -> Any:
                return allow

        strict_house.pipeline.parts.use(prompt_guard=Lenient())
        changed = "explicit photograph of a nude woman having sex"
        assert client.images.generate(prompt=changed, user="mallory").data
        assert client.images.generate(prompt="a sailing boat", user="mallory").data
        assert client.images.generate(prompt=changed, user="alice").data
        with pytest.raises(openai.RateLimitError) as caught:
            client.images.generate(
                prompt="explicit p.h.o.t.o of naked women having sex", user="mallory"
            )
        assert caught.value.code == "cooling_down"
        assert client.images.generate(prompt="a sailing boat", user="alice").data


def _without_wait(known: bytes | None) -> bytes:
    person = RefusedPerson.of_bytes(known)
    assert person.until > 0
    person.until = 0.0  # the wait is over
    return person.to_bytes(since=0.0)


def test_after_a_wait_every_request_goes_to_review(strict_house: Any) -> None:
    log = strict_house.pipeline.parts.log
    with openai.OpenAI(base_url=f"{strict_house.url}/v1", api_key="unused") as client:
        for _ in range(2):
            with pytest.raises(openai.BadRequestError):
                client.images.generate(prompt=BLOCKED, user="mallory")
        state = state_of(strict_house.app, Deployment).state
        mallory = digest_name("default:mallory")
        state.change("refused-person", mallory, _without_wait, keep_s=3600)
        raw = client.images.with_raw_response.generate(prompt="a red apple", user="mallory")
        client.images.generate(prompt="a red apple", user="alice")
    queued = [record for record in log.find(kind="review.queued") if record.public["queue"] == "q"]
    # The refusal that began the wait, and what came after it.
    assert len(queued) == 2
    assert raw.headers["x-record-id"] in {record.record_id for record in queued}


def test_the_rules_in_force_are_booked(strict_house: Any) -> None:
    with openai.OpenAI(base_url=f"{strict_house.url}/v1", api_key="unused") as client:
        client.images.generate(prompt="a red apple", user="alice")
    booked = strict_house.pipeline.parts.log.find(kind="policy.changed")
    assert [record.public["what"] for record in booked] == ["abuse", "policy"]
