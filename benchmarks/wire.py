"""HTTP/1.1 as plain bytes: what the load generators speak, on loopback.

A load generator shares the cores with the server that it measures, so it does as little as it can.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["Answer", "Connection", "form", "json_post", "post", "status_and_code"]

_BOUNDARY = "chopmark-benchmark"


@dataclass(frozen=True)
class Answer:
    """What a server answered.

    Attributes:
        status: HTTP status.
        headers: By name, in lower case.
        body: Its bytes.
    """

    status: int
    headers: dict[str, str]
    body: bytes


def post(path: str, body: bytes, *, kind: str, key: str = "", length: int | None = None) -> bytes:
    """Return a POST request.

    Args:
        path: With its slash.
        body: What is sent of it.
        kind: Media type.
        key: API key, or empty for none.
        length: What the request says its body's length is; the default is the truth.
    """
    lines = [
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        f"content-type: {kind}",
        f"content-length: {len(body) if length is None else length}",
    ]
    if key:
        lines.append(f"authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def json_post(path: str, value: Any, *, key: str = "") -> bytes:
    """Return a POST request with JSON in UTF-8."""
    body = json.dumps(value, ensure_ascii=False).encode()
    return post(path, body, kind="application/json", key=key)


def form(path: str, picture: bytes, *, key: str = "", **fields: str) -> bytes:
    """Return a POST request with a form: a picture by the name ``image``, and further fields."""
    part = f"--{_BOUNDARY}\r\ncontent-disposition: form-data; "
    parts = [f'{part}name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
    head = f'{part}name="image"; filename="a"\r\ncontent-type: application/octet-stream\r\n\r\n'
    body = b"".join([*parts, head.encode(), picture, f"\r\n--{_BOUNDARY}--\r\n".encode()])
    return post(path, body, kind=f"multipart/form-data; boundary={_BOUNDARY}", key=key)


class Connection:
    """One connection that is kept: the next request is sent when the last was answered."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._drop()

    async def ask(self, request: bytes) -> Answer:
        """Send a request and return its answer.

        Raises:
            OSError: The connection broke.
        """
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        try:
            writer.write(request)
            answer = await read_answer(reader)
        except BaseException:
            self._drop()
            raise
        if answer.headers.get("connection", "").lower() == "close":
            self._drop()
        return answer

    def _drop(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read one answer: by its length, in chunks, or up to the end of the connection.

    Raises:
        ConnectionResetError: It ended within the answer.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        status, headers = _head(head)
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readuntil(b"\r\n")
        elif "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        else:
            body = await reader.read()
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("the connection ended within the answer") from error
    return Answer(status, headers, body)


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *rest = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in rest if line)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


def status_and_code(answer: Answer) -> str:
    """Return the status, and the error's code where the body is one of our errors."""
    try:
        told = json.loads(answer.body)
    except ValueError:
        return str(answer.status)
    told = told if isinstance(told, dict) else {}
    inner = told.get("error")
    code = inner.get("code") if isinstance(inner, dict) else told.get("code")
    return f"{answer.status} {code}" if code else str(answer.status)
