"""What stands between the routes and the pipeline: who asks, and whether somebody still waits."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends, Request

from chopmark.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from chopmark.pipeline import Pipeline
    from chopmark.types import JsonValue

__all__ = ["Caller", "Service", "Serving", "attended"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks.

    Attributes:
        tenant: Whose log namespace applies.
        address: Where the connection comes from.
    """

    tenant: str = "default"
    address: str | None = None

    def subject(self, identifier: str | None) -> str | None:
        """Return the log's name for a person of this tenant.

        The log keeps one key per subject, whichever the tenant: two tenants may both have a user
        ``42``, and erasing one must not erase the other.
        """
        return None if identifier is None else f"{self.tenant}:{identifier}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The parts that every route needs."""

    pipeline: Pipeline


def the_service(request: Request) -> Any:
    """Return what the application was made over."""
    return request.app.state.service


Serving = Annotated[Any, Depends(the_service)]


async def attended(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` while the client is there; cancel it when the client goes away.

    The pipeline books a cancelled request as failed, and the generator stops within one step.

    Raises:
        Cancelled: Nobody is there to take the answer.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Cancelled("the client went away")
        return task.result()
    finally:
        watch.cancel()
        task.cancel()
        with contextlib.suppress(BaseException):
            await task


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def one_line(value: JsonValue) -> str:
    """Return a value as it may stand in a header: one line of printable ASCII."""
    return "".join(c for c in str(value) if " " <= c <= "~")
