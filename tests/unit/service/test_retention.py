from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chopmark.audit import AuditLog, Event, verify_log
from chopmark.kit.ids import new_record_id
from chopmark.pipeline.parts import Parts
from chopmark.service.retention import end_retention, retaining
from chopmark.settings import Settings
from chopmark.tenancy import AccessStore, Tenant
from tests.support.wait import until


@pytest.fixture
def log(home: Path) -> Iterator[AuditLog]:
    with AuditLog.open(home) as opened:
        yield opened


def _book(log: AuditLog, tenant: str, *, refused: bool = False, subject: str = "") -> int:
    event: dict[str, Any] = {"record_id": new_record_id(), "tenant": tenant}
    subject = subject or f"{tenant}:{event['record_id']}"
    first = log.append(
        Event(kind="request.received", subject=subject, private={"prompt": "a"}, **event)
    )
    log.append(Event(kind="request.refused" if refused else "request.completed", **event))
    return first.index


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns a function after which it is so many days later for the end of retention."""
    from chopmark.audit.custody import custody
    from chopmark.audit.log.clock import now as real

    def go(days: int) -> None:
        monkeypatch.setattr(custody, "now", lambda plus=0.0: real(plus + 86_400 * days))

    return go


def test_each_tenant_keeps_content_for_its_own_days(log: AuditLog, home: Path, later: Any) -> None:
    tenants = [
        Tenant(name="short", retention_days=10),
        Tenant(name="long", retention_days=100, blocked_retention_days=200),
        Tenant(name="other"),
    ]
    settings = Settings(home=home, retention_days=30)
    kept = {t.name: _book(log, t.name) for t in tenants}
    refused = {t.name: _book(log, t.name, refused=True) for t in tenants}

    def there(entries: dict[str, int]) -> set[str]:
        return {name for name, index in entries.items() if log.private(index) is not None}

    assert end_retention(log, tenants, settings) == 0
    later(11)
    assert end_retention(log, tenants, settings) == 2
    assert there(kept) == there(refused) == {"long", "other"}
    later(31)
    assert end_retention(log, tenants, settings) == 2
    assert there(kept) == there(refused) == {"long"}
    later(101)
    assert end_retention(log, tenants, settings) == 1
    assert (there(kept), there(refused)) == (set(), {"long"})
    later(201)
    assert end_retention(log, tenants, settings) == 1
    assert there(refused) == set()
    log.close()
    assert verify_log(home).ok  # what is gone is accounted for


def test_what_is_held_stays(log: AuditLog, home: Path, later: Any) -> None:
    index = _book(log, "short", subject="short:7")
    log.custody.holds.place("short:7", basis="court order", by="ada")
    later(11)
    tenants = [Tenant(name="short", retention_days=10)]
    assert end_retention(log, tenants, Settings(home=home)) == 0
    assert log.private(index) is not None


def test_without_any_days_nothing_goes(log: AuditLog, home: Path, later: Any) -> None:
    index = _book(log, "default")
    later(10_000)
    assert end_retention(log, [Tenant(name="default")], Settings(home=home)) == 0
    assert log.private(index) is not None


def test_a_server_does_it_by_itself(home: Path, later: Any) -> None:
    with AccessStore.open(home) as store:
        store.set_tenant(Tenant(name="short", retention_days=10))
    parts = Parts(Settings(home=home))
    index = _book(parts.log, "short")
    later(11)
    with retaining(parts, every_s=0.05):
        until(lambda: parts.log.private(index) is None)
    parts.close()
