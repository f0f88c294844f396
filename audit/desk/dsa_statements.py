"""Statements of reasons for the DSA Transparency Database, and the rules that it checks them by.

Regulation (EU) 2022/2065, Articles 17 and 24(5), ask hosting services for them. The members and
limits are those of the Commission's ``StatementStoreRequest`` and API page as published in
https://github.com/digital-services-act/transparency-database. They must hold no personal data, so
they are made from what is public in the log, and never from a prompt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.audit.log.events import Record
    from chopmark.kit.types import JsonValue

__all__ = ["StatementTemplate", "check_statement", "statement_of_reasons"]

_CATEGORIES: Final = frozenset(
    f"STATEMENT_CATEGORY_{name}"
    for name in (
        "ANIMAL_WELFARE",
        "CONSUMER_INFORMATION",
        "CYBER_VIOLENCE",
        "CYBER_VIOLENCE_AGAINST_WOMEN",
        "DATA_PROTECTION_AND_PRIVACY_VIOLATIONS",
        "ILLEGAL_OR_HARMFUL_SPEECH",
        "INTELLECTUAL_PROPERTY_INFRINGEMENTS",
        "NEGATIVE_EFFECTS_ON_CIVIC_DISCOURSE_OR_ELECTIONS",
        "NOT_SPECIFIED_NOTICE",
        "OTHER_VIOLATION_TC",
        "PROTECTION_OF_MINORS",
        "RISK_FOR_PUBLIC_SECURITY",
        "SCAMS_AND_FRAUD",
        "SELF_HARM",
        "UNSAFE_AND_PROHIBITED_PRODUCTS",
        "VIOLENCE",
    )
)
_VISIBILITIES: Final = frozenset(
    f"DECISION_VISIBILITY_{name}"
    for name in (
        "CONTENT_REMOVED",
        "CONTENT_DISABLED",
        "CONTENT_DEMOTED",
        "CONTENT_AGE_RESTRICTED",
        "CONTENT_INTERACTION_RESTRICTED",
        "CONTENT_LABELLED",
        "OTHER",
    )
)
_CONTENT_TYPES: Final = frozenset(
    f"CONTENT_TYPE_{name}"
    for name in ("APP", "AUDIO", "IMAGE", "PRODUCT", "SYNTHETIC_MEDIA", "TEXT", "VIDEO", "OTHER")
)
_CHOICES: Final[dict[str, frozenset[str]]] = {
    "decision_ground": frozenset(
        {"DECISION_GROUND_ILLEGAL_CONTENT", "DECISION_GROUND_INCOMPATIBLE_CONTENT"}
    ),
    "decision_provision": frozenset(
        f"DECISION_PROVISION_{name}"
        for name in (
            "PARTIAL_SUSPENSION",
            "TOTAL_SUSPENSION",
            "PARTIAL_TERMINATION",
            "TOTAL_TERMINATION",
        )
    ),
    "decision_account": frozenset({"DECISION_ACCOUNT_SUSPENDED", "DECISION_ACCOUNT_TERMINATED"}),
    "decision_monetary": frozenset(
        {
            "DECISION_MONETARY_SUSPENSION",
            "DECISION_MONETARY_TERMINATION",
            "DECISION_MONETARY_OTHER",
        }
    ),
    "category": _CATEGORIES,
    "source_type": frozenset(
        {
            "SOURCE_ARTICLE_16",
            "SOURCE_TRUSTED_FLAGGER",
            "SOURCE_TYPE_OTHER_NOTIFICATION",
            "SOURCE_VOLUNTARY",
        }
    ),
    "automated_detection": frozenset({"Yes", "No"}),
    "automated_decision": frozenset(
        {
            "AUTOMATED_DECISION_FULLY",
            "AUTOMATED_DECISION_PARTIALLY",
            "AUTOMATED_DECISION_NOT_AUTOMATED",
        }
    ),
    "incompatible_content_illegal": frozenset({"Yes", "No"}),
}
_LISTS: Final[dict[str, frozenset[str]]] = {
    "decision_visibility": _VISIBILITIES,
    "content_type": _CONTENT_TYPES,
    "territorial_scope": frozenset(
        "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE"
        " IS LI NO".split()
    ),
}
_TEXTS: Final[dict[str, int]] = {
    "decision_facts": 5000,
    "illegal_content_legal_ground": 500,
    "illegal_content_explanation": 2000,
    "incompatible_content_ground": 500,
    "incompatible_content_explanation": 2000,
    "puid": 500,
}
_DATES: Final = ("content_date", "application_date")
_REQUIRED: Final = (
    "decision_ground",
    "content_type",
    "category",
    "content_date",
    "application_date",
    "decision_facts",
    "source_type",
    "automated_detection",
    "automated_decision",
    "puid",
)
_DECISIONS: Final = (
    "decision_visibility",
    "decision_monetary",
    "decision_provision",
    "decision_account",
)
_BY_GROUND: Final[dict[str, tuple[str, str]]] = {
    "DECISION_GROUND_ILLEGAL_CONTENT": (
        "illegal_content_legal_ground",
        "illegal_content_explanation",
    ),
    "DECISION_GROUND_INCOMPATIBLE_CONTENT": (
        "incompatible_content_ground",
        "incompatible_content_explanation",
    ),
}
_PUID: Final = re.compile(r"[A-Za-z0-9_-]{1,500}")
_FIRST_DATE: Final = date(2020, 1, 1)


def check_statement(statement: Mapping[str, Any]) -> list[str]:
    """Return what the database would refuse in a statement, one sentence each; empty when nothing.

    Args:
        statement: Members as they would be sent.
    """
    wrong = [f"{name} is missing" for name in _REQUIRED if statement.get(name) in (None, "", [])]
    if not any(statement.get(name) for name in _DECISIONS):
        wrong.append(f"one of {', '.join(_DECISIONS)} is needed")
    wrong += [
        f"{name} is needed for this ground"
        for name in _BY_GROUND.get(str(statement.get("decision_ground")), ())
        if not statement.get(name)
    ]
    for name, value in statement.items():
        wrong += _check_member(name, value)
    return wrong


def _check_member(name: str, value: object) -> list[str]:
    if value is None:
        return []
    if name in _CHOICES:
        return [] if value in _CHOICES[name] else [f"{name} cannot be {value!r}"]
    if name in _LISTS:
        if not isinstance(value, list) or not value:
            return [f"{name} is a list with at least one item"]
        return [f"{name} cannot hold {item!r}" for item in value if item not in _LISTS[name]]
    if name in _DATES:
        try:
            day = date.fromisoformat(str(value))
        except ValueError:
            return [f"{name} is not a date of the form 2026-11-23"]
        return [] if day > _FIRST_DATE else [f"{name} is before 2020-01-02"]
    if name == "puid" and not (isinstance(value, str) and _PUID.fullmatch(value)):
        return ["puid is not made of 1 to 500 letters, digits, hyphens and underscores"]
    if name in _TEXTS:
        if not isinstance(value, str):
            return [f"{name} is not a text"]
        return [] if len(value) <= _TEXTS[name] else [f"{name} is over {_TEXTS[name]} characters"]
    return [f"{name} is not a member that we know"]


@dataclass(frozen=True, kw_only=True)
class StatementTemplate:
    """What a deployer says in all statements.

    Attributes:
        ground: Whether content is refused as illegal or under the deployer's terms.
        reference: The law, or the clause of the terms (at most 500 characters).
        explanation: Why such content falls under it (at most 2,000 characters).
        categories: The database's category for each of the policy's; others become
            ``STATEMENT_CATEGORY_OTHER_VIOLATION_TC``.
        territorial_scope: Country codes; empty leaves the member out.
        visibility: What was done with the content.
    """

    ground: Literal["illegal", "incompatible"] = "incompatible"
    reference: str
    explanation: str
    categories: Mapping[str, str] = field(default_factory=dict)
    territorial_scope: tuple[str, ...] = ()
    visibility: str = "DECISION_VISIBILITY_CONTENT_DISABLED"


def statement_of_reasons(
    records: list[Record], template: StatementTemplate
) -> dict[str, JsonValue]:
    """Make the statement for a refused request, from the public parts of its record.

    Args:
        records: All entries of one record, oldest first.
        template: What the deployer says.

    Raises:
        InvalidRequest: The record was not refused, or the template makes a statement that the
            database would not take.
    """
    refused = next((record for record in records if record.kind == "request.refused"), None)
    if refused is None:
        raise InvalidRequest("only a refusal has a statement of reasons")
    reviewed = any(record.kind == "review.decided" for record in records)
    listed = refused.public.get("categories")
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    category = next(
        (template.categories[name] for name in names if name in template.categories),
        "STATEMENT_CATEGORY_OTHER_VIOLATION_TC",
    )
    stage = str(refused.public.get("stage", "input"))
    facts = (
        f"A request to an image generator was refused at the stage '{stage}' by automated"
        f" classifiers in the categories: {', '.join(names) or 'not stated'}."
        f" {'A person reviewed the refusal.' if reviewed else 'No person took part.'}"
        f" Entry {refused.index} of the provider's tamper-evident log."
    )
    ground = template.ground.upper()
    prefix = "illegal_content" if template.ground == "illegal" else "incompatible_content"
    reference = "legal_ground" if template.ground == "illegal" else "ground"
    statement: dict[str, JsonValue] = {
        "decision_visibility": [template.visibility],
        "decision_ground": f"DECISION_GROUND_{ground}_CONTENT",
        f"{prefix}_{reference}": template.reference,
        f"{prefix}_explanation": template.explanation,
        "content_type": ["CONTENT_TYPE_IMAGE", "CONTENT_TYPE_SYNTHETIC_MEDIA"],
        "category": category,
        "content_date": records[0].time[:10],
        "application_date": refused.time[:10],
        "decision_facts": facts,
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",
        "automated_decision": (
            "AUTOMATED_DECISION_PARTIALLY" if reviewed else "AUTOMATED_DECISION_FULLY"
        ),
        "puid": refused.record_id,
    }
    if template.territorial_scope:
        statement["territorial_scope"] = list(template.territorial_scope)
    wrong = check_statement(statement)
    if wrong:
        raise InvalidRequest(f"the statement would be refused: {wrong[0]}")
    return statement
