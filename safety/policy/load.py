"""Read a policy file; every mistake is one InvalidPolicy that says where and what.

A file names the categories that its author decided on. What it leaves out, be it a category that
came with a later version of Chopmark or ``other``, has the rule of the built-in default policy.
"""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from chopmark.errors import InvalidPolicy
from chopmark.safety.categories import CATEGORIES
from chopmark.safety.policy.schema import Policy

__all__ = ["BUILT_IN", "load_policy", "policy_from_text", "policy_path", "read_yaml"]

_Model = TypeVar("_Model", bound=BaseModel)

BUILT_IN = ("default", "strict")
_MAX_BYTES = 1_000_000


def policy_path(name: str) -> Path:
    """Return the file of a built-in policy.

    In a wheel the policies lie beside the package, in a checkout at the root of the repository.

    Raises:
        InvalidPolicy: There is no such policy.
    """
    places = [Path(str(resources.files("chopmark"))) / "policies"]
    places.append(Path(__file__).resolve().parents[2] / "policies")
    for place in places:
        file = place / f"{name}.yaml"
        if file.is_file():
            return file
    raise InvalidPolicy(
        f"no policy of the name {name!r}",
        hint=f"built in are {', '.join(BUILT_IN)}; anything else is given as a path to a file",
    )


def load_policy(name_or_path: str | Path) -> Policy:
    """Read a built-in policy by name or any policy by path.

    Args:
        name_or_path: ``"default"``, ``"strict"`` or a YAML file.

    Raises:
        InvalidPolicy: No such policy, not YAML, or a field that is wrong or missing.
    """
    if isinstance(name_or_path, str) and name_or_path in BUILT_IN:
        # Ours name everything themselves: nothing is filled in, and a gap is an error.
        return read_yaml(policy_path(name_or_path), Policy)
    path = Path(name_or_path)
    return policy_from_text(_bytes_of(path), source=str(path))


def read_yaml(path: Path, model: type[_Model]) -> _Model:
    """Read a YAML file of a policy's family (policy, override, golden cases).

    Raises:
        InvalidPolicy: Not there, not YAML, or a field that is wrong or missing.
    """
    node, raw = _mapping(_bytes_of(path), source=str(path))
    return _validated(node, raw, model, source=str(path))


def policy_from_text(data: bytes | str, *, source: str = "<policy>") -> Policy:
    """Read a policy from YAML; what it leaves out has the rules of the built-in default.

    Raises:
        InvalidPolicy: With file, line and field where they are known.
    """
    node, raw = _mapping(data, source=source)
    return _validated(node, _filled(raw), Policy, source=source)


@functools.cache
def _default() -> Policy:
    return load_policy("default")


def _filled(raw: dict[Any, Any]) -> dict[Any, Any]:
    """Return a policy's mapping with the default's rules where it has none."""
    named = raw.get("categories")
    if not isinstance(named, dict):
        return raw  # missing or no mapping: the model says so better
    default = _default()
    rest = {name: default.categories[name] for name in CATEGORIES if name not in named}
    return {"other": default.other} | raw | {"categories": named | rest}


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidPolicy(
            f"cannot read {str(path)!r}: {getattr(error, 'strerror', None) or error}",
            hint=f"policies built in are {', '.join(BUILT_IN)}; anything else is a path to a file",
        ) from error


def _mapping(data: bytes | str, *, source: str) -> tuple[yaml.Node | None, dict[Any, Any]]:
    """Return a YAML mapping, and its nodes for the lines of mistakes."""
    if len(data) > _MAX_BYTES:
        raise InvalidPolicy(f"{source}: more than {_MAX_BYTES} bytes", hint="is this the file?")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data)):
            # An alias of an alias unfolds without bound; no policy needs one.
            raise InvalidPolicy(f"{source}: aliases (*name) are not allowed", hint="write it out")
        node = yaml.compose(data, Loader=_StrictLoader)
        # _StrictLoader is a SafeLoader that also refuses a key given twice.
        raw: Any = yaml.load(data, Loader=_StrictLoader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        raise InvalidPolicy(
            f"{where}: not YAML: {error.problem}", hint="mind the indent"
        ) from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InvalidPolicy(
            f"{source}: not YAML: {error}", hint="UTF-8 text is asked for"
        ) from error
    if not isinstance(raw, dict):
        raise InvalidPolicy(f"{source}: a policy is a mapping", hint="see policies/default.yaml")
    return node, raw


def _validated(
    node: yaml.Node | None, raw: dict[Any, Any], model: type[_Model], *, source: str
) -> _Model:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "policy"
        line = _line_of(node, first["loc"])
        where = f"{source}:{line}" if line else source
        more = error.error_count() - 1
        raise InvalidPolicy(
            f"{where}: {field}: {first['msg'].removeprefix('Value error, ')}"
            + (f" (and {more} more)" if more else ""),
            hint="run `chopmark policy check FILE`; policies/default.yaml shows every field",
        ) from error


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice: the second would win unseen."""


def _unique_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = key_node.value
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} stands twice", key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def _line_of(node: yaml.Node | None, location: tuple[int | str, ...]) -> int | None:
    """Return the 1-based line of the deepest part of a location that exists in the file."""
    line: int | None = None
    for part in location:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, node = key.start_mark.line + 1, value
                    break
            else:
                return line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                return line
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line
