"""The upscaler of a model's folder: trained, measured, read and used."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from chopmark.errors import ModelLoadError
from chopmark.generation import DiffusersGenerator, GenerationJob, LoadOptions
from chopmark.generation.doubler import FILE_NAME, Doubler, read_doubler
from training.generation import newcomers, upscale

if TYPE_CHECKING:
    from pathlib import Path

SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><!-- {} -->
<circle cx="{}" cy="50" r="40" fill="#c02818"/><path d="M20 20L80 80" stroke="#111"/></svg>"""


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    for number in range(24):  # one in ten is held out
        (folder / f"{number}.svg").write_text(SVG.format("x" * 2000, 30 + number), "utf-8")
    return folder


NEEDS_RESVG = pytest.mark.skipif(
    find_spec("resvg_py") is None, reason="resvg-py is not installed: pip install -e '.[train]'"
)


@NEEDS_RESVG
def test_it_is_trained_read_and_measured(
    drawings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = upscale.train(drawings, tmp_path, model=None, pictures=2, minutes=1, steps=2)
    assert file == tmp_path / FILE_NAME
    assert file.stat().st_size < 2**20
    network = read_doubler(tmp_path)
    assert network is not None
    assert network.doubled(Image.new("RGB", (24, 16), (10, 200, 30))).size == (48, 32)
    upscale.measure(drawings, tmp_path, model=None, pictures=2)
    assert "halved: Lanczos" in capsys.readouterr().out
    assert (tmp_path / "upscale.png").is_file()


@NEEDS_RESVG
def test_held_out_drawings_are_not_trained_on(drawings: Path) -> None:
    names = [file.name for file in drawings.glob("*.svg")]
    held = [name for name in names if upscale.held_out(name)]
    assert 0 < len(held) < len(names) / 2
    assert len(list(upscale.drawings(drawings, held=True))) == len(held)


def test_a_folder_without_one_has_none_and_another_file_is_a_coded_error(tmp_path: Path) -> None:
    assert read_doubler(tmp_path) is None
    (tmp_path / "upscaler").mkdir()
    (tmp_path / FILE_NAME).write_bytes(b"no weights")
    with pytest.raises(ModelLoadError, match="no upscaler"):
        read_doubler(tmp_path)


def test_what_is_asked_at_twice_the_size_is_doubled(generator: DiffusersGenerator) -> None:
    class Noting(Doubler):
        sizes: list[tuple[int, int]]

        def doubled(self, picture: Image.Image) -> Image.Image:
            self.sizes.append(picture.size)
            return super().doubled(picture)

    network = Noting().eval()
    network.sizes = []
    native = generator.info.native_size
    doubling = DiffusersGenerator(
        generator.variants,
        generator.info,
        options=LoadOptions(prompt_cache_mb=0),
        doubler=network,
    )
    for side in (native, 2 * native):
        job = GenerationJob(prompt="a red apple", seed=1, width=side, height=side, steps=1)
        assert doubling.generate(job)[0].size == (side, side)
    assert network.sizes == [(native, native)]


def test_the_sheet_of_newcomers_prompts_is_drawn(
    unet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(set(newcomers.PROMPTS)) == 32
    out = tmp_path / "sheet.png"
    words = ["--model", str(unet_folder), "--home", str(tmp_path), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["newcomers", *words, "--prompts", "1"])
    newcomers.main()
    with Image.open(out) as sheet:
        assert sheet.width == 8 * sheet.height
