"""What the pages remember between two requests, all of it in memory, and how a route gets at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

from fastapi import Depends, Request

from chopmark.audit import Rule
from chopmark.service.review_rules import rules_of
from chopmark.service.state import state_of
from chopmark.web.held_pictures import HeldPictures
from chopmark.web.routing import Routing
from chopmark.web.shifts import Shifts
from chopmark.web.unseal_requests import UnsealRequests

if TYPE_CHECKING:
    from chopmark.settings import Settings

__all__ = ["PageState", "ThePageState"]


@dataclass(frozen=True, kw_only=True)
class PageState:
    """What the pages of one server remember.

    Attributes:
        pictures: Made in the studio a while ago.
        shifts: How long each person has worked at the console.
        unseal_requests: Seals that one investigator wants opened, and no second one yet.
        rules: Which records are sent to review.
        routing: Sends them there.
    """

    pictures: HeldPictures
    shifts: Shifts
    unseal_requests: UnsealRequests
    rules: tuple[Rule, ...]
    routing: Routing

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Return a fresh one.

        Raises:
            ConfigurationError: The rules that send records to review cannot be used.
        """
        rules = rules_of(settings)
        return cls(
            pictures=HeldPictures(),
            shifts=Shifts(),
            unseal_requests=UnsealRequests(),
            rules=rules,
            routing=Routing(rules),
        )


def the_page_state(request: Request) -> PageState:
    """Return what the pages of a request's application remember."""
    return state_of(request.app, PageState)


ThePageState = Annotated[PageState, Depends(the_page_state)]
