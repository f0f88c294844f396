"""What a picture was once, shown beside what it is: only where that is public, and stands."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from chopmark import EditRequest, GenerationRequest
from chopmark.audit import Event
from chopmark.pipeline.inspect import examine
from chopmark.pipeline.signed_report import sign_report
from tests.support.generator import StandIn
from tests.support.picture_files import encoded

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from chopmark import Pipeline, Released
    from chopmark.provenance.report import Original

SCRIPT = Path(__file__).parents[1] / "unit" / "provenance" / "provenance_attacks.py"


@pytest.fixture(scope="module")
def attacks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("attacks_for_originals", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def _made(pipeline: Pipeline, prompt: str = "a red apple") -> Released:
    released = asyncio.run(pipeline.generate(GenerationRequest(prompt=prompt, seed=5, steps=2)))
    pipeline.parts.answer_cache.later.drain(60)
    return released


def _altered(released: Released) -> bytes:
    with Image.open(io.BytesIO(released.outputs[0].data)) as picture:
        return encoded(picture.convert("RGB"), "JPEG", quality=85)


def _shown(original: Original | None) -> Image.Image:
    assert original is not None
    kind, _, text = original.picture.partition(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")


def test_what_left_publicly_is_shown_until_it_is_withdrawn_or_erased(
    open_pipeline: Callable[..., Pipeline],
) -> None:
    pipeline = open_pipeline(public_copies=True, generator=StandIn())
    parts = pipeline.parts
    released = _made(pipeline)
    name, altered = released.outputs[0].output_id, _altered(released)
    report = examine(parts, altered, public=True)
    assert report.verdict == "marked_but_altered"
    assert report.original is not None
    assert (report.original.source, report.original.output_id) == ("released", name)
    with Image.open(io.BytesIO(released.outputs[0].data)) as left:
        shown = _shown(report.original)
        assert shown.size == left.size
        difference = ImageChops.difference(shown, left.convert("RGB"))
    assert max(ImageStat.Stat(difference).mean) < 6
    # The very file needs nothing beside it.
    assert examine(parts, released.outputs[0].data).original is None
    # A signed statement holds no picture.
    stated = sign_report(parts, altered, report)
    assert report.original.picture[-40:] not in stated

    parts.log.append(Event(kind="output.withdrawn", record_id=released.record_id, tenant="default"))
    assert examine(parts, altered).original is None
    parts.log.append(Event(kind="output.restored", record_id=released.record_id, tenant="default"))
    assert examine(parts, altered).original is not None
    parts.log.custody.attachments.drop(record_id=released.record_id)
    assert examine(parts, altered).original is None


def test_nothing_is_kept_of_what_is_not_public_or_was_flagged(
    open_pipeline: Callable[..., Pipeline], tmp_path: Path
) -> None:
    import yaml

    from chopmark.safety import load_policy

    private = open_pipeline(generator=StandIn())
    released = _made(private)
    assert examine(private.parts, _altered(released)).original is None
    said = load_policy("default").model_dump(mode="json")
    said["categories"]["violence"]["prompt"]["review"] = 0.0
    doubting = tmp_path / "doubting.yaml"
    doubting.write_text(yaml.safe_dump(said), encoding="utf-8")
    public = open_pipeline(
        public_copies=True, home=tmp_path / "other", policy=str(doubting), generator=StandIn()
    )
    flagged = _made(public)
    assert flagged.prompt_verdict.action == "review"
    assert examine(public.parts, _altered(flagged)).original is None


def test_copies_within_credentials(
    shared_pipeline: Pipeline, attacks: ModuleType, make_picture: Callable[..., Image.Image]
) -> None:
    parts = shared_pipeline.parts
    stranger, before = attacks.Outsider(), make_picture(128, 96, seed=3)
    after = ImageOps.invert(before)
    signed = stranger.sign(encoded(before), thumbnails=True)
    broken = attacks.changed_pixels(signed)
    report = examine(parts, broken)
    assert report.verdict == "edited_after_signing"
    assert report.original is not None
    assert report.original.source == "signed"
    assert _shown(report.original).getpixel((5, 5)) == pytest.approx(
        before.getpixel((5, 5)), abs=24
    )
    # Credentials that were themselves changed show nothing that could be believed.
    forged = signed.replace(b"digitalCapture", b"digitalCaptur_")
    told: Any = examine(parts, forged)
    assert told.manifest.state in {"broken", "malformed"}
    assert told.original is None
    # An edit that kept its input shows what it was made from.
    made = stranger.sign(
        encoded(after), source_type="trainedAlgorithmicMedia", parent=signed, thumbnails=True
    )
    report = examine(parts, made)
    assert report.verdict == "edited_by_ai_elsewhere"
    assert report.original is not None
    assert report.original.source == "input"
    assert _shown(report.original).getpixel((5, 5)) == pytest.approx(
        before.getpixel((5, 5)), abs=24
    )


def test_an_edit_of_what_is_public_keeps_a_copy_of_its_own(
    open_pipeline: Callable[..., Pipeline],
) -> None:
    pipeline = open_pipeline(public_copies=True, generator=StandIn())
    first = _made(pipeline)
    request = EditRequest(prompt="a green apple", image=first.outputs[0].data, seed=2, steps=2)
    edited = asyncio.run(pipeline.edit(request))
    pipeline.parts.answer_cache.later.drain(60)
    original = examine(pipeline.parts, _altered(edited)).original
    assert original is not None
    assert original.output_id == edited.outputs[0].output_id
