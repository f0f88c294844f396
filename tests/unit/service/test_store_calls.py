from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest
from starlette.responses import PlainTextResponse

from chopmark.errors import DatabaseUnavailable, LogUnavailable
from chopmark.service.access import Access, Callers
from chopmark.service.identity import Identity
from chopmark.service.store_calls import StoreCalls
from chopmark.settings import Settings
from chopmark.tenancy import AccessStore, People
from chopmark.tenancy.shared_state import MemoryState
from tests.support.disk_faults import TemporaryPostgres

if TYPE_CHECKING:
    from collections.abc import Iterator


async def test_what_hangs_is_asked_by_a_few_threads_and_by_no_more() -> None:
    calls, go, begun = StoreCalls(at_once=2, longest_s=0.05), threading.Event(), []

    def hang() -> None:
        begun.append(1)
        go.wait(30)

    answers = await asyncio.gather(*(calls.ask(hang) for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in answers] == [DatabaseUnavailable] * 5
    assert len(begun) == 2
    with pytest.raises(DatabaseUnavailable):
        await calls.ask(lambda: None)  # their places are still taken
    go.set()
    calls._longest_s = 30
    assert await calls.ask(lambda: "answer") == "answer"


async def test_what_a_question_raises_is_raised() -> None:
    calls = StoreCalls()
    with pytest.raises(KeyError):
        await calls.ask(lambda: dict[str, str]()["a"])


@pytest.fixture
def postgres() -> Iterator[str]:
    try:
        with TemporaryPostgres() as url:
            yield url
    except LogUnavailable as error:
        pytest.skip(error.message)


async def test_a_database_that_stalls_holds_up_nobody_who_does_not_need_it(
    postgres: str, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, database=postgres, requests_per_minute=0)
    with (
        AccessStore.open(tmp_path, database=postgres) as store,
        People.open(tmp_path, database=postgres) as people,
    ):
        key = store.create_key("default", scopes=["read"]).text
        callers = Callers(
            identity=Identity(settings, store, people), settings=settings, state=MemoryState()
        )
        app = Access(PlainTextResponse("done"), callers=callers)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:

            async def ask() -> httpx.Response:
                return await client.get("/v1/models", headers={"authorization": f"Bearer {key}"})

            assert (await ask()).text == "done"
            with closing(psycopg.connect(postgres)) as other:
                other.execute("LOCK TABLE public_access.api_key IN ACCESS EXCLUSIVE MODE")
                waiting = asyncio.ensure_future(ask())
                await asyncio.sleep(0)
                assert (await client.get("/healthz")).text == "done"
                assert not waiting.done()
                callers.stores._longest_s = 0.05
                late = await ask()
                assert late.status_code == 503
                assert late.json()["error"]["code"] == "database_unavailable"
            assert (await waiting).text == "done"
