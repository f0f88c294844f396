"""What a model takes is said before it loads; offloaded or tiled, it draws the same picture."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

from chopmark.cli import app
from chopmark.errors import InvalidRequest, ModelLoadError
from chopmark.generation import DiffusersGenerator, GenerationJob, LoadOptions, part_sizes
from chopmark.generation import fit as fitting
from chopmark.generation.folders import find_folder
from tests.unit.generation import full_size
from tests.unit.generation.families import FAMILIES

if TYPE_CHECKING:
    from pathlib import Path

#: What the models' makers say of denoiser and text encoders, in millions, and what `auto` takes on
#: a card with so many GB free.
PUBLISHED: dict[str, tuple[float, float, dict[int, tuple[str, str]]]] = {
    "FLUX.2-klein-4B": (3_880, 4_020, {24: ("none", "none"), 12: ("int8", "none")}),
    "Z-Image-Turbo": (6_150, 4_020, {24: ("none", "none"), 8: ("none", "sequential")}),
    "Qwen-Image": (20_400, 8_290, {80: ("none", "none"), 48: ("int8", "none")}),
    "sdxl-turbo": (2_567, 818, {12: ("none", "none"), 6: ("int8", "none")}),
    "Sana_Sprint_1.6B_1024px": (1_600, 2_610, {12: ("none", "none"), 7: ("none", "model")}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_family_is_planned_from_its_configurations_alone(name: str, tmp_path: Path) -> None:
    folder = find_folder(full_size.write(name, tmp_path))
    denoiser, texts, picked = PUBLISHED[name]
    for gigabytes, way in picked.items():
        found = fitting.fit(folder, device="cuda", dtype="bfloat16", free=gigabytes * 10**9)
        assert found.picked is not None
        assert (found.picked.quantization, found.picked.offload) == way
    counted = {
        kind: sum(p.numbers for p in found.parts if getattr(p, kind)) / 1e6
        for kind in ("denoises", "reads")
    }
    assert counted["denoises"] == pytest.approx(denoiser, rel=0.03)
    assert counted["reads"] == pytest.approx(texts, rel=0.03)
    held = [way.weights for way in found.ways]
    assert held[0] > held[2]  # in 8 bits
    assert held[0] > held[4] > held[5]  # by parts, by layers


@pytest.mark.parametrize("name", ["flux2_klein", "z_image", "qwen_image", "sdxl", "sana"])
def test_what_is_said_is_what_loading_takes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_sizes, "_NARROW", 1)  # as the layers of these models are quantized
    folder = FAMILIES[name].save(tmp_path)
    parts = part_sizes.part_sizes(find_folder(folder))
    for quantization in ("none", "int8"):
        loaded = DiffusersGenerator.load(folder, options=LoadOptions(quantization=quantization))
        said = sum(part.bytes(quantization, "float32") for part in parts)
        pipeline: Any = loaded.variants.all[0]
        held = sum(
            tensor.numel() * tensor.element_size()
            for one in pipeline.components.values()
            if hasattr(one, "parameters")
            for tensor in {id(t): t for t in (*one.parameters(), *_buffers(one))}.values()
        )
        assert said == pytest.approx(held, rel=0.1)


def _buffers(module: Any) -> list[Any]:
    # Positions and the like are no weights, and are as large as a whole model of this size.
    return [
        value
        for name, value in module.named_buffers()
        if name.endswith((".rows", ".scale", "running_mean", "running_var"))
    ]


def picture(folder: Path, **options: Any) -> np.ndarray[Any, Any]:
    engine = DiffusersGenerator.load(folder, options=LoadOptions(quantization="none", **options))
    job = GenerationJob(prompt="a cat", seed=3, width=64, height=64, steps=2, drafts=1)
    looks: list[Any] = []
    made = np.asarray(engine.generate(job, draft=looks.append)[0], dtype=float)
    assert len(looks) == 1
    return made


@pytest.mark.parametrize("name", ["flux2_klein", "sdxl", "qwen_image"])
def test_offloaded_it_draws_the_same_picture(name: str, tmp_path: Path) -> None:
    folder = FAMILIES[name].save(tmp_path)
    whole = picture(folder, offload="none", tiling="off")
    for offload in ("model", "sequential"):
        assert np.abs(picture(folder, offload=offload) - whole).max() == 0.0


def test_by_tiles_it_draws_the_same_picture_where_one_tile_holds_it(tmp_path: Path) -> None:
    folder = FAMILIES["sd"].save(tmp_path)
    config = folder / "vae" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "sample_size": 1024}))
    whole = picture(folder, tiling="off")
    assert np.abs(picture(folder, tiling="on") - whole).max() == 0.0
    vae = DiffusersGenerator.load(folder, options=LoadOptions(tiling="on")).variants.all[0].vae
    assert vae.use_tiling
    assert vae.tile_sample_min_size == 512  # not the native 1024, which would bound nothing
    config.write_text(json.dumps({**json.loads(config.read_text()), "sample_size": 32}))
    assert picture(folder, tiling="on").shape == whole.shape  # four tiles


def test_a_step_cache_takes_over_what_changes_little(tmp_path: Path) -> None:
    folder = FAMILIES["flux"].save(tmp_path)
    job = GenerationJob(prompt="a cat", seed=3, width=64, height=64, steps=8)

    def drawn(cache: float) -> tuple[np.ndarray[Any, Any], int]:
        engine = DiffusersGenerator.load(
            folder, options=LoadOptions(quantization="none", step_cache=cache)
        )
        runs: list[int] = []
        last = engine.variants.all[0].transformer.single_transformer_blocks[-1]
        last.norm.register_forward_hook(lambda *_: runs.append(1))
        return np.asarray(engine.generate(job)[0], dtype=float), len(runs)

    whole, every = drawn(0.0)
    cached, some = drawn(0.5)
    assert some < every == 8
    assert np.abs(cached - whole).mean() < 2.0


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("sd", {"step_cache": 0.1}, "no step cache"),
        ("flux2_klein", {"step_cache": 0.1}, "step cache"),
        ("flux", {"attention": "warp"}, "attention 'warp'"),
    ],
)
def test_what_a_family_cannot_is_said_on_loading(
    name: str, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    folder = FAMILIES[name].save(tmp_path)
    with pytest.raises(InvalidRequest, match=says) as caught:
        DiffusersGenerator.load(folder, options=LoadOptions(**options))
    assert caught.value.hint


@pytest.mark.parametrize("options", [{"offload": "half"}, {"tiling": "maybe"}, {"step_cache": 1.0}])
def test_other_words_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        LoadOptions(**options)


def test_the_command_says_it_for_people_and_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    folder = full_size.write("sdxl-turbo", tmp_path)
    asked = ["models", "fit", str(folder), "--memory", "5.5"]
    said = CliRunner().invoke(app, asked)
    assert said.exit_code == 0, said.output
    assert "* int8" in said.stdout
    facts = json.loads(CliRunner().invoke(app, [*asked, "--json", "--size", "1024x1024"]).stdout)
    assert [way["picked"] for way in facts["ways"]].count(True) == 1
    assert facts["size"] == [1024, 1024]
    nothing = CliRunner().invoke(app, [*asked[:-1], "0.5"])
    assert "nothing fits" in nothing.stdout


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    folder = FAMILIES["sd"].save(tmp_path)
    for file in (folder / "unet").glob("*.safetensors"):
        file.unlink()
    (folder / "unet" / "config.json").write_text('{"block_out_channels": "wide"}')
    with pytest.raises(ModelLoadError):
        part_sizes.part_sizes(find_folder(folder))
    (folder / "unet" / "config.json").write_text("[1")
    with pytest.raises(ModelLoadError, match="no configuration"):
        part_sizes.part_sizes(find_folder(folder))
