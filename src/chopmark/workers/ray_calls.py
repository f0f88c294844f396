"""Calls of Ray's replicas: whoever waits may leave, and whoever was asked may die.

What a replica is asked is computed from what it is given and changes nothing, so that a replica
that died with its machine is replaced by asking another. What it raises comes back as a value:
Ray's own wrapping would lose the code of an error.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ray import exceptions as ray_errors
from ray.serve import exceptions as serve_errors

from chopmark.errors import Busy, Cancelled, ChopmarkError, StageTimeout, WorkerLost
from chopmark.kit.cancellation import current_token
from chopmark.workers.pool import WorkFailed
from chopmark.workers.values import decode_error, encode_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["answered", "ask", "busy", "doing", "failed", "gone", "packed", "unpacked"]

_LOG = logging.getLogger(__name__)
#: Replicas that are asked for one piece of work, where those before it died.
_MOST_TRIES: Final = 4
_RETRY_AFTER_S: Final = 2.0
_POLL_S: Final = 0.2

#: What says that nobody knows what became of a call: its replica, or its machine, is gone.
gone: Final[tuple[type[Exception], ...]] = (
    ray_errors.RayActorError,
    ray_errors.ObjectLostError,
    ray_errors.NodeDiedError,
    ray_errors.RaySystemError,
    serve_errors.ReplicaUnavailableError,
)


def ask(
    handle: Any,
    method: str,
    *given: object,
    what: str,
    limit_s: float,
    cancelled: Callable[[], bool] | None = None,
) -> Any:
    """Call a method of some replica and return what it answers; the calling thread waits.

    Args:
        handle: Ray's handle of a deployment.
        method: Of its class, which answers as :func:`answered` reads it.
        given: What it is given; numpy arrays travel in shared memory.
        what: What it does, in words, for errors.
        limit_s: Seconds that it may take in all, with waiting and with every try.
        cancelled: Asked now and then whether nobody waits any more.

    Raises:
        Busy: Too many wait already.
        StageTimeout: It took longer.
        WorkerLost: Every replica that was asked has ended.
        Cancelled: Nobody waits for it any more.
        ChopmarkError: What the work itself raised.
    """
    until = time.monotonic() + limit_s
    for left in reversed(range(_MOST_TRIES)):
        try:
            return answered(_call(handle, method, given, until=until, cancelled=cancelled))
        except (TimeoutError, ray_errors.GetTimeoutError):
            raise StageTimeout(
                f"{what} took longer than {limit_s:g} s",
                hint="it was stopped, and nothing left the system",
            ) from None
        except serve_errors.BackPressureError:
            raise busy(what) from None
        except (serve_errors.RequestCancelledError, ray_errors.TaskCancelledError):
            raise Cancelled("nobody waits for this work any more") from None
        except gone as error:
            if not left or time.monotonic() > until:
                raise _lost(what) from error
            _LOG.warning("the replica that did %s is gone; another is asked", what)
        except serve_errors.RayServeException as error:
            raise _lost(what) from error
    raise AssertionError  # the loop returns or raises


def _lost(what: str) -> WorkerLost:
    return WorkerLost(
        f"no replica of the cluster did {what}",
        hint="nothing left the system; is a node gone? try again",
    )


def busy(what: str) -> Busy:
    """Return the error of work that found no place to wait."""
    return Busy(
        f"too many wait for {what} already",
        hint="try again in a moment",
        retry_after_s=_RETRY_AFTER_S,
    )


def _call(
    handle: Any,
    method: str,
    given: Sequence[object],
    *,
    until: float,
    cancelled: Callable[[], bool] | None,
) -> Any:
    token = current_token()
    response = getattr(handle, method).remote(*given)
    stop = contextlib.nullcontext() if token is None else token.calling(response.cancel)
    with stop:
        while True:
            left = max(0.0, until - time.monotonic())
            try:
                return response.result(timeout_s=left if cancelled is None else min(left, _POLL_S))
            except (TimeoutError, ray_errors.GetTimeoutError):
                gone_away = cancelled is not None and cancelled()
                if not gone_away and time.monotonic() < until:
                    continue
                response.cancel()
                if gone_away:
                    raise Cancelled("nobody waits for this work any more") from None
                raise


def answered(answer: tuple[str, Any]) -> Any:
    """Return what a replica said, or raise what it failed with."""
    state, value = answer
    if state == "ok":
        return value
    if state == "failed":
        raise WorkFailed(value)
    raise decode_error(value)


def failed(error: BaseException) -> tuple[str, Any]:
    """Return what a replica says of an error."""
    if isinstance(error, ChopmarkError):
        return "error", encode_error(error)
    return "failed", str(error) if isinstance(error, WorkFailed) else type(error).__name__


def doing(work: Callable[[], Any]) -> tuple[str, Any]:
    """Return what a replica says of some work."""
    try:
        return "ok", work()
    except Exception as error:  # noqa: BLE001  it is told to whoever asked
        if not isinstance(error, ChopmarkError | WorkFailed):
            _LOG.exception("a piece of work failed")
        return failed(error)


def packed(buffers: Sequence[bytes | memoryview]) -> tuple[Any, ...]:
    """Return buffers as arrays, which Ray hands on in shared memory and without a copy."""
    return tuple(np.frombuffer(one, np.uint8) for one in buffers)


def unpacked(arrays: Sequence[Any]) -> tuple[bytes, ...]:
    """Return the bytes of arrays that :func:`packed` made."""
    return tuple(one.tobytes() for one in arrays)
