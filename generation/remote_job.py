"""The requests that make the pictures of one job on another server."""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from chopmark.errors import Busy, GenerationFailed
from chopmark.generation.interface import Draft
from chopmark.generation.remote_pictures import fitted, form_files, from_base64, look
from chopmark.generation.remote_stream import Pause, position, retry_after_s
from chopmark.generation.remote_wire import (
    RemoteOptions,
    as_ours,
    exchange,
    json_object,
    open_client,
    refusal,
    word,
)

if TYPE_CHECKING:
    from PIL import Image

    from chopmark.generation.interface import GenerationJob

_LOG = logging.getLogger(__name__)
#: Answers after which the same request may succeed.
_AGAIN: Final = frozenset({429, 502, 503, 504})
#: With such an answer a server that cannot stream says so, naming the field.
_REFUSED: Final = frozenset({400, 415, 422, 501})
_NAMES_IT: Final = re.compile(rb"\bstream|partial_images")
#: Codes of an error event that say: no room.
_FULL: Final = frozenset({"busy", "rate_limit_exceeded", "server_overloaded"})


class RemoteJob:
    """The requests of one job, and a way to end them.

    Attributes:
        drafts: How many looks at each picture are asked for.
        refused_stream: The server said that it does not stream.
    """

    def __init__(
        self, base: str, model: str, job: GenerationJob, options: RemoteOptions, pause: Pause
    ) -> None:
        self.drafts = 0
        self.refused_stream = False
        self._base, self._model, self._job, self._options = base, model, job, options
        self._client = open_client(options)
        self._pause = pause
        self._stopped = threading.Event()
        self._looks: queue.SimpleQueue[Draft | None] = queue.SimpleQueue()

    def stop(self) -> None:
        """Close the connections; what waits for its turn ends as well."""
        self._stopped.set()
        self._client.close()

    def looks(self, *, wait_s: float) -> list[Draft]:
        """Return the looks that came since the last call, after waiting for one or a :meth:`wake`.

        Args:
            wait_s: Seconds to wait at most.
        """
        found: list[Draft | None] = []
        with suppress(queue.Empty):
            found.append(self._looks.get(timeout=wait_s) if wait_s else self._looks.get_nowait())
            while True:
                found.append(self._looks.get_nowait())
        return [one for one in found if one is not None]

    def wake(self, _: object = None) -> None:
        """End a wait in :meth:`looks`."""
        self._looks.put(None)

    def make(self, place: int) -> Image.Image:
        """Return one picture, counted from 1, asking again while that may help and there is time.

        Raises:
            Busy: The server has no room, or wants to be left alone for longer than there is time.
            GenerationFailed: Whatever else it answers.
        """
        data = self._picture(self._ask(place))
        return fitted(data, self._job, max_pixels=self._options.max_pixels)

    def _ask(self, place: int) -> dict[str, Any]:
        deadline = time.monotonic() + self._options.timeout_s
        attempt = 0
        while True:
            self._wait(self._pause.left_s(), deadline)
            path, body, streams = self._request(place)
            answer = _Streamed(self, place)
            last = attempt >= self._options.retries
            with as_ours(self._base):
                try:
                    status, headers, data = exchange(
                        self._client,
                        "POST",
                        self._base + path,
                        deadline=deadline,
                        max_bytes=self._options.max_bytes,
                        event=answer.take,
                        **body,
                    )
                except ConnectionError:
                    if last or answer.begun:
                        raise
                    status, headers, data = 503, {}, b""
            if status == 200:
                return answer.result(self._base) if answer.begun else json_object(data)
            if streams and status in _REFUSED and _NAMES_IT.search(data):
                self.refused_stream = True
                continue
            asked = retry_after_s(headers)
            if asked is not None:
                # Every request hears of it, also those of other jobs.
                self._pause.leave_alone(asked)
            # Another Chopmark says so of a day that is used up.
            if last or status not in _AGAIN or headers.get("x-should-retry") == "false":
                raise refusal(self._base, status, data, headers)
            _LOG.debug("%s answered %d; it will be asked again", self._base, status)
            if asked is None:
                self._wait(min(8.0, 0.5 * 2**attempt), deadline)
            attempt += 1

    def _wait(self, seconds: float, deadline: float) -> None:
        """Wait before a request; raise where it would come too late, or nobody wants it now."""
        if not seconds:
            return
        if time.monotonic() + seconds > deadline:
            raise Busy(
                f"{self._base} wants to be left alone for {seconds:.0f} s",
                hint="the remote generator has no room; try again later",
                retry_after_s=seconds,
            )
        if self._stopped.wait(seconds):
            raise GenerationFailed(f"{self._base} was not asked")

    def _request(self, place: int) -> tuple[str, dict[str, Any], bool]:
        """Return the path, what httpx sends, and whether a stream is asked for."""
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
            fields["seed"] = job.seeds[place - 1] % 2**32
            if job.steps is not None:
                fields["steps"] = fields["num_inference_steps"] = job.steps
            if job.guidance is not None:
                fields["guidance_scale"] = job.guidance
            if job.negative_prompt:
                fields["negative_prompt"] = job.negative_prompt
            if job.images and job.strength is not None:
                fields["strength"] = job.strength
        variation = bool(job.images) and not job.prompt.strip()
        if variation:
            fields = {k: v for k, v in fields.items() if k not in {"prompt", "negative_prompt"}}
        # OpenAI's variations have no stream.
        streams = bool(self.drafts) and not self.refused_stream and not variation
        if streams:
            fields |= {"stream": True, "partial_images": self.drafts}
        if not job.images:
            return "/images/generations", {"json": fields}, streams
        text = {k: "true" if v is True else str(v) for k, v in fields.items()}
        path = "/images/variations" if variation else "/images/edits"
        return path, {"data": text, "files": form_files(job)}, streams

    def show(self, place: int, step: int, steps: int, event: dict[str, Any]) -> None:
        """Take a partial image; one that is none is left out, since the picture itself may come."""
        text = event.get("b64_json")
        with suppress(GenerationFailed):
            data = from_base64(text if isinstance(text, str) else "")
            picture = look(data, self._job, max_pixels=self._options.max_pixels)
            self._looks.put(Draft(index=place, step=step, steps=steps, picture=picture))

    def _picture(self, answer: dict[str, Any]) -> bytes:
        rows = answer.get("data")
        row = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
        text, url = row.get("b64_json"), row.get("url")
        if isinstance(url, str) and url.startswith("data:") and "," in url:
            text = url.partition(",")[2]
        if isinstance(text, str):
            return from_base64(text)
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


