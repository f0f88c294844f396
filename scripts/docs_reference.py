"""Reference pages that are generated from the code as the documentation site is built.

None of them is kept in the repository: what they say is what the code says at that moment. The
pages beside them (settings, routes, errors) are written by people and held to the code by tests.
"""

from __future__ import annotations

import re
import tempfile
import typing
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer.main
import yaml

from chopmark import Pipeline, Settings
from chopmark.api import create_app
from chopmark.cli import app
from chopmark.safety import load_policy
from chopmark.safety.categories import CATEGORIES, STAGES
from chopmark.safety.policy.schema import Policy, PolicyOverride

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PAGES", "commands", "operations", "policy"]

_FROM = "*Generated from {} as the site is built.*\n"


def _cell(text: object) -> str:
    return " ".join(str(text or "").replace("|", "\\|").split())


def _table(head: str, rows: list[tuple[object, ...]]) -> list[str]:
    names = head.split()
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    return [*lines, *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows), ""]


def _paragraphs(text: str | None) -> str:
    """Return a docstring as Markdown: one kind of literals, attributes as a list."""
    shown = (text or "").replace("``", "`").split("\f")[0].strip()
    said, _, attributes = shown.partition("Attributes:")
    listed = re.sub(r"^    (\w+): ", r"- `\1`: ", attributes, flags=re.MULTILINE)
    return f"{said.strip()}\n{listed and chr(10)}{listed.strip()}\n"


def _tree(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _tree(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def commands() -> str:
    """Return every command with its arguments and options, as ``--help`` has them."""
    lines = ["# Command line, as printed\n", _FROM.format("the command line's own help")]
    lines.append("What the commands are for is in [Command line](../cli.md).\n")
    for path, command in _tree(typer.main.get_command(app), "chopmark"):
        lines += [f"## `{path}`\n", _paragraphs(command.help)]
        rows = [
            (f"`{', '.join(one.opts) or one.name}`", _takes(one), one.help)
            for one in command.params
            if "--help" not in one.opts
        ]
        lines += _table("option takes meaning", rows) if rows else []
    return "\n".join(lines)


def _takes(parameter: Any) -> str:
    kind = parameter.type_descriptor.annotation
    if typing.get_origin(kind) is Literal:
        return ", ".join(f"`{each}`" for each in typing.get_args(kind))
    if kind is bool:
        return ""
    kind = typing.get_args(kind)[0] if typing.get_origin(kind) is list else kind
    words = {int: "a whole number", float: "a number", str: "text", Path: "a file or folder"}
    several = ", again for more" if parameter.multiple else ""
    return words.get(kind, getattr(kind, "__name__", str(kind))) + several


def operations() -> str:
    """Return every operation of the HTTP API with its parameters, its body and its answers."""
    with tempfile.TemporaryDirectory() as home, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a development certificate, which this home needs not
        with Pipeline.from_settings(Settings(home=Path(home))) as pipeline:
            described = create_app(pipeline).openapi()
    lines = ["# HTTP, by operation\n", _FROM.format("the server's OpenAPI document")]
    lines.append(
        "What the routes are for is in [HTTP](../http.md); a running server has the document "
        "itself at `/openapi.json`.\n"
    )
    for path, methods in sorted(described["paths"].items()):
        for method, one in methods.items():
            lines.append(f"## `{method.upper()} {path}`\n")
            lines.append(_paragraphs(one.get("description") or one.get("summary")))
            rows = [
                (
                    f"`{each['name']}`",
                    each["in"],
                    _type(each.get("schema", {})),
                    each.get("description"),
                )
                for each in one.get("parameters", [])
            ]
            rows += _body(one.get("requestBody", {}), described)
            lines += _table("name in type meaning", rows) if rows else []
            done = sorted(code for code in one["responses"] if code < "400")
            lines.append(
                f"Answers {', '.join(f'`{code}`' for code in done)}, or an [error](../errors.md).\n"
            )
    return "\n".join(lines)


def _body(body: dict[str, Any], described: dict[str, Any]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for media, each in body.get("content", {}).items():
        schema = each.get("schema", {})
        if "$ref" in schema:
            schema = described["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        rows += [
            (f"`{name}`", media, _type(part), part.get("description"))
            for name, part in schema.get("properties", {}).items()
        ] or [("the body", media, _type(schema), schema.get("description"))]
    return rows


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    for joined in ("anyOf", "oneOf", "allOf"):
        if joined in schema:
            return " or ".join(dict.fromkeys(_type(each) for each in schema[joined]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    bounds = [
        f"{word} {schema[key]}"
        for key, word in (
            ("minimum", "from"),
            ("minLength", "from"),
            ("maximum", "to"),
            ("maxLength", "to"),
        )
        if key in schema
    ]
    return " ".join([str(schema.get("type", "any")), *bounds])


def policy() -> str:
    """Return the members of a policy file, those of an override, and the built-in thresholds."""
    lines = ["# Policy files\n", _FROM.format("the schema that policy files are checked with")]
    lines.append(
        "How a policy is used is in [Safety](../safety.md#policy); `policy check` checks one.\n"
    )
    for title, model in (("A policy", Policy), ("A tenant's override", PolicyOverride)):
        schema = model.model_json_schema()
        lines += [f"## {title}\n", *_members(schema)]
        if model is Policy:
            for name, part in schema["$defs"].items():
                lines += [f"### {name}\n", _paragraphs(part.get("description")), *_members(part)]
    lines.append("## Categories and their built-in thresholds\n")
    lines.append("At each stage: reviewed from, blocked from; a dash is never.\n")
    names = ("default", "strict")
    held = {name: load_policy(name) for name in names}
    rows: list[tuple[object, ...]] = []
    for category in CATEGORIES:
        row: list[object] = [f"`{category}`", "yes" if held["default"].rule(category).floor else ""]
        for name in names:
            rule = held[name].rule(category)
            row += [_pair(getattr(rule, stage)) for stage in STAGES]
        rows.append(tuple(row))
    head = " ".join(
        ["category", "floor", *(f"{name}:{stage}" for name in names for stage in STAGES)]
    )
    lines += _table(head, rows)
    lines += [
        "## The schema\n",
        "```yaml",
        yaml.safe_dump(Policy.model_json_schema(), sort_keys=False),
        "```",
        "",
    ]
    return "\n".join(lines)


def _members(schema: dict[str, Any]) -> list[str]:
    needed = schema.get("required", [])
    rows = [
        (f"`{name}`", _type(part), "yes" if name in needed else "", _default(part))
        for name, part in schema.get("properties", {}).items()
    ]
    return _table("member type needed default", rows)


def _default(part: dict[str, Any]) -> str:
    """Return a plain default; one that is an object is told by the object's own table."""
    default = part.get("default")
    if isinstance(default, list):
        return ", ".join(f"`{each}`" for each in default)
    return "" if default is None or isinstance(default, dict) else f"`{default}`"


def _pair(thresholds: Any) -> str:
    return " / ".join(
        "-" if each is None else str(each) for each in (thresholds.review, thresholds.block)
    )


PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands,
    "reference/operations.md": operations,
    "reference/policy.md": policy,
}
