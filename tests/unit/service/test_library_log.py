"""The rooms' lines in a server's log: of which request, how much, and quoting nobody."""

from __future__ import annotations

import io
import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.kit.redaction import conceal
from chopmark.pipeline.steps import in_thread
from chopmark.service import library_log
from chopmark.service.library_log import for_request, library_lines
from chopmark.service.logging import make_logger

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG = logging.getLogger("chopmark.generation.test")
SCOPE: dict[str, Any] = {
    "type": "http",
    "headers": [(b"authorization", b"Bearer opensesame"), (b"accept", b"application/json")],
    "query_string": b"key=quick-brown-fox",
    "client": ("203.0.113.9", 4711),
}


class Server:
    def __init__(self) -> None:
        self.text = io.StringIO()
        self.logger = make_logger(self.text)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.getvalue().splitlines()]


async def test_a_requests_line_has_its_id_wherever_it_is_written() -> None:
    one, other = Server(), Server()
    with (
        library_lines(one.logger),
        library_lines(other.logger),
        for_request(SCOPE, "req_1", one.logger),
    ):
        conceal("a red apple")
        await in_thread(
            lambda: LOG.warning(
                "no %s for %s at %s with %s",
                "apple", "opensesame", "203.0.113.9", "quick-brown-fox",
                extra={"record_id": "0123456789abcde0"},
            )
        )  # fmt: skip
    (line,) = one.lines
    assert other.lines == []
    assert line.pop("timestamp")
    assert line == {
        "event": "log",
        "level": "warning",
        "logger": LOG.name,
        "message": "no [redacted] for [redacted] at [redacted] with [redacted]",
        "record_id": "0123456789abcde0",
        "request_id": "req_1",
    }


def test_a_line_of_no_request_is_every_servers() -> None:
    servers = Server(), Server()
    with library_lines(servers[0].logger), library_lines(servers[1].logger):
        thread = threading.Thread(target=lambda: LOG.error("retention stopped"))
        thread.start()
        thread.join()
    for server in servers:
        (line,) = server.lines
        assert (line["level"], line["message"]) == ("error", "retention stopped")
        assert "request_id" not in line


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """Our own logger at no level, as no server runs; set, not patched: loggers remember it."""
    # A server of another test may still run in this process.
    monkeypatch.setattr(library_log, "_LINES", library_log._Lines())
    root = logging.getLogger("chopmark")
    level = root.level
    root.setLevel(logging.NOTSET)
    yield root
    root.setLevel(level)


def test_lines_are_taken_from_info_on_unless_more_were_asked_for(root: logging.Logger) -> None:
    server = Server()
    before = list(root.handlers)
    with library_lines(server.logger):
        LOG.debug("detail")
        LOG.info("news")
    assert (root.level, root.handlers) == (logging.NOTSET, before)
    root.setLevel(logging.DEBUG)
    with library_lines(server.logger):
        LOG.debug("detail")
    assert root.level == logging.DEBUG
    assert [line["message"] for line in server.lines] == ["news", "detail"]
    LOG.warning("after the server ended")
    assert len(server.lines) == 2


def test_a_line_that_cannot_be_made_breaks_nothing_and_shows_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest's own handlers fail a test over such a line.
    monkeypatch.setattr(logging.getLogger("chopmark"), "propagate", False)

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("the secret apple")

    server = Server()
    with library_lines(server.logger):
        LOG.error("value %s", Broken())
        LOG.error("value %d", "the secret apple")
    assert [line["message"] for line in server.lines] == [
        "(a message that cannot be shown: RuntimeError)",
        "(a message that cannot be shown: TypeError)",
    ]
    assert capsys.readouterr().err == ""


def test_a_cause_has_places_but_no_lines_of_its_own() -> None:
    server = Server()
    with library_lines(server.logger):
        try:
            raise OSError('disk full\n{"event": "forged"}')
        except OSError:
            LOG.exception("could not write")
    (line,) = server.lines  # one record is one line, whatever it quotes
    (link,) = line["cause"]
    assert link["type"] == "builtins.OSError"
    assert link["message"].startswith("disk full\n")
    assert link["frames"][-1].startswith("test_library_log.py:")
