"""``chopmark demo-data``: one day, however often it is run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chopmark.audit import AuditLog, Event
from chopmark.cli import demo
from chopmark.kit.ids import new_record_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from chopmark import Pipeline

    Run = Callable[..., tuple[int, str, str]]


def test_a_second_run_adds_nothing_and_gives_new_links(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(pipeline: Pipeline, _pictures: int, _progress: Any) -> dict[str, int]:
        record: Any = {"record_id": new_record_id(), "tenant": "demo", "subject": "demo:kit"}
        refused: Any = {"stage": "input", "action": "block", "categories": ["violence"]}
        pipeline.parts.log.append(Event(kind="request.received", **record))
        pipeline.parts.log.append(Event(kind="request.refused", public=refused, **record))
        return {"made": 0, "judged": 0, "refused": 1, "failed": 0}

    monkeypatch.setattr(demo, "_ask", ask)
    first = json.loads(run("demo-data", "--json")[1])
    assert (first["requests"]["refused"], first["already"]) == (1, 0)
    with AuditLog.open(home, create=False) as log:
        size = log.size
        kinds = {entry.kind for entry in log.find(limit=size)}
    assert {"review.queued", "appeal.opened"} <= kinds
    again = json.loads(run("demo-data", "--json")[1])
    assert (again["requests"], again["already"]) == ({}, 1)
    assert set(again["links"]) == set(first["links"])
    assert not set(again["links"].values()) & set(first["links"].values())
    code, told, _ = run("demo-data")
    assert (code, "none was added" in told) == (0, True)
    with AuditLog.open(home, create=False) as log:
        assert log.size == size
