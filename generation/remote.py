"""Another server's model behind our guards, watermark, signature and log.

Any server that speaks OpenAI's Images API can be the engine: vLLM-Omni, SGLang-Diffusion, LocalAI,
or another Chopmark. What it sends back is taken for what it is, bytes of a stranger: bounded in
size and time, decoded by type, and never a reason to open a connection to somewhere else.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from chopmark.errors import Cancelled, InvalidRequest, ModelNotFound
from chopmark.generation.interface import ModelInfo
from chopmark.generation.remote_job import RemoteJob
from chopmark.generation.remote_stream import Pause
from chopmark.generation.remote_wire import (
    PREFIX,
    RemoteOptions,
    offered_models,
    split_address,
    word,
)
from chopmark.kit.limits import REFERENCES, STREAMED_PREVIEWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from chopmark.generation.interface import Draft, GenerationJob

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
        self._pause = Pause()
        self._streams = True

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
        draft: Callable[[Draft], None] | None = None,
    ) -> list[Image.Image]:
        """Have the pictures of ``job`` made; see :meth:`chopmark.generation.Generator.generate`.

        Progress counts pictures. Drafts are the partial images of a server that streams them, at
        most three of a picture; from any other none come. Raises ``Busy`` when the server has no
        room even after retries, and ``GenerationFailed`` for whatever else it answers.
        """
        if max(job.width, job.height) > self._info.max_size:
            raise InvalidRequest(f"{job.width}x{job.height} is over {self._info.max_size} pixels")
        call = RemoteJob(self._base, self._model, job, self._options, self._pause)
        if draft is not None and self._streams:
            call.drafts = min(job.drafts, STREAMED_PREVIEWS.most)
        pool = ThreadPoolExecutor(min(job.n, self._options.parallel), "chopmark-remote")
        try:
            waiting = [pool.submit(call.make, place) for place in range(1, job.n + 1)]
            for one in waiting:
                one.add_done_callback(call.wake)
            told = 0
            while True:
                # Counted before the looks are taken: whatever a finished picture showed is there.
                done = sum(one.done() for one in waiting)
                failed = next((one for one in waiting if one.done() and one.exception()), None)
                over = failed is not None or done == job.n
                for look in call.looks(wait_s=0.0 if over else _POLL_S):
                    if draft is not None:
                        draft(look)
                if done > told and progress is not None:
                    progress(done, job.n)
                told = done
                if over:
                    break
                if cancelled is not None and cancelled():
                    raise Cancelled("the generation was cancelled")
            if failed is not None:
                failed.result()
            self._streams = self._streams and not call.refused_stream
            return [one.result() for one in waiting]
        finally:
            # Closing the connections ends what still runs.
            call.stop()
            pool.shutdown(wait=False, cancel_futures=True)
