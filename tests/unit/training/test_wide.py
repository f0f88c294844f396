"""The wide training set: the index of things, the drawings, the scenes, and going on with them."""

from __future__ import annotations

import io
import json
import random
import tarfile
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.training_set import COLOURS, disc, write_set
from training.generation import klein
from training.generation.__main__ import SMOKE
from training.generation.canvas import GROUND, Canvas, number_of
from training.generation.captions import held_out, plural
from training.generation.data import PACKAGES, SPRITE, TrainingDataError
from training.generation.newcomers import PROMPTS
from training.generation.prepare import SPRITES, load_examples, write_examples
from training.generation.vocabulary import BACKGROUNDS, CONCEPTS, STYLE_SETS
from training.generation.wide import prepare as adding
from training.generation.wide.clipart import Clipart, expanded, fitted, is_public_domain
from training.generation.wide.grounds import GROUNDS, SIDE, draw_ground
from training.generation.wide.lettering import WRITTEN, draw_written
from training.generation.wide.onward import Course, go_on, is_wide
from training.generation.wide.scenes import FURTHER, SORTS, noun_phrase, sample_wide
from training.generation.wide.things import Sprite, further_things, read_list, sprites

if TYPE_CHECKING:
    from pathlib import Path

PUBLIC = '<license rdf:resource="http://web.resource.org/cc/PublicDomain"/>'


def dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - draws scenes, not secrets


def test_the_index_has_fifteen_hundred_things_and_no_name_twice() -> None:
    names = [name for thing in further_things() for name in thing.names]
    known = [name for concept in CONCEPTS for name in concept.names]
    assert len({*names, *known}) == len(names) + len(known)
    assert len(CONCEPTS) + len(further_things()) + len(WRITTEN) + len(GROUNDS) >= 1500
    assert len({sprite.file for sprite in sprites()}) == len(sprites())
    assert len(set(WRITTEN)) == len(WRITTEN)


@pytest.mark.parametrize(
    "word", ["child", "boy", "girl", "baby", "gun", "sword", "dagger", "bomb", "nude", "naked"]
)
def test_the_index_leaves_out_what_it_says_it_leaves_out(word: str) -> None:
    words = {part for t in further_things() for name in t.names for part in name.split()}
    assert word not in words
    assert f"{word}s" not in words


def test_no_phrase_of_the_newcomers_is_taught_word_for_word() -> None:
    # Single things may be in both; what is put together is to be seen for the first time.
    rng = dice(4)
    taught = {words for _ in range(4000) for words in sample_wide(rng, sentences=3).words}
    together = [prompt for prompt in PROMPTS if len(prompt.split()) > 4]
    assert len(together) > 15
    assert not taught & set(together)
    assert not {noun_phrase(n) for t in further_things() for n in t.names} & set(together)


def test_a_line_without_a_drawing_is_refused() -> None:
    (thing,) = read_list("clipart", "# note\n\none two: barn, farm\n")
    assert (thing.name, thing.drawings) == ("barn", ("one", "two"))
    assert read_list("emoji", "polar-bear")[0].names == ("polar bear",)
    with pytest.raises(ValueError, match="no drawing"):
        read_list("emoji", ": barn")


@pytest.mark.parametrize(
    ("name", "asked"),
    [("lighthouse", "a lighthouse"), ("rice", "rice"), ("skis", "skis"), ("cactus", "a cactus"),
     ("owl on a branch", "an owl on a branch"), ("tulips", "tulips"), ("chess", "chess"),
     ("house with a garden", "a house with a garden")],
)  # fmt: skip
def test_nouns(name: str, asked: str) -> None:
    assert noun_phrase(name) == asked


def svg(body: str, *, head: str = "", licence: str = PUBLIC) -> str:
    return (
        f'<?xml version="1.0"?>{head}<svg xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:rdf="urn:r" width="100pt" height="50pt">{licence}{body}</svg>'
    )


def test_a_licence_is_read_from_the_file() -> None:
    assert is_public_domain(svg(""))
    assert not is_public_domain(svg("", licence=""))
    gpl = PUBLIC.replace(
        "web.resource.org/cc/PublicDomain", "creativecommons.org/licenses/GPL/2.0/"
    )
    assert not is_public_domain(svg("", licence=gpl))


def test_entities_are_written_out() -> None:
    head = '<!DOCTYPE svg PUBLIC "a" "b" [ <!ENTITY paint "#ff0000"> ]>'
    text = expanded(svg('<rect fill="&paint;"/>', head=head))
    assert "DOCTYPE" not in text
    assert 'fill="#ff0000"' in text


