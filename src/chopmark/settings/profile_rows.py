"""The table behind ``CHOPMARK_PROFILE``: what each rule asks for, and what answers to it here.

Data only. ``docs/law.md`` shows it, and a test holds the page to it. Dates are those from which a
rule applies. Nobody compared a row with an official text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

__all__ = ["NOT_READ", "ROWS", "SECONDARY", "Row"]

Kind = Literal["default", "needed", "built_in", "deployer"]

SECONDARY: Final = "secondary sources, read in November 2026"
NOT_READ: Final = "no source was read for this: from general knowledge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One demand, and what answers to it.

    Attributes:
        kind: ``default``: the profile sets ``setting`` to ``value``; ``needed``: nobody but the
            deployer can set ``setting``, and the duty is open until it is set; ``built_in``: the
            software does it whatever is set; ``deployer``: it is done outside of the software.
        asks: What is asked for.
        rule: By which rule.
        since: From which day, ISO 8601; empty where no day was read.
        does: What the software does, or what is left to do.
        setting: Name of the setting, for the first two kinds.
        value: What the profile sets.
        least: A larger number than ``value`` is no deviation.
        source: Where the demand was read.
        tests: Tests in the source tree that hold the software to what ``does`` says.
        figures: Names of measured figures (`chopmark.compliance.figures`) that bear on it.
    """

    kind: Kind
    asks: str
    rule: str
    since: str = ""
    does: str = ""
    setting: str = ""
    value: bool | int | float | str | None = None
    least: bool = False
    source: str = SECONDARY
    tests: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()

    def met_by(self, configured: object) -> bool:
        """Tell whether a configured value is the profile's, or longer where that is none less."""
        if self.least and isinstance(configured, int | float) and isinstance(self.value, int):
            return configured >= self.value
        return configured == self.value


_EU_50_2: Final = "AI Act (EU) 2024/1689, Art. 50(2)"
_EU_CODE: Final = "EU Code of Practice on marking and labelling, 10 June 2026"
_EU_5: Final = "AI Act, Art. 5(1)(ba) and (bb), by Regulation (EU) 2026/1744"
_CA: Final = "California SB 942 (AI Transparency Act)"
_CN: Final = "China, GB 45438-2025 and the labelling measures"
_IN: Final = "India, IT Rules as amended in 2026"
_KR: Final = "Korea, AI Basic Act, Art. 31"
_LABELS: Final = "tests/unit/provenance/test_label.py"
_PROFILES: Final = "tests/functional/test_profiles.py"

_SIGNED: Final = Row(
    kind="needed",
    setting="signing_cert",
    asks="metadata signed by somebody whom others can trust",
    rule=_EU_CODE,
    since="2026-08-02",
    does="signs a C2PA manifest last; without a certificate of yours, by a development certificate "
    "that nobody else trusts",
    tests=("tests/unit/provenance/test_signed.py::test_what_the_manifest_says",),
)
_NO_PROMPT: Final = Row(
    kind="default",
    setting="manifest_prompt",
    value=False,
    asks="no personal data in what is disclosed of a picture",
    rule="the deployer's data protection law",
    source=NOT_READ,
    does="writes no prompt into manifest or XMP",
)
_PUBLIC_URL: Final = Row(
    kind="needed",
    setting="public_url",
    asks="an address at which the public finds the detector",
    rule=_CA,
    since="2026-08-02",
    does="names detector, resolver, keys and log at /.well-known/ai-content-detector.json, with "
    "full addresses once this is set",
    tests=("tests/contract/test_signpost.py",),
)
_WATERMARK: Final = Row(
    kind="built_in",
    asks="a mark in the pixels that machines read",
    rule=_EU_50_2,
    since="2026-08-02",
    does="strikes a watermark into every picture and reads it back before the picture leaves",
    tests=(
        "tests/functional/test_fail_closed.py::test_a_mark_that_cannot_be_read_back_is_a_failure",
    ),
    figures=("watermark", "watermark_false"),
)
_UNDRESSING: Final = Row(
    kind="built_in",
    asks="safeguards against intimate pictures without consent and pictures of abuse of children",
    rule=_EU_5,
    since="2026-12-02",
    does="the default policy blocks both in prompts and edits; a tenant cannot loosen what is a "
    "floor. Guards miss some: see the figures",
    tests=(
        "tests/functional/test_end_to_end.py::test_a_blocked_prompt_makes_nothing_and_is_booked",
    ),
    figures=("undressing_edits", "ordinary_edits", "harmful_24"),
)
_RETENTION_OPEN: Final = Row(
    kind="needed",
    setting="retention_days",
    asks="a time after which what people wrote is erased",
    rule="the deployer's data protection law",
    source=NOT_READ,
    does="keeps content until somebody erases it; with a number of days a server erases it then",
    tests=("tests/unit/audit/test_custody.py::test_retention_ends_by_class",),
)


