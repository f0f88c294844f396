"""What the crJSON schema asks of a document, as a table.

Source: C2PA 2.4, Content Credentials JSON.

Written from the published schema (draft 2020-12): which members there must be, which there may be,
and of what type each is. An assertion's content is free there, and so it is here.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["problems"]

_SEMVER: Final = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?\Z")
_NAMES: Final = ("C", "ST", "L", "O", "OU", "CN", "E", "2.5.4.97")
# Type by member; `!` must be there. `[x]` is a list, `[x]+` one that is not empty; `<x>` is
# another row. A row with `...` may have other members too.
_SHAPES: Final[dict[str, dict[str, str]]] = {
    "document": {
        "@context!": "context", "manifests!": "[<manifest>]", "jsonGenerator!": "<generator>",
        "...": "",
    },
    "generator": {"name!": "text", "version!": "semver", "date!": "moment", "...": ""},
    "manifest": {
        "label!": "text", "assertions!": "object", "claim": "<claim 1>", "claim.v2": "<claim 2>",
        "signature!": "<signature>", "validationResults!": "<results>",
        "ingredientDeltas": "[<delta>]",
    },
    "claim 1": {
        "claim_generator!": "text", "claim_generator_info!": "[<agent>]+", "signature!": "text",
        "assertions!": "[<link>]+", "dc:format!": "text", "instanceID!": "text",
        "dc:title": "text", "redacted_assertions": "[text]", "alg": "text", "alg_soft": "text",
        "metadata": "object",
    },
    "claim 2": {
        "instanceID!": "text", "claim_generator_info!": "<agent>", "signature!": "text",
        "created_assertions!": "[<link>]+", "gathered_assertions": "[<link>]",
        "dc:title": "text", "redacted_assertions": "[text]", "alg": "text", "alg_soft": "text",
        "specVersion": "text", "metadata": "object",
    },
    "link": {"url!": "text", "hash!": "text", "alg": "text"},
    "agent": {
        "name!": "text", "version": "text", "icon": "<link>", "operating_system": "text", "...": "",
    },
    "signature": {
        "algorithm!": "text", "certificateInfo!": "<certificate>", "timeStampInfo": "<stamp>",
    },
    "stamp": {"timestamp!": "moment", "certificateInfo!": "<certificate>", "...": ""},
    "certificate": {
        "serialNumber!": "text", "issuer!": "<name>", "subject!": "<name>",
        "validity!": "<validity>",
    },
    "validity": {"notBefore": "moment", "notAfter": "moment", "...": ""},
    "name": dict.fromkeys(_NAMES, "text"),
    "results": {
        "success!": "[<status>]", "informational!": "[<status>]", "failure!": "[<status>]",
        "specVersion": "semver", "validationTime": "moment",
    },
    "delta": {"ingredientAssertionURI!": "text", "validationDeltas!": "<statuses>"},
    "statuses": {
        "success!": "[<status>]", "informational!": "[<status>]", "failure!": "[<status>]",
    },
    "status": {"code!": "text", "url": "text", "explanation": "text"},
}  # fmt: skip


def problems(document: Any) -> list[str]:
    """Return where a crJSON document does not fit the schema; nothing where it does."""
    found = list(_check(document, "<document>", "$"))
    for at, manifest in enumerate(document.get("manifests", ())):
        if ("claim" in manifest) == ("claim.v2" in manifest):
            found.append(f"$.manifests[{at}]: not exactly one claim")
    return found


def _check(value: Any, kind: str, where: str) -> Iterator[str]:
    if kind.startswith("["):
        least, inner = kind.endswith("+"), kind.rstrip("+")[1:-1]
        if not isinstance(value, list) or (least and not value):
            yield f"{where}: no list of {inner}"
            return
        for at, one in enumerate(value):
            yield from _check(one, inner, f"{where}[{at}]")
    elif kind.startswith("<"):
        yield from _members(value, _SHAPES[kind[1:-1]], where)
    elif not _is(value, kind):
        yield f"{where}: {str(value)[:60]!r} is no {kind}"


def _members(value: Any, shape: dict[str, str], where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: no object"
        return
    types = {name.rstrip("!"): kind for name, kind in shape.items()}
    yield from (
        f"{where}: lacks {name[:-1]}"
        for name in shape
        if name.endswith("!") and name[:-1] not in value
    )
    for name, one in value.items():
        if name in types:
            yield from _check(one, types[name], f"{where}.{name}")
        elif "..." not in shape:
            yield f"{where}: {name} is none of its members"


def _is(value: Any, kind: str) -> bool:
    if kind == "object":
        return isinstance(value, dict)
    if kind == "context":
        uris = list(value.values()) if isinstance(value, dict) else value
        return isinstance(uris, list) and bool(uris) and all(":" in one for one in uris)
    if not isinstance(value, str):
        return False
    if kind == "semver":
        return _SEMVER.match(value) is not None
    if kind == "moment":
        try:
            return dt.datetime.fromisoformat(value).tzinfo is not None
        except ValueError:
            return False
    return kind == "text"
