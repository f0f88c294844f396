"""Another Chopmark as the remote generator, and the whole pipeline over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chopmark import EditRequest, GenerationRequest, Refused
from chopmark.errors import GenerationFailed
from chopmark.generation import GenerationJob, RemoteGenerator, RemoteOptions
from chopmark.pipeline.inspect import examine

BLOCKED = "explicit photo of a naked woman having sex"


def connect(live: Any, **options: Any) -> RemoteGenerator:
    given = {"size": (384, 384), **options}
    return RemoteGenerator.connect(f"remote:{live.url}/v1", options=RemoteOptions(**given))


def job(**changes: Any) -> GenerationJob:
    values = {"prompt": "a red apple", "seed": 7, "width": 384, "height": 384}
    return GenerationJob(**{**values, **changes})


def test_the_peer_tells_its_model_and_makes_what_is_asked(live: Any) -> None:
    remote = connect(live)
    assert (remote.info.version, remote.info.digest) == ("1", "0" * 64)
    pictures = remote.generate(job(n=2, steps=3, negative_prompt="a car"))
    assert [picture.size for picture in pictures] == [(384, 384)] * 2
    asked = sorted(live.generator.jobs[-2:], key=lambda one: one.seed)
    assert [one.seed for one in asked] == [7, 8]
    assert {(one.steps, one.negative_prompt) for one in asked} == {(3, "a car")}


def test_edits_and_masks_arrive_as_they_were_meant(live: Any, make_picture: Any) -> None:
    picture = make_picture(384, 384)
    mask = Image.new("L", (384, 384), 0)
    mask.paste(255, (0, 0, 192, 384))
    made = connect(live).generate(job(images=(picture,), mask=mask, strength=0.5))[0]
    asked = live.generator.jobs[-1]
    assert asked.strength == 0.5
    # White here was transparent on the way, and is white there.
    assert asked.mask.convert("L").getpixel((10, 10)) > 200
    assert asked.mask.convert("L").getpixel((380, 10)) < 50
    assert made.getpixel((300, 300)) == picture.getpixel((300, 300))


def test_several_pictures_arrive_in_their_order(live: Any, make_picture: Any) -> None:
    pictures = (make_picture(96, 64), make_picture(64, 96))
    connect(live).generate(job(images=pictures))
    assert [one.size for one in live.generator.jobs[-1].images] == [(96, 64), (64, 96)]
    # How many it takes is the peer's word, said before it makes anything.
    made = len(live.generator.jobs)
    with pytest.raises(GenerationFailed, match="too_many_images"):
        connect(live).generate(job(images=pictures * 2))
    assert len(live.generator.jobs) == made


def test_what_the_peer_refuses_is_an_error_without_its_words(live: Any) -> None:
    with pytest.raises(GenerationFailed, match="moderation_blocked") as caught:
        connect(live).generate(job(prompt=BLOCKED))
    assert "naked" not in caught.value.explain()


async def test_previews_of_a_peer_are_judged_and_booked_here_too(
    live: Any, open_pipeline: Any, tmp_path: Path, to_bytes: Any, make_picture: Any
) -> None:
    pipeline = open_pipeline(home=tmp_path / "ours", generator=connect(live))
    shown: list[Any] = []
    wish = GenerationRequest(prompt="a red apple", seed=5, n=2, steps=4, previews=2)
    released = await pipeline.generate(wish, preview=shown.append)
    assert sorted((one.index, one.step, one.steps) for one in shown) == [
        (1, 1, 4), (1, 2, 4), (2, 1, 4), (2, 2, 4),
    ]  # fmt: skip
    booked = [one.kind for one in pipeline.parts.log.records(released.record_id)]
    assert booked.count("request.previewed") == 4
    edit = EditRequest(prompt="a boat", image=to_bytes(make_picture(384, 384)), previews=1)
    before = len(shown)
    await pipeline.edit(edit, preview=shown.append)
    assert len(shown) == before + 1


async def test_the_pipeline_judges_marks_signs_and_books_what_a_peer_made(
    live: Any, open_pipeline: Any, tmp_path: Path, to_bytes: Any, make_picture: Any
) -> None:
    pipeline = open_pipeline(home=tmp_path / "ours", generator=connect(live))
    released = await pipeline.generate(GenerationRequest(prompt="a red apple", seed=5))
    assert released.model.startswith("remote:127.0.0.1")
    assert examine(pipeline.parts, released.outputs[0].data).verdict == "made_here"
    edit = EditRequest(prompt="a boat", image=to_bytes(make_picture(384, 384)), seed=5)
    edited = await pipeline.edit(edit)
    assert edited.outputs[0].width == 384
    # Our own guards stand before the peer's.
    before = len(live.generator.jobs)
    with pytest.raises(Refused):
        await pipeline.generate(GenerationRequest(prompt=BLOCKED))
    assert len(live.generator.jobs) == before
