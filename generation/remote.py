"""Another server's model behind our guards, watermark, signature and log.

Any server that speaks OpenAI's Images API can be the engine: vLLM-Omni, SGLang-Diffusion, LocalAI,
or another Chopmark. What it sends back is taken for what it is, bytes of a stranger: bounded in
size and time, decoded by type, and never a reason to open a connection to somewhere else.

>>> split_address("remote:https://images.example.org/v1#flux-schnell", allow_plain_http=False)
('https://images.example.org/v1', 'flux-schnell')
"""

from __future__ import annotations

import base64
import binascii
import io
import ipaddress
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from chopmark.errors import (
    Busy,
    Cancelled,
    ChopmarkError,
    ConfigurationError,
    GenerationFailed,
    InvalidRequest,
    ModelLoadError,
    ModelNotFound,
)
from chopmark.generation.interface import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx
    from PIL import Image

    from chopmark.generation.interface import Draft, GenerationJob

PREFIX: Final = "remote:"
_FORMATS: Final = ("PNG", "JPEG", "WEBP")
_CHUNK: Final = 65_536
#: Answers after which the same request may succeed.
_AGAIN: Final = frozenset({429, 502, 503, 504})
#: How far the proportions of an answer may be off before it is refused.
_OFF: Final = 0.05
_POLL_S: Final = 0.05


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


class RemoteGenerator:
    """A server with OpenAI's Images API as a :class:`~chopmark.generation.Generator`.

    Each picture is a request of its own with its own seed, so that it can be made again alone.
    Made by :meth:`connect`; safe to call from several threads.
    """

    def __init__(self, base: str, model: str, info: ModelInfo, options: RemoteOptions) -> None:
        self._base = base
        self._model = model
        self._info = info
        self._options = options

    @classmethod
    def connect(cls, address: str, *, options: RemoteOptions | None = None) -> RemoteGenerator:
        """Ask the server which models it has.

        Args:
            address: ``remote:https://host[:port]/v1``, with ``#model`` to choose one of several.
            options: limits and the key.

        Raises:
            InvalidRequest: the address is no such address.
            ConfigurationError: the server refuses the key.
            ModelNotFound: it has no model of this name.
            ModelLoadError: it does not answer, or not with what it should.
        """
        options = options or RemoteOptions()
        base, model = split_address(address, allow_plain_http=options.allow_plain_http)
        offered = _offered(base, options)
        if model and offered and model not in offered:
            raise ModelNotFound(
                f"{base} has no model {model!r}", hint=f"it has {', '.join(sorted(offered)[:10])}"
            )
        if not model and len(offered) == 1:
            model = next(iter(offered))
        facts = offered.get(model, {})
        info = ModelInfo(
            id=f"{PREFIX}{urlsplit(base).netloc}" + (f"/{model}" if model else ""),
            version=_word(facts.get("version")) or "remote",
            # Weights elsewhere have a digest only if their server says one.
            digest=_word(facts.get("digest")),
            licence="unknown",
            native_size=max(options.size),
            default_size=options.size,
            max_size=4096,
            default_steps=1,
            quantization="none",
            supports=frozenset({"generate", "edit", "inpaint"}),
        )
        return cls(base, model, info, options)

    @property
    def info(self) -> ModelInfo:
        """What the server says of its model."""
        return self._info

    def generate(
        self,
        job: GenerationJob,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        draft: Callable[[Draft], None] | None = None,  # noqa: ARG002 - final pictures only
    ) -> list[Image.Image]:
        """Have the pictures of ``job`` made; see :meth:`chopmark.generation.Generator.generate`.

        Progress counts pictures. Raises ``Busy`` when the server has no room even after retries,
        and ``GenerationFailed`` for whatever else it answers.
        """
        if max(job.width, job.height) > self._info.max_size:
            raise InvalidRequest(f"{job.width}x{job.height} is over {self._info.max_size} pixels")
        call = _Job(self._base, self._model, job, self._options)
        pool = ThreadPoolExecutor(min(job.n, self._options.parallel), "chopmark-remote")
        try:
            waiting = [pool.submit(call.make, seed) for seed in job.seeds]
            told = 0
            while True:
                done = sum(one.done() for one in waiting)
                if done > told and progress is not None:
                    progress(done, job.n)
                told = done
                failed = next((one for one in waiting if one.done() and one.exception()), None)
                if failed is not None or done == job.n:
                    break
                if cancelled is not None and cancelled():
                    raise Cancelled("the generation was cancelled")
                time.sleep(_POLL_S)
            if failed is not None:
                failed.result()
            return [one.result() for one in waiting]
        finally:
            # Closing the connections ends what still runs.
            call.stop()
            pool.shutdown(wait=False, cancel_futures=True)


