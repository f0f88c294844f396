from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from chopmark.errors import Cancelled, ModelLoadError, TooManyImages
from chopmark.generation import GenerationJob, Generator, load_generator
from chopmark.generation.embedded import embedded_digest, materialize

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def embedded(state: Path) -> Generator:
    return load_generator(home=state)


def job(prompt: str = "a red apple", **changes: object) -> GenerationJob:
    values: dict[str, object] = {"prompt": prompt, "seed": 5, "width": 256, "height": 256}
    return GenerationJob(**{**values, **changes})  # type: ignore[arg-type]


def mean_colour(picture: Image.Image, box: tuple[int, int, int, int]) -> np.ndarray:
    mean: np.ndarray = np.asarray(picture.crop(box), dtype=np.float64).mean(axis=(0, 1))
    return mean


def test_it_is_unpacked_once_and_whole(state: Path, embedded: Generator) -> None:
    folder = state / "models" / f"embedded-{embedded_digest()[:12]}"
    assert [entry.name for entry in (state / "models").iterdir()] == [folder.name]
    before = folder.stat().st_mtime_ns
    calls: list[tuple[int, int]] = []
    assert materialize(state, progress=lambda *news: calls.append(news)) == folder
    assert folder.stat().st_mtime_ns == before
    assert calls == []
    assert embedded.info.digest == embedded_digest()


