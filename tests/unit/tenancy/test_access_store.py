from __future__ import annotations

import hmac
import shutil
import sqlite3
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from chopmark.audit import AuditLog, Event
from chopmark.errors import (
    AccessKeyNotFound,
    ConfigurationError,
    InvalidKey,
    InvalidRequest,
    QuotaExhausted,
    TenantNotFound,
)
from chopmark.kit.ids import new_record_id
from chopmark.settings import Settings
from chopmark.tenancy import AccessStore, Tenant
from tests.unit.tenancy.conftest import ONLY_POSTGRES, ONLY_SQLITE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path, database: str) -> Iterator[AccessStore]:
    with AccessStore.open(tmp_path, database=database) as store:
        yield store


@ONLY_SQLITE
def test_a_key_is_known_again_and_nothing_of_it_is_kept(store: AccessStore, tmp_path: Path) -> None:
    assert not store.has_keys()
    made = store.create_key("default", label="laptop")
    assert store.has_keys()
    key, tenant = store.authenticate(made.text)
    assert (key, tenant.name) == (made.key, "default")
    assert key.scopes == {"fetch:manifests", "generate", "moderate", "read", "verify"}
    secret = made.text.split("_", 2)[2].encode()
    for path in (tmp_path / "tenancy").iterdir():
        assert secret not in path.read_bytes(), path.name
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name
    assert made.text not in repr(made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-123",
        "cm_",
        "cm_0123456789ab_" + "A" * 43,
        "cm_0123456789ab_" + "é" * 43,
        "\x00" * 60,
    ],
)
def test_what_is_no_key_is_one_error(store: AccessStore, text: str) -> None:
    store.create_key("default")
    with pytest.raises(InvalidKey):
        store.authenticate(text)


def test_one_changed_character_is_another_key(store: AccessStore) -> None:
    text = store.create_key("default").text
    for place in (3, 20, len(text) - 2):
        changed = text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :]
        with pytest.raises(InvalidKey, match=r"not known|form"):
            store.authenticate(changed)


