"""Redis or Valkey through redis-py: opened, tried and timed, with errors of ours."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any, Final

from chopmark.errors import ConfigurationError

__all__ = ["connect", "driver", "lost"]

_SCHEMES: Final = ("redis://", "rediss://", "unix://")
_ANSWERS_WITHIN_S: Final = 1.0
_MOST_SKEW_S: Final = 5.0
_TRIED: Final = "chopmark:tried"


def driver() -> Any:
    """Return the package redis.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        return import_module("redis")
    except ImportError:
        raise ConfigurationError(
            "CHOPMARK_SHARED_STATE needs redis-py", hint="pip install 'chopmark[redis]'"
        ) from None


def lost() -> tuple[type[Exception], ...]:
    """Return what is raised when the server does not answer, or refuses."""
    return (driver().RedisError, OSError)


def connect(url: str) -> Any:
    """Return a client of a server that answers, takes writes, and has the right time.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``; each answer is waited for one second, which
            ``?socket_timeout=`` changes.

    Raises:
        ConfigurationError: The address is none, nobody answers there, the server refuses to
            write, or its clock and this machine's are more than five seconds apart.
    """
    redis = driver()
    errors: tuple[type[Exception], ...] = (*lost(), ValueError)
    if not url.startswith(_SCHEMES):
        raise ConfigurationError(
            "CHOPMARK_SHARED_STATE is not the address of a Redis server",
            hint="redis://host:6379/0, or nothing for the database",
        )
    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=_ANSWERS_WITHIN_S,
            socket_connect_timeout=_ANSWERS_WITHIN_S,
            # A count that came through and was not answered must not be counted twice.
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        )
        client.set(_TRIED, b"1", px=1000)
        before = time.time()
        seconds, micros = client.time()
        after = time.time()
    except errors as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigurationError(
            f"CHOPMARK_SHARED_STATE: {text}",
            hint="is the server there, the password right, and is it no read-only replica?",
        ) from None
    theirs = seconds + micros / 1e6
    if not before - _MOST_SKEW_S <= theirs <= after + _MOST_SKEW_S:
        client.close()
        raise ConfigurationError(
            f"this machine's clock is {theirs - after:+.0f} s from that of CHOPMARK_SHARED_STATE",
            hint="set both by NTP: limits are shared by time",
        )
    return client
