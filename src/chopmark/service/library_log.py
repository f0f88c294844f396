"""What the rooms write to ``logging`` under ``chopmark.*``, as JSON lines of the server's log.

A line names the request that it is for, holds the whole chain of causes, and quotes nobody: see
:mod:`chopmark.kit.redaction`.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from chopmark.kit.redaction import chain_of, conceal, concealing, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Scope

    from chopmark.service.logging import ServerLogger

__all__ = ["for_request", "library_lines"]

_ROOT: Final = logging.getLogger("chopmark")
_SECRET_HEADERS: Final = frozenset(
    {
        b"authorization", b"cookie", b"proxy-authorization", b"x-api-key", b"x-csrf-token",
        b"x-goog-api-key",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Request:
    """What a line is for: the request's id, and the log of the server that has it."""

    request_id: str
    logger: ServerLogger


_REQUEST: ContextVar[_Request | None] = ContextVar("chopmark.request", default=None)


@contextmanager
def for_request(scope: Scope, request_id: str, logger: ServerLogger) -> Iterator[None]:
    """Send the lines of a request to ``logger``, with its id and without what it brought.

    The pipeline conceals prompts itself; here it is what came in headers and address.
    """
    token = _REQUEST.set(_Request(request_id, logger))
    try:
        with concealing():
            for name, value in scope["headers"]:
                if name in _SECRET_HEADERS:
                    text = value.decode("latin-1")
                    conceal(text, text.partition(" ")[2])
            query = parse_qsl(scope.get("query_string", b"").decode("latin-1"))
            conceal(*(value for _, value in query))
            if scope.get("client"):
                conceal(scope["client"][0])
            yield
    finally:
        _REQUEST.reset(token)


class _Lines(logging.Handler):
    """Hands records on: those of a request to its server's log, others to that of every server."""

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[ServerLogger] = []
        self.found = logging.NOTSET  # the level before the first server began

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. What goes wrong in it must break nothing, and not be shown raw."""
        request = _REQUEST.get()
        line: dict[str, object] = {"logger": record.name}
        if request is not None:
            line["request_id"] = request.request_id
        record_id = getattr(record, "record_id", None)
        if record_id is not None:
            line["record_id"] = str(record_id)
        try:
            line["message"] = redact(record.getMessage())
            if record.exc_info is not None and record.exc_info[1] is not None:
                line["cause"] = chain_of(record.exc_info[1])
        except Exception as error:  # noqa: BLE001  a line that cannot be made is no reason to fail
            line["message"] = f"(a message that cannot be shown: {type(error).__name__})"
        for logger in [request.logger] if request is not None else list(self.servers):
            if record.levelno >= logging.ERROR:
                logger.error("log", **line)
            elif record.levelno >= logging.WARNING:
                logger.warning("log", **line)
            elif record.levelno >= logging.INFO:
                logger.info("log", **line)
            else:
                logger.debug("log", **line)


_LINES: Final = _Lines()
_LOCK: Final = threading.Lock()


@contextmanager
def library_lines(logger: ServerLogger) -> Iterator[None]:
    """Take the lines of the rooms into a server's log, as long as the server runs.

    From ``INFO`` on, unless whoever started the program chose another level (``chopmark --debug``).
    """
    with _LOCK:
        if not _LINES.servers:
            _LINES.found = _ROOT.level
            _ROOT.addHandler(_LINES)
            if _ROOT.level == logging.NOTSET:
                _ROOT.setLevel(logging.INFO)
        _LINES.servers.append(logger)
    try:
        yield
    finally:
        with _LOCK:
            _LINES.servers.remove(logger)
            if not _LINES.servers:
                _ROOT.removeHandler(_LINES)
                _ROOT.setLevel(_LINES.found)
