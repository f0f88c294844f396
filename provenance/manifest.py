"""What a manifest of ours says, as the C2PA library takes it.

Source: C2PA Technical Specification 2.4; each rule of the conformance programme's asset rubric
(0.2 for spec 2.4) that applies to us is restated as a test in
``tests/unit/provenance/test_rubric.py``.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from chopmark.errors import SigningFailed
from chopmark.kit.ids import is_id
from chopmark.provenance._json import as_dict
from chopmark.provenance.xmp import IPTC_TYPES, SOURCE_TYPES, Aigc, XmpFields

__all__ = [
    "DISCLOSURE_LABEL",
    "PDQ_ALG",
    "RECORD_LABEL",
    "InputIngredient",
    "ManifestInfo",
    "SealedAs",
    "definition",
    "ingredient",
    "mark_algorithm",
]

RECORD_LABEL: Final = "org.chopmark.record"
"""Label of our own assertion: which record of which log this picture belongs to."""

DISCLOSURE_LABEL: Final = "c2pa.ai-disclosure"
"""Label of C2PA's machine-readable disclosure of AI (2.4)."""

PDQ_ALG: Final = "org.chopmark.pdq.1"
"""Soft-binding algorithm of the PDQ hash. Not in C2PA's list of algorithms, and said to be so."""

_MODEL_TYPE: Final = "c2pa.types.model"
SealedAs = Literal[
    "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic"
]

_SPEC: Final = "2.4.0"
_UNLISTED: Final = "unlisted"
_PARENT: Final = "parent"
_REFERENCE: Final = "reference-{}"
_USES: Final = (
    "cawg.data_mining",
    "cawg.ai_inference",
    "cawg.ai_training",
    "cawg.ai_generative_training",
)

# What the library found out about a picture and wants to be told again when the edit is signed. A
# thumbnail is not among it: the library finds the one inside the ingredient's manifest by itself.
_FOUND: Final = ("format", "active_manifest", "validation_results")


def mark_algorithm(method: str) -> str:
    """Return the soft-binding algorithm name of a watermark method: ``org.chopmark.METHOD.1``."""
    return f"org.chopmark.{method}.1"


@dataclass(frozen=True, kw_only=True)
class InputIngredient:
    """An input picture as a manifest names it.

    Attributes:
        found: What the library found, a JSON object; of its fields only those count that
            `fields` returns.
        manifest: The picture's own manifest store (JUMBF), or None where it has none that could be
            read.
        says: What is to be known of it beside its manifest; shown to viewers.
    """

    found: str
    manifest: bytes | None = field(default=None, repr=False)
    says: str = ""

    def fields(self) -> dict[str, Any]:
        """Return what the library is told again.

        Raises:
            SigningFailed: This was not made by `read_ingredient`.
        """
        try:
            found = json.loads(self.found)
        except ValueError as error:
            raise SigningFailed("an input picture's findings are no JSON") from error
        return {name: value for name, value in as_dict(found).items() if name in _FOUND}


