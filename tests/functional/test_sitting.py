"""Sittings: pictures that follow what is typed, as previews alone, in one record."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from chopmark import GenerationRequest, Pipeline, Refused
from chopmark.errors import Cancelled, LogUnavailable
from chopmark.pipeline.preview import Preview
from chopmark.pipeline.sitting import Sitting
from chopmark.safety import Verdict
from chopmark.safety.testcard import draw_test_card
from tests.support.generator import StandIn
from tests.support.wait import until

BLOCKED = "explicit photo of a naked woman having sex"


def ask(prompt: str = "a red disc", **changes: Any) -> GenerationRequest:
    return GenerationRequest(**{"prompt": prompt, "seed": 7, "subject": "ann", **changes})


async def draw(sitting: Sitting, wish: GenerationRequest) -> list[Preview]:
    seen: list[Preview] = []
    await sitting.wish(wish, seen.append, announced=sitting.announce())
    return seen


@pytest.fixture
def drawing(open_pipeline: Callable[..., Pipeline]) -> tuple[Pipeline, StandIn]:
    generator = StandIn()
    return open_pipeline(generator=generator), generator


async def test_a_sitting_is_one_record_with_every_wish_and_the_digest_of_every_look(
    drawing: tuple[Pipeline, StandIn],
) -> None:
    pipeline, generator = drawing
    sitting = await pipeline.sit(ask())
    first = await draw(sitting, ask())
    with pytest.raises(Refused):
        await draw(sitting, ask(BLOCKED))
    # The words were refused, and the sitting goes on.
    second = await draw(sitting, ask("a blue disc"))
    await sitting.end()
    await sitting.end()

    assert [(one.index, one.step, one.steps) for one in (*first, *second)] == [
        (1, 1, 4), (1, 2, 4), (1, 3, 4), (3, 1, 4), (3, 2, 4), (3, 3, 4),
    ]  # fmt: skip
    assert max(max(one.width, one.height) for one in (*first, *second)) <= 96
    log = pipeline.parts.log
    records = log.records(sitting.record_id)
    looks = ["request.previewed"] * 3
    assert [one.kind for one in records] == [
        "request.received", "request.decided", *looks, "request.decided", "request.decided",
        *looks, "request.completed",
    ]  # fmt: skip
    contents: Any = [log.content(one.index) for one in records]
    words = [one.private["prompt"] for one in contents if "prompt" in (one.private or {})]
    assert words == ["a red disc", BLOCKED, "a blue disc"]
    booked = [one.private["sha256"] for one in contents if "sha256" in (one.private or {})]
    assert booked == [hashlib.sha256(one.data).hexdigest() for one in (*first, *second)]
    assert all("red" not in str(one.public) for one in records)
    end: Any = records[-1].public
    assert (end["outputs"], end["wishes"], end["refused"], end["previews"]) == ([], 3, 1, 6)
    with pytest.raises(Cancelled):
        await draw(sitting, ask())
    # The picture that is kept has the seed and size of the looks; its job differs in nothing else.
    await pipeline.generate(ask("a blue disc"))
    look, kept = generator.jobs[-2:]
    assert (look.prompt, look.seeds, look.width, look.height, look.steps) == (
        kept.prompt, kept.seeds, kept.width, kept.height, kept.steps,
    )  # fmt: skip


async def test_a_newer_wish_ends_the_older_one_at_the_next_step(
    drawing: tuple[Pipeline, StandIn],
) -> None:
    pipeline, generator = drawing
    generator.pause_after = 1
    sitting = await pipeline.sit(ask())
    seen: list[Preview] = []
    older = asyncio.ensure_future(sitting.wish(ask(), seen.append, announced=sitting.announce()))
    await asyncio.to_thread(until, lambda: bool(seen))
    # Of two that wait, the one that was announced last is drawn.
    waiting = sitting.announce()
    generator.pause_after = None
    newest = asyncio.ensure_future(draw(sitting, ask("a blue disc")))
    with pytest.raises(Cancelled):
        await older
    with pytest.raises(Cancelled):
        await sitting.wish(ask("a green disc"), seen.append, announced=waiting)
    generator.gate.set()
    assert len(await newest) == 3
    assert (len(seen), generator.cancelled) == (1, 1)
    assert [job.prompt for job in generator.jobs] == ["a red disc", "a blue disc"]
    await sitting.end()


async def test_an_unsafe_look_is_not_shown_and_one_that_cannot_be_booked_neither(
    drawing: tuple[Pipeline, StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, generator = drawing
    generator.drafted = draw_test_card().convert("RGB")
    sitting = await pipeline.sit(ask())
    with pytest.raises(Refused) as caught:
        await draw(sitting, ask())
    assert caught.value.stage == "output"
    kinds = [one.kind for one in pipeline.parts.log.records(sitting.record_id)]
    assert kinds == ["request.received", "request.decided", "request.decided"]
    generator.drafted = None
    log, append = pipeline.parts.request_log, pipeline.parts.request_log.append

    def full(event: Any) -> Any:
        if event.kind == "request.previewed":
            raise LogUnavailable("the disk is full")
        return append(event)

    monkeypatch.setattr(log, "append", full)
    seen: list[Preview] = []
    with pytest.raises(LogUnavailable):
        await sitting.wish(ask(), seen.append, announced=sitting.announce())
    assert seen == []
    await sitting.end()
    end: Any = pipeline.parts.log.records(sitting.record_id)[-1].public
    assert (end["wishes"], end["refused"], end["previews"]) == (2, 1, 0)


async def test_what_has_to_be_sealed_ends_the_sitting(
    drawing: tuple[Pipeline, StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, generator = drawing
    sealed = Verdict(action="block", scores={"sexual/minors": 1.0}, categories=("sexual/minors",))
    monkeypatch.setattr(pipeline.parts.prompt_guard, "judge", lambda *_, **__: sealed)
    sitting = await pipeline.sit(ask())
    with pytest.raises(Refused):
        await draw(sitting, ask())
    assert (sitting.over, generator.jobs) == (True, [])
    end = pipeline.parts.log.records(sitting.record_id)[-1]
    assert (end.kind, end.public["restricted"]) == ("request.refused", True)


async def test_a_model_of_one_step_is_shown_small(open_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = open_pipeline(generator=StandIn(default_steps=1))
    sitting = await pipeline.sit(ask())
    assert [(one.step, one.steps) for one in await draw(sitting, ask())] == [(1, 1)]
    await sitting.end()
