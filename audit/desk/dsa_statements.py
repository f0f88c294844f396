"""Statements of reasons for the DSA Transparency Database, made from what is public in the log.

Regulation (EU) 2022/2065, Articles 17 and 24(5), ask hosting services for them. They must hold no
personal data, so they are made from what is public in the log, and never from a prompt; what they
may hold stands in :mod:`chopmark.audit.desk.dsa_schema`. Nothing here sends them anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from chopmark.audit.desk.dsa_schema import CHOSEN, OTHER_CATEGORY, check_statement
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.audit.log.events import Record
    from chopmark.kit.types import JsonValue

__all__ = ["StatementTemplate", "statement_of_reasons"]

_OTHER: Final = "KEYWORD_OTHER"


@dataclass(frozen=True, kw_only=True)
class StatementTemplate:
    """What a deployer says in all statements.

    Attributes:
        ground: Whether content is refused as illegal or under the deployer's terms.
        reference: The law, or the clause of the terms (at most 500 characters).
        explanation: Why such content falls under it (at most 2,000 characters).
        categories: The database's category for each of the policy's; for others stands what
            :data:`chopmark.audit.desk.dsa_schema.CHOSEN` suggests, else
            ``STATEMENT_CATEGORY_OTHER_VIOLATION_TC``.
        reference_url: Address of the law or the terms; empty leaves the member out.
        territorial_scope: Country codes; empty leaves the member out.
        visibility: What was done with the content.
    """

    ground: Literal["illegal", "incompatible"] = "incompatible"
    reference: str
    explanation: str
    categories: Mapping[str, str] = field(default_factory=dict)
    territorial_scope: tuple[str, ...] = ()
    reference_url: str = ""
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
        **_categories(names, template),
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
    if template.reference_url:
        statement["decision_ground_reference_url"] = template.reference_url
    wrong = check_statement(statement)
    if wrong:
        raise InvalidRequest(f"the statement would be refused: {wrong[0]}")
    return statement


def _categories(names: list[str], template: StatementTemplate) -> dict[str, JsonValue]:
    """Return category, further categories and keywords for the policy's categories."""
    chosen: list[str] = []
    keywords: list[str] = []
    other: list[str] = []
    for name in names:
        suggested, keyword = CHOSEN.get(name, (OTHER_CATEGORY, _OTHER))
        category = template.categories.get(name, suggested)
        chosen.append(category)
        # A keyword is one of its category: where the template chose another one, none is known.
        keywords.append(keyword if category == suggested else _OTHER)
        if keywords[-1] == _OTHER:
            other.append(name)
    once = list(dict.fromkeys(chosen)) or [OTHER_CATEGORY]
    found: dict[str, JsonValue] = {"category": once[0]}
    if once[1:]:
        found["category_addition"] = list(once[1:])
    if keywords:
        found["category_specification"] = list(dict.fromkeys(keywords))
    if other:
        found["category_specification_other"] = ", ".join(other)[:500]
    return found
