"""A Redis server of our own, reached through a socket file; nothing of it is kept."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from chopmark.errors import ConfigurationError

__all__ = ["TemporaryRedis"]


class TemporaryRedis:
    """Starts ``redis-server`` or ``valkey-server``.

    Args:
        options: Of the server, besides ours.
    """

    def __init__(self, *options: str) -> None:
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="chopmark-redis-", dir="/tmp"))
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"unix://{self._folder}/socket"

    def __enter__(self) -> Self:
        """Start it.

        Raises:
            ConfigurationError: It is not installed, or redis-py is not.
        """
        self.start()
        return self

    def start(self) -> None:
        """Start it, and wait until it takes connections; it begins with nothing."""
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise ConfigurationError("Redis is not installed", hint="apt-get install redis-server")
        if find_spec("redis") is None:
            raise ConfigurationError("redis-py is not installed", hint="the redis extra")
        options = ["--port", "0", "--unixsocket", f"{self._folder}/socket", "--save", ""]
        self._process = subprocess.Popen(
            [program, *options, "--dir", str(self._folder), *self._options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if "ready to accept connections" in line.lower():
                return
        raise ConfigurationError(f"Redis does not start: {''.join(said)[-300:]}")

    def kill(self) -> None:
        """End it as a crash does. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def __exit__(self, *_: object) -> None:
        """Kill it and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
