"""A real `chopmark serve` that is told to stop (SIGTERM) while it works."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from chopmark.audit import AuditLog, verify_log
from tests.support.wait import HANG_S, until


@contextmanager
def _serving(home: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of its own process and its address; killed, read to the end and closed after it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "chopmark", "serve", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CHOPMARK_HOME": str(home), "OMP_NUM_THREADS": "1", **settings},
    )
    assert process.stderr is not None
    found = None
    with process.stderr as lines:
        for line in lines:
            found = re.search(r"running on (http://\S+)", line)
            if found:
                break
        # Somebody must go on reading, or the server stops when the pipe is full.
        reader = threading.Thread(target=lines.read, daemon=True)
        reader.start()
        try:
            assert found, f"the server ended with {process.wait()}"
            yield process, found[1]
        finally:
            process.kill()
            process.wait()
            reader.join()


class _Asking(threading.Thread):
    """One request, in a thread of its own."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.url, self.body = url, body
        self.status: int | None = None
        self.said: Any = None
        self.start()

    def run(self) -> None:
        try:
            answer = httpx.post(
                f"{self.url}/v1/images/generations", json=self.body, timeout=120, trust_env=False
            )
            self.status, self.said = answer.status_code, answer.json()
        except (httpx.HTTPError, json.JSONDecodeError):
            self.status = 0


@pytest.mark.parametrize("finishes", [True, False])
def test_what_runs_is_finished_or_booked(home: Path, finishes: bool) -> None:
    with _serving(home, CHOPMARK_SHUTDOWN_S="60" if finishes else "1") as (process, url):
        size = {"n": 1} if finishes else {"n": 10, "steps": 100}
        asking = _Asking(url, {"prompt": "a red apple", **size})
        until(lambda: not asking.is_alive() or _running(url))
        assert asking.is_alive()
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) in {0, -signal.SIGTERM}
    asking.join(HANG_S)
    with AuditLog.open(home) as log:
        # Nothing is open: the server closed what it could not finish before it went.
        assert log.reconcile(older_than_s=0) == []
        failed = [record.public["code"] for record in log.find(kind="request.failed")]
        completed = log.find(kind="request.completed")
    if finishes:
        assert (asking.status, failed, len(completed)) == (200, [], 1)
    else:
        assert asking.status in {0, 499, 500, 503}
        assert (failed, completed) == (["cancelled"], [])
    assert verify_log(home).ok


def _running(url: str) -> bool:
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    found = re.search(r'chopmark_running\{line="making"\} ([0-9.]+)', text)
    return found is not None and float(found[1]) > 0
