"""Every door reads the one table of limits: requests, jobs, bodies, pages, settings and manual."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chopmark import EditRequest, GenerationRequest, Pipeline, Settings
from chopmark.errors import InvalidRequest
from chopmark.generation import GenerationJob, LoadOptions, ModelInfo
from chopmark.kit import limits
from chopmark.pipeline.request import check_request

DOCS = Path(__file__).parents[3] / "docs"
MODEL = ModelInfo(
    id="tiny",
    version="1",
    digest="0" * 64,
    licence="Apache-2.0",
    native_size=64,
    default_size=(64, 64),
    max_size=limits.SIDE.most * 2,  # the table holds also where a model would give out more
    default_steps=4,
    quantization="none",
    supports=frozenset({"generate", "edit", "inpaint"}),
)


def outside(limit: limits.Limit[Any]) -> tuple[float, ...]:
    step = 1 if isinstance(limit.least, int) else 0.001
    return limit.least - step, limit.most + step, math.nan


def test_the_manual_shows_the_table() -> None:
    page = (DOCS / "bounds.md").read_text(encoding="utf-8")
    assert page.endswith("\n\n" + limits.table_in_markdown()), (
        "python -m chopmark.kit.limits prints the table for docs/bounds.md"
    )


def test_each_limit_is_in_the_table_once() -> None:
    own = [value for value in vars(limits).values() if isinstance(value, limits.Limit)]
    assert sorted(one.name for one in own) == sorted(one.name for one in limits.TABLE)
    assert len({one.name for one in own}) == len(own)
    for one in own:
        assert one.least < one.most
        assert one.what.endswith(".")


@pytest.mark.parametrize("limit", limits.TABLE, ids=lambda limit: limit.name)
def test_the_bounds_are_taken_and_what_is_outside_is_not(limit: limits.Limit[Any]) -> None:
    for value in (limit.least, limit.most, None):
        limit.check(value)
    for value in outside(limit):
        with pytest.raises(InvalidRequest, match=r"field is .*, not in") as caught:
            limit.check(value, name="field")
        assert caught.value.param == "field"


def test_a_setting_or_a_model_may_allow_less_and_never_more() -> None:
    assert limits.N.up_to(4).most == 4
    assert limits.N.up_to(400).most == limits.N.most


@pytest.mark.parametrize(
    ("field", "limit"),
    [
        ("n", limits.N),
        ("seed", limits.SEED),
        ("steps", limits.STEPS),
        ("guidance", limits.GUIDANCE),
        ("quality", limits.QUALITY),
        ("previews", limits.PREVIEWS),
        ("strength", limits.STRENGTH),
        ("width", limits.SIDE),
        ("height", limits.SIDE),
    ],
)
def test_a_request_is_held_to_the_table(
    settings: Settings, field: str, limit: limits.Limit[Any]
) -> None:
    wide = settings.model_copy(update={"max_outputs": limits.N.most})

    def check(value: float) -> None:
        given: dict[str, Any] = {field: value}
        if field in {"width", "height"}:
            # The other side is as near as the proportions allow.
            other = max(limits.SIDE.least, int(value) // limits.RATIO.most)
            given = {"size": (value, other) if field == "width" else (other, value)}
        check_request(EditRequest(prompt="a", image=b"", **given), wide, MODEL)

    check(limit.least)
    check(limit.most)
    for value in outside(limit):
        if not (math.isnan(value) and field in {"width", "height"}):
            with pytest.raises(InvalidRequest, match=field):
                check(value)


def test_whatever_a_request_may_ask_for_is_a_job(settings: Settings) -> None:
    """A wish that passes the door must not break at the generator, after it was booked."""
    for name in ("least", "most"):
        request = EditRequest(
            prompt="a",
            image=b"",
            n=getattr(limits.N, name),
            seed=getattr(limits.SEED, name),
            size=(getattr(limits.SIDE, name),) * 2,
            steps=getattr(limits.STEPS, name),
            guidance=getattr(limits.GUIDANCE, name),
            strength=getattr(limits.STRENGTH, name),
            previews=getattr(limits.PREVIEWS, name),
        )
        check_request(request, settings.model_copy(update={"max_outputs": limits.N.most}), MODEL)
        assert request.seed is not None
        assert request.size is not None
        job = GenerationJob(
            prompt=request.prompt,
            n=request.n,
            seed=request.seed,
            width=request.size[0],
            height=request.size[1],
            steps=request.steps,
            guidance=request.guidance,
            strength=request.strength,
            drafts=request.previews,
        )
        # Also each of its pictures alone.
        for seed in job.seeds:
            assert replace(job, n=1, seed=seed).seeds == (seed,)


def test_the_seed_of_picture_i_is_the_same_everywhere() -> None:
    request = GenerationRequest(prompt="a", n=3, seed=7)
    assert request.seed is not None
    job = GenerationJob(prompt="a", n=request.n, seed=request.seed, width=64, height=64)
    assert job.seeds == tuple(request.seed + i - 1 for i in (1, 2, 3))
    stated = "``seed + i - 1``"
    for described in (GenerationRequest, GenerationJob):
        assert stated in " ".join((described.__doc__ or "").split())
    for page in ("bounds.md", "generation.md", "pipeline.md"):
        assert "`seed + i - 1`" in (DOCS / page).read_text(encoding="utf-8")


def _properties(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every described field of the document: its name, and the schema that bounds its value."""
    if isinstance(node, dict):
        for name, schema in (node.get("properties") or {}).items():
            for one in schema.get("anyOf", [schema]) if isinstance(schema, dict) else ():
                yield name, one
        for value in node.values():
            yield from _properties(value)
    elif isinstance(node, list):
        for value in node:
            yield from _properties(value)


