"""How one step of the pipeline runs: in a thread, within its time, and failing closed.

Every step of :mod:`chopmark.pipeline` goes through ``Steps.run`` (any work) or ``Steps.book`` (an
event that must be durable); both end in a result or in one ``ChopmarkError``, in nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeVar, cast

from chopmark import errors
from chopmark.kit import ids
from chopmark.kit.cancellation import CancelToken, current_running, token_in, work_of
from chopmark.kit.daemon_threads import DaemonThreads
from chopmark.kit.disk_full import named_by_disk
from chopmark.kit.tracing import span
from chopmark.settings import RECALL_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit import EventKind, Record
    from chopmark.kit.types import JsonValue, Progress
    from chopmark.pipeline.parts import Parts

__all__ = ["Case", "Stage", "Steps", "in_thread"]

_LOG = logging.getLogger(__name__)
_THREADS: Final = DaemonThreads("chopmark-stage")
T = TypeVar("T")
Stage = Literal[
    "received", "judge_prompt", "judge_input", "decided", "recall", "generate", "judge_output",
    "mark", "sign", "completed",
]  # fmt: skip

# What an exception that is none of ours becomes, by the stage it came from.
_STAGE_ERROR: dict[Stage, type[errors.ChopmarkError]] = {
    "received": errors.LogUnavailable,
    "judge_prompt": errors.GuardFailed,
    "judge_input": errors.GuardFailed,
    "decided": errors.LogUnavailable,
    "recall": errors.GenerationFailed,
    "generate": errors.GenerationFailed,
    "judge_output": errors.GuardFailed,
    "mark": errors.MarkError,
    "sign": errors.SigningFailed,
    "completed": errors.LogUnavailable,
}


@dataclass(kw_only=True)
class Case:
    """One request on its way: who asked, and what is known of it so far.

    Attributes:
        tenant: Whose policy and log namespace apply.
        subject: Opaque reference to the person, or ``None``.
        record_id: 16 hex digits, the last one 0.
        progress: Told about each stage.
        gone: Set when nobody waits for the result any more.
        timings_ms: Milliseconds a stage.
        stage: The stage that runs, or ran last.
    """

    tenant: str
    subject: str | None = None
    record_id: str = field(default_factory=ids.new_record_id)
    progress: Progress | None = None
    gone: threading.Event = field(default_factory=threading.Event)
    timings_ms: dict[str, float] = field(default_factory=dict)
    stage: Stage = "received"

    def tell(self, done: int, total: int, what: str) -> None:
        """Tell whoever watches."""
        if self.progress is not None:
            self.progress(done, total, what)


class Steps:
    """Runs and books; knows nothing of the order of the steps.

    Attributes:
        parts: What the work is done with.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def run(self, case: Case, stage: Stage, work: Callable[[], T]) -> T:
        """Run one step's work in a thread, within its time, and turn any failure into one error."""
        case.stage = stage
        case.tell(0, 0, stage.replace("_", " "))
        started = time.perf_counter()
        seconds = self._seconds(stage)
        try:
            with (
                span(f"chopmark.{stage}", stage=stage, record_id=case.record_id),
                work_of(case.tenant),
            ):
                # Not `wait_for`: before Python 3.12 it loses a cancellation as the work ends.
                async with asyncio.timeout(seconds):
                    return await in_thread(work)
        except errors.ChopmarkError as failed:
            error = named_by_disk(failed)
            # What the caller did is no news for the operator; what broke here is.
            level = logging.ERROR if error.status >= 500 else logging.DEBUG
            _LOG.log(
                level, "%s ended with %s: %s", stage, error.code, error.message,
                exc_info=error, extra={"record_id": case.record_id},
            )  # fmt: skip
            if error is failed:
                raise
            raise error from failed
        except TimeoutError:
            _LOG.error(
                "%s took longer than %g s", stage, seconds, extra={"record_id": case.record_id}
            )
            raise errors.StageTimeout(
                f"{stage.replace('_', ' ')} took longer than {seconds:g} s",
                hint="nothing left the system; try again or raise the stage's time-out",
            ) from None
        except Exception as error:
            _LOG.exception("%s failed", stage, extra={"record_id": case.record_id})
            raise _STAGE_ERROR[stage](
                f"{stage.replace('_', ' ')} failed: {type(error).__name__}",
                hint="nothing left the system",
            ) from error
        finally:
            spent = (time.perf_counter() - started) * 1000
            case.timings_ms[stage] = case.timings_ms.get(stage, 0.0) + spent

    def _seconds(self, stage: Stage) -> float:
        settings = self.parts.settings
        match stage:
            case "judge_prompt" | "judge_input" | "judge_output":
                return settings.guard_timeout_s
            case "recall":
                return RECALL_S
            case "generate":
                return settings.generate_timeout_s
            case "mark" | "sign":
                return settings.seal_timeout_s
            case "received" | "decided" | "completed":
                return settings.log_timeout_s

    async def book(
        self,
        case: Case,
        stage: Stage,
        kind: EventKind,
        public: dict[str, JsonValue],
        private: dict[str, JsonValue] | None = None,
        *,
        name: str = "",
    ) -> Record:
        """Make one event durable; returns only after the commit.

        Events of one kind in one record each need a ``name``.
        """
        from chopmark.audit import Event

        event = Event(
            kind=kind,
            record_id=case.record_id,
            event_id=f"{case.record_id}:{kind}:{name}" if name else "",
            tenant=case.tenant,
            subject=case.subject,
            public=public,
            private=private or {},
        )
        return await self.run(case, stage, lambda: self.parts.request_log.append(event))


async def in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a daemon thread.

    Not ``asyncio.to_thread``: its pool is joined when the program ends
    (:mod:`chopmark.kit.daemon_threads`). The thread sees the caller's context variables, as there:
    a log line of its knows the request that it is for.

    Whoever gives up on it says so to the work (:mod:`chopmark.kit.cancellation`), which stops where
    it can: a worker process is killed. Whatever place was held for the work stays held until the
    thread has ended.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()
    token, running = CancelToken(), current_running()
    context.run(token_in, token)

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast("T", result))

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = context.run(work)
        except BaseException as caught:  # noqa: BLE001  it is handed to the caller, not swallowed
            error = caught
        finally:
            if running is not None:
                running.ended()
        # The loop is closed when the caller gave up and left; nobody waits for the result then.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    if running is not None:
        running.begun()
    _THREADS.run(run)
    try:
        return await future
    except asyncio.CancelledError:
        token.cancel()
        raise
