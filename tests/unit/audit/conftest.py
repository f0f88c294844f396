"""Factories for logs and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chopmark.audit import AuditLog, Event
from chopmark.ids import new_record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def make_event() -> Callable[..., Event]:
    """Make an event; members that are not given have ordinary values."""

    def make(**members: Any) -> Event:
        given: dict[str, Any] = {
            "kind": "request.received",
            "record_id": new_record_id(),
            "tenant": "default",
            "public": {"model": "embedded"},
            "private": {"prompt": "a red apple"},
            "subject": "person-1",
        }
        return Event(**(given | members))

    return make


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[Callable[..., AuditLog]]:
    """Open logs under ``tmp_path``; whatever is left open is closed at the end."""
    opened: list[AuditLog] = []

    def make(home: Path = tmp_path, **options: Any) -> AuditLog:
        log = AuditLog.open(home, **options)
        opened.append(log)
        return log

    yield make
    for log in opened:
        log.close()


@pytest.fixture
def filled_home(
    tmp_path: Path, open_log: Callable[..., AuditLog], make_event: Callable[..., Event]
) -> Callable[..., Path]:
    """Make a closed log of ``requests`` requests (two entries each) of three subjects."""

    def make(requests: int = 10, folder: str = "filled") -> Path:
        home = tmp_path / folder
        with open_log(home) as log:
            waiting = []
            for number in range(requests):
                record_id = new_record_id()
                subject = f"person-{number % 3}"
                waiting.append(
                    log.submit(
                        make_event(
                            record_id=record_id,
                            subject=subject,
                            private={"prompt": f"prompt number {number}"},
                        )
                    )
                )
                waiting.append(
                    log.submit(
                        make_event(
                            kind="request.completed",
                            record_id=record_id,
                            subject=None,
                            private={},
                            public={"decision": "allow", "score": 0.25},
                        )
                    )
                )
            for future in waiting:
                future.result(30)
        return home

    return make
