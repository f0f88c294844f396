"""What a trained model did, as manifests and their inputs say."""

from __future__ import annotations

from typing import Any

import pytest

from chopmark.provenance._involvement import ai_signal

SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def _manifest(
    *acts: tuple[str, str | None],
    inputs: tuple[tuple[str, str | None], ...] = (),
    more: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    """A manifest with these actions, and inputs by (relationship, manifest id)."""
    actions = [
        {"action": name, **({"digitalSourceType": SOURCE + kind} if kind else {})}
        for name, kind in acts
    ]
    return {
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}, *more],
        "claim_generator_info": [{"name": "tool"}],
        "ingredients": [
            {"relationship": relationship, "active_manifest": name} for relationship, name in inputs
        ],
    }


CAMERA = _manifest(("c2pa.created", "digitalCapture"))
MADE = _manifest(("c2pa.created", "trainedAlgorithmicMedia"))
DISCLOSED = {"label": "c2pa.ai-disclosure", "data": {"modelName": "M"}}


@pytest.mark.parametrize(
    ("subject", "others", "state", "kind"),
    [
        (MADE, {}, "active", "made"),
        (CAMERA, {}, "none", None),
        (_manifest(("c2pa.created", "compositeWithTrainedAlgorithmicMedia")), {}, "active",
         "edited"),
        (_manifest(("c2pa.created", "compositeSynthetic")), {}, "active", "contains"),
        # A retouch does not make the photograph: neither in one manifest nor over an input.
        (_manifest(("c2pa.created", "digitalCapture"), ("c2pa.edited", "trainedAlgorithmicMedia")),
         {}, "active", "edited"),
        (_manifest(("c2pa.opened", None), ("c2pa.edited", "trainedAlgorithmicMedia"),
                   inputs=(("parentOf", "a"),)), {"a": CAMERA}, "active", "edited"),
        (_manifest(("c2pa.opened", None), ("c2pa.edited", "trainedAlgorithmicMedia"),
                   inputs=(("parentOf", None),)), {}, "active", "edited"),
        (_manifest(("c2pa.created", "digitalCapture"), ("c2pa.placed", "trainedAlgorithmicMedia")),
         {}, "active", "contains"),
        # What a model made stays that, whatever was done to it.
        (_manifest(("c2pa.opened", None), ("c2pa.cropped", None), inputs=(("parentOf", "a"),)),
         {"a": MADE}, "ancestor", "made"),
        (_manifest(("c2pa.opened", None), ("c2pa.edited", "compositeWithTrainedAlgorithmicMedia"),
                   inputs=(("parentOf", "a"),)), {"a": MADE}, "active", "made"),
        (_manifest(("c2pa.opened", None), inputs=(("parentOf", "a"),)),
         {"a": _manifest(("c2pa.opened", None), inputs=(("parentOf", "b"),)), "b": MADE},
         "ancestor", "made"),
        # Something made by AI that was placed in a photograph, or went into it.
        (_manifest(("c2pa.created", "digitalCapture"), ("c2pa.placed", None),
                   inputs=(("componentOf", "a"),)), {"a": MADE}, "ancestor", "contains"),
        (_manifest(("c2pa.created", "digitalCapture"), inputs=(("inputTo", "a"),)), {"a": MADE},
         "ancestor", "contains"),
        (CAMERA, {"stray": MADE}, "ancestor", "contains"),
        (_manifest(("c2pa.edited", "trainedAlgorithmicMedia")), {}, "active", "made"),
        (_manifest(("c2pa.created", None), more=(DISCLOSED,)), {}, "active", "made"),
        (_manifest(("c2pa.created", "digitalCapture"), more=(DISCLOSED,)), {}, "active", "edited"),
    ],
)  # fmt: skip
def test_what_a_model_did(
    subject: dict[str, Any], others: dict[str, Any], state: str, kind: str | None
) -> None:
    found = ai_signal(subject, {"subject": subject, **others})
    assert (found.state, found.kind) == (state, kind)


@pytest.mark.parametrize(
    "spelling",
    [SOURCE + "trainedAlgorithmicMedia", "digsrctype:trainedAlgorithmicMedia",
     "trainedAlgorithmicMedia", SOURCE.replace("http", "https") + "trainedAlgorithmicMedia/"],
)  # fmt: skip
def test_each_spelling_of_a_source_type(spelling: str) -> None:
    manifest = {
        "assertions": [
            {"label": "c2pa.metadata", "data": {"Iptc4xmpExt:DigitalSourceType": spelling}}
        ]
    }
    assert ai_signal(manifest, {}).kind == "made"


def test_a_denial_is_one_only_where_nothing_names_a_model() -> None:
    assert ai_signal(CAMERA, {}).denied
    retouched = _manifest(
        ("c2pa.created", "digitalCapture"), ("c2pa.edited", "trainedAlgorithmicMedia")
    )
    assert not ai_signal(retouched, {}).denied


def test_the_disclosure_names_model_and_oversight() -> None:
    said = {"modelName": "M", "contentProfile": {"humanOversightLevel": "human_validated"}}
    manifest = _manifest(more=({"label": "c2pa.ai-disclosure", "data": said},))
    found = ai_signal(manifest, {})
    assert (found.system, found.oversight) == ("M", "human_validated")


def test_a_history_in_a_circle_ends() -> None:
    a = _manifest(("c2pa.opened", None), inputs=(("parentOf", "b"),))
    b = _manifest(("c2pa.opened", None), inputs=(("parentOf", "a"), ("componentOf", "b")))
    assert ai_signal(a, {"a": a, "b": b}).state == "none"


def test_odd_types_count_as_not_there() -> None:
    odd: dict[str, Any] = {
        "assertions": [7, {"label": "c2pa.actions", "data": {"actions": {"action": "x"}}}],
        "ingredients": "none", "claim_generator_info": {"name": 3},
    }  # fmt: skip
    assert ai_signal(odd, {"x": odd}).state == "none"
