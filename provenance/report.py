"""What `verify` found, one axis at a time, then one verdict and one sentence.

No axis stands in for another: a manifest can be intact while its signer is unknown, and a signer
can be trusted while the AI signal is three ancestors away.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue
    from chopmark.provenance.metadata import Mention

__all__ = [
    "NO_IDENTITY",
    "AiSignal",
    "CredentialFinding",
    "Frames",
    "IdentityFinding",
    "Ingredient",
    "ManifestFinding",
    "Original",
    "Recovered",
    "Report",
    "ReportVerdict",
    "Technique",
    "TimeFinding",
    "WatermarkFinding",
]

ManifestState = Literal["absent", "intact", "broken", "malformed", "remote_only"]
CredentialState = Literal["trusted", "untrusted", "expired", "revoked", "refused", "absent"]
ReportVerdict = Literal[
    "made_here",
    "marked_but_altered",
    "edited_after_signing",
    "resembles_ours",
    "contradictory",
    "made_by_ai_elsewhere",
    "edited_by_ai_elsewhere",
    "maybe_ai_elsewhere",
    "authentic_other",
    "no_signal",
]
AiKind = Literal["made", "edited", "contains", "maybe"]
TechniqueName = Literal["c2pa", "watermark", "fingerprint", "log", "metadata"]
Within = Literal["part", "frame", "hidden"]
Outcome = Literal["found", "not_found", "not_examined", "contradicted"]


@dataclass(frozen=True, kw_only=True)
class ManifestFinding:
    """Whether the file's manifest fits the file.

    Attributes:
        state: ``intact``: every hash and the signature fit; ``broken``: something was changed
            after signing; ``malformed``: it cannot be parsed; ``remote_only``: it is at an
            address, which is not visited.
        id: Of the active manifest.
        updates: The manifest that the active one adds to without changing content, such as a time
            stamp; it is then this one that the other members speak of.
        claim_generator: What the manifest says made it.
        output_id: Ours, where the manifest says so; not proven by itself.
        record_id: Likewise.
        problems: Validation failures of the active manifest, by their C2PA codes.
        address: Of a remote manifest.
        count: How many manifests the store holds.
        identity: There is an identity assertion (CAWG) in it; see `IdentityFinding`.
    """

    state: ManifestState
    id: str | None = None
    updates: str | None = None
    claim_generator: str | None = None
    output_id: str | None = None
    record_id: str | None = None
    problems: tuple[str, ...] = ()
    address: str | None = None
    count: int = 0
    identity: bool = False


@dataclass(frozen=True, kw_only=True)
class CredentialFinding:
    """Who signed, and who vouches for them.

    Attributes:
        state: ``untrusted`` means that no list here vouches for the signer. It does not mean that
            anything was tampered with.
        own: One of our own credentials signed.
        anchor: The list that vouches, with its date.
        anchor_date: Of the list.
        issuer: The organisation named in the certificate. Anybody can write any name into one:
            while the state is not ``trusted`` it proves nothing.
        name: Likewise, the common name; a person's, perhaps.
        assurance_level: 1 or 2, as the certificate says of the product that signed (C2PA
            Certificate Policy, extension ``1.3.6.1.4.1.62558.3``); likewise. None where it does
            not say.
        list_stale: The list that vouches is past the day on which it should have been renewed.
        alg: Signature algorithm.
        revocation: What an OCSP response kept with the manifest says of the certificate:
            ``good``, ``revoked``, or ``unknown`` where there is none. Nobody is asked.
    """

    state: CredentialState
    own: bool = False
    anchor: str | None = None
    anchor_date: str | None = None
    issuer: str | None = None
    name: str | None = None
    alg: str | None = None
    revocation: Literal["good", "revoked", "unknown"] = "unknown"
    assurance_level: int | None = None
    list_stale: bool = False


@dataclass(frozen=True, kw_only=True)
class IdentityFinding:
    """What identity assertions (CAWG 1.2) in the manifest say, on an axis of their own.

    They are a person's or an organisation's word beside the claim signer's, so that they change
    neither the manifest's state nor the credential's.

    Attributes:
        state: ``trusted``: each is signed by somebody whom a list in ``anchors/identity`` vouches
            for; ``untrusted``: signed, by somebody unknown here; ``broken``: one does not fit this
            picture, or its signature does not hold; ``unjudged``: only the network could tell,
            which is not asked; ``absent``: there are none.
        kind: ``cawg.x509.cose``, ``cawg.identity_claims_aggregation``, or another.
        name: Who it is, as the identity's certificate says; while the state is not ``trusted``
            that proves nothing.
        issuer: The organisation, likewise.
        problems: CAWG status codes.
    """

    state: Literal["absent", "trusted", "untrusted", "broken", "unjudged"]
    kind: str | None = None
    name: str | None = None
    issuer: str | None = None
    problems: tuple[str, ...] = ()


FINGERPRINT_BITS: Final = 256
STEPS: Final = (0, 10, 20, 31, 64, 96)
"""Distances that a public detector says: each stands for all from the one before it on, and 256 for
all beyond the last. What judges do not take for one picture (31) and for another (96) is among
them."""
NO_IDENTITY: Final = IdentityFinding(state="absent")
"""The finding where a manifest has no identity assertion."""


@dataclass(frozen=True, kw_only=True)
class TimeFinding:
    """When it was signed, as a time-stamping authority says.

    Attributes:
        state: ``trusted``: stamped by an authority we know; ``untrusted``: by another; ``absent``.
        signed_at: RFC 3339.
    """

    state: Literal["trusted", "untrusted", "absent"]
    signed_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class AiSignal:
    """Where the file says that a trained model took part.

    Attributes:
        state: In the ``active`` manifest, in an ``ancestor``, in the XMP ``metadata``, or ``none``.
        kind: What the model did: ``made`` the picture; ``edited`` one that it had not made; or the
            picture ``contains`` something that it made; ``maybe``: the source itself says that it
            may have. None where the state is ``none``.
        source_type: IPTC digital source type found.
        system: The model or service, as the file names it.
        denied: The active manifest states a source type, and it is one that denies AI.
        oversight: What ``c2pa.ai-disclosure`` says of people's part (C2PA 2.4):
            ``fully_autonomous``, ``prompt_guided`` or ``human_validated``.
    """

    state: Literal["active", "ancestor", "metadata", "none"]
    kind: AiKind | None = None
    source_type: str | None = None
    system: str | None = None
    denied: bool = False
    oversight: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """One input that the manifest names, with its own result.

    Attributes:
        manifest: As of a manifest; ``absent`` for an input that was not signed.
        credential: State of its signer.
        title: As the manifest names it.
        relationship: ``parentOf``, ``componentOf`` or ``inputTo``.
        id: Of its manifest.
        ai: Whether its own manifest says that a trained model took part.
        signer: The organisation in its signer's certificate; see `CredentialFinding.issuer`.
        signed_at: When a time-stamping authority saw its signature, RFC 3339.
        made_with: What its manifest says made it.
        problems: C2PA failure codes, found now or recorded when it came in.
        depth: 1 for an ingredient of the active manifest, 2 for an ingredient's, and so on.
    """

    manifest: ManifestState
    credential: CredentialState
    title: str | None = None
    relationship: str | None = None
    id: str | None = None
    ai: bool = False
    signer: str | None = None
    signed_at: str | None = None
    made_with: str | None = None
    problems: tuple[str, ...] = ()
    depth: int = 1


@dataclass(frozen=True, kw_only=True)
class WatermarkFinding:
    """What the pixels say.

    Attributes:
        state: ``conflict``: the mark is there and the manifest says otherwise; ``not_examined``:
            the pixels, or some of them, could not be looked at.
        payload: 16 hex digits.
        p_value: How likely a picture without our mark is to look so; 1.0 where nothing was asked.
        method: Watermark method.
        searched: Whether there were keys to look with.
        reason: Of a conflict, or of what could not be looked at.
        content_agreeing: How many of the 8 content bits that a `lattice` mark is bound to agree
            with this picture, 4 by chance; ``None`` where it was cropped, turned or stretched.
        box: Where in the file's picture the mark was found, where that is a part of it only:
            left, top, width and height in pixels.
        within: Where the mark is not in the one picture that the file shows: in a ``part`` of it,
            in one ``frame`` of several that are shown, or in pixels that are ``hidden`` from
            viewers. None where it is in that picture, or where there is no mark.
    """

    state: Literal["detected", "conflict", "none", "not_examined"]
    payload: str | None = None
    p_value: float = 1.0
    method: str | None = None
    searched: bool = False
    reason: str | None = None
    content_agreeing: int | None = None
    box: tuple[int, int, int, int] | None = None
    within: Within | None = None


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """A manifest that the file had lost and our store had kept.

    Attributes:
        by: The ``watermark`` names it, or its ``fingerprint`` is near.
        manifest_id: Of the manifest.
        output_id: Of the output, as our store has it.
        record_id: Of the record.
        distance: PDQ bits of 256 that differ between this picture and the one that was signed.
        exact: ``file``: put back, it fits this very file; ``pixels``: the pixels are those that
            were signed; ``no``: the picture was changed or re-encoded.
        confidence: ``certain`` (exact), ``strong`` (watermark), ``likely`` or ``possible``
            (fingerprint alone).
        edited: What was signed here is a picture that was changed here, not made.
    """

    by: Literal["watermark", "fingerprint"]
    manifest_id: str
    output_id: str | None
    record_id: str | None
    distance: int | None
    exact: Literal["file", "pixels", "no"]
    confidence: Literal["certain", "strong", "likely", "possible"]
    edited: bool = False

    @property
    def far(self) -> str:
        """How many bits differ, in words that are true of a step (`STEPS`) too."""
        if self.distance is None:
            return "an unknown number"
        if self.distance > STEPS[-1] and self.distance == FINGERPRINT_BITS:
            return f"more than {STEPS[-1]} of {FINGERPRINT_BITS}"
        most = "at most " if self.distance in STEPS[1:] else ""
        return f"{most}{self.distance} of {FINGERPRINT_BITS}"


@dataclass(frozen=True, kw_only=True)
class Technique:
    """What one way of looking gave (EU Code of Practice on marking: an answer for each technique).

    Attributes:
        name: ``c2pa``: Content Credentials; ``watermark``: the mark in the pixels; ``fingerprint``:
            likeness to what was made here; ``log``: our record of it; ``metadata``: words that
            anybody can write.
        outcome: ``not_examined``: nobody has looked, or nobody could; ``contradicted``: it speaks
            against the file, or another technique speaks against it.
        detail: One sentence.
    """

    name: TechniqueName
    outcome: Outcome
    detail: str


@dataclass(frozen=True, kw_only=True)
class Frames:
    """How much of the file was looked at.

    Attributes:
        in_file: Frames of an animation, pages, a camera's pictures; 0 where that is not known.
        looked_at: Those that were decoded.
    """

    in_file: int = 0
    looked_at: int = 0


@dataclass(frozen=True, kw_only=True)
class Original:
    """A small copy of what the file was once, to be looked at beside it.

    Attributes:
        source: ``released``: what left here, public then, under the output id; ``signed``: the
            copy that the file's own credentials hold of what was signed; ``input``: theirs of what
            it was made from.
        picture: ``data:`` URL; WebP, at most 640 pixels a side.
        output_id: Of what left here.
    """

    source: Literal["released", "signed", "input"]
    picture: str = field(repr=False)
    output_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that was found in one file.

    ``techniques`` has one answer for each of the five, always in the same order; the other members
    are what they rest on.
    """

    verdict: ReportVerdict
    summary: str
    manifest: ManifestFinding
    credential: CredentialFinding
    time: TimeFinding
    ai_signal: AiSignal
    watermark: WatermarkFinding
    techniques: tuple[Technique, ...] = ()
    identity: IdentityFinding = NO_IDENTITY
    ingredients: tuple[Ingredient, ...] = ()
    record: dict[str, Any] | None = field(default=None)
    recovered: Recovered | None = None
    original: Original | None = None
    notes: tuple[str, ...] = ()
    format: str | None = None
    frames: Frames = field(default_factory=Frames)
    signals: tuple[Mention, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether a script may rely on the file: the exit code 0 of ``chopmark verify``.

        Its manifest is intact, its signer trusted, and its pixels, which were looked at, say
        nothing against that.
        """
        return (
            self.manifest.state == "intact"
            and self.credential.state == "trusted"
            and self.watermark.state not in {"conflict", "not_examined"}
            and self.verdict != "contradictory"
        )

    def to_dict(self) -> dict[str, JsonValue]:
        """Return what ``chopmark verify --json`` prints."""
        plain: dict[str, JsonValue] = _plain(asdict(self))
        return plain


def _plain(value: Any) -> Any:
    """Turn tuples into lists, which is what JSON has."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