class _Job:
    """The requests of one job, and a way to end them."""

    def __init__(self, base: str, model: str, job: GenerationJob, options: RemoteOptions) -> None:
        self._base, self._model, self._job, self._options = base, model, job, options
        self._client = _client(options)
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()
        self._client.close()

    def make(self, seed: int) -> Image.Image:
        """Return one picture, asking again while that may help and there is time."""
        job, options = self._job, self._options
        fields: dict[str, Any] = {
            "prompt": job.prompt,
            "n": 1,
            "size": f"{job.width}x{job.height}",
            "response_format": "b64_json",
        }
        if self._model:
            fields["model"] = self._model
        if options.extras:
            fields["seed"] = seed % 2**32
            if job.steps is not None:
                fields["steps"] = fields["num_inference_steps"] = job.steps
            if job.guidance is not None:
                fields["guidance_scale"] = job.guidance
            if job.negative_prompt:
                fields["negative_prompt"] = job.negative_prompt
            if job.images and job.strength is not None:
                fields["strength"] = job.strength
        path = "/images/edits" if job.images else "/images/generations"
        if job.images and not job.prompt.strip():
            path = "/images/variations"
            fields = {
                key: fields[key] for key in fields if key not in {"prompt", "negative_prompt"}
            }
        body: dict[str, Any] = (
            {"data": {k: str(v) for k, v in fields.items()}, "files": _files(job)}
            if job.images
            else {"json": fields}
        )
        answer = self._ask(path, body)
        return _fitted(self._picture(answer), job, max_pixels=options.max_pixels)

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + self._options.timeout_s
        for attempt in range(self._options.retries + 1):
            last = attempt == self._options.retries
            wait = min(8.0, 0.5 * 2**attempt)
            with _as_ours(self._base):
                try:
                    status, headers, data = _exchange(
                        self._client,
                        "POST",
                        self._base + path,
                        deadline=deadline,
                        max_bytes=self._options.max_bytes,
                        **body,
                    )
                except ConnectionError:
                    if last:
                        raise
                    status, headers, data = 503, {}, b""
            if status == 200:
                return _object(data)
            if last or status not in _AGAIN:
                raise _refusal(self._base, status, data)
            asked = headers.get("retry-after", "")
            wait = min(10.0, float(asked)) if re.fullmatch(r"\d{1,4}", asked) else wait
            if time.monotonic() + wait > deadline or self._stopped.wait(wait):
                raise _refusal(self._base, status, data)
        raise GenerationFailed(f"{self._base} was not asked")

    def _picture(self, answer: dict[str, Any]) -> bytes:
        rows = answer.get("data")
        row = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
        text, url = row.get("b64_json"), row.get("url")
        if isinstance(url, str) and url.startswith("data:") and "," in url:
            text = url.partition(",")[2]
        if isinstance(text, str):
            try:
                return base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError) as error:
                raise GenerationFailed(f"{self._base} sent no base64") from error
        if isinstance(url, str):
            return self._fetch(url)
        raise GenerationFailed(
            f"{self._base} answered without a picture", hint="is it an OpenAI-Images server?"
        )

    def _fetch(self, url: str) -> bytes:
        """Fetch a picture that the server points to: from itself only, wherever it points."""
        target = urljoin(self._base + "/", url)
        ours, theirs = urlsplit(self._base), urlsplit(target)
        if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
            raise GenerationFailed(
                f"{self._base} points to a picture on another server, which is not fetched",
                hint="let it answer with b64_json",
            )
        with _as_ours(self._base):
            status, _, data = _exchange(
                self._client,
                "GET",
                target,
                deadline=time.monotonic() + self._options.timeout_s,
                max_bytes=self._options.max_bytes,
            )
        if status != 200:
            raise _refusal(self._base, status, b"")
        return data


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


def _client(options: RemoteOptions) -> httpx.Client:
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