def test_unpacking_tells_its_progress(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    materialize(tmp_path, progress=lambda *news: calls.append(news))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_home_that_cannot_be_written_is_a_coded_error(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(ModelLoadError) as caught:
        materialize(tmp_path)
    assert "CHOPMARK_HOME" in caught.value.hint


def test_its_card(embedded: Generator) -> None:
    info = embedded.info
    assert info.id == "embedded"
    assert info.licence == "Apache-2.0"
    assert info.default_size == (512, 512)
    assert info.native_size == 256
    assert info.supports == {"generate", "edit", "inpaint"}
    assert info.quantization in {"int8", "none"}  # by the processor
    assert info.max_images == 2
    assert info.ignores == {"negative_prompt", "guidance", "strength"}
    assert len(info.digest) == 64


@pytest.mark.parametrize("size", [(512, 512), (384, 256), (200, 300)])
def test_pictures_have_the_asked_size(embedded: Generator, size: tuple[int, int]) -> None:
    (picture,) = embedded.generate(job(width=size[0], height=size[1]))
    assert picture.size == size
    assert picture.mode == "RGB"


def test_a_longer_picture_gets_more_ground_and_the_thing_whole(embedded: Generator) -> None:
    (square,) = embedded.generate(job("a star on a blue background"))
    (wide,) = embedded.generate(job("a star on a blue background", width=640, height=256))
    middle = np.asarray(wide, dtype=np.float64)[:, 192:448]
    # But for the seam the middle is the square itself.
    assert np.abs(middle - np.asarray(square))[:, 8:-8].mean() < 1.0
    for box in ((0, 0, 150, 256), (490, 0, 640, 256)):
        assert np.abs(mean_colour(wide, box) - (56, 124, 222)).max() < 12
        assert np.asarray(wide.crop(box), dtype=np.float64).std(axis=(0, 1)).max() < 6


def test_same_seed_same_bytes_other_seed_or_prompt_others(embedded: Generator) -> None:
    first = embedded.generate(job())[0].tobytes()
    assert embedded.generate(job())[0].tobytes() == first
    assert embedded.generate(job(seed=6))[0].tobytes() != first
    assert embedded.generate(job("a blue whale"))[0].tobytes() != first


@pytest.mark.parametrize(
    ("word", "colour"),
    [("blue", (56, 124, 222)), ("green", (62, 168, 92)), ("black", (18, 18, 22))],
)
def test_backgrounds_have_the_named_colour(
    embedded: Generator, word: str, colour: tuple[int, int, int]
) -> None:
    (picture,) = embedded.generate(job(f"a star on a {word} background"))
    corner = mean_colour(picture, (4, 4, 24, 24))
    assert np.abs(corner - colour).max() < 30


def test_things_have_their_colour(embedded: Generator) -> None:
    apple = mean_colour(embedded.generate(job("a red apple"))[0], (96, 110, 160, 180))
    frog = mean_colour(embedded.generate(job("a frog"))[0], (96, 110, 160, 180))
    assert apple[0] > apple[1] + 60
    assert frog[1] > frog[0]


def test_outside_the_mask_the_picture_stays(embedded: Generator) -> None:
    picture = embedded.generate(job("an apple on a white background"))[0]
    mask = Image.new("L", picture.size, 0)
    mask.paste(255, (64, 64, 192, 192))
    order = job("a blue star", images=(picture,), mask=mask)
    after = np.asarray(embedded.generate(order)[0])
    kept = np.asarray(mask) == 0
    assert (after[kept] == np.asarray(picture)[kept]).all()
    assert (after[~kept] != np.asarray(picture)[~kept]).any()


def test_things_can_be_painted(embedded: Generator) -> None:
    middle = (96, 96, 160, 160)
    blue, pink = (
        mean_colour(embedded.generate(job(f"a {word} elephant"))[0], middle)
        for word in ("blue", "pink")
    )
    assert int(blue.argmax()) == 2
    assert int(pink.argmax()) == 0


def test_an_edit_changes_what_it_names(embedded: Generator) -> None:
    corner, middle = (4, 4, 24, 24), (96, 96, 160, 160)
    (cat,) = embedded.generate(job("a cat on a green background"))
    (after,) = embedded.generate(job("make the background blue", images=(cat,)))
    assert np.abs(mean_colour(after, corner) - (56, 124, 222)).max() < 30
    assert np.abs(mean_colour(after, middle) - mean_colour(cat, middle)).max() < 30
    (blue,) = embedded.generate(job("paint the cat blue", images=(cat,)))
    assert np.abs(mean_colour(blue, corner) - mean_colour(cat, corner)).max() < 30
    assert int(mean_colour(blue, middle).argmax()) == 2


def test_two_pictures_become_one(embedded: Generator) -> None:
    apple, frog = (embedded.generate(job(prompt))[0] for prompt in ("an apple", "a frog"))
    (both,) = embedded.generate(job("put them side by side", images=(apple, frog)))
    left, right = (mean_colour(both, (x, 112, x + 32, 144)) for x in (48, 176))
    assert left[0] > left[1] + 40
    assert right[1] > right[0]


def test_of_three_pictures_it_would_know_nothing(embedded: Generator) -> None:
    picture = Image.new("RGB", (64, 64))
    with pytest.raises(TooManyImages, match="takes 2 pictures"):
        embedded.generate(job(images=(picture,) * 3))


def test_within_a_mask_a_second_picture_counts_and_the_first_stays(embedded: Generator) -> None:
    apple, frog = (embedded.generate(job(prompt))[0] for prompt in ("an apple", "a frog"))
    mask = Image.new("L", apple.size, 0)
    mask.paste(255, (64, 64, 192, 192))
    alone, both = (
        np.asarray(embedded.generate(job("a star", images=pictures, mask=mask))[0])
        for pictures in ((apple,), (apple, frog))
    )
    kept = np.asarray(mask) == 0
    assert (both[kept] == np.asarray(apple)[kept]).all()
    assert (both[~kept] != alone[~kept]).any()


def test_a_job_can_be_cancelled(embedded: Generator) -> None:
    with pytest.raises(Cancelled):
        embedded.generate(job(), cancelled=lambda: True)


def test_long_and_strange_prompts_still_give_a_picture(embedded: Generator) -> None:
    for prompt in ("a " + "very " * 200 + "red apple", "🍎", "\x00\x01", "apfel auf dem tisch"):
        assert embedded.generate(job(prompt, steps=1))[0].size == (256, 256)


def test_four_pictures_of_a_prompt_differ_for_the_eye(embedded: Generator) -> None:
    asked = {"width": 128, "height": 128, "steps": 1}
    four = [
        np.asarray(one, dtype=float)
        for one in embedded.generate(job("a castle", n=4, seed=100, **asked))
    ]
    for at, one in enumerate(four):
        assert all(np.abs(one - other).mean() > 4.0 for other in four[at + 1 :])
    (alone,) = embedded.generate(job("a castle", seed=102, **asked))
    assert np.abs(np.asarray(alone, dtype=float) - four[2]).mean() < 1.0
