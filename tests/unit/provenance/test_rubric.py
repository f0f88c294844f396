"""The conformance programme's asset rubric (0.2, spec 2.4), restated check by check.

Source: C2PA conformance-public, ``asset-rubrics/asset-rubric-conformance0.2-spec2.4.yml``. Each
test is one statement of it (or a few that go together), in its order, evaluated on the library's
crJSON as the rubric prescribes, for text-to-image, for an edit of an unsigned input, of a
signed one and of several.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import c2pa
import pytest

from chopmark.provenance import TrustAnchors, _native, encode_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from chopmark.provenance import Signed
    from tests.unit.provenance.conftest import Maker

INCEPTION = {"c2pa.created", "c2pa.opened"}
NON_EDITORIAL = {
    "c2pa.converted", "c2pa.published", "c2pa.repackaged", "c2pa.transcoded",
    "c2pa.resized.proportional", "c2pa.enhanced", "c2pa.edited.metadata", "c2pa.watermarked",
    "c2pa.watermarked.bound", "c2pa.watermarked.unbound", "c2pa.redacted",
}  # fmt: skip
ALLOWED_ACTIONS = NON_EDITORIAL | INCEPTION | {"c2pa.edited", "c2pa.placed"}
DEPRECATED_ACTIONS = {
    "c2pa.copied", "c2pa.formatted", "c2pa.version_updated", "c2pa.printed", "c2pa.managed",
    "c2pa.produced", "c2pa.saved", "c2pa.color_adjustments", "c2pa.watermarked",
}  # fmt: skip
ALLOWED_ASSERTIONS = {
    "c2pa.hash.data", "c2pa.hash.bmff.v3", "c2pa.actions.v2", "c2pa.ingredient.v3",
    "c2pa.soft-binding", "c2pa.ai-disclosure",
}  # fmt: skip
DEPRECATED_ASSERTIONS = {
    "c2pa.claim", "c2pa.hash.bmff.v2", "c2pa.asset-type", "c2pa.ingredient", "c2pa.ingredient.v2",
    "c2pa.actions",
}  # fmt: skip
STANDARD_PARAMETERS = {
    "redacted", "ingredients", "ingredient", "description", "relatedAssertions", "sourceLanguage",
    "targetLanguage", "multipleInstances", "ranges", "weight", "width", "italic", "slant",
    "optical-size",
}  # fmt: skip


@pytest.fixture(
    scope="module",
    params=[
        (kind, fmt)
        for kind in ("created", "edit of unsigned", "edit of signed", "edit of several")
        for fmt in ("png", "avif")
    ],
    ids=" ".join,
)
def active(
    request: pytest.FixtureRequest,
    session_maker: Maker,
    made: dict[str, Signed],
    photograph: Callable[..., Image.Image],
) -> dict[str, Any]:
    """The active manifest of one of our files, as crJSON."""
    kind, fmt = request.param
    parent = {
        "created": None,
        "edit of unsigned": encode_image(photograph(seed=40), "jpeg"),
        "edit of signed": made["jpeg"].data,
        "edit of several": made["jpeg"].data,
    }[kind]
    several = (made["png"].data, encode_image(photograph(seed=42), "webp"))
    signed = session_maker.make(
        photograph(128, 128, seed=41), fmt, output_id="e3f09c1122334451", mark=False,
        parent=parent, references=several if kind == "edit of several" else (),
        mark_method="lattice", mark_payload=bytes(8),
    )  # fmt: skip
    config = _native.settings(*TrustAnchors.of(session_maker.credential).native())
    mime = f"image/{fmt}"
    with c2pa.Reader(mime, io.BytesIO(signed.data), context=_native.context(config)) as reader:
        manifest: dict[str, Any] = json.loads(reader.crjson())["manifests"][0]
    return manifest


def _actions(active: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        action
        for assertion in active["assertions"].values()
        if isinstance(assertion, dict) and assertion.get("actions")
        for action in assertion["actions"]
    ]


def _ingredients(active: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        one
        for one in active["assertions"].values()
        if isinstance(one, dict) and one.get("relationship") is not None
    ]


def _values(active: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in active["assertions"].values() if isinstance(one, dict)]


def _info(active: dict[str, Any]) -> dict[str, Any]:
    info = active["claim.v2"]["claim_generator_info"]
    found: dict[str, Any] = info[0] if isinstance(info, list) else info
    return found


def test_the_rubric_looks_at_something(active: dict[str, Any]) -> None:
    assert _actions(active)
    assert active["assertions"]
    assert active["claim.v2"]["created_assertions"]


def test_mandatory_dst_for_perceptible_transformations(active: dict[str, Any]) -> None:
    for action in _actions(active):
        name = action["action"]
        if name.startswith("c2pa.") and name not in INCEPTION | NON_EDITORIAL | {"c2pa.placed"}:
            assert action.get("digitalSourceType")


def test_mandatory_spec_version(active: dict[str, Any]) -> None:
    assert _info(active)["specVersion"].split(".")[:2] == ["2", "4"]


def test_mandatory_all_actions_included(active: dict[str, Any]) -> None:
    for one in _values(active):
        if one.get("actions"):
            assert one.get("allActionsIncluded") is not None


def test_no_dst_for_opened_action(active: dict[str, Any]) -> None:
    for action in _actions(active):
        if action["action"] == "c2pa.opened":
            assert "digitalSourceType" not in action


def test_well_formed_and_valid_data_present(active: dict[str, Any]) -> None:
    assert active["validationResults"] is not None


def test_well_formed_and_valid_success(active: dict[str, Any]) -> None:
    # The rubric lists the codes that count as failures; we allow none at all.
    assert active["validationResults"]["failure"] == []
    assert active["validationResults"]["success"]


def test_inception_action_position(active: dict[str, Any]) -> None:
    created = [one["url"] for one in active["claim.v2"]["created_assertions"]]
    first = next(url for url in created if "c2pa.actions" in url)
    assert first.endswith("c2pa.actions.v2")
    assert _actions(active)[0]["action"] in INCEPTION


def test_no_deprecated_assertions(active: dict[str, Any]) -> None:
    for label in active["assertions"]:
        assert not label.startswith("stds.")
        assert label not in DEPRECATED_ASSERTIONS


def test_no_unsupported_assertions(active: dict[str, Any]) -> None:
    for label in active["assertions"]:
        if label.startswith("c2pa."):
            assert label.split("__")[0] in ALLOWED_ASSERTIONS


def test_no_deprecated_actions(active: dict[str, Any]) -> None:
    assert not {one["action"] for one in _actions(active)} & DEPRECATED_ACTIONS


def test_no_unsupported_actions(active: dict[str, Any]) -> None:
    for one in _actions(active):
        if one["action"].startswith("c2pa."):
            assert one["action"] in ALLOWED_ACTIONS


def test_custom_names_have_a_dot(active: dict[str, Any]) -> None:
    """no_unrecognized_custom_assertions, _actions and _action_parameters."""
    assert all("." in label for label in active["assertions"])
    for one in _actions(active):
        assert "." in one["action"]
        for name in one.get("parameters", {}):
            assert name in STANDARD_PARAMETERS or "." in name


def test_discouraged_legacy_action_parameters(active: dict[str, Any]) -> None:
    for one in _actions(active):
        assert not {"description", "ingredient"} & set(one.get("parameters", {}))


def test_active_manifest_urn(active: dict[str, Any]) -> None:
    assert active["label"].startswith("urn:c2pa:")


def test_review_ratings_datasource(active: dict[str, Any]) -> None:
    assert not [one for one in _values(active) if "reviewRatings" in one]


def test_ingredient_v3_validation_results_go_with_an_active_manifest(
    active: dict[str, Any],
) -> None:
    """ingredient_v3_no_active_manifest and ingredient_v3_mandatory_validation_results."""
    for one in _ingredients(active):
        assert (one.get("activeManifest") is None) == (one.get("validationResults") is None)


def test_ingredient_relationship_values(active: dict[str, Any]) -> None:
    for one in _ingredients(active):
        assert one["relationship"] in {"parentOf", "inputTo", "componentOf"}


def test_mandatory_dst_for_created_action(active: dict[str, Any]) -> None:
    for one in _actions(active):
        if one["action"] == "c2pa.created":
            assert one["digitalSourceType"].endswith("/trainedAlgorithmicMedia")


def test_no_deprecated_claim_fields(active: dict[str, Any]) -> None:
    assert "specVersion" not in active["claim.v2"]


def test_ingredient_v3_choice(active: dict[str, Any]) -> None:
    for one in _ingredients(active):
        assert not (one.get("activeManifest") and one.get("digitalSourceType"))


def test_no_alternative_representation_and_no_external_reference(active: dict[str, Any]) -> None:
    """alternative_content_representation_choice and forbidden_labels_in_external_references."""
    labels = set(active["assertions"])
    assert not [one for one in labels if "alternative-content" in one or "external-ref" in one]


def test_no_url_in_hashes(active: dict[str, Any]) -> None:
    for label in ("c2pa.hash.data", "c2pa.hash.bmff.v3"):
        assert "url" not in active["assertions"].get(label, {})


def test_all_actions_included_opened(active: dict[str, Any]) -> None:
    actions = _actions(active)
    if len(actions) == 1 and actions[0]["action"] == "c2pa.opened":
        assert active["assertions"]["c2pa.actions.v2"]["allActionsIncluded"] is True


def test_opened_action_ingredient_reference(active: dict[str, Any]) -> None:
    for one in _actions(active):
        if one["action"] == "c2pa.opened":
            assert len(one["parameters"]["ingredients"]) == 1


def test_no_box_hash_for_tiff(active: dict[str, Any]) -> None:
    assert "c2pa.hash.boxes" not in active["assertions"]
