"""Trust lists as they are published: C2PA's in LoTE JSON, anybody's as PEM; and how one is renewed.

Sources: ETSI TS 119 602 V1.1.1 (list of trusted entities, JSON binding) and C2PA's
``c2pa-trust-list-extensions.schema.json``, which says what a service's status may be. The published
JSON is not signed: it is believed because whoever runs this installation puts it here.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.errors import ChopmarkError, TrustListRefused
from chopmark.kit.files import make_private_folder, write_public
from chopmark.provenance._profile import parse_chain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Kind", "TrustList", "parse_trust_list", "update_trust_list"]

Kind = Literal["manifest", "tsa", "identity"]
# The names of the lists that come with Chopmark, which a published one of this title replaces.
_OFFICIAL: Final[dict[str, tuple[str, Kind]]] = {
    "c2pa trust list": ("c2pa-trust-list", "manifest"),
    "c2pa tsa trust list": ("c2pa-tsa-trust-list", "tsa"),
}
_TRUSTED: Final = frozenset({"trusted", "granted"})
_UNTRUSTED: Final = frozenset({"untrusted", "withdrawn", "revoked", "deprecated"})
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_DATE: Final = re.compile(r"^#\s*date:\s*(\d{4}-\d\d-\d\d)\s*$", re.MULTILINE)
_MAX_BYTES: Final = 16 << 20


@dataclass(frozen=True, kw_only=True)
class TrustList:
    """A published list of roots.

    Attributes:
        title: As it calls itself; empty for PEM.
        pem: The certificates of the services that are trusted now.
        sequence: The list's number, which only grows; None for PEM.
        issued: RFC 3339, or a date; empty where it does not say.
        next_update: RFC 3339: until when the publisher means to have renewed it; likewise.
        certificates: How many are trusted.
        left_out: Services that the list names and no longer trusts, or not yet.
    """

    title: str = ""
    pem: str = field(repr=False)
    sequence: int | None = None
    issued: str = ""
    next_update: str = ""
    certificates: int = 0
    left_out: int = 0


def parse_trust_list(data: bytes, *, now: dt.datetime | None = None) -> TrustList:
    """Read a trust list, LoTE JSON or PEM.

    Args:
        data: The file.
        now: When it is read: a service whose status begins later is left out.

    Raises:
        TrustListRefused: It is neither, or holds something that cannot be relied on.
    """
    if len(data) > _MAX_BYTES:
        raise TrustListRefused(f"the trust list has more than {_MAX_BYTES} bytes")
    if not data.lstrip().startswith(b"{"):
        return _of_pem(data)
    try:
        members = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TrustListRefused(f"the trust list is no JSON: {error}") from error
    # ETSI's schema has a member `LoTE`; some publish what is in it alone.
    lote = _dict(members.get("LoTE", members), "LoTE")
    head = _dict(lote.get("ListAndSchemeInformation"), "ListAndSchemeInformation")
    sequence = head.get("LoTESequenceNumber")
    if type(sequence) is not int or sequence < 0:
        raise TrustListRefused("LoTESequenceNumber is no number", hint=_HINT)
    moment = now or dt.datetime.now(dt.UTC)
    trusted: list[str] = []
    left_out = 0
    for service in _services(lote):
        certificates = _certificates(service)
        if _is_trusted(service, moment):
            trusted += certificates
        else:
            left_out += 1
    pem = "".join(dict.fromkeys(trusted))
    return TrustList(
        title=_title(head),
        pem=pem,
        sequence=sequence,
        issued=_time(head, "ListIssueDateTime"),
        next_update=_time(head, "NextUpdate"),
        certificates=pem.count("BEGIN CERTIFICATE"),
        left_out=left_out,
    )


def update_trust_list(
    folder: Path, data: bytes, *, name: str = "", kind: Kind | None = None
) -> tuple[Path, TrustList, TrustList | None]:
    """Put a newer trust list in place.

    Args:
        folder: Of the trust lists, as `load_anchors` takes it.
        data: The new list.
        name: What to call it; one of C2PA's own, which says so itself, needs none.
        kind: Of what its roots are; likewise.

    Returns:
        Where it stands now, what it is, and the one that it replaces, if any.

    Raises:
        TrustListRefused: It is no list, or an older one than the one in place.
    """
    found = parse_trust_list(data)
    official = _OFFICIAL.get(found.title.casefold())
    named = name or (official[0] if official else "") or _slug(found.title)
    if not _NAME.fullmatch(named):
        raise TrustListRefused(
            "the list does not say what it is called", hint="give it a name with --name"
        )
    of = kind or (official[1] if official else None) or _kind_of_title(found.title or named)
    if not found.pem:
        raise TrustListRefused("the list trusts nobody", hint="an empty file NAME.pem switches off")
    place = folder / of
    json_path, pem_path = place / f"{named}.json", place / f"{named}.pem"
    old = _in_place(json_path, pem_path)
    _check_newer(found, old, place / f"{named}.sequence")
    make_private_folder(place)
    path = json_path if found.sequence is not None else pem_path
    write_public(path, data)
    if found.sequence is not None:
        write_public(place / f"{named}.sequence", f"{found.sequence}\n".encode())
        pem_path.unlink(missing_ok=True)
    return path, found, old


def _check_newer(new: TrustList, old: TrustList | None, remembered: Path) -> None:
    """Let no list be put in place that is older than what was there.

    The number is remembered beside the list too: taking the list away is no way around it.
    """
    highest = old.sequence if old is not None and old.sequence is not None else -1
    if remembered.is_file():
        text = remembered.read_text(encoding="utf-8").strip()
        highest = max(highest, int(text) if text.isdecimal() else -1)
    if highest >= 0 and new.sequence is None:
        raise TrustListRefused(
            f"the list in place has the number {highest}, and this one has none",
            hint="take the publisher's JSON",
        )
    if new.sequence is not None and new.sequence < highest:
        raise TrustListRefused(
            f"the list has the number {new.sequence}, and number {highest} was in place already",
            hint="take the newest from its publisher",
        )
    if old is None:
        return
    if new.sequence is not None and old.sequence == new.sequence and old.pem != new.pem:
        raise TrustListRefused(
            f"the list has the number of the one in place, {highest}, and other certificates",
            hint="take the newest from its publisher",
        )
    if old.sequence is None and old.issued and new.issued[:10] < old.issued[:10]:
        raise TrustListRefused(
            f"the list is of {new.issued[:10] or 'no day'}, and the one in place of "
            f"{old.issued[:10]}",
            hint="take the newest from its publisher",
        )


def _in_place(json_path: Path, pem_path: Path) -> TrustList | None:
    for path in (json_path, pem_path):
        if path.is_file() and path.read_bytes().strip():
            return parse_trust_list(path.read_bytes())
    return None


_HINT: Final = "C2PA's is trust-list/C2PA-TRUST-LIST.json in c2pa-org/conformance-public"


def _of_pem(data: bytes) -> TrustList:
    try:
        count = len(parse_chain(data, source="the trust list"))
        text = data.decode("utf-8")
    except (ChopmarkError, UnicodeDecodeError) as error:
        raise TrustListRefused(
            "the file is neither a trust list in JSON nor PEM certificates", hint=_HINT
        ) from error
    dated = _DATE.search(text)
    return TrustList(pem=text, issued=dated[1] if dated else "", certificates=count)


def _services(lote: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for entity in _list(lote.get("TrustedEntitiesList"), "TrustedEntitiesList"):
        services = _dict(entity, "TrustedEntitiesList").get("TrustedEntityServices")
        for service in _list(services, "TrustedEntityServices"):
            yield _dict(_dict(service, "service").get("ServiceInformation"), "ServiceInformation")


def _is_trusted(service: dict[str, Any], now: dt.datetime) -> bool:
    status = service.get("ServiceStatus")
    if status is None:  # ETSI TS 119 602: where a scheme has no status, who is listed is trusted
        return True
    code = str(status).rstrip("/").rpartition("/")[2].casefold()
    if code not in _TRUSTED | _UNTRUSTED:
        raise TrustListRefused(f"the list has a status that is not known here: {status}")
    begins = _time(service, "StatusStartingTime")
    return code in _TRUSTED and (not begins or _moment(begins) <= now)


def _certificates(service: dict[str, Any]) -> list[str]:
    identity = _dict(service.get("ServiceDigitalIdentity"), "ServiceDigitalIdentity")
    found = []
    for one in _list(identity.get("X509Certificates"), "X509Certificates"):
        text = one.get("val") if isinstance(one, dict) else one
        try:
            der = base64.b64decode("".join(str(text).split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise TrustListRefused("a certificate in the list is no base64") from error
        found.append(_pem(der))
    return found


def _pem(der: bytes) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()
    except (ValueError, x509.InvalidVersion) as error:
        raise TrustListRefused("the list holds something that is no certificate") from error


def _title(head: dict[str, Any]) -> str:
    names = head.get("SchemeName")
    for one in names if isinstance(names, list) else ():
        if isinstance(one, dict) and isinstance(one.get("value"), str):
            return str(one["value"]).strip()
    return ""


def _time(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    if isinstance(value, dict):  # ETSI's XML form, which some carry over into JSON
        value = value.get("dateTime")
    if value is None:
        return ""
    return _moment(str(value)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise TrustListRefused(f"the list has a time that cannot be read: {text!r}") from error
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.casefold()).strip("-")[:64]


def _kind_of_title(title: str) -> Kind:
    return "tsa" if re.search(r"\btsa\b|time.?stamp", title.casefold()) else "manifest"


def _dict(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TrustListRefused(f"the list has no {name}", hint=_HINT)
    return value


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise TrustListRefused(f"the list has no {name}", hint=_HINT)
    return value
