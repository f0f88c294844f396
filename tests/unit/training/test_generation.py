"""What the embedded model is taught: words, scenes, edits, and how they are drawn."""

from __future__ import annotations

import io
import random
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import torch
from PIL import Image

from tests.support.training_set import COLOURS, disc, write_set
from training.generation import klein
from training.generation.autoencoder import STOCK
from training.generation.canvas import Canvas, rows_of
from training.generation.captions import (
    CANVAS,
    CELL,
    CELLS,
    Scene,
    article,
    describe,
    held_out,
    plural,
    sample_scene,
)
from training.generation.data import PACKAGES, SPRITE, Outlines, Renders, TrainingDataError, fetch
from training.generation.edits import KINDS, sample_example
from training.generation.muon import Muon, orthogonal
from training.generation.prepare import PROMPTS, SPRITES, TextEncoder, load_examples
from training.generation.vocabulary import BACKGROUNDS, CONCEPTS, PAINTS, STYLE_SETS

if TYPE_CHECKING:
    from pathlib import Path


def dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - draws scenes, not secrets


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def canvas(data: Path) -> Canvas:
    return Canvas.load(data / SPRITES)


def scene(**changes: Any) -> Scene:
    values = {"concepts": ("dog",), "layout": "large", "style": "3d", "background": "blue"}
    return Scene(**{**values, **changes})


def test_no_two_concepts_share_a_name_or_a_drawing() -> None:
    names = [name for concept in CONCEPTS for name in concept.names]
    assert len(names) == len(set(names))
    assert len({concept.emoji for concept in CONCEPTS}) == len(CONCEPTS)


def test_training_never_sees_what_is_held_out() -> None:
    rng = dice(3)
    scenes = [sample_scene(rng) for _ in range(3000)]
    assert not any(
        held_out(name, one.style, one.background) for one in scenes for name in one.concepts
    )
    share = sum(held_out(c.name, s, "blue") for c in CONCEPTS for s in STYLE_SETS)
    assert 0 < share < 0.1 * len(CONCEPTS) * len(STYLE_SETS)


def test_small_things_stand_on_the_latent_grid_and_inside_the_canvas() -> None:
    for cells in CELLS.values():
        for left, top in cells:
            assert left % 16 == top % 16 == 0
            assert max(left, top) + CELL <= CANVAS


@pytest.mark.parametrize(
    ("noun", "with_article", "many"),
    [
        ("apple", "an apple", "apples"),
        ("unicorn", "a unicorn", "unicorns"),
        ("umbrella", "an umbrella", "umbrellas"),
        ("fox", "a fox", "foxes"),
        ("fish", "a fish", "fish"),
        ("lady", "a lady", "ladies"),
        ("toy", "a toy", "toys"),
        ("sunglasses", "sunglasses", "sunglasses"),
        ("cup of coffee", "a cup of coffee", "cups of coffee"),
    ],
)
def test_nouns(noun: str, with_article: str, many: str) -> None:
    assert article(noun) == with_article
    assert plural(noun) == many


def test_a_caption_says_what_the_scene_shows() -> None:
    pair = scene(concepts=("cat", "dog"), layout="pair", style="flat", background="pink")
    for seed in range(40):
        text = describe(pair, dice(seed))
        assert " and " in text
        assert "pink" in text
        assert "flat" in text
    many = scene(concepts=("fox",), layout="three", paint="blue")
    assert all("three blue fox" in describe(many, dice(seed)) for seed in range(9))
    orange = scene(background="orange")
    assert not any("a orange" in describe(orange, dice(seed)) for seed in range(40))


def test_what_goes_without_saying_is_one_picture() -> None:
    short = {describe(scene(background="white"), dice(seed)) for seed in range(200)}
    assert "a dog" in short
    for style in ("flat", "cartoon"):
        other = {describe(scene(background="white", style=style), dice(s)) for s in range(200)}
        assert not short & other


@pytest.mark.parametrize("kind", KINDS)
def test_before_and_after_differ_in_what_is_said_and_nothing_else(kind: Any) -> None:
    rng = dice(5)
    for _ in range(100):
        example = sample_example(rng, kind)
        target, words = example.target, example.words[0]
        assert not any(held_out(n, target.style, target.background) for n in target.concepts)
        if kind == "picture":
            assert not example.references
            continue
        before = example.references[0]
        same = {
            "ground": ("concepts", "layout", "style", "paint"),
            "paint": ("concepts", "layout", "style", "background"),
            "style": ("concepts", "layout", "background", "paint"),
            "swap": ("layout", "style", "background", "paint"),
            "add": ("style", "background", "paint"),
            "combine": ("style", "background"),
        }[kind]
        for name in same:
            assert getattr(before, name) == getattr(target, name)
        match kind:
            case "ground":
                assert before.background != target.background
                assert target.background in words
            case "paint":
                assert before.paint != target.paint
                assert str(target.paint) in words
            case "style":
                assert before.style != target.style
            case "swap":
                assert before.concepts[0] != target.concepts[0]
                assert before.concepts[1:] == target.concepts[1:]
                assert target.concepts[0] in words
            case "add":
                assert before.concepts == target.concepts[:1]
            case "combine":
                assert tuple(one.concepts[0] for one in example.references) == target.concepts


