"""What a statement of reasons may hold: the DSA Transparency Database's members, as a JSON schema.

The members, choices and limits are those of the Commission's ``StatementStoreRequest`` (as of June
2026) and of its API page, in https://github.com/digital-services-act/transparency-database; the
keywords of each category are those of Annex II of Implementing Regulation (EU) 2024/2835. The
database itself was not asked: it takes an account.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.kit.types import JsonValue

__all__ = ["CHOSEN", "KEYWORDS", "OTHER_CATEGORY", "check_statement", "statement_schema"]

KEYWORDS: Final[dict[str, tuple[str, ...]]] = {
    f"STATEMENT_CATEGORY_{category}": tuple(f"KEYWORD_{name}" for name in names.split())
    for category, names in {
        "ANIMAL_WELFARE": "ANIMAL_HARM UNLAWFUL_SALE_ANIMALS OTHER",
        "CONSUMER_INFORMATION": "HIDDEN_ADVERTISEMENT INSUFFICIENT_INFORMATION_ON_TRADERS"
        " MISLEADING_INFO_CONSUMER_RIGHTS MISLEADING_INFO_GOODS_SERVICES NONCOMPLIANCE_PRICING"
        " OTHER",
        "CYBER_VIOLENCE": "CYBER_BULLYING_INTIMIDATION CYBER_HARASSMENT CYBER_INCITEMENT"
        " CYBER_STALKING NON_CONSENSUAL_IMAGE_SHARING NON_CONSENSUAL_MATERIAL_DEEPFAKE OTHER",
        "CYBER_VIOLENCE_AGAINST_WOMEN": "BULLYING_AGAINST_GIRLS CYBER_HARASSMENT_AGAINST_WOMEN"
        " CYBER_STALKING_AGAINST_WOMEN FEMALE_GENDERED_DISINFORMATION INCITEMENT_AGAINST_WOMEN"
        " NON_CONSENSUAL_IMAGE_SHARING_AGAINST_WOMEN"
        " NON_CONSENSUAL_MATERIAL_DEEPFAKE_AGAINST_WOMEN OTHER",
        "DATA_PROTECTION_AND_PRIVACY_VIOLATIONS": "BIOMETRIC_DATA_BREACH DATA_FALSIFICATION"
        " MISSING_PROCESSING_GROUND RIGHT_TO_BE_FORGOTTEN OTHER",
        "ILLEGAL_OR_HARMFUL_SPEECH": "DEFAMATION DISCRIMINATION HATE_SPEECH OTHER",
        "INTELLECTUAL_PROPERTY_INFRINGEMENTS": "COPYRIGHT_INFRINGEMENT DESIGN_INFRINGEMENT"
        " GEOGRAPHIC_INDICATIONS_INFRINGEMENT PATENT_INFRINGEMENT TRADEMARK_INFRINGEMENT"
        " TRADE_SECRET_INFRINGEMENT OTHER",
        "NEGATIVE_EFFECTS_ON_CIVIC_DISCOURSE_OR_ELECTIONS": "MISINFORMATION_DISINFORMATION"
        " VIOLATION_EU_LAW VIOLATION_NATIONAL_LAW OTHER",
        "NOT_SPECIFIED_NOTICE": "",
        "OTHER_VIOLATION_TC": "ADULT_SEXUAL_MATERIAL AGE_SPECIFIC_RESTRICTIONS"
        " GEOGRAPHICAL_REQUIREMENTS GOODS_SERVICES_NOT_PERMITTED LANGUAGE_REQUIREMENTS NUDITY"
        " OTHER",
        "PROTECTION_OF_MINORS": "AGE_SPECIFIC_RESTRICTIONS_MINORS CHILD_SEXUAL_ABUSE_MATERIAL"
        " CHILD_SEXUAL_ABUSE_MATERIAL_DEEPFAKE GROOMING_SEXUAL_ENTICEMENT_MINORS"
        " UNSAFE_CHALLENGES OTHER",
        "RISK_FOR_PUBLIC_SECURITY": "ILLEGAL_ORGANIZATIONS RISK_ENVIRONMENTAL_DAMAGE"
        " RISK_PUBLIC_HEALTH TERRORIST_CONTENT OTHER",
        "SCAMS_AND_FRAUD": "IMPERSONATION_ACCOUNT_HIJACKING INAUTHENTIC_ACCOUNTS"
        " INAUTHENTIC_LISTINGS INAUTHENTIC_USER_REVIEWS PHISHING PYRAMID_SCHEMES OTHER",
        "SELF_HARM": "CONTENT_PROMOTING_EATING_DISORDERS SELF_MUTILATION SUICIDE OTHER",
        "UNSAFE_AND_PROHIBITED_PRODUCTS": "PROHIBITED_PRODUCTS UNSAFE_PRODUCTS OTHER",
        "VIOLENCE": "COORDINATED_HARM HUMAN_EXPLOITATION HUMAN_TRAFFICKING"
        " INCITEMENT_VIOLENCE_HATRED TRAFFICKING_WOMEN_GIRLS OTHER",
    }.items()
}
"""The database's categories, each with its keywords."""

