"""The report as a page: one file without scripts and without anything from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from chopmark.settings.profile_rows import ROWS, SECONDARY

__all__ = ["page_of", "tables_in_markdown"]

_STATES: Final = {
    "as_profile": "Set as the profile has it",
    "deviation": "Set otherwise than the profile has it",
    "set": "Set by the deployer",
    "built_in": "Done whatever is set",
    "open": "Open: for the deployer to do",
}
_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff;max-width:70rem;
margin:2rem auto;padding:0 1rem}h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;table-layout:fixed}th,td{text-align:left;vertical-align:top;
padding:.5rem;border-top:1px solid #c9d1d9}th{font-weight:600}small{color:#4b5563}
code{overflow-wrap:anywhere;font-size:.85em}.note{border-left:4px solid #4b5563;padding-left:1rem}
@media(max-width:45rem){table,tbody,tr,td,th{display:block}thead{display:none}}
"""


def page_of(claims: dict[str, Any]) -> str:
    """Return the page of a report's claims; the same claims give the same bytes."""
    told = [f"<p class=note>{escape(claims['note'])}</p>", _head(claims)]
    for state in ("deviation", "open", "as_profile", "set", "built_in"):
        rows = [row for row in claims["rows"] if row["state"] == state]
        if rows:
            told.append(f"<h2>{_STATES[state]} ({len(rows)})</h2>{_table(rows)}")
    title = f"Chopmark: report for the profile {escape(claims['profile'])}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>\n"
        + "\n".join(told)
        + "\n</main></body></html>\n"
    )


def _head(claims: dict[str, Any]) -> str:
    here = claims["installation"]
    certificate = here["signing_certificate"]
    kind = "development certificate" if certificate["development"] else "certificate"
    lists = ", ".join(
        f"{one['name']} of {one['date'] or 'an unknown day'}{' (stale)' if one['stale'] else ''}"
        for one in here["trust_lists"]
    )
    pairs = {
        "Written": f"{claims['time']} by {claims['tool']}",
        "Profile set here": claims["profile_set"] or "none",
        "Log": here["log"],
        "Policy": f"{here['policy']}; what is to be reviewed: {here['on_review']}",
        "Watermark": here["watermark"],
        "Signed by": f"{kind} {certificate['sha256'][:16]}, valid until {certificate['until']}",
        "Trust lists": lists or "none",
    }
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(value))}</td></tr>'
        for name, value in pairs.items()
    )
    return f"<table><tbody>{cells}</tbody></table>"


def _table(rows: list[dict[str, Any]]) -> str:
    heads = ("Asked for", "Here", "What the software does", "Tests (not run here), figures")
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in _cells(row))}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    since = f", from {row['since']}" if row["since"] else ""
    asked = (
        f"{escape(row['asks'])}<br><small>{escape(row['rule'])}{since}; "
        f"{escape(row['source'])}</small>"
    )
    here = "<small>no setting</small>"
    if row["setting"]:
        here = f"<code>{row['setting']}</code> = {_value(row['configured'])}"
        if row["state"] == "deviation":
            here += f"<br><small>the profile has {_value(row['profile_value'])}</small>"
    shown = [f"<code>{escape(name)}</code>" for name in row["tests"]]
    shown += [
        f"{escape(one['what'])}: <strong>{escape(one['value'])}</strong>, {escape(one['n'])}, "
        f"{one['date']} <small>({escape(one['limits'])})</small>"
        for one in row["figures"]
    ]
    return asked, here, escape(row["does"]), "<br>".join(shown) or "<small>none</small>"


def _value(value: object) -> str:
    return "<em>unset</em>" if value in {None, ""} else f"<code>{escape(str(value))}</code>"


def tables_in_markdown() -> str:
    """Return the profiles as ``docs/law.md`` shows them."""
    kinds = {
        "default": "sets",
        "needed": "you set",
        "built_in": "always",
        "deployer": "yours",
    }
    out = ""
    for profile, rows in ROWS.items():
        out += (
            f"### `{profile}`\n\n| | setting | asked for | rule | from | what the software does |\n"
        )
        out += "|---|---|---|---|---|---|\n"
        for row in rows:
            setting = f"`CHOPMARK_{row.setting.upper()}`" if row.setting else ""
            if row.kind == "default":
                setting += f" = `{row.value}`{' or longer' if row.least else ''}"
            read = "" if row.source == SECONDARY else " (*not read anywhere*)"
            out += f"| {kinds[row.kind]} | {setting} | {row.asks}{read} | {row.rule} |"
            out += f" {row.since} | {row.does} |\n"
        out += "\n"
    return out