def middle(canvas: Canvas, one: Scene) -> torch.Tensor:
    picture = canvas.compose(rows_of([one]))[0]
    return (picture[:, 120:136, 120:136].mean(dim=(1, 2)) + 1) * 127.5


def test_the_canvas_draws_ground_and_thing(canvas: Canvas) -> None:
    number = [concept.name for concept in CONCEPTS].index("dog")
    thing = torch.tensor(COLOURS[number % len(COLOURS)], dtype=torch.float32)
    for scale, side in ((1, 128), (2, 256)):
        (picture,) = canvas.compose(rows_of([scene()]), scale=scale)
        assert picture.shape == (3, side, side)
        corner = (picture[:, 0, 0] + 1) * 127.5
        assert torch.allclose(corner, torch.tensor(BACKGROUNDS["blue"]).float(), atol=1.0)
    assert torch.allclose(middle(canvas, scene()), thing, atol=2.0)


def test_paint_changes_the_hue_unless_it_is_the_things_own(canvas: Canvas) -> None:
    for paint, colour in PAINTS.items():
        seen = middle(canvas, scene(concepts=("bear",), paint=paint))
        assert int(seen.argmax()) == colour.index(max(colour))
    names = [concept.name for concept in CONCEPTS]
    red = next(name for name in names if names.index(name) % len(COLOURS) == 0)
    plain, painted = (middle(canvas, scene(concepts=(red,), paint=p)) for p in (None, "red"))
    assert torch.equal(plain, painted)


def test_two_things_stand_side_by_side(canvas: Canvas) -> None:
    names = [concept.name for concept in CONCEPTS]
    (picture,) = canvas.compose(rows_of([scene(concepts=(names[0], names[1]), layout="pair")]))
    left, right = ((picture[:, 128, x] + 1) * 127.5 for x in (64, 192))
    assert torch.allclose(left, torch.tensor(COLOURS[0]).float(), atol=3.0)
    assert torch.allclose(right, torch.tensor(COLOURS[1]).float(), atol=3.0)


def test_the_set_comes_back_as_it_was_written(data: Path) -> None:
    examples = load_examples(data)
    assert examples.tokens.shape[1:] == (2, klein.PROMPT_LENGTH)
    assert examples.prompts.shape == (len(PROMPTS), klein.PROMPT_LENGTH)
    assert int(examples.target.max()) < len(examples.scenes)
    assert set(examples.kinds.tolist()) == set(range(len(KINDS)))
    few = examples.first(20)
    for whole, part in zip(
        torch.linspace(0, len(examples.kinds) - 1, 20).long().tolist(), range(20), strict=True
    ):
        assert few.kinds[part] == examples.kinds[whole]
        for name in ("target", "references"):
            mine, theirs = getattr(few, name)[part], getattr(examples, name)[whole]
            assert torch.equal(few.scenes[mine], examples.scenes[theirs]) or int(theirs.min()) < 0


def test_the_small_text_encoder_says_what_the_stock_pipeline_says(data: Path) -> None:
    pipeline = klein.build(klein.KleinConfig(double_blocks=1, single_blocks=1))
    with torch.no_grad():
        stock = STOCK._get_qwen3_prompt_embeds(
            pipeline.text_encoder,
            pipeline.tokenizer,
            list(PROMPTS[:4]),
            max_sequence_length=klein.PROMPT_LENGTH,
            hidden_states_layers=klein.TEXT_LAYERS,
        )
    said = TextEncoder(data)(load_examples(data).prompts[:4])
    # The training set carries half precision.
    assert (said - stock).abs().max() < 0.01 * stock.abs().max()


def test_muon_makes_updates_orthogonal_and_learns() -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(3, 20, 50)))
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3
    truth, guess = torch.randn(8, 16), torch.nn.Parameter(torch.zeros(8, 16))
    optimizer = Muon([guess], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (guess - truth).square().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert (guess - truth).abs().mean() < 0.1


def test_other_bytes_than_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    package = PACKAGES["fluent-emoji-flat"]
    (tmp_path / package.tarball).write_bytes(b"not the package")
    with pytest.raises(TrainingDataError, match="SHA-256"):
        fetch(package, tmp_path)


def tarball(file: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file


def test_drawings_are_found_by_their_sequence(tmp_path: Path) -> None:
    content = disc((1, 2, 3))
    renders = Renders(tarball(tmp_path / "a.tgz", {"assets/2708-fe0f.webp": content}))
    assert renders.draw("✈️").size == (SPRITE, SPRITE)
    assert isinstance(renders.draw("✈"), Image.Image)
    with pytest.raises(TrainingDataError, match="no render"):
        renders.draw("🐶")


def test_a_drawing_that_a_set_lacks_is_a_clear_error(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="the train extra is not installed")
    files = {"icons.json": b'{"prefix": "tiny", "icons": {}}', "chars.json": b"{}"}
    with pytest.raises(TrainingDataError, match="tiny has no drawing"):
        Outlines(tarball(tmp_path / "b.tgz", files)).draw("🐶")