OTHER_CATEGORY: Final = "STATEMENT_CATEGORY_OTHER_VIOLATION_TC"

CHOSEN: Final[dict[str, tuple[str, str]]] = {
    name: (f"STATEMENT_CATEGORY_{category}", f"KEYWORD_{keyword}")
    for name, category, keyword in (
        ("harassment", "CYBER_VIOLENCE", "CYBER_HARASSMENT"),
        ("harassment/threatening", "CYBER_VIOLENCE", "CYBER_BULLYING_INTIMIDATION"),
        ("hate", "ILLEGAL_OR_HARMFUL_SPEECH", "HATE_SPEECH"),
        ("hate/threatening", "VIOLENCE", "INCITEMENT_VIOLENCE_HATRED"),
        ("hate/symbols", "ILLEGAL_OR_HARMFUL_SPEECH", "HATE_SPEECH"),
        ("illicit", "OTHER_VIOLATION_TC", "OTHER"),
        ("illicit/violent", "RISK_FOR_PUBLIC_SECURITY", "OTHER"),
        ("self-harm", "SELF_HARM", "SELF_MUTILATION"),
        ("self-harm/intent", "SELF_HARM", "OTHER"),
        ("self-harm/instructions", "SELF_HARM", "OTHER"),
        ("sexual", "OTHER_VIOLATION_TC", "ADULT_SEXUAL_MATERIAL"),
        ("sexual/minors", "PROTECTION_OF_MINORS", "CHILD_SEXUAL_ABUSE_MATERIAL_DEEPFAKE"),
        ("sexual/nonconsensual", "CYBER_VIOLENCE", "NON_CONSENSUAL_MATERIAL_DEEPFAKE"),
        ("violence", "VIOLENCE", "OTHER"),
        ("violence/graphic", "VIOLENCE", "OTHER"),
        ("weapons", "UNSAFE_AND_PROHIBITED_PRODUCTS", "OTHER"),
        ("extremism", "RISK_FOR_PUBLIC_SECURITY", "TERRORIST_CONTENT"),
        ("deepfake", "CYBER_VIOLENCE", "NON_CONSENSUAL_MATERIAL_DEEPFAKE"),
        ("disinformation", "NEGATIVE_EFFECTS_ON_CIVIC_DISCOURSE_OR_ELECTIONS",
         "MISINFORMATION_DISINFORMATION"),
        ("ip", "INTELLECTUAL_PROPERTY_INFRINGEMENTS", "OTHER"),
    )
}  # fmt: skip
"""What is suggested for each of a policy's categories; a deployer's template says otherwise."""


def _named(prefix: str, names: str) -> tuple[str, ...]:
    return tuple(f"{prefix}_{name}" for name in names.split())


