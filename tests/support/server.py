"""The live server of all tests: our own application behind uvicorn, on loopback, in a thread."""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn

from chopmark.api import create_app
from chopmark.service.connection import server_options
from chopmark.service.deployment import Deployment
from chopmark.service.logging import make_logger
from chopmark.service.state import state_of
from tests.support.generator import StandIn
from tests.support.wait import HANG_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark import Pipeline
    from chopmark.service.service import Service

__all__ = ["Live", "serve"]


@dataclass(kw_only=True)
class Live:
    """A running server.

    Attributes:
        url: Where it listens, without a slash at the end.
        pipeline: What it serves.
        app: The application.
        server: Its ``should_exit`` stops it.
        log: What it logged, as JSON lines.
    """

    url: str
    pipeline: Pipeline
    app: Any
    server: uvicorn.Server
    log: io.StringIO

    @property
    def generator(self) -> StandIn:
        """The stand-in that it was started with."""
        generator = self.pipeline.parts.generator
        assert isinstance(generator, StandIn)
        return generator

    @property
    def service(self) -> Service:
        """What the faces share: who is running, who waits."""
        return state_of(self.app, Deployment).service

    def client(self, **options: Any) -> httpx.Client:
        """Return a client of this server; nothing in the environment leads it elsewhere."""
        return httpx.Client(base_url=self.url, trust_env=False, timeout=HANG_S, **options)


@contextmanager
def serve(
    pipeline: Pipeline,
    make: Callable[..., Any] = create_app,
    *,
    shutdown_s: int | None = None,
) -> Iterator[Live]:
    """Run a server for the time of a ``with`` block.

    Args:
        pipeline: Stays open afterwards.
        make: ``create_app``, or ``create_site`` for the pages with it.
        shutdown_s: How long requests may go on once it was told to stop; unset: until they end.

    Raises:
        RuntimeError: The application did not start.
    """
    log = io.StringIO()
    app = make(pipeline, logger=make_logger(log))
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_level="critical",
        server_header=False,
        timeout_graceful_shutdown=shutdown_s,
        **server_options(pipeline.settings),
    )
    server = _Announced(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    server.decided.wait()
    if not server.started:
        raise RuntimeError("the server did not start")
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Live(
            url=f"http://127.0.0.1:{port}", pipeline=pipeline, app=app, server=server, log=log
        )
    finally:
        server.should_exit = True
        thread.join(HANG_S)
        assert not thread.is_alive(), "the server does not stop"


class _Announced(uvicorn.Server):
    """Says through ``decided`` that it has started, or that it will not."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.decided = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.decided.set()

    def run(self, sockets: Any = None) -> None:
        try:
            super().run(sockets)
        finally:
            self.decided.set()
