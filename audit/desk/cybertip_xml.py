"""The draft of a report to NCMEC's CyberTipline, as XML, and what is checked of its form.

A person completes and submits it at https://report.cybertip.org/ispws; nothing here sends anything,
and no file goes along. 18 U.S.C. 2258A asks providers for such reports.

Source of members, order, choices and lengths: the CyberTipline Reporting API's public documentation
(https://report.cybertip.org/ispws/documentation, Appendix B) as two open clients write it down,
ROOST Coop (``ncmecReporting.ts``) among them. **It was not validated against NCMEC's XSD** (``GET
/ispws/xsd`` takes an account), and no server of theirs has seen one.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ConfigurationError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from chopmark.audit.log.events import Record

__all__ = ["INCIDENT_TYPES", "CyberTipReporter", "check_cybertip", "cybertip_xml", "load_reporter"]

INCIDENT_TYPES: Final = (
    "Child Pornography (possession, manufacture, and distribution)",
    "Child Sex Trafficking",
    "Child Sex Tourism",
    "Child Sexual Molestation",
    "Misleading Domain Name",
    "Misleading Words or Digital Images on the Internet",
    "Online Enticement of Children for Sexual Acts",
    "Unsolicited Obscene Material Sent to a Child",
)
_MAX_FILE: Final = 64 * 1024
_MAX_XML: Final = 1024 * 1024
_MAX_INFO: Final = 3000

# Of each element its children in the order that NCMEC demands: name, whether it must be there,
# whether it may come again, and the most characters of its text.
_Child = tuple[str, bool, bool, int | None]
_ORDER: Final[Mapping[str, tuple[_Child, ...]]] = {
    "report": (
        ("incidentSummary", True, False, None),
        ("internetDetails", False, True, None),
        ("lawEnforcement", False, False, None),
        ("reporter", True, False, None),
        ("personOrUserReported", False, False, None),
        ("intendedRecipient", False, True, None),
        ("victim", False, True, None),
        ("additionalInfo", False, False, None),
    ),
    "incidentSummary": (
        ("incidentType", True, False, 255),
        ("platform", False, False, 256),
        ("escalateToHighPriority", False, False, 3000),
        ("reportAnnotations", False, False, None),
        ("incidentDateTime", True, False, 64),
        ("incidentDateTimeDescription", False, False, 3000),
    ),
    "internetDetails": (("webPageIncident", True, False, None),),
    "webPageIncident": (("url", False, True, 2083), ("additionalInfo", False, False, None)),
    "reporter": (
        ("reportingPerson", True, False, None),
        ("contactPerson", False, False, None),
        ("companyTemplate", False, False, None),
        ("termsOfService", False, False, 3000),
        ("legalURL", False, False, 2083),
    ),
    "reportingPerson": (
        ("firstName", False, False, 50),
        ("lastName", False, False, 50),
        ("phone", False, True, 50),
        ("email", False, True, 255),
    ),
    "personOrUserReported": (
        ("espIdentifier", False, False, 255),
        ("espService", False, False, 100),
        ("additionalInfo", False, False, None),
    ),
}


@dataclass(frozen=True, kw_only=True)
class CyberTipReporter:
    """Who reports, as the deployer's file says.

    Attributes:
        company: The name that NCMEC registered; also that of the service.
        email: Of the person who reports.
        first_name: Theirs.
        last_name: Theirs.
        phone: Theirs; empty leaves it out.
        legal_url: Address of the legal pages; empty leaves it out.
        terms_of_service: The clause, or its address; empty leaves it out.
        service_url: Where the service is; empty leaves the page of the incident out.
        incident_type: One of :data:`INCIDENT_TYPES`.
    """

    company: str
    email: str
    first_name: str
    last_name: str
    phone: str = ""
    legal_url: str = ""
    terms_of_service: str = ""
    service_url: str = ""
    incident_type: str = INCIDENT_TYPES[0]

    def __post_init__(self) -> None:
        """Check the members."""
        for name, value in vars(self).items():
            if not isinstance(value, str):
                raise TypeError(f"{name} is not a text")
        for name in ("company", "email", "first_name", "last_name"):
            if not getattr(self, name).strip():
                raise TypeError(f"{name} is empty")
        if self.incident_type not in INCIDENT_TYPES:
            raise TypeError(f"incident_type is one of {'; '.join(INCIDENT_TYPES)}")


def load_reporter(path: Path) -> CyberTipReporter:
    """Read the file that ``CHOPMARK_CYBERTIP`` names.

    Raises:
        ConfigurationError: It cannot be read, or is not what it should be.
    """
    import yaml

    try:
        with path.open("rb") as file:
            members: Any = yaml.safe_load(file.read(_MAX_FILE))
        if not isinstance(members, dict):
            raise TypeError("it is not a mapping")
        return CyberTipReporter(**members)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        raise ConfigurationError(
            f"{path}: {str(error).splitlines()[0]}",
            hint="a mapping: company, email, first_name, last_name; and phone, legal_url,"
            " terms_of_service, service_url, incident_type",
        ) from None


def cybertip_xml(
    records: Sequence[Record],
    reporter: CyberTipReporter,
    *,
    subject: str | None,
    prompt: str | None = None,
) -> str:
    """Return the draft for a record.

    Args:
        records: Its entries, oldest first.
        reporter: Who reports.
        subject: Whom the request named, as the log has it; None where it named nobody.
        prompt: What was asked for, where it is to stand in the draft.

    Raises:
        InvalidRequest: The draft would have a form that the API refuses.
    """
    first = records[0]
    root = ET.Element("report")
    summary = ET.SubElement(root, "incidentSummary")
    _text(summary, "incidentType", reporter.incident_type)
    _text(summary, "incidentDateTime", first.time)
    if reporter.service_url:
        page = ET.SubElement(ET.SubElement(root, "internetDetails"), "webPageIncident")
        _text(page, "url", reporter.service_url)
    told = ET.SubElement(root, "reporter")
    person = ET.SubElement(told, "reportingPerson")
    _text(person, "firstName", reporter.first_name)
    _text(person, "lastName", reporter.last_name)
    _text(person, "phone", reporter.phone)
    _text(person, "email", reporter.email)
    _text(told, "companyTemplate", reporter.company)
    _text(told, "termsOfService", reporter.terms_of_service)
    _text(told, "legalURL", reporter.legal_url)
    if subject is not None:
        reported = ET.SubElement(root, "personOrUserReported")
        _text(reported, "espIdentifier", subject.removeprefix(f"{first.tenant}:"))
        _text(reported, "espService", reporter.company)
    _text(root, "additionalInfo", _facts(records, prompt))
    ET.indent(root)
    text = '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
    wrong = check_cybertip(text)
    if wrong:
        raise InvalidRequest(f"the draft would be refused: {wrong[0]}")
    return text


def _facts(records: Sequence[Record], prompt: str | None) -> str:
    first = records[0]
    refused = next((one for one in records if one.kind == "request.refused"), None)
    listed = (refused or first).public.get("categories")
    names = ", ".join(map(str, listed)) if isinstance(listed, list) else "not stated"
    where = "" if refused is None else f" at the stage '{refused.public.get('stage', 'input')}'"
    done = "sealed" if refused is None else "refused"
    lines = [
        "The service generates pictures with AI from what people ask for.",
        f"A request of {first.time} was {done}{where}, in the categories: {names}.",
        f"Record {first.record_id}, entry {first.index} of the provider's tamper-evident log.",
        "No file is part of this report.",
    ]
    if prompt is not None:
        lines.append(f"What was asked for: {prompt}")
    return "\n".join(lines)[:_MAX_INFO]


def _text(parent: ET.Element, name: str, value: str) -> None:
    if value:
        # XML 1.0 has no place for most control characters, however they are written.
        clean = re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", value)
        ET.SubElement(parent, name).text = clean


def check_cybertip(text: str) -> list[str]:
    """Return what is wrong with a draft's form, one sentence each; empty when nothing was found.

    Members that a person may add and that we never write (victims, law enforcement) are known by
    name and place alone; what is inside them is not looked at.

    Args:
        text: XML.
    """
    if len(text) > _MAX_XML or "<!DOCTYPE" in text:
        return ["it is too long, or has a document type"]
    try:
        root = ET.fromstring(text.encode())  # noqa: S314  bounded, and without entities
    except (ET.ParseError, UnicodeEncodeError) as error:
        return [f"it is not XML: {error}"]
    if root.tag != "report":
        return [f"it begins with {root.tag[:40]}, not with report"]
    wrong = _check_element(root)
    if wrong:
        return wrong
    kind = root.findtext("incidentSummary/incidentType")
    if kind not in INCIDENT_TYPES:
        wrong.append(f"incidentType cannot be {kind!r}")
    when = str(root.findtext("incidentSummary/incidentDateTime"))
    try:
        if datetime.fromisoformat(when).tzinfo is None:
            raise ValueError
    except ValueError:
        wrong.append("incidentDateTime is not a time with a zone")
    return wrong


def _check_element(element: ET.Element) -> list[str]:
    children = _ORDER.get(element.tag)
    if children is None:
        return []
    names = [name for name, *_ in children]
    wrong = [
        f"{element.tag} has no {child.tag[:40]}" for child in element if child.tag not in names
    ]
    places = [names.index(child.tag) for child in element if child.tag in names]
    if places != sorted(places):
        wrong.append(f"the members of {element.tag} are not in the order of the API")
    for name, needed, again, most in children:
        found = element.findall(name)
        if needed and not found:
            wrong.append(f"{name} is missing")
        if len(found) > 1 and not again:
            wrong.append(f"{name} is there {len(found)} times")
        if most is not None and any(len(one.text or "") > most for one in found):
            wrong.append(f"{name} is over {most} characters")
    for child in element:
        wrong += _check_element(child)
    return wrong