def test_the_comparison_is_the_constant_time_one(
    store: AccessStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def counted(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        same: bool = real(left, right)
        return same

    monkeypatch.setattr(hmac, "compare_digest", counted)
    store.authenticate(store.create_key("default").text)
    with pytest.raises(InvalidKey):
        store.authenticate("cm_0123456789ab_" + "A" * 43)
    # An unknown id costs one comparison too, of digests of equal length.
    assert len(compared) == 2
    assert {len(side) for pair in compared for side in pair} == {32}


def test_a_revoked_key_is_no_key_and_the_server_stays_closed(store: AccessStore) -> None:
    made = store.create_key("default")
    first = store.revoke(made.key.key_id)
    assert first.revoked_at is not None
    assert store.revoke(made.key.key_id) == first
    with pytest.raises(InvalidKey, match="revoked"):
        store.authenticate(made.text)
    assert store.has_keys()
    with pytest.raises(AccessKeyNotFound):
        store.revoke("000000000000")


def test_an_expired_key(store: AccessStore) -> None:
    made = store.create_key("default", days=1)
    store.authenticate(made.text)
    with store._database.write() as transaction:
        transaction.execute("UPDATE api_key SET expires_at = '2020-01-01T00:00:00Z'")
    with pytest.raises(InvalidKey, match="expired"):
        store.authenticate(made.text)


def test_another_process_sees_a_new_key_and_its_end(
    store: AccessStore, tmp_path: Path, database: str
) -> None:
    with AccessStore.open(tmp_path, database=database) as other:
        made = other.create_key("default")
        assert store.authenticate(made.text)[0] == made.key
        other.revoke(made.key.key_id)
    with pytest.raises(InvalidKey):
        store.authenticate(made.text)


def test_a_tenant_keeps_what_is_not_given_again(store: AccessStore) -> None:
    store.set_tenant(Tenant(name="acme", policy="strict", images_per_day=3))
    changed = store.set_tenant(Tenant(name="acme", requests_per_minute=5))
    assert changed == Tenant(name="acme", policy="strict", images_per_day=3, requests_per_minute=5)
    assert [tenant.name for tenant in store.tenants()] == ["acme", "default"]
    with pytest.raises(TenantNotFound):
        store.create_key("nobody")


@pytest.mark.parametrize("name", ["", "Acme", "a b", "a:b", "../x", "-a", "a" * 64, "a\nb", "é"])
def test_a_tenant_has_a_plain_name(name: str) -> None:
    with pytest.raises(InvalidRequest):
        Tenant(name=name)


@pytest.mark.parametrize(
    "arguments", [{"scopes": ()}, {"scopes": ("root",)}, {"label": "a\nb"}, {"days": 0}]
)
def test_a_key_that_cannot_be_made(store: AccessStore, arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        store.create_key("default", **arguments)  # type: ignore[arg-type]
    assert not store.has_keys()


def test_the_quota_is_of_the_day_and_survives(
    store: AccessStore, tmp_path: Path, database: str
) -> None:
    acme = store.set_tenant(Tenant(name="acme", images_per_day=5))
    today = datetime.now(UTC).date().isoformat()
    assert store.reserve_images(acme, 4) == today
    with pytest.raises(QuotaExhausted) as caught:
        store.reserve_images(acme, 2)
    assert 0 < caught.value.retry_after_s <= 86_400
    assert store.images_on("acme", today) == 4
    store.return_images("acme", today, 3)
    with AccessStore.open(tmp_path, database=database) as other:
        other.reserve_images(acme, 4)
    assert store.images_on("acme", today) == 5
    store.reserve_images(store.tenant("default"), 1000)  # no quota of its own: no limit


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "tenancy").mkdir()
    (tmp_path / "tenancy" / "access.db").write_bytes(b"not a database at all, not one bit" * 40)
    with pytest.raises(ConfigurationError):
        AccessStore.open(tmp_path)


def test_a_file_of_the_first_version_still_opens(tmp_path: Path) -> None:
    (tmp_path / "tenancy").mkdir()
    with sqlite3.connect(tmp_path / "tenancy" / "access.db") as old:
        old.execute(
            "CREATE TABLE tenant (name TEXT PRIMARY KEY, policy TEXT, requests_per_minute INTEGER,"
            " images_per_day INTEGER, blocks INTEGER, block_minutes INTEGER,"
            " cool_down_minutes INTEGER) STRICT"
        )
        old.execute("INSERT INTO tenant (name, policy) VALUES ('acme', 'strict')")
    old.close()
    for _ in range(2):
        with AccessStore.open(tmp_path) as store:
            assert store.tenant("acme") == Tenant(name="acme", policy="strict")
            assert store.set_tenant(Tenant(name="acme", abuse="none")).abuse == "none"
            store.set_tenant(Tenant(name="acme"))
        with sqlite3.connect(tmp_path / "tenancy" / "access.db") as changed:
            changed.execute("UPDATE tenant SET abuse = NULL")
        changed.close()


@ONLY_POSTGRES
def test_log_and_keys_have_parts_of_the_database_of_their_own(
    store: AccessStore, tmp_path: Path, database: str
) -> None:
    settings = Settings(home=tmp_path, database=database)
    assert (settings.log_address, settings.log_keys_address) == (
        f"{database}#log",
        f"{database}#keys",
    )
    record_id = new_record_id()
    event = Event(
        kind="request.received",
        record_id=record_id,
        tenant="default",
        public={"model": "embedded"},
        private={"prompt": "a red apple"},
        subject="default:ada",
    )
    for home in (tmp_path / "one", tmp_path / "two"):
        with AuditLog.open(
            home, database=settings.log_address, keys_database=settings.log_keys_address
        ) as log:
            if home.name == "one":
                log.append(event)
            assert [each.record_id for each in log.records(record_id)] == [record_id]
        if home.name == "one":
            # The log's key and the vault's are the installation's, not the server's.
            shutil.copytree(home / "audit", tmp_path / "two" / "audit")
    assert [tenant.name for tenant in store.tenants()] == ["default"]
