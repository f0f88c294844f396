"""The benchmark's situations and tables, and that a reading leaves a picture that lies straight."""

from __future__ import annotations

import numpy as np
from PIL import Image

from benchmarks.situations import in_a_page, photographed
from benchmarks.watermark_rates import counted, rate, shortfalls, wrong
from chopmark.provenance.watermark import MarkKey, detect_mark, embed_mark
from chopmark.provenance.watermark.lattice import _sync
from chopmark.provenance.watermark.lattice._frame import Tiles, canonical, residual
from chopmark.provenance.watermark.lattice._layout import layout_of

KEY = MarkKey(key_id="test", secret=bytes(range(32)))
PAYLOAD = bytes.fromhex("0123456789abcdef")


def _textured(side: int = 512) -> Image.Image:
    draw = np.random.default_rng(3)
    small = draw.uniform(40, 215, (side // 8, side // 8, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def test_page_has_the_wanted_share_of_the_picture_and_the_mark_is_read_there() -> None:
    marked = embed_mark(_textured(), PAYLOAD, key=KEY)
    page = in_a_page(0.25)(marked)
    result = detect_mark(page, keys=[KEY])
    assert result.payload == PAYLOAD
    box = result.details["box"]
    assert isinstance(box, list)
    left, top, width, height = (int(str(side)) for side in box)
    # The box is in steps of the lattice's tiles, about a sixth of this picture's side.
    assert 0.2 < width * height / (page.width * page.height) < 0.4
    assert 0 <= left < left + width <= page.width
    assert 0 <= top < top + height <= page.height


def test_photograph_of_a_screen_is_askew_and_the_same_each_time() -> None:
    picture = _textured(128)
    once, again = (photographed(0.04)(picture) for _ in range(2))
    assert np.array_equal(np.asarray(once), np.asarray(again))
    assert once.width > picture.width
    assert not np.array_equal(np.asarray(once), np.asarray(photographed(0.01)(picture)))


def test_picture_in_place_is_not_resampled_and_a_stretched_one_is() -> None:
    layout = layout_of(KEY.secret)
    marked = embed_mark(_textured(), PAYLOAD, key=KEY)
    for stretch, most in ((1.0, 0), (1.004, 2)):
        size = round(512 * stretch), 512
        luma = np.asarray(marked.convert("L").resize(size), np.float32)
        plane = residual(canonical(luma, 0))
        maps: list[np.ndarray] = []

        def tiles_of(
            affine: np.ndarray, plane: np.ndarray = plane, maps: list[np.ndarray] = maps
        ) -> Tiles:
            maps.append(affine)
            return Tiles.of(plane, affine)

        values = tiles_of(np.eye(2)).at(layout.sync).sum(axis=0)
        seen = _sync.aligned(values, layout)
        lock = _sync.Lock(
            level=0, affine=np.eye(2), shift=np.zeros(2), entry=seen.entry, strength=seen.strength
        )
        found = _sync.refined(lock, tiles_of, layout)
        moved = [one for one in maps if not np.array_equal(one, np.eye(2))]
        assert bool(moved) == bool(most)
        assert len(moved) <= most
        assert found.strength > 8.5
        assert np.array_equal(found.affine, np.eye(2)) == (not most)


def _row(kind: str, outcomes: dict[str, float], tests: int = 523) -> dict[str, object]:
    return {
        "method": "lattice",
        "kind": kind,
        "content": kind,
        "tests": tests,
        "psnr": 43.0,
        "ssim": 0.98,
        "log10_p": outcomes,
        "harm_db": {},
    }


def test_tables_have_the_worst_attack_first_and_count_what_could_not_be_marked() -> None:
    rows = [
        _row("own", {"none": -40.0, "jpeg 30": -8.9, "webp 55": 0.0}),
        _row("own", {"none": -40.0, "jpeg 30": -20.0, "webp 55": 1.0}),
        {"method": "lattice", "kind": "own", "tests": 523, "error": "mark_too_weak"},
    ]
    assert counted(rows, "none") == "2 of 3"
    assert counted(rows[:2], "image to image 0.3") == "-"
    assert rate(rows, ["jpeg 30"]) == 1 / 3
    assert wrong(rows) == 1
    lines = shortfalls(rows).splitlines()[2:5]
    assert [line.split(" | ")[0] for line in lines] == ["| webp 55", "| jpeg 30", "| none"]
