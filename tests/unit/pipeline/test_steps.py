from __future__ import annotations

import asyncio
import threading
import time

import pytest

from chopmark.errors import StageTimeout
from chopmark.pipeline.parts import Parts
from chopmark.pipeline.steps import Case, Steps
from chopmark.settings import Settings


def steps(settings: Settings) -> Steps:
    return Steps(Parts(settings))


async def test_a_cancellation_that_comes_as_the_work_ends_is_not_lost(settings: Settings) -> None:
    for _ in range(20):
        done = threading.Event()

        async def two(done: threading.Event = done) -> None:
            await steps(settings).run(Case(tenant="x"), "judge_prompt", done.wait)
            await asyncio.Event().wait()  # for ever, if the cancellation is lost

        task = asyncio.ensure_future(two())
        await asyncio.sleep(0.005)
        done.set()
        time.sleep(0.005)  # noqa: ASYNC251 - the work ends before the loop runs again
        asyncio.get_running_loop().call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_step_that_takes_too_long_is_a_coded_error(settings: Settings) -> None:
    done = threading.Event()
    short = settings.model_copy(update={"guard_timeout_s": 0.05})
    with pytest.raises(StageTimeout):
        await steps(short).run(Case(tenant="x"), "judge_prompt", done.wait)
    done.set()