@dataclass(frozen=True, kw_only=True)
class ManifestInfo:
    """All that a manifest of ours can say. Nothing here names the person who asked.

    Attributes:
        output_id: 16 hex digits; what the watermark carries.
        record_id: 16 hex digits; where the log has it.
        model_id: Which model made the pixels.
        model_version: Of it.
        created_at: When, with a time zone.
        action: ``created`` from a prompt, or ``edited`` from ``parent``.
        parent: The input picture; needed for ``edited``. Its file as it came in, or better what
            `read_ingredient` made of it: foreign bytes are then not read where the key is.
        references: Further pictures that the model was shown beside ``parent``, likewise.
        parent_mime: Its media type as the client named it; the bytes decide.
        mark_method: Watermark method, None where the picture carries none.
        mark_payload: The 8 bytes in the watermark.
        pdq: PDQ hash, 64 hex digits.
        generator_name: Claim generator.
        generator_version: Of it.
        prompt: The prompt. Personal data: None unless a setting asks for it.
        pixels_sha256: `pixel_digest` of the encoded file's pixels, decoded again: with it, a
            picture that lost all its metadata can be shown to be unaltered. Decoders of lossy
            formats may differ in a bit, so equality proves and difference does not.
        soft_bindings: Whether the manifest names watermark and fingerprint as soft bindings.
        training: Whether others may train on the picture (``cawg.training-mining``).
        aigc_producer: Provider in China's ``AIGC`` element of the XMP; empty leaves that out.
        title: Shown by viewers; empty makes it ``Picture``.
        sealed_as: Another generator made the pixels, and whoever sent them says that it is
            ``model_id``: the last part of the IPTC digital source type that they have. A picture
            with a manifest of its own is ``parent`` then, and nothing else is said of its origin.
    """

    output_id: str
    record_id: str
    model_id: str
    model_version: str
    created_at: dt.datetime
    action: Literal["created", "edited"] = "created"
    parent: InputIngredient | bytes | None = None
    references: tuple[InputIngredient | bytes, ...] = ()
    parent_mime: str | None = None
    mark_method: str | None = None
    mark_payload: bytes | None = None
    pdq: str | None = None
    generator_name: str = "Chopmark"
    generator_version: str
    prompt: str | None = None
    pixels_sha256: str | None = None
    soft_bindings: bool = True
    training: Literal["allowed", "notAllowed"] = "notAllowed"
    aigc_producer: str = ""
    title: str = ""
    sealed_as: SealedAs | None = None

    def xmp_fields(self) -> XmpFields:
        """Return what the file's XMP is to say: the same as the manifest."""
        aigc = None
        if self.aigc_producer:
            # The content's number is the output id: the log knows it, and so does the watermark.
            aigc = Aigc(content_producer=self.aigc_producer, produce_id=self.output_id)
        return XmpFields(
            system=self.model_id,
            system_version=self.model_version,
            source_type=self.sealed_as or SOURCE_TYPES[self.action],
            # Who sealed a picture did not create it.
            creator_tool=self.model_id
            if self.sealed_as
            else f"{self.generator_name} {self.generator_version}",
            prompt=self.prompt,
            aigc=aigc,
        )


def definition(info: ManifestInfo) -> dict[str, Any]:
    """Return the library's manifest definition.

    Raises:
        SigningFailed: The values contradict each other.
    """
    _check(info)
    assertions: list[dict[str, Any]] = [
        # First, since the rubric wants the inception action in the first created assertion
        # (C2PA 2.4, 18.15.2).
        _created("c2pa.actions.v2", {"actions": _actions(info), "allActionsIncluded": True})
    ]
    if info.soft_bindings and info.mark_method and info.mark_payload is not None:
        assertions.append(_binding(mark_algorithm(info.mark_method), info.mark_payload.hex()))
    if info.soft_bindings and info.pdq:
        assertions.append(_binding(PDQ_ALG, info.pdq, name=None))
    assertions += [
        _created(
            "cawg.training-mining", {"entries": {use: {"use": info.training} for use in _USES}}
        ),
        _created(DISCLOSURE_LABEL, _disclosure(info)),
        _created(RECORD_LABEL, _record(info)),
    ]
    return {
        "claim_version": 2,
        "claim_generator_info": [
            {
                "name": info.generator_name,
                "version": info.generator_version,
                "specVersion": _SPEC,
            }
        ],
        "title": info.title or ("Sealed picture" if info.sealed_as else "Picture"),
        "assertions": assertions,
    }


def ingredient(info: ManifestInfo, number: int, shown: InputIngredient) -> dict[str, Any]:
    """Return a picture that came in as an ingredient; what it says of itself comes along.

    Where it has a manifest, the library looks for that under ``manifest_data.identifier``.

    The one that was changed is ``parentOf`` the output, of which there is one at most. The model
    was shown the others, which makes them ``inputTo`` it: nothing of their pixels need be in the
    output, as ``componentOf`` would say (C2PA 2.4, ingredient relationships).

    Args:
        info: What the manifest says.
        number: 0 for ``info.parent``, 1 and up for ``info.references``.
        shown: That picture.
    """
    label = _REFERENCE.format(number) if number else _PARENT
    entry: dict[str, Any] = {
        **shown.fields(),
        "title": f"Reference picture {number}" if number else "Input picture",
        "relationship": "inputTo" if number else "parentOf",
        "label": label,
        "instance_id": f"xmp:iid:chopmark-{info.output_id}-{label}",
    }
    if shown.says:
        entry["description"] = shown.says
    if shown.manifest is not None:
        name = f"{info.output_id}-{label}.c2pa"
        entry["manifest_data"] = {"format": "application/c2pa", "identifier": name}
    return entry


