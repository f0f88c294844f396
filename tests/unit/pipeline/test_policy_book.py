"""One answer to whose policy judges whom, from every source of policies, booked when it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from chopmark.audit import AuditLog
from chopmark.audit.log.events import SYSTEM_TENANT
from chopmark.errors import InvalidPolicy, LogUnavailable
from chopmark.pipeline.policy_book import PolicyBook
from chopmark.safety import load_policy


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog.open(tmp_path / "audit") as opened:
        yield opened


@pytest.fixture
def overrides(tmp_path: Path) -> Path:
    folder = tmp_path / "overrides"
    folder.mkdir()
    return folder


@pytest.fixture
def book(log: AuditLog, overrides: Path) -> Callable[..., PolicyBook]:
    def make(active: str = "default", shadow: str | None = None) -> PolicyBook:
        return PolicyBook(active, log=lambda: log, overrides=overrides, shadow=shadow)

    return make


def write_policy(path: Path, version: str) -> str:
    content = load_policy("default").model_dump(mode="json") | {"version": version}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(path)


def booked(log: AuditLog, tenant: str | None = None) -> list[object]:
    """The digests of a tenant's policies in the order in which they came into force."""
    found = log.find(kind="policy.changed", tenant=tenant or SYSTEM_TENANT)
    return [record.public["now"] for record in reversed(found)]


def test_a_tenant_without_anything_of_its_own_has_the_deployments_policy(
    book: Callable[..., PolicyBook], log: AuditLog
) -> None:
    policies = book()
    assert policies.for_tenant("shop") is policies.active()
    assert policies.active().digest() == load_policy("default").digest()
    assert booked(log) == [policies.active().digest()]
    assert booked(log, "shop") == []


def test_each_source_is_booked_for_the_tenant_that_it_judges(
    book: Callable[..., PolicyBook], log: AuditLog, overrides: Path
) -> None:
    policies = book()
    (overrides / "shop.yaml").write_text("name: shop\ncategories:\n  ip: {ceiling: allow}\n")
    merged = policies.for_tenant("shop")
    own = policies.for_tenant("press", policy="strict")
    # Two tenants with one file are two tenants.
    assert policies.for_tenant("school", policy="strict") is own
    assert len({policies.active().digest(), merged.digest(), own.digest()}) == 3
    assert booked(log, "shop") == [merged.digest()]
    assert booked(log, "press") == booked(log, "school") == [own.digest()]


def test_the_way_back_to_an_earlier_policy_is_booked_too(
    book: Callable[..., PolicyBook], log: AuditLog, overrides: Path
) -> None:
    policies = book()
    file = overrides / "shop.yaml"
    file.write_text("name: shop\ncategories:\n  ip: {ceiling: review}\n")
    merged = policies.for_tenant("shop")
    strict = policies.for_tenant("shop", policy="strict")
    assert policies.for_tenant("shop") is merged
    file.unlink()
    # Also where another process sees it first, which knows of this tenant from the log alone.
    plain = book().for_tenant("shop")
    assert plain.digest() == load_policy("default").digest()
    expected = [merged.digest(), strict.digest(), merged.digest(), plain.digest()]
    assert booked(log, "shop") == expected
    for _ in range(2):
        assert policies.for_tenant("shop").digest() == plain.digest()
    assert booked(log, "shop") == expected


@pytest.mark.parametrize("whose", ["deployment", "tenant"])
def test_a_changed_file_is_in_force_at_the_next_request(
    book: Callable[..., PolicyBook], log: AuditLog, tmp_path: Path, whose: str
) -> None:
    file = write_policy(tmp_path / "house.yaml", "1")
    policies = book(file) if whose == "deployment" else book()
    own = None if whose == "deployment" else file
    first = policies.for_tenant("shop", policy=own)
    assert policies.for_tenant("shop", policy=own) is first
    write_policy(tmp_path / "house.yaml", "2 and longer")
    second = policies.for_tenant("shop", policy=own)
    assert (first.version, second.version) == ("1", "2 and longer")
    assert booked(log, "shop" if own else None) == [first.digest(), second.digest()]


def test_an_override_is_merged_again_when_the_policy_below_it_has_changed(
    book: Callable[..., PolicyBook], overrides: Path, tmp_path: Path
) -> None:
    file = write_policy(tmp_path / "house.yaml", "1")
    (overrides / "shop.yaml").write_text("name: shop\ncategories:\n  ip: {ceiling: allow}\n")
    policies = book(file)
    first = policies.for_tenant("shop")
    assert policies.for_tenant("shop") is first
    write_policy(tmp_path / "house.yaml", "2 and longer")
    assert policies.for_tenant("shop").digest() != first.digest()


@pytest.mark.parametrize("breaking", ["gone", "broken"])
@pytest.mark.parametrize("which", ["active", "own", "override", "shadow"])
def test_a_file_that_cannot_be_used_is_never_replaced_by_what_it_said_before(
    book: Callable[..., PolicyBook], overrides: Path, tmp_path: Path, which: str, breaking: str
) -> None:
    file = tmp_path / "house.yaml"
    write_policy(file, "1")
    if which == "override":
        file = overrides / "shop.yaml"
        file.write_text("name: shop\n")
    policies = book(
        str(file) if which == "active" else "default",
        shadow=str(file) if which == "shadow" else None,
    )

    def ask() -> object:
        if which == "shadow":
            return policies.shadow()
        return policies.for_tenant("shop", policy=str(file) if which == "own" else None)

    assert ask()
    if breaking == "gone":
        file.unlink()
        if which == "override":  # then it is none, not a broken one
            assert ask() is policies.active()
            return
    else:
        file.write_text("name: [\n")
    for _ in range(2):
        with pytest.raises(InvalidPolicy):
            ask()


def test_nothing_is_judged_by_a_policy_that_could_not_be_booked(
    tmp_path: Path, book: Callable[..., PolicyBook], log: AuditLog
) -> None:
    policies = book()
    log.close()
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            policies.active()
        with pytest.raises(LogUnavailable):
            policies.for_tenant("shop", policy="strict")


@pytest.mark.parametrize("tenant", ["../other", "a/b", ".hidden", "", "x" * 300, "nul\0"])
def test_a_name_of_a_tenant_leads_to_no_other_file(
    book: Callable[..., PolicyBook], overrides: Path, tenant: str
) -> None:
    (overrides.parent / "other.yaml").write_text("not: a policy\n")
    (overrides / ".hidden.yaml").write_text("not: a policy\n")
    policies = book()
    if len(tenant) > 200 or "\0" in tenant:  # no file can have that name
        with pytest.raises(InvalidPolicy, match="cannot be read"):
            policies.for_tenant(tenant)
    else:
        assert policies.for_tenant(tenant) is policies.active()


def test_the_shadow_policy_is_not_booked_as_one_in_force(
    book: Callable[..., PolicyBook], log: AuditLog
) -> None:
    policies = book(shadow="strict")
    shadow = policies.shadow()
    assert shadow is not None
    assert shadow.digest() == load_policy("strict").digest()
    assert book().shadow() is None
    assert booked(log) == []
