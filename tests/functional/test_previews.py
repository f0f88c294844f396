"""Previews: judged like outputs, small and labelled, and a blocked one ends the request."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chopmark import EditRequest, GenerationRequest, Pipeline, Refused
from chopmark.audit import Event, Record
from chopmark.errors import ChopmarkError, InvalidRequest, LogUnavailable
from chopmark.generation import Draft
from chopmark.pipeline.preview import Preview, make_preview
from chopmark.safety import Verdict
from tests.support.generator import StandIn

_ALLOW = Verdict(action="allow", scores={})


class Guard:
    """The real guard, told what to do with the small pictures that previews are made of."""

    def __init__(self, real: Any, act: Any) -> None:
        self.real, self.act, self.seen = real, act, 0

    def judge(self, picture: Image.Image, policy: Any, **options: Any) -> Any:
        if max(picture.size) <= 256:
            self.seen += 1
            self.act(self.seen)
        return self.real.judge(picture, policy, **options)


def _ask(**changes: Any) -> GenerationRequest:
    return GenerationRequest(**{"prompt": "a red apple", "seed": 7, "previews": 3, **changes})


def _draft(colour: str) -> Draft:
    return Draft(index=1, step=1, steps=4, picture=Image.new("RGB", (256, 256), colour))


def _last(pipeline: Pipeline) -> Any:
    log = pipeline.parts.log
    return log.get(log.size - 1)


async def test_previews_come_in_order_before_the_picture(pipeline: Pipeline) -> None:
    seen: list[Preview] = []
    released = await pipeline.generate(_ask(n=2), preview=seen.append)
    # Both pictures are made in one call, so their previews come in turns.
    assert [(p.index, p.step) for p in seen] == [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3), (2, 3)]
    assert {p.steps for p in seen} == {4}
    assert [output.batch for output in released.outputs] == [2, 2]
    outputs: Any = _last(pipeline).public["outputs"]
    assert [booked["batch"] for booked in outputs] == [2, 2]
    assert _last(pipeline).public["previews"] == 6
    for preview in seen:
        with Image.open(io.BytesIO(preview.data)) as picture:
            assert picture.format == "PNG"
            assert picture.size == (preview.width, preview.height) == (96, 96)
            foot = np.asarray(picture.convert("L"))[-16:]
        # The label: near-black ground with near-white letters, whatever lies under it.
        assert foot.min() < 60
        assert foot.max() > 240
        assert preview.verdict.action != "block"
        assert preview.to_dict()["step"] == preview.step


async def test_each_preview_is_booked_before_it_is_shown(pipeline: Pipeline) -> None:
    log = pipeline.parts.log
    booked: list[tuple[str, object, object]] = []

    def look(preview: Preview) -> None:
        last = log.get(log.size - 1)
        booked.append((last.kind, last.public["index"], last.public["step"]))

    await pipeline.generate(_ask(), preview=look)
    assert booked == [("request.previewed", 1, step) for step in (1, 2, 3)]


async def test_what_cannot_be_booked_is_not_shown(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pipeline.parts.request_log.append

    def full(event: Event) -> Record:
        if event.kind == "request.previewed":
            raise LogUnavailable("the disk is full")
        return real(event)

    monkeypatch.setattr(pipeline.parts.request_log, "append", full)
    seen: list[Preview] = []
    with pytest.raises(LogUnavailable):
        await pipeline.generate(_ask(), preview=seen.append)
    assert not seen
    assert (_last(pipeline).kind, _last(pipeline).public["previews"]) == ("request.failed", 0)


async def test_whoever_hangs_up_has_what_is_booked_and_no_more(
    open_pipeline: Callable[..., Pipeline],
) -> None:
    pipeline, seen = open_pipeline(generator=StandIn()), list[Preview]()
    loop, task = asyncio.get_running_loop(), list[asyncio.Task[object]]()

    def take(preview: Preview) -> None:
        seen.append(preview)
        loop.call_soon_threadsafe(task[0].cancel)

    task.append(asyncio.create_task(pipeline.generate(_ask(n=3), preview=take)))
    with pytest.raises(asyncio.CancelledError):
        await task[0]
    after = len(seen)
    log = pipeline.parts.log
    records = log.records(log.get(log.size - 1).record_id)
    assert [one.kind for one in records].count("request.previewed") == len(seen) >= 1
    assert records[-1].kind == "request.failed"
    assert records[-1].public["previews"] == after


async def test_no_part_of_a_preview_is_free_of_its_overlay(pipeline: Pipeline) -> None:
    """Cut its foot off and it still says what it is; and it has too few pixels to be of use."""
    with Image.open(io.BytesIO(make_preview(_draft("white"), _ALLOW).data)) as light:
        white = np.asarray(light.convert("L")).astype(int)
    with Image.open(io.BytesIO(make_preview(_draft("black"), _ALLOW).data)) as dark:
        black = np.asarray(dark.convert("L")).astype(int)
    for top in range(0, 96 - 16, 8):
        for left in range(0, 96 - 16, 8):
            part = np.s_[top : top + 16, left : left + 16]
            assert white[part].min() < 200
            assert black[part].max() > 55


async def test_nobody_is_shown_what_nobody_asked_for(pipeline: Pipeline) -> None:
    seen: list[Preview] = []
    await pipeline.generate(_ask(previews=0), preview=seen.append)
    await pipeline.generate(_ask())
    assert not seen
    assert _last(pipeline).public["previews"] == 0


async def test_an_edit_has_previews_of_the_steps_it_takes(
    pipeline: Pipeline, make_picture: Any, to_bytes: Any
) -> None:
    seen: list[Preview] = []
    request = EditRequest(
        prompt="a cat", image=to_bytes(make_picture()), seed=1, previews=1, strength=0.5
    )
    await pipeline.edit(request, preview=seen.append)
    assert [(p.step, p.steps) for p in seen] == [(2, 4)]


async def test_a_blocked_preview_ends_the_request_as_refused(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chopmark.safety.testcard import draw_test_card

    real = pipeline.parts.image_guard
    card = draw_test_card()
    judged: list[str] = []

    class Blocks:
        def judge(self, picture: Image.Image, policy: Any, **options: Any) -> Any:
            # The real guard blocks the real test card; only which picture it sees is arranged.
            shown = card if judged else picture
            verdict = real.judge(shown, policy, **options)
            judged.append(verdict.action)
            return verdict

    pipeline.parts.use(image_guard=Blocks())
    seen: list[Preview] = []
    with pytest.raises(Refused) as caught:
        await pipeline.generate(_ask(), preview=seen.append)
    assert caught.value.stage == "output"
    assert [p.step for p in seen] == [1]
    assert judged == ["allow", "block"]
    end = _last(pipeline)
    assert (end.kind, end.public["previews"]) == ("request.refused", 1)


async def test_a_guard_that_breaks_on_a_preview_lets_nothing_out(pipeline: Pipeline) -> None:
    def broken(count: int) -> None:
        if count == 1:
            raise RuntimeError("boom")

    guard = Guard(pipeline.parts.image_guard, broken)
    pipeline.parts.use(image_guard=guard)
    seen: list[Preview] = []
    with pytest.raises(ChopmarkError) as caught:
        await pipeline.generate(_ask(), preview=seen.append)
    assert caught.value.code == "guard_failed"
    assert not seen
    assert guard.seen == 1
    assert _last(pipeline).kind == "request.failed"


async def test_a_long_picture_has_a_preview_whose_label_fits(pipeline: Pipeline) -> None:
    seen: list[Preview] = []
    await pipeline.generate(_ask(previews=1, size=(512, 96)), preview=seen.append)
    assert [(p.width, p.height) for p in seen] == [(96, 64)]


async def test_prompts_are_remembered_only_where_somebody_opted_in(
    open_pipeline: Callable[..., Pipeline], home: Path
) -> None:
    without = open_pipeline()
    await without.generate(_ask(previews=0))
    assert not (home / "prompts").exists()
    without.close()
    pipeline = open_pipeline(prompt_index=True)
    released = await pipeline.generate(_ask(previews=0, subject="one:ann"))
    index = pipeline.parts.prompt_index
    assert index is not None
    assert pipeline.parts.answer_cache.later.drain(120)
    assert index.records() == [released.record_id]
    assert index.erase(subject="one:ann") == 1


async def test_too_many_previews_are_refused_by_name(pipeline: Pipeline) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await pipeline.generate(_ask(previews=11))
    assert caught.value.param == "previews"
