from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST

from chopmark.errors import (
    ConfigurationError,
    CsrfMismatch,
    DatabaseUnavailable,
    InvalidRequest,
    NotSignedIn,
    PersonNotFound,
    RateLimited,
    SignInFailed,
)
from chopmark.tenancy import People, Person, passwords
from tests.unit.tenancy.conftest import ONLY_POSTGRES, ONLY_SQLITE, Clock

PASSWORD = "four short plain words"


@pytest.fixture(autouse=True)
def cheap_hashes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash a hundred wrong passwords without 64 MiB for each; one test has the real cost."""
    if request.function is not test_no_secret_is_in_the_file_or_in_a_repr:
        cheap = PasswordHasher.from_parameters(CHEAPEST)
        nobodys = cheap.hash("somebody who is not there")
        monkeypatch.setattr(passwords, "_hasher", lambda: cheap)
        monkeypatch.setattr(passwords, "_nobodys", lambda: nobodys)


@pytest.fixture
def people(tmp_path: Path, clock: Clock, database: str) -> Iterator[People]:
    with People.open(
        tmp_path, idle_s=600, longest_s=3600, clock=clock, database=database
    ) as opened:
        opened.add("ada", roles=["reviewer", "reader"], tenant="acme")
        yield opened


def test_a_link_signs_in_once(people: People) -> None:
    token = people.link("ada")
    begun = people.redeem(token)
    assert people.session(begun.token).person == Person(
        name="ada", tenant="acme", roles=frozenset({"reader", "reviewer"})
    )
    with pytest.raises(SignInFailed):
        people.redeem(token)


def test_a_link_ends_by_time_and_by_the_next_one(people: People, clock: Clock) -> None:
    first = people.link("ada", lasts_s=60)
    second = people.link("ada", lasts_s=60)
    with pytest.raises(SignInFailed):
        people.redeem(first)
    clock.now += 61
    with pytest.raises(SignInFailed):
        people.redeem(second)


def test_a_password_signs_in_and_nothing_else_does(people: People) -> None:
    people.set_password("ada", PASSWORD)
    assert people.session(people.sign_in("ada", PASSWORD).token).person.name == "ada"
    for name, password in (
        ("ada", PASSWORD + "x"),
        ("ada", ""),
        ("nobody", PASSWORD),
        ("ada' OR 1=1 --", PASSWORD),
    ):
        with pytest.raises(SignInFailed):
            people.sign_in(name, password)


def test_who_has_no_password_cannot_sign_in_with_one(people: People) -> None:
    for password in ("", "somebody who is not there"):
        with pytest.raises(SignInFailed):
            people.sign_in("ada", password)


def _guess(people: People, times: int, error: Any, **where: Any) -> None:
    for _ in range(times):
        with pytest.raises(error):
            people.sign_in("ada", "wrong", **where)


def test_guessing_is_slowed_down_and_the_right_password_stays_right(
    people: People, clock: Clock
) -> None:
    people.set_password("ada", PASSWORD)
    _guess(people, 10, SignInFailed, address="a")
    _guess(people, 3, RateLimited, address="a")
    _guess(people, 1, SignInFailed, address="b")
    people.sign_in("ada", PASSWORD, address="a")
    people.sign_in("ada", PASSWORD, address="c")
    _guess(people, 10, SignInFailed, address="a")
    clock.now += 901
    _guess(people, 1, SignInFailed, address="a")


def test_a_hundred_wrong_ones_close_a_name_but_to_who_signed_in_before(
    people: People, clock: Clock
) -> None:
    people.add("bob", roles=["reader"], tenant=None, password=PASSWORD)
    people.set_password("ada", PASSWORD)
    known = people.sign_in("ada", PASSWORD, address="home").device
    other = people.sign_in("bob", PASSWORD, address="home").device
    for number in range(10):
        _guess(people, 10, SignInFailed, address=f"bot {number}")
    for device in (None, "", "x" * 43, other):
        with pytest.raises(RateLimited):
            people.sign_in("ada", PASSWORD, address="home", device=device)
    people.sign_in("ada", PASSWORD, address="home", device=known)
    people.redeem(people.link("ada"))
    people.sign_in("bob", PASSWORD)
    clock.now += 24 * 3600 + 1
    people.sign_in("ada", PASSWORD)


def test_a_known_browser_has_guesses_of_its_own(people: People, clock: Clock) -> None:
    people.set_password("ada", PASSWORD)
    known = people.sign_in("ada", PASSWORD).device
    _guess(people, 10, SignInFailed, device=known)
    with pytest.raises(RateLimited):  # whoever has the cookie does not guess for ever
        people.sign_in("ada", PASSWORD, device=known)
    people.sign_in("ada", PASSWORD)
    clock.now += 901
    people.sign_in("ada", PASSWORD, device=known)
    people.set_password("ada", PASSWORD + "!")
    _guess(people, 11, (SignInFailed, RateLimited), device=known)
    people.sign_in("ada", PASSWORD + "!", device=known)  # it counts as any other now


def test_a_session_ends_when_idle_and_in_any_case(people: People, clock: Clock) -> None:
    idle = people.redeem(people.link("ada")).token
    clock.now += 601
    with pytest.raises(NotSignedIn):
        people.session(idle)
    busy = people.redeem(people.link("ada")).token
    for _ in range(7):
        clock.now += 500
        people.session(busy)
    clock.now += 500
    with pytest.raises(NotSignedIn):
        people.session(busy)


def test_signing_out_ends_one_session_or_all(people: People) -> None:
    tokens = [people.redeem(people.link("ada")).token for _ in range(3)]
    people.end(tokens[0])
    with pytest.raises(NotSignedIn):
        people.session(tokens[0])
    people.session(tokens[1])
    assert people.end_all("ada") == 2
    with pytest.raises(NotSignedIn):
        people.session(tokens[1])


def test_a_changed_role_counts_at_once(people: People) -> None:
    token = people.redeem(people.link("ada")).token
    people.add("ada", roles=["auditor"], tenant=None)
    assert people.session(token).person == Person(
        name="ada", tenant=None, roles=frozenset({"auditor"})
    )


def test_who_is_disabled_is_out_at_once_and_can_come_back(people: People) -> None:
    people.set_password("ada", PASSWORD)
    token, link = people.sign_in("ada", PASSWORD).token, people.link("ada")
    people.disable("ada")
    with pytest.raises(NotSignedIn):
        people.session(token)
    with pytest.raises(SignInFailed):
        people.redeem(link)
    with pytest.raises(SignInFailed):
        people.sign_in("ada", PASSWORD)
    with pytest.raises(PersonNotFound):
        people.link("ada")
    assert people.everybody() == []
    assert people.any()  # the server stays closed
    people.add("ada", roles=["reader"], tenant="acme")
    people.redeem(people.link("ada"))


def test_a_new_password_ends_the_sessions(people: People) -> None:
    token = people.redeem(people.link("ada")).token
    people.set_password("ada", PASSWORD)
    with pytest.raises(NotSignedIn):
        people.session(token)


def test_who_is_vouched_for_keeps_their_roles(people: People) -> None:
    person = Person(name="oidc:eve", tenant="acme", roles=frozenset({"reader"}))
    begun = people.begin(person, vouched=True)
    assert people.session(begun.token).person == person
    assert people.end_all("oidc:eve") == 1


def test_a_csrf_token_belongs_to_one_session(people: People) -> None:
    one = people.redeem(people.link("ada"))
    other = people.redeem(people.link("ada"))
    session = people.session(one.token)
    session.check_csrf(one.session.csrf)
    for wrong in (None, "", other.session.csrf, one.token, "ä" * 43):
        with pytest.raises(CsrfMismatch):
            session.check_csrf(wrong)


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 44, "ä" * 43, "' OR 1=1", "a\0" * 20])
def test_no_other_text_is_a_session_or_a_link(people: People, token: str) -> None:
    with pytest.raises(NotSignedIn):
        people.session(token)
    with pytest.raises(SignInFailed):
        people.redeem(token)


@pytest.mark.parametrize(
    ("name", "roles", "password"),
    [
        ("", ["reader"], None),
        ("Ada", ["reader"], None),
        ("a b", ["reader"], None),
        ("oidc:ada", ["reader"], None),
        ("a" * 101, ["reader"], None),
        ("ada\n", ["reader"], None),
        ("ada", [], None),
        ("ada", ["root"], None),
        ("ada", ["reader"], "fourteen chars"),
        ("ada", ["reader"], "x" * 1025),
    ],
)
def test_odd_people_are_refused(
    people: People, name: str, roles: list[str], password: str | None
) -> None:
    with pytest.raises(InvalidRequest):
        people.add(name, roles=roles, tenant=None, password=password)


@ONLY_SQLITE
def test_no_secret_is_in_the_file_or_in_a_repr(people: People, tmp_path: Path) -> None:
    people.set_password("ada", PASSWORD)
    link, begun = people.link("ada"), people.sign_in("ada", PASSWORD)
    assert begun.token not in repr(begun)
    people.close()
    path = tmp_path / "tenancy" / "people.db"
    assert path.stat().st_mode & 0o777 == 0o600
    kept = b"".join(each.read_bytes() for each in path.parent.iterdir())
    for secret in (PASSWORD, link, begun.token):
        assert secret.encode() not in kept
    with closing(sqlite3.connect(path)) as database:
        (password,) = database.execute("SELECT password FROM person").fetchone()
    assert password.startswith("$argon2id$v=19$m=65536,")


def test_somebody_counts_as_they_are_now(people: People, clock: Clock) -> None:
    then, seen = people.add("bob", roles=["exporter"], tenant="acme"), clock.now
    assert people.as_now(then, seen=seen) == then
    people.add("bob", roles=["reader"], tenant=None)
    assert people.as_now(then, seen=seen).roles == {"reader"}
    assert people.as_now(then, seen=seen).tenant == "acme"
    people.add("bob", roles=["exporter"], tenant="globex")
    with pytest.raises(PersonNotFound):
        people.as_now(then, seen=seen)
    people.disable("bob")
    with pytest.raises(PersonNotFound):
        people.as_now(then, seen=seen)


def test_somebody_vouched_for_is_as_their_newest_session_says(people: People, clock: Clock) -> None:
    then, seen = Person(name="oidc:eve", tenant="acme", roles=frozenset({"exporter"})), clock.now
    assert people.as_now(then, seen=seen) == then
    clock.now += 10
    less = Person(name="oidc:eve", tenant="acme", roles=frozenset({"reader"}))
    people.begin(less, vouched=True)
    assert people.as_now(then, seen=seen) == less
    clock.now += 3600  # as long as a session lasts here
    with pytest.raises(PersonNotFound):
        people.as_now(then, seen=seen)


@ONLY_POSTGRES
def test_a_name_that_no_database_can_hold_is_nobodys(people: People) -> None:
    with pytest.raises(InvalidRequest, match=r"U\+0000"):
        people.sign_in("ada\0", PASSWORD)


def test_an_address_of_no_database_that_we_know(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="CHOPMARK_DATABASE"):
        People.open(tmp_path, database="mysql://root@127.0.0.1/x")


def test_a_database_that_does_not_answer_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        People.open(tmp_path, database=f"postgresql:///x?host={tmp_path}")
    assert caught.value.status == 503


@ONLY_POSTGRES
def test_a_clock_that_is_off_is_told_at_the_start(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr("chopmark.kit.stores.time.time", lambda: now - 3600)
    with pytest.raises(ConfigurationError, match=r"clock is \+3[56]\d\d s from the database's"):
        People.open(tmp_path, database=database)