_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "decision_ground": _named("DECISION_GROUND", "ILLEGAL_CONTENT INCOMPATIBLE_CONTENT"),
    "decision_provision": _named(
        "DECISION_PROVISION",
        "PARTIAL_SUSPENSION TOTAL_SUSPENSION PARTIAL_TERMINATION TOTAL_TERMINATION",
    ),
    "decision_account": _named("DECISION_ACCOUNT", "SUSPENDED TERMINATED"),
    "decision_monetary": _named("DECISION_MONETARY", "SUSPENSION TERMINATION OTHER"),
    "account_type": _named("ACCOUNT_TYPE", "BUSINESS PRIVATE"),
    "category": tuple(KEYWORDS),
    "source_type": _named("SOURCE", "ARTICLE_16 TRUSTED_FLAGGER TYPE_OTHER_NOTIFICATION VOLUNTARY"),
    "automated_detection": ("Yes", "No"),
    "automated_decision": _named("AUTOMATED_DECISION", "FULLY PARTIALLY NOT_AUTOMATED"),
    "incompatible_content_illegal": ("Yes", "No"),
}
_LISTS: Final[dict[str, tuple[str, ...]]] = {
    "decision_visibility": _named(
        "DECISION_VISIBILITY",
        "CONTENT_REMOVED CONTENT_DISABLED CONTENT_DEMOTED CONTENT_AGE_RESTRICTED"
        " CONTENT_INTERACTION_RESTRICTED CONTENT_LABELLED OTHER",
    ),
    "content_type": _named(
        "CONTENT_TYPE", "APP AUDIO IMAGE PRODUCT SYNTHETIC_MEDIA TEXT VIDEO OTHER"
    ),
    "category_addition": tuple(KEYWORDS),
    "category_specification": tuple(dict.fromkeys(sum(KEYWORDS.values(), ()))),
    "territorial_scope": tuple(
        "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE"
        " IS LI NO".split()
    ),
}
_TEXTS: Final[dict[str, int]] = {
    "decision_facts": 5000,
    "decision_visibility_other": 500,
    "decision_monetary_other": 500,
    "content_type_other": 500,
    "category_specification_other": 500,
    "decision_ground_reference_url": 500,
    "illegal_content_legal_ground": 500,
    "illegal_content_explanation": 2000,
    "incompatible_content_ground": 500,
    "incompatible_content_explanation": 2000,
    "source_identity": 500,
    "puid": 500,
}
_FIRST: Final[dict[str, date]] = {
    "content_date": date(2000, 1, 1),
    "application_date": date(2020, 1, 1),
    "end_date_visibility_restriction": date(2020, 1, 1),
    "end_date_monetary_restriction": date(2020, 1, 1),
    "end_date_service_restriction": date(2020, 1, 1),
    "end_date_account_restriction": date(2020, 1, 1),
}
_LAST_DATE: Final = date(2038, 1, 1)
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
# With this value of this member, these others are needed.
_NEEDED: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("decision_ground", "DECISION_GROUND_ILLEGAL_CONTENT",
     ("illegal_content_legal_ground", "illegal_content_explanation")),
    ("decision_ground", "DECISION_GROUND_INCOMPATIBLE_CONTENT",
     ("incompatible_content_ground", "incompatible_content_explanation")),
    ("decision_visibility", "DECISION_VISIBILITY_OTHER", ("decision_visibility_other",)),
    ("decision_monetary", "DECISION_MONETARY_OTHER", ("decision_monetary_other",)),
    ("content_type", "CONTENT_TYPE_OTHER", ("content_type_other",)),
)  # fmt: skip
_PUID: Final = "^[A-Za-z0-9_-]{1,500}$"
_LANGUAGE: Final = "^[A-Z]{2}$"
_DAY: Final = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_EAN: Final = "^[0-9]{13}$"


