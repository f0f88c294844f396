"""The lines of a batch: JSON objects with a name, a path and a body (OpenAI's Batch API)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import InvalidRequest
from chopmark.service.json_body import check_json

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ENDPOINTS", "MOST_LINES", "Lines", "body_of", "read_lines"]

#: What a line may be sent to, and the scope that this takes.
ENDPOINTS: Final = {
    "/v1/images/generations": "generate",
    "/v1/images/edits": "generate",
    "/v1/moderations": "moderate",
}
MOST_LINES: Final = 50_000
_MOST_PROBLEMS: Final = 50
_MOST_NAME: Final = 512


@dataclass(frozen=True, slots=True)
class Lines:
    """What a file of requests holds.

    Attributes:
        names: Number of each line's piece, from 0, and its ``custom_id``.
        problems: What is wrong, as OpenAI's clients read it; then nothing of it is sent.
    """

    names: list[tuple[int, str]]
    problems: list[dict[str, Any]]


def read_lines(pieces: Iterable[tuple[int, bytes]], endpoint: str) -> Lines:
    """Look at every line of a file, before the first one is sent.

    Args:
        pieces: The lines with their numbers; empty ones are passed over.
        endpoint: What all of them must be for.
    """
    lines = Lines([], [])
    seen: set[str] = set()
    for number, data in pieces:
        if not data.strip():
            continue
        try:
            if len(lines.names) >= MOST_LINES:
                raise InvalidRequest(f"there are more than {MOST_LINES} lines")
            name = _name(_parsed(data), endpoint)
            if name in seen:
                raise InvalidRequest(
                    f"another line has the custom_id {name[:60]!r} too", param="custom_id"
                )
        except InvalidRequest as error:
            lines.problems.append(
                {
                    "code": "invalid_line",
                    "message": error.message,
                    "param": error.param,
                    "line": number + 1,
                }
            )
            if len(lines.problems) >= _MOST_PROBLEMS or len(lines.names) >= MOST_LINES:
                break
            continue
        seen.add(name)
        lines.names.append((number, name))
    if not lines.names and not lines.problems:
        lines.problems.append(
            {"code": "empty_file", "message": "the file has no lines", "param": None, "line": None}
        )
    return lines


def body_of(line: bytes) -> bytes | None:
    """Return the body of a line that was looked at; None where nothing is left of it."""
    if not line.strip():
        return None
    body = json.loads(line)["body"]
    # An answer is one line: what a stream would show meanwhile, nobody sees.
    body.pop("stream", None)
    body.pop("partial_images", None)
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _parsed(data: bytes) -> dict[str, Any]:
    check_json(data)
    try:
        line = json.loads(data)
    except ValueError:
        raise InvalidRequest("the line is not JSON") from None
    if not isinstance(line, dict):
        raise InvalidRequest("the line is no object")
    return line


def _name(line: dict[str, Any], endpoint: str) -> str:
    name = line.get("custom_id")
    if not isinstance(name, str) or not 1 <= len(name) <= _MOST_NAME:
        raise InvalidRequest(
            f"custom_id: 1 to {_MOST_NAME} characters that name the line", param="custom_id"
        )
    if line.get("method") != "POST":
        raise InvalidRequest("method: POST is the only one", param="method")
    if line.get("url") != endpoint:
        raise InvalidRequest(f"url: the batch is for {endpoint}", param="url")
    if not isinstance(line.get("body"), dict):
        raise InvalidRequest("body: an object, the request itself", param="body")
    return name