def _exchange(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    deadline: float,
    max_bytes: int,
    **body: Any,
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers (lower case) and body, which is read no further than allowed."""
    with client.stream(method, url, **body) as answer:
        data = bytearray()
        for chunk in answer.iter_bytes(_CHUNK):
            data += chunk
            if len(data) > max_bytes:
                raise GenerationFailed(
                    f"the answer is over {max_bytes} bytes", hint="ask for a smaller picture"
                )
            if time.monotonic() > deadline:
                raise GenerationFailed("the answer did not arrive in time")
        return answer.status_code, dict(answer.headers), bytes(data)


@contextmanager
def _as_ours(base: str) -> Iterator[None]:
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


def _offered(base: str, options: RemoteOptions) -> dict[str, dict[str, Any]]:
    """Return the server's models by name; empty where it has no list."""
    try:
        with _client(options) as client, _as_ours(base):
            status, _, data = _exchange(
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
        raise _refusal(base, status, data)
    rows = _object(data).get("data")
    if not isinstance(rows, list):
        return {}
    return {
        row["id"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)
    }


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise GenerationFailed("the remote generator sent no JSON") from error
    if not isinstance(value, dict):
        raise GenerationFailed("the remote generator sent no JSON object")
    return value


def _refusal(base: str, status: int, data: bytes) -> ChopmarkError:
    """Return our error for their status. Their words stay out: they may hold the prompt."""
    code = ""
    try:
        error = json.loads(data).get("error")
        code = _word(error.get("code") or error.get("type")) if isinstance(error, dict) else ""
    except (ValueError, AttributeError, RecursionError):
        pass
    said = f"{base} answered {status}" + (f" ({code})" if code else "")
    if status in {401, 403}:
        return ConfigurationError(said, hint="CHOPMARK_REMOTE_KEY is missing or wrong")
    if status in {429, 503}:
        return Busy(said, hint="the remote generator has no room; try again later")
    if 300 <= status < 400:
        return GenerationFailed(said, hint="redirects are not followed: give its final address")
    if status == 404:
        return ModelNotFound(said, hint="is CHOPMARK_MODEL its base address, with /v1?")
    hint = "a server that knows OpenAI's fields only needs CHOPMARK_REMOTE_EXTRAS=false"
    return GenerationFailed(said, hint=hint if status in {400, 422} else "")


def _word(value: object) -> str:
    """Return a short identifier as it is, and nothing of anything else."""
    text = value if isinstance(value, str) else ""
    return text if re.fullmatch(r"[\w.:/@-]{1,80}", text, re.ASCII) else ""


def _files(job: GenerationJob) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Return the parts of an edit: the pictures, and the mask in OpenAI's form."""
    name = "image" if len(job.images) == 1 else "image[]"
    files = [
        (name, (f"{i}.png", _png(one.convert("RGB")), "image/png"))
        for i, one in enumerate(job.images)
    ]
    if job.mask is not None:
        from PIL import Image, ImageOps

        # Where OpenAI's mask is transparent the picture is repainted; where ours is white.
        keep = ImageOps.invert(job.mask.convert("L").resize(job.images[0].size))
        mask = Image.new("RGBA", keep.size)
        mask.putalpha(keep)
        files.append(("mask", ("mask.png", _png(mask), "image/png")))
    return files


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _fitted(data: bytes, job: GenerationJob, *, max_pixels: int) -> Image.Image:
    """Decode an answer and bring it to the asked size; outside a mask the input stays."""
    from PIL import Image, ImageOps

    size = (job.width, job.height)
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            if opened.width * opened.height > max_pixels:
                raise GenerationFailed(f"the picture has {opened.width}x{opened.height} pixels")
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise GenerationFailed(
            "what the remote generator sent is no PNG, JPEG or WebP", hint="see its own log"
        ) from error
    if abs(picture.width / picture.height / (size[0] / size[1]) - 1.0) > _OFF:
        raise GenerationFailed(
            f"the remote generator made {picture.width}x{picture.height} where {size[0]}x{size[1]}"
            " was asked",
            hint="ask for a size that its model can make",
        )
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    if job.mask is None:
        return picture
    original = ImageOps.fit(job.images[0].convert("RGB"), size, Image.Resampling.LANCZOS)
    mask = ImageOps.fit(job.mask.convert("L"), size, Image.Resampling.BILINEAR)
    return Image.composite(picture, original, mask)
