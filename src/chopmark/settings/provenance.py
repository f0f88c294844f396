"""How pictures are marked, signed and labelled, and how they are found again."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

__all__ = ["ProvenanceSettings"]


class ProvenanceSettings(BaseModel, frozen=True):
    """Watermark, manifest, label and resolver."""

    mark_method: str = Field(
        default="lattice",
        description="Watermark method that is struck into every output: `lattice`, `dwtDct`, "
        "`dwtDctSvd`, `trustMark` (with weights of yours), or one of a plugin.",
    )
    signing_cert: Path | None = Field(
        default=None,
        description="PEM chain (leaf first) to sign manifests with. Unset: a development CA.",
    )
    signing_key: Path | None = Field(
        default=None, description="PEM private key of the signing certificate."
    )
    signer: Literal["file", "pkcs11", "remote"] = Field(
        default="file",
        description="Who holds the private key: a file, a PKCS#11 token, or a signing service.",
    )
    development_key: Literal["es256", "ed25519"] = Field(
        default="es256", description="Algorithm of a development CA that is made now."
    )
    pkcs11_module: Path | None = Field(
        default=None, description="Shared library of the PKCS#11 token."
    )
    pkcs11_token: str = Field(default="", description="Label of the PKCS#11 token.")
    pkcs11_key: str = Field(default="", description="Label of the private key in the token.")
    pkcs11_pin_file: Path | None = Field(
        default=None, description="File, readable by its owner only, with the token's PIN."
    )
    remote_signer_url: str = Field(
        default="", description="Signing service: https, or http on the loopback interface."
    )
    remote_signer_token_file: Path | None = Field(
        default=None, description="File, readable by its owner only, with its bearer token."
    )
    tsa_url: str = Field(
        default="", description="RFC 3161 time-stamping authority. Empty: no time stamps."
    )
    tsa_wait_s: float = Field(
        default=3.0,
        ge=0,
        description="Longest that a picture waits for its time stamp; what got none is stamped "
        "later from a queue. 0: always later.",
    )
    tsa_every_s: float = Field(
        default=60.0, gt=0, description="How often `chopmark serve` tries the queue."
    )
    seal_source_type: Literal[
        "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic"
    ] = Field(
        default="trainedAlgorithmicMedia",
        description="IPTC digital source type that the manifest gives a picture which another "
        "generator made and `chopmark seal` sealed.",
    )
    manifest_prompt: bool = Field(
        default=False,
        description="Write the prompt into manifest and XMP. Off: a prompt is personal data.",
    )
    training_mining: Literal["allowed", "notAllowed"] = Field(
        default="notAllowed",
        description="What `cawg.training-mining` says of training on, and mining of, the pictures.",
    )
    soft_binding: bool = Field(
        default=True,
        description="Name watermark and fingerprint in the manifest (`c2pa.soft-binding`).",
    )
    aigc_producer: str = Field(
        default="",
        max_length=200,
        description="Provider's name or code for China's `TC260:AIGC` element in the XMP. Empty: "
        "no such element.",
    )
    label: Literal["off", "default", "eu", "korea", "china", "india"] = Field(
        default="off", description="Visible label on every picture, in the style of this profile."
    )
    label_language: Literal["en", "de", "fr", "es", "it", "pt", "nl", "zh", "ko"] | None = Field(
        default=None, description="Language of the label. Unset: the profile's."
    )
    label_text: str = Field(
        default="", max_length=100, description="Own words on the label instead of the language's."
    )
    label_position: (
        Literal["top_left", "top_right", "bottom_left", "bottom_right", "bottom_bar"] | None
    ) = Field(default=None, description="Where the label stands. Unset: the profile's place.")
    label_size: float | None = Field(
        default=None,
        ge=0.02,
        le=0.3,
        description="Height of its letters as a part of the shortest side. Unset: the profile's.",
    )
    label_font: Path | None = Field(
        default=None, description="TrueType font for scripts that the built-in one has not."
    )
    trust_anchors: Path | None = Field(
        default=None,
        description="Folder with `manifest/*.pem` and `tsa/*.pem`: own lists of whom `verify` "
        "trusts. Unset: `anchors` in the home.",
    )
    public_verify: bool = Field(
        default=False,
        description="Let anybody verify pictures and ask the resolver over HTTP, without a key.",
    )
    public_verify_per_minute: int | None = Field(
        default=None,
        ge=1,
        description="How often one address may ask in a minute with neither key nor account, page "
        "and API together. Unset: as `CHOPMARK_REQUESTS_PER_MINUTE`.",
    )
    public_copies: bool = Field(
        default=False,
        description="Whatever leaves here is public, as in a gallery: keep a small copy of each "
        "picture in which nothing was flagged, and let `verify` show it, to anybody, beside what "
        "was made of it. It is erased with its prompt, and not shown once it is withdrawn.",
    )
    public_copies_mb: int = Field(
        default=512,
        ge=1,
        description="MiB of such copies that are kept of each tenant; the oldest go first.",
    )
    resolver_writes: bool = Field(
        default=False,
        description="Let keys with the scopes `store:manifests` and `store:bindings` add to the "
        "Soft Binding Resolution API.",
    )
    resolver_by_reference: bool = Field(
        default=False,
        description="Let the resolver fetch pictures from public https addresses that callers "
        "name.",
    )