def statement_schema() -> dict[str, JsonValue]:
    """Return the JSON schema (draft 2020-12) of one statement, as far as a schema can tell.

    That a date is one of the calendar and lies within bounds is checked by :func:`check_statement`
    alone.
    """
    # A schema holds lists of all kinds of things: its type is that of JSON, no closer one.
    members: dict[str, Any] = {name: {"enum": list(names)} for name, names in _CHOICES.items()}
    members |= {
        name: {"type": "array", "minItems": 1, "items": {"enum": list(names)}}
        for name, names in _LISTS.items()
    }
    members |= {name: {"type": "string", "maxLength": most} for name, most in _TEXTS.items()}
    members |= {name: {"type": "string", "pattern": _DAY} for name in _FIRST}
    members["puid"] = {"type": "string", "pattern": _PUID}
    members["content_language"] = {"type": "string", "pattern": _LANGUAGE}
    members["content_id"] = {
        "type": "object",
        "properties": {"EAN-13": {"type": "string", "pattern": _EAN}},
        "additionalProperties": False,
    }
    rules: list[Any] = [{"anyOf": [{"required": [name]} for name in _DECISIONS]}]
    for name, value, others in _NEEDED:
        holds = {"contains": {"const": value}} if name in _LISTS else {"const": value}
        rules.append(
            {
                "if": {"properties": {name: holds}, "required": [name]},
                "then": {"required": list(others)},
            }
        )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Statement of reasons for the DSA Transparency Database",
        "type": "object",
        "properties": members,
        "required": list(_REQUIRED),
        "additionalProperties": False,
        "allOf": rules,
    }


def check_statement(statement: Mapping[str, Any]) -> list[str]:
    """Return what the database would refuse in a statement, one sentence each; empty when nothing.

    Args:
        statement: Members as they would be sent.
    """
    wrong = [f"{name} is missing" for name in _REQUIRED if statement.get(name) in (None, "", [])]
    if not any(statement.get(name) for name in _DECISIONS):
        wrong.append(f"one of {', '.join(_DECISIONS)} is needed")
    for name, value, others in _NEEDED:
        given = statement.get(name)
        if given == value or (isinstance(given, list) and value in given):
            wrong += [
                f"{other} is needed with {value}" for other in others if not statement.get(other)
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
    if name in _FIRST:
        return _check_day(name, value)
    if name == "content_id":
        good = isinstance(value, dict) and set(value) <= {"EAN-13"}
        good = good and all(_matches(_EAN, one) for one in dict(value).values())  # type: ignore[call-overload]
        return [] if good else ["content_id is an object with an EAN-13 of 13 digits"]
    if name == "content_language":
        return [] if _matches(_LANGUAGE, value) else ["content_language is two capital letters"]
    if name == "puid" and not _matches(_PUID, value):
        return ["puid is not made of 1 to 500 letters, digits, hyphens and underscores"]
    if name in _TEXTS:
        return _check_text(name, value)
    return [f"{name} is not a member that we know"]


def _matches(pattern: str, value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _check_text(name: str, value: object) -> list[str]:
    if not isinstance(value, str):
        return [f"{name} is not a text"]
    if len(value) > _TEXTS[name]:
        return [f"{name} is over {_TEXTS[name]} characters"]
    if name == "decision_ground_reference_url":
        try:
            good = urlsplit(value).scheme in {"http", "https"} and bool(urlsplit(value).hostname)
        except ValueError:
            good = False
        return [] if good else [f"{name} is no address"]
    return []


def _check_day(name: str, value: object) -> list[str]:
    try:
        day = date.fromisoformat(value) if _matches(_DAY, value) else None  # type: ignore[arg-type]
    except ValueError:
        day = None
    if day is None:
        return [f"{name} is not a date of the form 2026-11-23"]
    if not _FIRST[name] <= day <= _LAST_DATE:
        return [f"{name} is not from {_FIRST[name]} to {_LAST_DATE}"]
    return []
