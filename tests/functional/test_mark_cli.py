"""``chopmark mark`` as people use it: strike, read, read what is damaged, be refused in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image

from chopmark.kit.files import make_private_folder, secret_file
from chopmark.provenance import ManifestStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

PAYLOAD = "a3f09c1122334451"


@pytest.fixture
def run(run: Run) -> Run:
    """Runs ``chopmark mark``."""
    return lambda *arguments: run("mark", *arguments)


def drawn(seed: int) -> Image.Image:
    draw = np.random.default_rng(seed)
    ground = cv2.resize(draw.uniform(40, 215, (4, 5, 3)).astype(np.float32), (480, 400))
    for _ in range(9):
        centre = draw.integers(0, [480, 400]).tolist()
        cv2.circle(ground, centre, int(draw.integers(15, 70)), draw.uniform(0, 255, 3).tolist(), -1)
    ground += cv2.GaussianBlur(draw.normal(0, 60, (400, 480, 1)), (0, 0), 2)[..., None]
    return Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))


@pytest.fixture(autouse=True)
def key(home: Path) -> None:
    """The same key in each run: how much damage a mark survives differs a little by key."""
    folder = home / "keys" / "watermark"
    make_private_folder(folder)
    secret_file(folder / "0001-00000000.key", lambda: b"5f" * 32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with some pictures that could be the original of what comes."""
    (tmp_path / "originals").mkdir()
    for seed in range(3):
        drawn(seed).save(tmp_path / "originals" / f"{seed}.png")
    return tmp_path


def test_struck_and_read(run: Run, folder: Path) -> None:
    source, marked = folder / "originals" / "1.png", folder / "marked.jpg"
    code, out, _ = run("embed", source, "-o", marked, "--payload", PAYLOAD.upper(), "--json")
    assert (code, json.loads(out)["payload"]) == (0, PAYLOAD)
    code, out, _ = run("detect", marked, "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["detected"], told["payload"], told["method"]) == (True, PAYLOAD, "lattice")
    assert told["p_value"] <= 1e-9
    code, out, _ = run("detect", marked)
    assert PAYLOAD in out
    code, out, _ = run("detect", source)
    assert code == 4
    assert "no mark of ours" in out


def test_a_damaged_picture_needs_help(run: Run, folder: Path) -> None:
    source, marked = folder / "originals" / "1.png", folder / "marked.png"
    run("embed", source, "-o", marked, "--payload", PAYLOAD)
    damaged = folder / "damaged.jpg"
    with Image.open(marked) as picture:
        picture.crop((30, 20, 450, 390)).save(damaged, quality=20)
    _, out, _ = run("detect", damaged, "--json")
    alone = json.loads(out)["p_value"]
    ids = folder / "ids.txt"
    ids.write_text(f"0000000000000001\n{PAYLOAD}\n", encoding="ascii")
    code, out, _ = run("detect", damaged, "--candidates", ids, "--json")
    assert (code, json.loads(out)["payload"]) == (0, PAYLOAD)
    assert json.loads(out)["p_value"] < alone
    code, out, _ = run("detect", damaged, "--original", folder / "originals", "--json")
    assert (code, json.loads(out)["original"]) == (0, str(source))
    assert json.loads(out)["p_value"] < alone


def test_the_ids_of_the_store_are_the_known_ones(run: Run, home: Path, folder: Path) -> None:
    marked = folder / "marked.png"
    run("embed", folder / "originals" / "1.png", "-o", marked, "--payload", PAYLOAD)
    code, _, err = run("detect", marked, "--known")
    assert code == 1
    assert "names no output yet" in err
    store = ManifestStore.open(home)
    for number, output_id in enumerate(("0000000000000001", PAYLOAD)):
        store.put(
            manifest_id=f"urn:c2pa:{number}",
            manifest=b"manifest",
            output_id=output_id,
            record_id="",
            pdq="",
            signed_sha256="",
        )
    store.close()
    code, out, _ = run("detect", marked, "--known", "--json")
    assert (code, json.loads(out)["payload"]) == (0, PAYLOAD)


def test_refusals(run: Run, folder: Path) -> None:
    source, marked = folder / "originals" / "1.png", folder / "marked.png"
    notes = folder / "notes.txt"
    notes.write_text("not an id\n", encoding="ascii")
    (folder / "empty").mkdir()
    cases: list[tuple[tuple[object, ...], str]] = [
        (("embed", source, "-o", marked, "--payload", "12"), "16 hex digits"),
        (("embed", source, "-o", marked, "--payload", PAYLOAD, "--method", "nope"), "no watermark"),
        (("detect", notes), "not a picture"),
        (("detect", source, "--candidates", notes), "16 hex digits"),
        (("detect", source, "--candidates", notes, "--known"), "exclude one another"),
        (("detect", source, "--original", folder / "empty"), "looks like"),
        (("detect", folder / "none.png"), "No such file"),
    ]
    for arguments, words in cases:
        code, _, err = run(*arguments)
        assert code == 1, arguments
        assert words in err, arguments
    assert not marked.exists()


def test_a_mark_that_the_file_would_lose_is_refused(run: Run, folder: Path) -> None:
    flat, out = folder / "flat.png", folder / "flat.webp"
    Image.linear_gradient("L").resize((128, 96)).save(flat)
    code, _, err = run("embed", flat, "-o", out, "--payload", PAYLOAD)
    if code == 0:  # then it can be read, too
        assert run("detect", out)[0] == 0
    else:
        assert "survive" in err or "read back" in err
        assert not out.exists()