def _check(info: ManifestInfo) -> None:
    for name, value in (("output id", info.output_id), ("record id", info.record_id)):
        if not is_id(value):
            raise SigningFailed(f"{value!r} is no {name}", hint="an id is 16 hex digits")
    if info.created_at.tzinfo is None:
        raise SigningFailed("created_at has no time zone", hint="use datetime.now(UTC)")
    if info.sealed_as is not None:
        if info.action != "created" or info.references:
            raise SigningFailed("what is sealed was not edited here, and has one picture only")
    elif (info.action == "edited") != (info.parent is not None):
        raise SigningFailed(
            "an edit needs its input picture as parent, and a creation has none",
            hint="set action and parent together",
        )
    if info.references and info.parent is None:
        raise SigningFailed("further pictures without a parent", hint="name the edited one")


def _actions(info: ManifestInfo) -> list[dict[str, Any]]:
    when = info.created_at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    model = {"name": info.model_id}
    if info.model_version:
        model["version"] = info.model_version
    ours = {"name": info.generator_name, "version": info.generator_version}
    if info.sealed_as is not None:
        actions = [_sealed(info, when, model, ours)]
    elif info.action == "edited":
        shown = [_REFERENCE.format(number) for number in range(1, len(info.references) + 1)]
        actions = [
            # No digitalSourceType here: the ingredient speaks for itself (2.4, 18.15.4.5).
            {
                "action": "c2pa.opened",
                "when": when,
                "softwareAgent": ours,
                "parameters": {"ingredientIds": [_PARENT]},
            },
            {
                "action": "c2pa.edited",
                "when": when,
                "softwareAgent": model,
                "digitalSourceType": SOURCE_TYPES["edited"],
                **({"parameters": {"ingredientIds": shown}} if shown else {}),
            },
        ]
    else:
        actions = [
            {
                "action": "c2pa.created",
                "when": when,
                "softwareAgent": model,
                "digitalSourceType": SOURCE_TYPES["created"],
            }
        ]
    if info.mark_method:
        # `.bound`: the mark carries what the soft binding in this very manifest names.
        kind = "bound" if info.soft_bindings else "unbound"
        # With no agent or time of its own it is the claim generator's act, at once: ours.
        actions.append({"action": f"c2pa.watermarked.{kind}"})
    return actions


def _sealed(
    info: ManifestInfo, when: str, model: dict[str, str], ours: dict[str, str]
) -> dict[str, Any]:
    """Return the first action of a picture that another generator made."""
    if info.parent is not None:
        # Its own manifest tells how it began (2.4, 18.15.4.5).
        return {
            "action": "c2pa.opened",
            "when": when,
            "softwareAgent": ours,
            "description": f"Sealed here; said to be made by {info.model_id}.",
            "parameters": {"ingredientIds": [_PARENT]},
        }
    return {
        "action": "c2pa.created",
        "when": when,
        "softwareAgent": model,
        "description": "Sealed, not generated here; whoever sent the picture names the generator.",
        "digitalSourceType": IPTC_TYPES + str(info.sealed_as),
    }


def _created(label: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"label": label, "data": data, "created": True}


def _binding(alg: str, value: str, *, name: str | None = _UNLISTED) -> dict[str, Any]:
    data: dict[str, Any] = {"alg": alg, "blocks": [{"scope": {}, "value": value}]}
    return _created("c2pa.soft-binding", data if name is None else {**data, "name": name})


def _disclosure(info: ManifestInfo) -> dict[str, Any]:
    version = f"@{info.model_version}" if info.model_version else ""
    # No `contentProfile`: whether a person looks at it before it leaves is not known yet.
    return {
        "modelType": _MODEL_TYPE,
        "modelName": info.model_id,
        "modelIdentifier": f"{info.model_id}{version}",
    }


def _record(info: ManifestInfo) -> dict[str, Any]:
    record: dict[str, Any] = {
        "recordId": info.record_id,
        "outputId": info.output_id,
    }
    if info.sealed_as:
        record["sealed"] = True
    if info.pixels_sha256:
        record["pixels"] = {"hash": info.pixels_sha256}
    if info.prompt is not None:
        record["prompt"] = info.prompt
    return record
