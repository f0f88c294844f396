from __future__ import annotations

import json
import shutil
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from diffusers import Flux2KleinInpaintPipeline
from PIL import Image

from chopmark.errors import (
    Cancelled,
    GenerationFailed,
    InvalidRequest,
    ModelLoadError,
    ModelNotFound,
    TooManyImages,
)
from chopmark.generation import DiffusersGenerator, GenerationJob, Generator, LoadOptions
from chopmark.generation.calls import render_size
from chopmark.generation.folders import digest_of
from tests.unit.generation.families import FAMILIES

if TYPE_CHECKING:
    from pathlib import Path


def job(**changes: object) -> GenerationJob:
    values: dict[str, object] = {"prompt": "a red apple", "seed": 7, "width": 32, "height": 32}
    return GenerationJob(**{**values, "steps": 3, **changes})  # type: ignore[arg-type]


def bytes_of(pictures: list[Image.Image]) -> list[bytes]:
    return [picture.tobytes() for picture in pictures]


@pytest.fixture
def picture() -> Image.Image:
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    return Image.fromarray(np.stack([np.tile(ramp, (64, 1))] * 3, axis=-1))


def test_a_loaded_folder_describes_itself(generator: DiffusersGenerator, unet_folder: Path) -> None:
    info = generator.info
    assert isinstance(generator, Generator)
    assert info.id == str(unet_folder)
    assert info.digest == digest_of(unet_folder)
    assert len(info.digest) == 64
    assert info.native_size == 32
    assert info.supports == {"generate", "edit", "inpaint"}
    assert info.licence == "unknown"
    assert info.quantization == "none"


def test_facts_beside_the_weights_are_believed(unet_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(unet_folder, folder)
    facts = {"version": "2", "licence": "MIT", "default_size": 64, "default_steps": 5}
    (folder / "chopmark.json").write_text(json.dumps(facts))
    info = DiffusersGenerator.load(folder, name="mine").info
    assert (info.id, info.version, info.licence) == ("mine", "2", "MIT")
    assert (info.default_size, info.default_steps) == ((64, 64), 5)


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (33, 100), (1, 1)])
def test_pictures_have_the_asked_size_and_number(
    generator: DiffusersGenerator, size: tuple[int, int]
) -> None:
    pictures = generator.generate(job(n=2, width=size[0], height=size[1]))
    assert [picture.size for picture in pictures] == [size, size]
    assert {picture.mode for picture in pictures} == {"RGB"}


def test_same_seed_same_bytes_and_each_picture_alone(generator: DiffusersGenerator) -> None:
    three = bytes_of(generator.generate(job(n=3)))
    assert three == bytes_of(generator.generate(job(n=3)))
    assert len(set(three)) == 3
    assert [three[1]] == bytes_of(generator.generate(job(seed=8)))


def test_prompt_guidance_and_negative_prompt_matter(generator: DiffusersGenerator) -> None:
    plain = bytes_of(generator.generate(job(guidance=3.0)))
    assert plain != bytes_of(generator.generate(job(guidance=3.0, prompt="a blue car")))
    assert plain != bytes_of(generator.generate(job(guidance=5.0)))
    assert plain != bytes_of(generator.generate(job(guidance=3.0, negative_prompt="a red apple")))


def test_progress_counts_every_step_of_every_picture(generator: DiffusersGenerator) -> None:
    seen: list[tuple[int, int]] = []
    generator.generate(job(n=2), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 6) for done in range(1, 7)]


def test_progress_of_an_edit_counts_the_steps_it_takes(
    generator: DiffusersGenerator, picture: Image.Image
) -> None:
    seen: list[tuple[int, int]] = []
    order = job(images=(picture,), steps=10, strength=0.5)
    generator.generate(order, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 5) for done in range(1, 6)]


def test_cancelling_ends_within_one_step(generator: DiffusersGenerator) -> None:
    seen: list[int] = []
    with pytest.raises(Cancelled):
        generator.generate(
            job(n=3, steps=10),
            progress=lambda done, _total: seen.append(done),
            cancelled=lambda: len(seen) >= 2,
        )
    assert seen == [1, 2]
    # The pipeline is usable afterwards.
    assert len(generator.generate(job())) == 1


def test_an_edit_of_little_strength_stays_closer(
    generator: DiffusersGenerator, picture: Image.Image
) -> None:
    weak, strong = (
        generator.generate(job(width=64, height=64, steps=8, images=(picture,), strength=strength))
        for strength in (0.13, 1.0)
    )
    assert weak[0].size == (64, 64)
    assert bytes_of(weak) != bytes_of(strong)


def test_strength_below_one_step_still_takes_one(
    generator: DiffusersGenerator, picture: Image.Image
) -> None:
    seen: list[tuple[int, int]] = []
    order = job(images=(picture,), steps=2, strength=0.1)
    generator.generate(order, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 1)]


