"""An edit that draws on several pictures: each is judged, booked and named like the first."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from chopmark import EditRequest, Pipeline, Refused
from chopmark.errors import ChopmarkError
from chopmark.pipeline.inspect import examine
from chopmark.safety import ImageGuard, draw_test_card
from tests.support.generator import Watched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark.audit import Record


@pytest.fixture
def watched(pipeline: Pipeline) -> Watched:
    watched = Watched(pipeline.parts.generator)
    pipeline.parts.use(generator=watched)
    return watched


def _records(pipeline: Pipeline, before: int) -> list[Record]:
    return [pipeline.parts.log.get(index) for index in range(before, pipeline.parts.log.size)]


def _half(picture: Image.Image, left: float) -> np.ndarray:
    """Mean colour of the middle of one half."""
    wide, high = picture.size
    box = (int(wide * left), int(high * 0.4), int(wide * (left + 0.15)), int(high * 0.6))
    mean: np.ndarray = np.asarray(picture.crop(box), dtype=np.float64).mean(axis=(0, 1))
    return mean


@pytest.mark.filterwarnings("ignore:signing with a development certificate")
def test_two_pictures_become_one_at_the_command_line(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    apple, frog, both = (tmp_path / f"{name}.png" for name in ("apple", "frog", "both"))
    for path, prompt in ((apple, "a red apple"), (frog, "a green frog")):
        code, _, err = run("generate", f"{prompt} on a white background", "--seed", 3, "-o", path)
        assert code == 0, err
    joined = [
        "edit",
        apple,
        "put the apple beside the frog",
        "--with",
        frog,
        "--seed",
        5,
        "-o",
        both,
    ]
    code, out, err = run(*joined, "--guidance", 3, "--negative", "a car", "--json")
    assert code == 0, err
    for option in ("--guidance", "--negative"):
        assert f"note: this model does not use {option}" in err
    assert "--strength" not in err
    with Image.open(both) as picture:
        left, right = _half(picture.convert("RGB"), 0.175), _half(picture.convert("RGB"), 0.675)
    assert left[0] > left[1] + 40  # the apple
    assert right[1] > right[0]  # the frog

    code, said, _ = run("verify", both)
    assert code == 0
    assert "parentOf  intact  trusted  made by AI  'Input picture'" in said
    assert "inputTo  intact  trusted  made by AI  'Reference picture 1'" in said
    made = json.loads(out)
    who = ["--as", "ada", "--role", "investigator", "--purpose", "a test"]
    code, shown, err = run("audit", "show", made["record_id"], "--private", *who, "--json")
    assert code == 0, err
    first = json.loads(shown.splitlines()[0])
    assert (first["public"]["references"], first["public"]["guidance"]) == (1, 3)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (apple, frog)]
    assert digests[0] in shown
    assert digests[1] in shown
    assert digests[1] not in json.dumps(first["public"])

    never = tmp_path / "never.png"
    card = tmp_path / "card.png"
    draw_test_card().save(card)
    code, _, err = run("edit", apple, "put the apple beside the frog", "--with", card, "-o", never)
    assert (code, never.exists()) == (3, False), err


@pytest.mark.parametrize("place", [1, 2])
async def test_the_test_card_beside_a_harmless_picture_makes_nothing_and_is_booked(
    pipeline: Pipeline, watched: Watched, make_picture: Any, to_bytes: Any, place: int
) -> None:
    before = pipeline.parts.log.size
    pictures = [to_bytes(make_picture(seed=seed)) for seed in (1, 2)]
    pictures[place - 1] = to_bytes(draw_test_card())
    with pytest.raises(Refused) as caught:
        await pipeline.edit(
            EditRequest(prompt="put both together", image=pictures[0], references=(pictures[1],))
        )
    assert caught.value.stage == "input"
    assert not watched.jobs
    records = _records(pipeline, before)
    assert [one.kind for one in records] == [
        "request.received",
        "request.decided",
        "request.refused",
    ]
    verdicts: Any = records[1].public["verdicts"]
    assert [one["stage"] for one in verdicts] == ["prompt", "input", "input"]
    assert [one["action"] == "block" for one in verdicts[1:]] == [place == 1, place == 2]


async def test_a_second_picture_on_a_hash_list_is_refused(
    pipeline: Pipeline, watched: Watched, tmp_path: Path, make_picture: Any, to_bytes: Any
) -> None:
    from chopmark.safety.hashes.perceptual import hash_picture

    listed = make_picture(320, 256, seed=5)
    digest = hash_picture(listed).sha256
    (tmp_path / "ncmec.csv").write_text(f"sha256,{digest},sexual/minors,case 1\n")
    pipeline.parts.use(image_guard=ImageGuard.load(hash_lists=tmp_path))
    with pytest.raises(Refused) as caught:
        await pipeline.edit(
            EditRequest(
                prompt="put both together",
                image=to_bytes(make_picture(seed=1)),
                references=(to_bytes(listed),),
            )
        )
    assert caught.value.verdict.categories == ("sexual/minors",)
    assert caught.value.verdict.restricted
    assert not watched.jobs


async def test_a_guard_that_fails_on_the_second_picture_fails_the_request(
    pipeline: Pipeline, watched: Watched, make_picture: Any, to_bytes: Any
) -> None:
    real, seen = pipeline.parts.image_guard, []

    class Breaks:
        def judge(self, picture: Image.Image, *args: Any, **kwargs: Any) -> Any:
            seen.append(picture)
            if len(seen) == 2:
                raise RuntimeError("boom")
            return real.judge(picture, *args, **kwargs)

    pipeline.parts.use(image_guard=Breaks())
    before = pipeline.parts.log.size
    pictures = [to_bytes(make_picture(seed=seed)) for seed in (1, 2)]
    with pytest.raises(ChopmarkError) as caught:
        await pipeline.edit(
            EditRequest(prompt="put both together", image=pictures[0], references=(pictures[1],))
        )
    assert caught.value.code == "guard_failed"
    assert not watched.jobs
    assert [one.kind for one in _records(pipeline, before)] == [
        "request.received",
        "request.failed",
    ]


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"hello", "unsupported_image"), (b"", "unreadable_image"), ("small", "image_too_small")],
)
async def test_a_second_picture_that_is_none(
    pipeline: Pipeline,
    watched: Watched,
    make_picture: Any,
    to_bytes: Any,
    data: bytes | str,
    code: str,
) -> None:
    before = pipeline.parts.log.size
    second = to_bytes(make_picture(8, 8)) if isinstance(data, str) else data
    with pytest.raises(ChopmarkError) as caught:
        await pipeline.edit(
            EditRequest(
                prompt="put both together",
                image=to_bytes(make_picture(seed=1)),
                references=(second,),
            )
        )
    assert caught.value.code == code
    if code != "image_too_small":
        assert caught.value.message.startswith("reference 1: ")
    assert not watched.jobs
    assert [one.kind for one in _records(pipeline, before)] == [
        "request.received",
        "request.failed",
    ]


async def test_a_plain_second_picture_is_named_as_unsigned(
    pipeline: Pipeline, make_picture: Any, to_bytes: Any
) -> None:
    pictures = [to_bytes(make_picture(seed=seed), fmt) for seed, fmt in ((1, "PNG"), (2, "JPEG"))]
    before = pipeline.parts.log.size
    released = await pipeline.edit(
        EditRequest(
            prompt="put both together",
            image=pictures[0],
            references=(pictures[1],),
            steps=1,
            subject="ada",
        )
    )
    report = examine(pipeline.parts, released.outputs[0].data)
    assert report.verdict == "made_here"
    assert [(one.relationship, one.manifest) for one in report.ingredients] == [
        ("parentOf", "absent"),
        ("inputTo", "absent"),
    ]
    with Image.open(io.BytesIO(released.outputs[0].data)) as picture:
        assert picture.size == (512, 512)

    # Its digest is the person's, and goes with what else they wrote.
    content = pipeline.parts.log.content(before)
    assert content is not None
    assert content.private["reference_sha256"] == [hashlib.sha256(pictures[1]).hexdigest()]
    pipeline.parts.log.custody.erase("ada", by=("eve", "max"), reason="asked to")
    assert pipeline.parts.log.content(before) is None
