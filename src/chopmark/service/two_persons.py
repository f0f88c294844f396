"""Acts that take two persons: one asks, another one agrees within a day, and only then it is done.

What waits is kept in memory: it may name a person whose erasure is asked for, and must not outlive
it anywhere. After a restart it is asked for again.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.errors import NotPermitted, RecordNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit import Actor, Role
    from chopmark.service.caller import Caller
    from chopmark.service.identity import Identity
    from chopmark.tenancy import Scope

__all__ = ["Act", "ActRequest", "TwoPersons"]

Act = Literal["cybertip", "erase", "release_hold", "unseal"]
_SECONDS: Final = 24 * 3600.0
_MOST: Final = 1000
_ROLE: Final[dict[Act, Role]] = {
    "cybertip": "investigator",
    "erase": "eraser",
    "release_hold": "eraser",
    "unseal": "investigator",
}
_SCOPE: Final[dict[Act, Scope]] = {
    "cybertip": "seal",
    "erase": "erase",
    "release_hold": "hold",
    "unseal": "seal",
}


@dataclass(frozen=True, kw_only=True)
class ActRequest:
    """What somebody asks for, until another person agrees.

    Attributes:
        request_id: Names it; 32 hex digits.
        act: What is to be done.
        of: To whom or what: a subject, the entry of a hold, a record.
        reason: Why; booked.
        asked_by: Who asked: a person's name, or a key as ``key:ID``.
        tenant: Whose; None is of all of them.
        key_id: Of the key that asked; None for a person.
        until: Clock reading after which nobody can agree any more.
        hours: For how long a seal is opened.
        prompt: Whether what was asked for stands in a report.
    """

    request_id: str
    act: Act
    of: str
    reason: str
    asked_by: str
    tenant: str | None
    key_id: str | None
    until: float
    hours: float = 0.0
    prompt: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return what those are told who may agree."""
        members: dict[str, Any] = {
            "request_id": self.request_id,
            "act": self.act,
            "of": self.of,
            "reason": self.reason,
            "asked_by": self.asked_by,
            "tenant": self.tenant,
        }
        if self.act == "unseal":
            members["hours"] = self.hours
        if self.act == "cybertip":
            members["prompt"] = self.prompt
        return members


class TwoPersons:
    """What was asked for within the last day.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: dict[str, ActRequest] = {}

    def ask(
        self,
        caller: Caller,
        act: Act,
        of: str,
        *,
        reason: str,
        hours: float = 0.0,
        prompt: bool = False,
    ) -> ActRequest:
        """Ask for an act; the newest thousand wait."""
        request = ActRequest(
            request_id=secrets.token_hex(16),
            act=act,
            of=of,
            reason=reason,
            asked_by=caller.name,
            tenant=None if caller.every_tenant else caller.tenant.name,
            key_id=caller.key_id,
            until=self._clock() + _SECONDS,
            hours=hours,
            prompt=prompt,
        )
        with self._lock:
            self._asked[request.request_id] = request
            if len(self._asked) > _MOST:
                self._asked.pop(next(iter(self._asked)))
        return request

    def waiting(self, caller: Caller) -> list[ActRequest]:
        """Return what this person could agree to, and what they asked for, oldest first.

        Raises:
            NotPermitted: A program, or somebody who has no part in any of it.
        """
        _person(caller)
        with self._lock:
            self._drop_old()
            found = list(self._asked.values())
        return [
            request
            for request in found
            if _ROLE[request.act] in caller.roles
            and (caller.every_tenant or request.tenant == caller.tenant.name)
        ]

    def agreed(
        self, caller: Caller, request_id: str, identity: Identity
    ) -> tuple[ActRequest, Actor, Actor]:
        """Take a request that a second person agrees to; return it with both of them.

        Raises:
            NotPermitted: A program, the one who asked, or somebody without the role; or whoever
                asked may not do it any more.
            RecordNotFound: No such request, or it is another tenant's.
        """
        matching = [one for one in self.waiting(caller) if one.request_id == request_id]
        if not matching:
            raise RecordNotFound(f"no request {request_id[:32]}", hint="it waits for a day at most")
        request = matching[0]
        if request.asked_by == caller.name:
            raise NotPermitted("this takes two different persons")
        role = _ROLE[request.act]
        if not _may_still(request, role, identity):
            raise NotPermitted(f"{request.asked_by}, who asked for it, may not do it any more")
        first = _actor(request.asked_by, role, request.tenant)
        second = _actor(caller.name, role, None if caller.every_tenant else caller.tenant.name)
        with self._lock:
            if self._asked.pop(request_id, None) is None:
                raise RecordNotFound(f"no request {request_id[:32]}")
        return request, first, second

    def _drop_old(self) -> None:
        now = self._clock()
        for request in [one for one in self._asked.values() if one.until < now]:
            del self._asked[request.request_id]


def _person(caller: Caller) -> None:
    if caller.key_id is not None or not caller.roles.intersection(_ROLE.values()):
        raise NotPermitted(
            "this takes a person who is eraser or investigator", hint="sign in; a key cannot agree"
        )


def _may_still(request: ActRequest, role: Role, identity: Identity) -> bool:
    """Tell whether whoever asked could ask now."""
    if request.key_id is not None:
        return identity.key_allows(request.key_id, _SCOPE[request.act])
    person = identity.people.now(request.asked_by)
    return person is not None and role in person.roles and person.tenant == request.tenant


def _actor(name: str, role: Role, tenant: str | None) -> Actor:
    from chopmark.audit import Actor

    return Actor(name=name, roles=frozenset({role}), tenant=tenant)