def test_drawings_are_found_rendered_and_centred(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="the train extra is not installed")
    (tmp_path / "deep").mkdir()
    body = '<rect x="80" y="2" width="20" height="10" fill="&paint;"/>'
    head = '<!DOCTYPE svg PUBLIC "a" "b" [ <!ENTITY paint "#ff0000"> ]>'
    (tmp_path / "deep" / "Bar.svg").write_text(svg(body, head=head), "utf-8")
    (tmp_path / "empty.svg").write_text(svg(""), "utf-8")
    (tmp_path / "other.svg").write_text(svg(body, licence=""), "utf-8")
    drawings = Clipart(tmp_path)
    drawn = drawings.draw("bar")
    assert drawn.size == (SPRITE, SPRITE)
    left, top, right, bottom = drawn.getchannel("A").getbbox() or (0, 0, 0, 0)
    assert abs(left + right - SPRITE) <= 2
    assert abs(top + bottom - SPRITE) <= 2
    assert right - left > 0.9 * SPRITE > bottom - top
    assert drawn.getpixel((SPRITE // 2, SPRITE // 2)) == (255, 0, 0, 255)
    for name, said in (("empty", "empty"), ("other", "public domain"), ("gone", "no drawing gone")):
        with pytest.raises(TrainingDataError, match=said):
            drawings.draw(name)
    with pytest.raises(TrainingDataError, match="openclipart-svg"):
        Clipart(tmp_path / "deep" / "none")


def _package(file: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file


def test_further_drawings_are_put_behind_the_vocabularys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("resvg_py", reason="the train extra is not installed")
    icon = '<rect x="4" y="4" width="24" height="24" fill="#00f"/>'
    icons = json.dumps({"prefix": "tiny", "width": 32, "icons": {"badger": {"body": icon}}})
    outlines = {"icons.json": icons.encode(), "chars.json": b'{"1f9a1": "badger"}'}
    files = {
        PACKAGES["fluent-emoji-3d"].name: {"assets/1f9a1.webp": disc((1, 200, 3))},
        PACKAGES["fluent-emoji-flat"].name: outlines,
        PACKAGES["noto"].name: outlines,
    }
    monkeypatch.setattr(
        adding,
        "fetch",
        lambda package, cache: _package(cache / package.tarball, files[package.name]),
    )
    (badger,) = read_list("emoji", "badger")
    (barn,) = read_list("clipart", "red_barn: barn, farm")
    chosen = [Sprite(thing=badger, style=style) for style in STYLE_SETS]
    chosen.append(Sprite(thing=barn, style=None))
    monkeypatch.setattr(adding, "sprites", lambda: chosen)
    (tmp_path / "clips").mkdir()
    drawn = svg('<rect x="10" y="2" width="20" height="20" fill="#f00"/>')
    (tmp_path / "clips" / "red_barn.svg").write_text(drawn, "utf-8")
    zipfile.ZipFile(tmp_path / SPRITES, "w").close()
    told: list[tuple[int, int]] = []
    adding.add_drawings(
        tmp_path, tmp_path / "clips", tmp_path / SPRITES, progress=lambda *n: told.append(n)
    )
    assert told[-1] == (4, 4)
    with zipfile.ZipFile(tmp_path / SPRITES) as archive:
        names = archive.namelist()
        assert names[:4] == [sprite.file for sprite in chosen]
        assert [n.startswith(GROUND) for n in names].index(True) == 4 + len(WRITTEN)
        seen = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names[:4]]
    colours = [(1, 200, 3), (0, 0, 255), (0, 0, 255), (255, 0, 0)]
    for one, colour in zip(seen, colours, strict=True):
        middle = np.asarray(one)[SPRITE // 2, SPRITE // 2].astype(int)
        assert np.abs(middle - colour).max() < 9
    monkeypatch.setattr(
        adding, "sprites", lambda: [Sprite(thing=read_list("emoji", "yak")[0], style="3d")]
    )
    with pytest.raises(TrainingDataError, match="no drawing yak"):
        adding.add_drawings(tmp_path, tmp_path / "clips", tmp_path / SPRITES)


def test_a_soft_edge_keeps_its_colour() -> None:
    drawn = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    drawn.paste((250, 10, 10, 255), (100, 100, 301, 301))
    array = np.asarray(fitted(drawn))
    seen = array[array[..., 3] > 20]
    assert (np.abs(seen[:, :3].astype(int) - (250, 10, 10)) <= 6).all()


def test_grounds_and_words_can_be_told_apart() -> None:
    pictures = [np.asarray(draw_ground(ground), np.float32) for ground in GROUNDS]
    for number, one in enumerate(pictures):
        assert one.shape == (SIDE, SIDE, 3)
        # A gap between what is painted would be left black.
        assert not (one.max(axis=2) == 0).any()
        assert all(np.abs(one - other).mean() > 8 for other in pictures[:number])
    written = [np.asarray(draw_written(text))[..., 3] for text in ("HELLO", "HI", "A", "7")]
    assert all(one.shape == (SPRITE, SPRITE) and one.max() == 255 for one in written)
    assert np.abs(written[0].astype(int) - written[1]).mean() > 8


def test_sentences_say_what_is_drawn_and_nothing_is_held_out() -> None:
    rng = dice(7)
    seen = set()
    for _ in range(1500):
        one = sample_wide(rng, sentences=2)
        first, _second, layout, ground, _paint = one.row
        seen.add(layout)
        for words in one.words:
            if ground >= len(BACKGROUNDS) and layout != number_of("empty"):
                assert any(words.endswith(u) or f"{u}," in words or u in words
                           for u in GROUNDS[ground - len(BACKGROUNDS)].under)  # fmt: skip
            if layout == number_of("front"):
                assert "in front of" in words
            if FURTHER <= first < FURTHER + len(sprites()):
                sprite = sprites()[first - FURTHER]
                assert any(n in words or plural(n) in words for n in sprite.thing.names)
                on = (*BACKGROUNDS, *(g.name for g in GROUNDS))[ground]
                assert not held_out(sprite.thing.name, sprite.style or "clipart", on)
    assert {number_of(layout) for layout in ("large", "above", "front", "empty", "pair")} <= seen
    assert abs(sum(SORTS.values()) - 1) < 1e-9


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training set whose further things are discs, the first eight of them, on true grounds."""
    folder = write_set(tmp_path_factory.mktemp("wide"), examples=16)
    discs = [disc(colour) for colour in COLOURS]
    with zipfile.ZipFile(folder / SPRITES, "a") as archive:
        for number, sprite in enumerate(sprites()[:8]):
            archive.writestr(sprite.file, discs[number % len(discs)])
        for ground in GROUNDS:
            with archive.open(f"{GROUND}{ground.name}.webp", "w") as file:
                draw_ground(ground).save(file, "WEBP", lossless=True)
    rng = dice(1)
    sorts = {**SORTS, "written": 0.0}
    scenes = [
        sample_wide(rng, sentences=2, sorts=sorts, only=range(8), known=0.0) for _ in range(40)
    ]
    write_examples(folder, examples=24, sentences=2, further=scenes)
    return folder


def test_the_canvas_draws_further_things_on_pictures(wide: Path) -> None:
    canvas = Canvas.load(wide / SPRITES)
    sea = len(BACKGROUNDS) + [ground.name for ground in GROUNDS].index("sea")
    rows = torch.tensor(
        [
            (FURTHER, FURTHER + 1, number_of("front"), sea, 0),
            (0, 0, number_of("empty"), sea, 0),
            (FURTHER, FURTHER + 1, number_of("above"), 0, 0),
        ]
    )
    front, empty, above = canvas.compose(rows).add(1).mul(127.5)
    true = torch.from_numpy(np.array(draw_ground(GROUNDS[sea - len(BACKGROUNDS)])))
    assert (empty - true.permute(2, 0, 1)).abs().max() <= 1
    colours = torch.tensor(COLOURS, dtype=torch.float32)
    assert (front[:, 60, 128] - colours[1]).abs().max() < 3
    assert (front[:, 192, 128] - colours[0]).abs().max() < 3
    assert (above[:, 64, 128] - colours[0]).abs().max() < 3
    assert (above[:, 192, 128] - colours[1]).abs().max() < 3
    assert canvas.compose(rows, scale=1).shape == (3, 3, 128, 128)


def test_going_on_changes_little_and_writes_what_can_be_loaded(wide: Path, tmp_path: Path) -> None:
    examples = load_examples(wide)
    new = is_wide(examples.scenes[examples.target])
    assert int(new.sum()) == 40
    config = SMOKE[0]
    klein.save(klein.build(config), tmp_path / "model", config)
    lines: list[str] = []
    course = Course(steps=3, batch=2, scenes=(8, 8), rate=1e-4)
    packed = go_on(tmp_path / "model", wide, tmp_path / "out", course, log=lines.append)
    assert (packed / "transformer" / "packed-00.safetensors").exists()
    assert "3 steps" in lines[-1]
    before = klein.load(tmp_path / "model").transformer.state_dict()
    after = torch.load(tmp_path / "out" / "average.pt", weights_only=True)
    moved = [float((after[name] - value).abs().max()) for name, value in before.items()]
    assert 0 < max(moved) < 0.01


def test_styles_of_the_vocabulary_are_those_of_the_index() -> None:
    assert {sprite.style for sprite in sprites()} == {*STYLE_SETS, None}