def test_outside_the_mask_not_one_pixel_changes(
    generator: DiffusersGenerator, picture: Image.Image
) -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (16, 16, 48, 48))
    order = job(width=64, height=64, steps=4, images=(picture,), mask=mask)
    before, after = np.asarray(picture), np.asarray(generator.generate(order)[0])
    kept = np.asarray(mask) == 0
    assert (before[kept] == after[kept]).all()
    assert (before[~kept] != after[~kept]).any()


def test_two_pictures_are_refused_by_a_model_that_edits_one(
    generator: DiffusersGenerator, picture: Image.Image
) -> None:
    with pytest.raises(TooManyImages, match="one picture"):
        generator.generate(job(images=(picture, picture)))


def test_over_the_largest_side_is_refused(generator: DiffusersGenerator) -> None:
    with pytest.raises(InvalidRequest, match="largest side"):
        generator.generate(job(width=generator.info.max_size + 1))


def test_a_breaking_pipeline_is_a_coded_error(
    generator: DiffusersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = generator.variants.pipeline("generate")

    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(pipeline.unet, "forward", explode)
    with pytest.raises(GenerationFailed, match="out of memory"):
        generator.generate(job())


def test_numbers_that_are_no_picture_are_a_coded_error(
    generator: DiffusersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = generator.variants.pipeline("generate")
    decode = pipeline.vae.decode

    def nan(*arguments: object, **options: object) -> object:
        return (decode(*arguments, **options)[0] * float("nan"),)

    monkeypatch.setattr(pipeline.vae, "decode", nan)
    with pytest.raises(GenerationFailed, match="no picture"):
        generator.generate(job())


def test_threads_take_turns_and_get_their_own_pictures(generator: DiffusersGenerator) -> None:
    alone = {seed: bytes_of(generator.generate(job(seed=seed))) for seed in range(4)}
    together: dict[int, list[bytes]] = {}

    def work(seed: int) -> None:
        together[seed] = bytes_of(generator.generate(job(seed=seed)))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_int8_is_real_and_close(unet_folder: Path, generator: DiffusersGenerator) -> None:
    small = DiffusersGenerator.load(unet_folder, options=LoadOptions(quantization="int8"))
    assert small.info.quantization == "int8"
    assert "Int8Linear" in repr(small.variants.pipeline("generate").unet)
    full, eight = (
        np.asarray(engine.generate(job())[0], dtype=np.float32) for engine in (generator, small)
    )
    assert 0 < np.abs(full - eight).mean() < 16


@pytest.mark.parametrize("sums_bytes", [True, False])
def test_a_transformer_is_quantized_where_the_processor_sums_bytes(
    transformer_folder: Path,
    picture: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
    sums_bytes: bool,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: sums_bytes)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    engine = DiffusersGenerator.load(transformer_folder)
    assert engine.info.quantization == ("int8" if sums_bytes else "none")
    assert engine.info.supports >= {"generate", "edit"}
    order = job(width=64, height=64, steps=2, images=(picture, picture))
    assert engine.generate(order)[0].size == (64, 64)


@pytest.mark.parametrize("model", ["no/such/folder", "hf:not an id", "hf:org/unknown-model"])
def test_a_model_that_is_not_there_says_what_to_do(model: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        DiffusersGenerator.load(model)
    assert caught.value.hint


def test_a_pickled_or_broken_model_does_not_load(unet_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(unet_folder, folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelLoadError):
        DiffusersGenerator.load(folder)


@pytest.mark.parametrize("options", [{"quantization": "int3"}, {"dtype": "float8"}])
def test_unknown_options_are_refused(unet_folder: Path, options: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        DiffusersGenerator.load(unet_folder, options=LoadOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "rendered"),
    [
        ((512, 512), (128, 128)),
        ((1024, 512), (192, 96)),
        ((512, 1024), (96, 192)),
        ((4000, 10), (192, 96)),
    ],
)
def test_the_denoiser_works_near_its_native_number_of_pixels(
    asked: tuple[int, int], rendered: tuple[int, int], generator: DiffusersGenerator
) -> None:
    pipeline = generator.variants.pipeline("generate")
    width, height = render_size(*asked, 128, pipeline)
    assert width % 8 == 0
    assert height % 8 == 0
    assert abs(width - rendered[0]) <= 16
    assert abs(height - rendered[1]) <= 16


def test_a_derived_pipeline_leaves_the_weights_as_they_were_loaded(tmp_path: Path) -> None:
    options = LoadOptions(quantization="none", dtype="bfloat16")
    engine = DiffusersGenerator.load(FAMILIES["flux2_klein"].save(tmp_path), options=options)
    pipeline = engine.variants.pipeline("generate")
    engine.variants._derive("inpaint", Flux2KleinInpaintPipeline, pipeline)
    derived = engine.variants.pipeline("inpaint")
    assert derived.transformer is pipeline.transformer
    assert derived.config.is_distilled
    assert {pipeline.transformer.dtype, pipeline.vae.dtype} == {torch.bfloat16}
