"""Another server's model behind our guards, watermark, signature and log.

Any server that speaks OpenAI's Images API can be the engine: vLLM-Omni, SGLang-Diffusion, LocalAI,
or another Chopmark. What it sends back is taken for what it is, bytes of a stranger: bounded in
size and time, decoded by type, and never a reason to open a connection to somewhere else.
"""

from __future__ import annotations

import base64
import binascii
import io
import logging
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from chopmark.errors import Cancelled, GenerationFailed, InvalidRequest, ModelNotFound
from chopmark.generation.interface import ModelInfo
from chopmark.generation.remote_wire import (
    PREFIX,
    RemoteOptions,
    as_ours,
    exchange,
    json_object,
    offered_models,
    open_client,
    refusal,
    split_address,
    word,
)
from chopmark.kit.limits import REFERENCES

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from chopmark.generation.interface import Draft, GenerationJob

_LOG = logging.getLogger(__name__)
_FORMATS: Final = ("PNG", "JPEG", "WEBP")
#: Answers after which the same request may succeed.
_AGAIN: Final = frozenset({429, 502, 503, 504})
#: How far the proportions of an answer may be off before it is refused.
_OFF: Final = 0.05
_POLL_S: Final = 0.05


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
        offered = offered_models(base, options)
        if model and offered and model not in offered:
            raise ModelNotFound(
                f"{base} has no model {model!r}", hint=f"it has {', '.join(sorted(offered)[:10])}"
            )
        # A server may list its model under other names too; `root` says which is its own.
        own = [name for name, row in offered.items() if row.get("root", name) == name]
        own = own or list(offered)
        if not model and len(own) == 1:
            model = own[0]
        facts = offered.get(model, {})
        info = ModelInfo(
            id=f"{PREFIX}{urlsplit(base).netloc}" + (f"/{model}" if model else ""),
            version=word(facts.get("version")) or "remote",
            # Weights elsewhere have a digest only if their server says one.
            digest=word(facts.get("digest")),
            licence="unknown",
            native_size=max(options.size),
            default_size=options.size,
            max_size=4096,
            default_steps=1,
            quantization="none",
            supports=frozenset({"generate", "edit", "inpaint"}),
            # As many as OpenAI's route takes; a server whose model takes fewer refuses itself.
            max_images=1 + REFERENCES.most,
            # Without fields beside OpenAI's there is no way to tell it.
            ignores=frozenset()
            if options.extras
            else frozenset({"negative_prompt", "guidance", "strength"}),
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
        self._client = open_client(options)
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
            with as_ours(self._base):
                try:
                    status, headers, data = exchange(
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
                return json_object(data)
            if last or status not in _AGAIN:
                raise refusal(self._base, status, data)
            asked = headers.get("retry-after", "")
            wait = min(10.0, float(asked)) if re.fullmatch(r"\d{1,4}", asked) else wait
            _LOG.debug("%s answered %d; asked again in %.1f s", self._base, status, wait)
            if time.monotonic() + wait > deadline or self._stopped.wait(wait):
                raise refusal(self._base, status, data)
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
        with as_ours(self._base):
            status, _, data = exchange(
                self._client,
                "GET",
                target,
                deadline=time.monotonic() + self._options.timeout_s,
                max_bytes=self._options.max_bytes,
            )
        if status != 200:
            raise refusal(self._base, status, b"")
        return data


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
