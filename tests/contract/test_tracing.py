"""Spans of a real request: in memory, and by OTLP to a collector on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.support.http import Loopback, Reply
from tests.support.wait import until

BLOCKED = "explicit photo of a naked woman having sex"
STAGES = ["received", "judge_prompt", "decided", "generate", "judge_output", "mark", "sign"]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # The global provider can be set once in a process; a test must not be the one that does it.
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def _ask(live: Any, prompt: str, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{live.url}/v1/images/generations",
        json={"prompt": prompt, "user": "alice"},
        headers=headers,
        trust_env=False,
        timeout=60,
    )


def _finished(spans: InMemorySpanExporter) -> list[Any]:
    """Return all spans of a request, once its outermost has ended: after the answer's last byte."""
    until(lambda: [span.name for span in spans.get_finished_spans()][-1:] == ["chopmark.http"])
    return list(spans.get_finished_spans())


def test_a_request_is_a_span_and_each_stage_one_inside_it(
    live: Any, spans: InMemorySpanExporter
) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    answer = _ask(live, "a red apple", traceparent=f"00-{trace_id}-b7ad6b7169203331-01")
    made = {span.name: span for span in _finished(spans)}
    assert set(made) >= {f"chopmark.{stage}" for stage in [*STAGES, "completed"]}
    root = made["chopmark.http"]
    for span in made.values():
        assert f"{span.context.trace_id:032x}" == trace_id
        assert span is root or span.parent.span_id == root.context.span_id
    assert root.attributes["chopmark.route"] == "/v1/images/generations"
    assert root.attributes["chopmark.status"] == "200"
    assert root.attributes["chopmark.request_id"] == answer.headers["x-request-id"]
    sign = made["chopmark.sign"]
    assert sign.attributes["chopmark.record_id"] == answer.headers["x-record-id"]
    assert sign.end_time > sign.start_time
    told = "".join(span.to_json() for span in made.values())
    for secret in ("apple", "alice", "127.0.0.1"):
        assert secret not in told


def test_a_failure_is_told_by_its_code_alone(live: Any, spans: InMemorySpanExporter) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the prompt was: a red apple")

    live.generator.generate = broken
    assert _ask(live, "a red apple").status_code == 500
    made = _finished(spans)
    (failed,) = [span for span in made if "error.type" in span.attributes]
    assert (failed.name, failed.attributes["error.type"]) == ("chopmark.generate", "RuntimeError")
    assert not failed.status.is_ok
    assert "apple" not in "".join(span.to_json() for span in made)


def test_a_refusal_ends_after_its_stages(live: Any, spans: InMemorySpanExporter) -> None:
    _ask(live, BLOCKED)
    names = [span.name for span in _finished(spans)]
    assert "chopmark.generate" not in names
    assert "chopmark.decided" in names


def test_spans_reach_a_collector() -> None:
    with Loopback(lambda _: Reply()) as server:
        program = (
            "from chopmark.kit.tracing import export_spans, span\n"
            "provider = export_spans('1')\n"
            "with span('chopmark.sign', stage='sign'): pass\n"
            "provider.shutdown()\n"
        )
        subprocess.run(
            [sys.executable, "-c", program],
            env={"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "PYTHONPATH": ":".join(sys.path)},
            check=True,
            timeout=60,
        )
    (asked,) = server.asked
    assert asked.path == "/v1/traces"
    assert b"chopmark.sign" in asked.body
