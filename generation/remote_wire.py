"""What goes over the wire to a remote generator: addresses, bounded exchanges, errors made ours."""

from __future__ import annotations

import ipaddress
import json
import math
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from chopmark.errors import (
    Busy,
    ChopmarkError,
    ConfigurationError,
    GenerationFailed,
    InvalidRequest,
    ModelLoadError,
    ModelNotFound,
)
from chopmark.generation.remote_stream import EventReader, retry_after_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import httpx

PREFIX: Final = "remote:"
EVENTS: Final = "text/event-stream"


@dataclass(frozen=True, kw_only=True)
class RemoteOptions:
    """How the other server is talked to.

    Attributes:
        key: sent as a bearer token; empty for none.
        timeout_s: seconds for one picture, retries included.
        connect_s: seconds until a connection stands.
        retries: how often a request is made again that the server could not take.
        parallel: requests at once for the pictures of one job.
        max_bytes: largest answer for one picture.
        max_pixels: largest picture, after decoding.
        extras: send ``seed``, ``steps``, ``guidance_scale`` and ``negative_prompt``, which are not
            OpenAI's; off for servers that refuse them, whose pictures then cannot be made again.
        allow_plain_http: let prompts and key cross a network unencrypted; loopback always may.
        size: width and height that are asked for when the caller names none.
    """

    key: str = field(default="", repr=False)
    timeout_s: float = 120.0
    connect_s: float = 10.0
    retries: int = 2
    parallel: int = 4
    max_bytes: int = 48 * 2**20
    max_pixels: int = 64_000_000
    extras: bool = True
    allow_plain_http: bool = False
    size: tuple[int, int] = (1024, 1024)


def split_address(address: str, *, allow_plain_http: bool) -> tuple[str, str]:
    """Return base URL and model name of ``remote:https://host/v1#model``.

    Raises:
        InvalidRequest: not such an address, or one that would send prompts in the clear.
    """
    text, _, model = address.removeprefix(PREFIX).partition("#")
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    if (
        host is None
        or parts.scheme not in {"http", "https"}
        or parts.username is not None
        or parts.query
        or any(ord(letter) <= 32 or ord(letter) == 127 for letter in address)
    ):
        raise InvalidRequest(
            "the address of the remote generator is not remote:https://host[:port]/v1[#model]",
            hint="the key goes into CHOPMARK_REMOTE_KEY, never into the address",
        )
    if parts.scheme == "http" and not allow_plain_http and not _is_loopback(host):
        raise InvalidRequest(
            f"http to {host} would send prompts and key unencrypted",
            hint="use https, or set CHOPMARK_REMOTE_ALLOW_PLAIN_HTTP=true for a network you trust",
        )
    return text.rstrip("/"), model


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_client(options: RemoteOptions) -> httpx.Client:
    """Return a client that follows no redirect."""
    import httpx

    headers = {"user-agent": "chopmark", "accept": "application/json"}
    if options.key:
        headers["authorization"] = f"Bearer {options.key}"
    return httpx.Client(
        headers=headers,
        timeout=httpx.Timeout(options.timeout_s, connect=options.connect_s),
        # A redirect would take prompt and key to a server that nobody chose.
        follow_redirects=False,
        limits=httpx.Limits(max_connections=options.parallel),
    )


def exchange(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    deadline: float,
    max_bytes: int,
    event: Callable[[dict[str, Any]], None] | None = None,
    **body: Any,
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers (lower case) and body, which is read no further than allowed.

    Where ``event`` is given and the answer is a stream of events, each goes there as it comes, and
    the body that is returned is empty.
    """
    with client.stream(method, url, **body) as answer:
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        reader = EventReader() if event is not None and kind == EVENTS else None
        data, size = bytearray(), 0
        # As it comes: whoever waited for a whole chunk of a slow server would miss the deadline.
        for chunk in answer.iter_bytes():
            size += len(chunk)
            if size > max_bytes:
                raise GenerationFailed(
                    f"the answer is over {max_bytes} bytes", hint="ask for a smaller picture"
                )
            if time.monotonic() > deadline:
                raise GenerationFailed("the answer did not arrive in time")
            if reader is None or event is None:
                data += chunk
                continue
            for one in reader.feed(chunk):
                event(one)
        return answer.status_code, dict(answer.headers), bytes(data)


@contextmanager
def as_ours(base: str) -> Iterator[None]:
    """Turn what the HTTP library raises into ours; ConnectionError means: never got there."""
    import httpx

    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.RemoteProtocolError) as error:
        raise ConnectionError(f"{base} does not answer") from error
    except httpx.TimeoutException as error:
        raise GenerationFailed(f"{base} did not answer in time") from error
    except (httpx.HTTPError, httpx.InvalidURL, RuntimeError, ValueError) as error:
        raise GenerationFailed(f"{base}: {type(error).__name__}") from error


def offered_models(base: str, options: RemoteOptions) -> dict[str, dict[str, Any]]:
    """Return the server's models by name; empty where it has no list.

    Raises:
        ModelLoadError: It does not answer.
    """
    try:
        with open_client(options) as client, as_ours(base):
            status, _, data = exchange(
                client,
                "GET",
                base + "/models",
                deadline=time.monotonic() + options.connect_s * 2,
                max_bytes=4 * 2**20,
            )
    except (ConnectionError, GenerationFailed) as error:
        raise ModelLoadError(
            f"the remote generator {base} does not answer",
            hint="is it up, and is CHOPMARK_MODEL its base address, with /v1?",
        ) from error
    if status in {404, 405, 501}:
        return {}
    if status != 200:
        raise refusal(base, status, data)
    rows = json_object(data).get("data")
    if not isinstance(rows, list):
        return {}
    return {
        row["id"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)
    }


def json_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object in ``data``.

    Raises:
        GenerationFailed: It holds none.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise GenerationFailed("the remote generator sent no JSON") from error
    if not isinstance(value, dict):
        raise GenerationFailed("the remote generator sent no JSON object")
    return value


def refusal(
    base: str, status: int, data: bytes, headers: Mapping[str, str] | None = None
) -> ChopmarkError:
    """Return our error for their status. Their words stay out: they may hold the prompt."""
    code = ""
    try:
        error = json.loads(data).get("error")
        code = word(error.get("code") or error.get("type")) if isinstance(error, dict) else ""
    except (ValueError, AttributeError, RecursionError):
        pass
    sentence = f"{base} answered {status}" + (f" ({code})" if code else "")
    if status in {401, 403}:
        return ConfigurationError(sentence, hint="CHOPMARK_REMOTE_KEY is missing or wrong")
    if status in {429, 503}:
        wait = retry_after_s(headers or {}) or 1.0
        hint = f"the remote generator has no room; try again in {math.ceil(wait)} s"
        return Busy(sentence, hint=hint, retry_after_s=wait)
    if 300 <= status < 400:
        return GenerationFailed(sentence, hint="redirects are not followed: give its final address")
    if status == 404:
        return ModelNotFound(sentence, hint="is CHOPMARK_MODEL its base address, with /v1?")
    hint = "a server that knows OpenAI's fields only needs CHOPMARK_REMOTE_EXTRAS=false"
    return GenerationFailed(sentence, hint=hint if status in {400, 422} else "")


def word(value: object) -> str:
    """Return a short identifier as it is, and nothing of anything else."""
    text = value if isinstance(value, str) else ""
    return text if re.fullmatch(r"[\w.:/@-]{1,80}", text, re.ASCII) else ""
