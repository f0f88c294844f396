"""The transparency report: counted from public leaves only, so that anybody can count again."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import median
from typing import TYPE_CHECKING, Final

from chopmark.audit.desk.agreement import Agreement
from chopmark.audit.log.clock import moment
from chopmark.audit.log.leaf import parse_leaf
from chopmark.audit.search.facts import Course, facts_of, opinions_of
from chopmark.audit.search.tallies import counted, middle_us, whole_days
from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.audit.search.facts import Part
    from chopmark.kit.database import Transaction
    from chopmark.kit.types import JsonValue

__all__ = ["bound_of", "report_of_days", "transparency_report"]

_TOOK: Final[tuple[Part, ...]] = ("request_us", "appeal_us")
_DAY: Final = "0000-00-00"


def transparency_report(
    leaves: Iterable[bytes], *, since: str = "", until: str = "9999", tenant: str | None = None
) -> dict[str, JsonValue]:
    """Count what happened in a period.

    Args:
        leaves: The bytes of the entries from 0 on, in order; those of the published bundles do.
        since: First moment of the period, RFC 3339 in UTC.
        until: Moment after its end.
        tenant: Count only what is of this tenant; None counts everything.

    Returns:
        The same for the same leaves and period, whoever counts: requests by how they ended,
        refusals by category, stage and automation, reviews, how far second opinions agreed with
        first ones, appeals by outcome, and median times in seconds (None where there is nothing to
        take one of). ``entries`` says from how many leaves.

    Raises:
        LogCorrupt: A leaf is not one of a log.
    """
    counts: Counter[tuple[Part, str]] = Counter()
    spent: dict[Part, list[int]] = {part: [] for part in _TOOK}
    courses: defaultdict[str, Course] = defaultdict(Course)
    entries = 0
    for leaf in leaves:
        entries += 1
        members = parse_leaf(leaf)
        if members["time"] >= until or tenant not in {None, members["tenant"]}:
            continue
        # What began before the period is followed, too, because it may end inside it.
        for fact in facts_of(members, courses[members["record_id"]]):
            if fact.time >= since:
                counts[fact.part, fact.name] += 1
                if fact.us is not None:
                    spent[fact.part].append(fact.us)
    return _report(
        counts, spent, {"entries": entries, "tenant": tenant, "since": since, "until": until}
    )


def report_of_days(
    transaction: Transaction, *, since: str, until: str, tenant: str | None
) -> dict[str, JsonValue] | None:
    """Count a period of whole days from the projection; the figures of :func:`transparency_report`.

    Args:
        transaction: Of the projection, from which all is read.
        since: As there.
        until: As there.
        tenant: As there.

    Returns:
        The report of the entries that the projection has followed; None where it cannot tell, and
        the leaves have to be read.
    """
    days = whole_days(transaction, since, until)
    if days is None:
        return None
    counts = counted(transaction, days, tenant=tenant)
    middles = {
        part: middle_us(transaction, part, counts[part, ""], days, tenant=tenant) for part in _TOOK
    }
    rows = transaction.execute("SELECT upto FROM followed")
    told: dict[str, JsonValue] = {"entries": int(rows[0][0]) if rows else 0, "tenant": tenant}
    return _report(counts, middles, {**told, "since": since, "until": until})


def bound_of(text: str) -> str:
    """Return the beginning or the end of a period as entries' times are compared with it.

    Args:
        text: A day, the beginning of one (``2026``, ``2026-12``), an RFC 3339 moment, or nothing.

    Raises:
        InvalidRequest: None of these.
    """
    if len(text) > len(_DAY):
        return moment(text)
    shape = "".join("0" if sign.isdecimal() and sign.isascii() else sign for sign in text)
    if not _DAY.startswith(shape):
        raise InvalidRequest(f"{text!r} is not a day", hint="YYYY-MM-DD, or RFC 3339 with a zone")
    return text


def _report(
    counts: Counter[tuple[Part, str]],
    spent: dict[Part, list[int]],
    about: dict[str, JsonValue],
) -> dict[str, JsonValue]:
    """Lay out what was counted."""

    def table(part: Part) -> dict[str, JsonValue]:
        return {name: n for (of, name), n in sorted(counts.items()) if of == part}

    def seconds(part: Part) -> JsonValue:
        return round(median(spent[part]) / 1e6, 3) if spent[part] else None

    reviewed, refused = counts["reviewed_records", ""], counts["refused_records", ""]
    automation = {"automated": refused - reviewed, "with review": reviewed}
    agreement = Agreement()
    for name, n in table("opinions").items():
        agreement.count(*opinions_of(name), times=int(str(n)))
    return {
        **about,
        "requests": table("requests"),
        "refusals": {
            "by_category": table("category"),
            "by_stage": table("stage"),
            "by_automation": {name: n for name, n in automation.items() if n},
        },
        "reviews": table("reviews"),
        "second_opinions": agreement.to_dict(),
        "appeals": table("appeals"),
        "other_events": table("other"),
        "median_seconds": {"request": seconds("request_us"), "appeal": seconds("appeal_us")},
    }