class _Streamed:
    """The events of one answer, as they come.

    Attributes:
        begun: There was one.
    """

    def __init__(self, job: RemoteJob, place: int) -> None:
        self.begun = False
        self._job, self._place = job, place
        self._shown, self._step = 0, 0
        self._last: dict[str, Any] | None = None
        self._error: str | None = None

    def take(self, event: dict[str, Any]) -> None:
        self.begun = True
        kind = event.get("type")
        name = kind if isinstance(kind, str) else ""
        if isinstance(event.get("error"), dict):
            error = event["error"]
            self._error = word(error.get("code") or error.get("type")) or "error"
        elif name.endswith(".completed"):
            self._last = event
        elif name.endswith(".partial_image") and self._shown < self._job.drafts:
            step, steps = position(event, wanted=self._job.drafts)
            if step > self._step:  # two looks at one step would be booked as one
                self._shown, self._step = self._shown + 1, step
                self._job.show(self._place, step, steps, event)

    def result(self, base: str) -> dict[str, Any]:
        """Return the answer as one without a stream has it."""
        if self._error in _FULL:
            raise Busy(f"{base} ended with {self._error}", hint="try again later")
        if self._error is not None:
            raise GenerationFailed(f"{base} ended with an error ({self._error})")
        if self._last is None:
            raise GenerationFailed(f"{base} ended its stream without a picture")
        return {"data": [self._last]}