def _detector(rule: str, since: str) -> tuple[Row, Row]:
    return (
        Row(
            kind="default",
            setting="public_verify",
            value=True,
            asks="a free detector that is open to everybody and answers by technique",
            rule=rule,
            since=since,
            does="opens /verify, POST /api/v1/verify and the resolver without key or account; the "
            "answer names five techniques, and nothing of the picture is kept",
            tests=(_PROFILES, "tests/contract/test_scopes.py"),
        ),
        Row(
            kind="default",
            setting="public_verify_per_minute",
            value=30,
            asks="a detector that one caller cannot exhaust",
            rule=rule,
            since=since,
            does="answers 429 to whoever asks more often from one address, page and API together",
            tests=(_PROFILES,),
        ),
    )


ROWS: Final[dict[str, tuple[Row, ...]]] = {
    "eu": (
        Row(
            kind="default",
            setting="label",
            value="eu",
            asks="an icon that tells what was fully generated from what was partly modified",
            rule=_EU_CODE,
            since="2026-08-02",
            does="draws an icon of ours with words: full for what a model made, half full for an "
            "edit; it is not the Commission's own file",
            tests=(_LABELS,),
        ),
        Row(
            kind="default",
            setting="soft_binding",
            value=True,
            asks="marks in several layers that lead to one another",
            rule=_EU_CODE,
            since="2026-08-02",
            does="names watermark and fingerprint in the manifest",
        ),
        *_detector(_EU_CODE, "2026-08-02"),
        _NO_PROMPT,
        _WATERMARK,
        _SIGNED,
        Row(
            kind="needed",
            setting="tsa_url",
            asks="metadata with a time stamp",
            rule=_EU_CODE,
            since="2026-08-02",
            does="asks an RFC 3161 authority, and stamps later what got none at once",
            tests=("tests/unit/provenance/test_timestamps.py::test_sign_now_and_stamp_later",),
        ),
        Row(
            kind="needed",
            setting="public_url",
            asks="a signpost by which others find the detector (measure 3.4(c))",
            rule=_EU_CODE,
            since="2027-02-02",
            does=_PUBLIC_URL.does,
            tests=_PUBLIC_URL.tests,
        ),
        _UNDRESSING,
        _RETENTION_OPEN,
        Row(
            kind="deployer",
            asks="disclosure of deepfakes and of texts of public interest by whoever publishes",
            rule="AI Act (EU) 2024/1689, Art. 50(4)",
            since="2026-08-02",
            does="label, manifest and mark travel with the picture; where it is published is not "
            "known here",
        ),
        Row(
            kind="deployer",
            asks="documented tests of marking and detection, kept up to date",
            rule=_EU_CODE,
            since="2026-08-02",
            does="docs/benchmarks.md has the figures of this version; tests of your own pictures "
            "and of your generator are yours",
        ),
    ),
    "california": (
        Row(
            kind="default",
            setting="label",
            value="default",
            asks="the option of a manifest disclosure that people see",
            rule=_CA,
            since="2026-08-02",
            does="labels every picture, which is more than the option; to offer a choice, serve "
            "another installation with CHOPMARK_LABEL=off",
            tests=(_LABELS,),
        ),
        Row(
            kind="default",
            setting="soft_binding",
            value=True,
            asks="a latent disclosure that the provider's detector finds",
            rule=_CA,
            since="2026-08-02",
            does="names watermark and fingerprint in the manifest; verify finds each alone",
        ),
        *_detector(_CA, "2026-08-02"),
        replace(_NO_PROMPT, rule=_CA, since="2026-08-02", source=SECONDARY),
        Row(
            kind="built_in",
            asks="a latent disclosure of provider, system and version, time, and a unique id",
            rule=_CA,
            since="2026-08-02",
            does="the manifest has model and version, time and record id; the provider's name is "
            "that of the signing certificate; the id is in the pixels too",
            tests=("tests/unit/provenance/test_signed.py::test_what_the_manifest_says",),
            figures=("watermark", "watermark_false"),
        ),
        Row(
            kind="built_in",
            asks="a detector that keeps nothing of what it is shown",
            rule=_CA,
            since="2026-08-02",
            does="logs that somebody asked and the verdict, without picture or digest",
            tests=("tests/contract/test_soft_binding.py",),
        ),
        replace(_SIGNED, rule=_CA, asks="a latent disclosure that names the provider"),
        _PUBLIC_URL,
        _RETENTION_OPEN,
        Row(
            kind="deployer",
            asks="licences that keep the disclosures, revoked within 96 hours where one is broken",
            rule=_CA,
            since="2026-08-02",
            does="nothing: who has a licence is not known here",
        ),
        Row(
            kind="deployer",
            asks="duties of large platforms",
            rule=_CA,
            since="2027-01-01",
            does="verify reads others' provenance data; showing it to a platform's users is yours",
        ),
    ),
    "china": (
        Row(
            kind="default",
            setting="label",
            value="china",
            asks="an explicit label with AI and 生成, a twentieth of the shortest side high",
            rule=_CN,
            since="2025-09-01",
            does="writes AI生成 in that size",
            tests=(_LABELS,),
        ),
        Row(
            kind="needed",
            setting="aigc_producer",
            asks="an implicit label in the metadata: provider, content id",
            rule=_CN,
            since="2025-09-01",
            does="writes the AIGC element with your name or code and the output's id; without the "
            "name there is none",
            tests=("tests/unit/provenance/test_xmp.py::test_china_label",),
        ),
        Row(
            kind="default",
            setting="soft_binding",
            value=True,
            asks="implicit labels; a watermark is encouraged",
            rule=_CN,
            since="2025-09-01",
            does="names watermark and fingerprint in the manifest",
            figures=("watermark", "watermark_false"),
        ),
        _NO_PROMPT,
        Row(
            kind="default",
            setting="retention_days",
            value=183,
            least=True,
            asks="logs for at least six months where a picture is given out without explicit label",
            rule="China, labelling measures, Art. 9",
            since="2025-09-01",
            source=NOT_READ,
            does="erases content after so many days; entries stay",
            tests=("tests/unit/audit/test_custody.py::test_retention_ends_by_class",),
        ),
        Row(
            kind="built_in",
            asks="detection of implicit labels by whoever spreads content",
            rule=_CN,
            since="2025-09-01",
            does="verify reads the AIGC element in XMP, EXIF and PNG text",
            tests=("tests/unit/provenance/test_xmp.py::test_china_label",),
        ),
        Row(
            kind="deployer",
            asks="registration of services and algorithms, terms of use about labels",
            rule=_CN,
            does="nothing",
            source=NOT_READ,
        ),
    ),
    "india": (
        Row(
            kind="default",
            setting="label",
            value="india",
            asks="a prominent label; the draft's tenth of the area was dropped",
            rule=_IN,
            since="2026-02-20",
            does="draws a bar from side to side, letters 6 % of the shortest side high",
            tests=(_LABELS,),
        ),
        Row(
            kind="default",
            setting="soft_binding",
            value=True,
            asks="a permanent unique id in the file",
            rule=_IN,
            since="2026-02-20",
            does="the output's id is in the pixels as watermark, in the manifest and in the XMP",
            tests=(
                "tests/functional/test_end_to_end.py::test_a_stripped_copy_still_leads_to_its_record",
            ),
            figures=("watermark", "watermark_false"),
        ),
        Row(
            kind="default",
            setting="takedown_hours",
            value=3.0,
            asks="takedown within three hours of an order",
            rule=_IN,
            since="2026-02-20",
            does="`chopmark review takedown` and POST /api/v1/review/takedowns put the record into "
            "the queue `takedown` with the deadline; what is late is shown and counted",
            tests=("tests/unit/audit/test_takedowns.py",),
        ),
        Row(
            kind="default",
            setting="takedown_intimate_hours",
            value=2.0,
            asks="takedown of intimate pictures within two hours",
            rule=_IN,
            since="2026-02-20",
            does="the same queue, before the others",
            tests=("tests/unit/audit/test_takedowns.py",),
        ),
        _NO_PROMPT,
        Row(
            kind="default",
            setting="retention_days",
            value=180,
            least=True,
            asks="what was taken down is kept for 180 days",
            rule="India, IT Rules 2021, rule 3(1)",
            since="2021-02-25",
            source=NOT_READ,
            does="erases content after so many days; entries stay. A hold keeps it longer",
            tests=("tests/unit/audit/test_custody.py::test_retention_ends_by_class",),
        ),
        replace(_UNDRESSING, rule=_IN, since="2026-02-20"),
        Row(
            kind="deployer",
            asks="a grievance officer, notices to users every three months, users' declarations",
            rule=_IN,
            since="2026-02-20",
            does="nothing",
        ),
    ),
    "korea": (
        Row(
            kind="default",
            setting="label",
            value="korea",
            asks="a visible label on pictures that are hard to tell from real ones",
            rule=_KR,
            since="2026-01-22",
            does="writes AI 생성 on every picture: those that look real are not distinguished",
            tests=(_LABELS,),
        ),
        Row(
            kind="default",
            setting="soft_binding",
            value=True,
            asks="that generated output is marked as such",
            rule=_KR,
            since="2026-01-22",
            does="marks and signs every picture, and names both marks in the manifest",
            figures=("watermark", "watermark_false"),
        ),
        _NO_PROMPT,
        _RETENTION_OPEN,
        Row(
            kind="deployer",
            asks="notice before use that a service is operated by generative AI",
            rule=_KR,
            since="2026-01-22",
            does="nothing: your terms and your pages say it",
        ),
    ),
}
"""By profile, in the order in which the report and the manual show them."""