def test_what_the_http_api_describes_is_the_table(settings: Settings) -> None:
    from chopmark.api import create_app

    numbers: dict[str, limits.Limit[Any]] = {
        "n": limits.N,
        "candidateCount": limits.N,
        "seed": limits.SEED,
        "steps": limits.STEPS,
        "strength": limits.STRENGTH,
        "partial_images": limits.STREAMED_PREVIEWS,
        "outputCompressionQuality": limits.QUALITY,
    }
    texts = {
        "statement": limits.STATEMENT,
        "rationale": limits.RATIONALE,
        "purpose": limits.PURPOSE,
        "queue": limits.QUEUE,
    }
    with Pipeline.from_settings(settings) as pipeline:
        described = create_app(pipeline).openapi()
    seen = set()
    for name, schema in _properties(described):
        kind = schema.get("type")
        if name in numbers and kind in {"integer", "number"}:
            bounds = schema["minimum"], schema["maximum"]
            assert bounds == (numbers[name].least, numbers[name].most), (name, schema)
            seen.add(name)
        elif name in texts and kind == "string" and "enum" not in schema:
            assert schema.get("maxLength") == texts[name].most, (name, schema)
            seen.add(name)
    assert seen == {*numbers, *texts}


@pytest.mark.parametrize(
    ("setting", "limit"),
    [
        ("max_outputs", limits.N),
        ("max_references", limits.REFERENCES),
        ("max_batch", limits.BATCH),
    ],
)
def test_a_setting_is_held_to_the_table(setting: str, limit: limits.Limit[Any]) -> None:
    assert getattr(Settings(**{setting: limit.most}), setting) == limit.most
    with pytest.raises(ValueError, match=setting):
        Settings(**{setting: limit.most + 1})


def test_load_options_are_held_to_the_table() -> None:
    assert LoadOptions(max_batch=limits.BATCH.most)
    with pytest.raises(InvalidRequest, match="max_batch"):
        LoadOptions(max_batch=limits.BATCH.most + 1)
