"""The one way through: from a request to a receipt, in seven steps.

>>> import asyncio
>>> from chopmark import GenerationRequest, Pipeline, Settings
>>> async def main():
...     pipeline = Pipeline.from_settings(Settings())
...     return await pipeline.generate(GenerationRequest(prompt="a red apple", seed=7))
>>> released = asyncio.run(main())  # doctest: +SKIP

``Pipeline.generate`` and ``Pipeline.edit`` are the only functions that return generated pixels, and
every face calls them. They fail closed: whatever goes wrong in a step (an exception, a time-out, a
full disk), no pixels leave, the caller gets one error with a code, and the log says so as soon as
it can. ``Released`` can only be built with a receipt of the log, so there is no way around step 7.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import secrets
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast

from chopmark import errors, ids
from chopmark.released import Output, Refused, Released, Withheld
from chopmark.requests import MAX_SEED, EditRequest, GenerationRequest, check_request
from chopmark.rooms import Rooms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL import Image

    from chopmark.audit import Record
    from chopmark.provenance import Report, Signed
    from chopmark.safety import Policy, Verdict
    from chopmark.settings import Settings
    from chopmark.types import ImageFormat, JsonValue, Progress

__all__ = ["Pipeline"]

T = TypeVar("T")
Stage = Literal[
    "received", "judge_prompt", "judge_input", "decided", "generate", "judge_output", "mark",
    "sign", "completed",
]  # fmt: skip

# What an exception that is none of ours becomes, by the stage it came from.
_STAGE_ERROR: dict[Stage, type[errors.ChopmarkError]] = {
    "received": errors.LogUnavailable,
    "judge_prompt": errors.GuardFailed,
    "judge_input": errors.GuardFailed,
    "decided": errors.LogUnavailable,
    "generate": errors.GenerationFailed,
    "judge_output": errors.GuardFailed,
    "mark": errors.MarkError,
    "sign": errors.SigningFailed,
    "completed": errors.LogUnavailable,
}


@dataclass(kw_only=True)
class _Case:
    """One request on its way: what is known so far."""

    request: GenerationRequest
    record_id: str = field(default_factory=ids.new_record_id)
    seed: int = 0
    size: tuple[int, int] = (0, 0)
    format: ImageFormat = "png"
    progress: Progress | None = None
    gone: threading.Event = field(default_factory=threading.Event)
    timings_ms: dict[str, float] = field(default_factory=dict)
    stage: Stage = "received"

    @property
    def operation(self) -> Literal["generate", "edit"]:
        return "edit" if isinstance(self.request, EditRequest) else "generate"

    def tell(self, done: int, total: int, what: str) -> None:
        if self.progress is not None:
            self.progress(done, total, what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderated:
    """What the prompt guard said of texts, and where that is booked."""

    record_id: str
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What verify said of a picture, and where it is booked that somebody looked."""

    record_id: str
    report: Report


class Pipeline:
    """Judges, generates, judges, marks, signs and books; see the module's docstring.

    Attributes:
        settings: How this installation behaves.
        rooms: The opened parts; ``rooms.open_all()`` warms everything up.
    """

    def __init__(self, settings: Settings, rooms: Rooms) -> None:
        self.settings = settings
        self.rooms = rooms
        self._in_flight = 0

    @classmethod
    def from_settings(cls, settings: Settings, *, progress: Progress | None = None) -> Self:
        """Return a pipeline whose parts are opened when first used.

        Args:
            settings: Embedded defaults need no server, no network and no bought key.
            progress: Told about first-use set-up (unpacking the model).

        Raises:
            ConfigurationError: The home folder cannot be used.
        """
        return cls(settings, Rooms(settings, progress=progress))

    def close(self) -> None:
        """Close the log and the manifest store. Idempotent."""
        self.rooms.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def generate(
        self, request: GenerationRequest, *, progress: Progress | None = None
    ) -> Released:
        """Make pictures from a prompt.

        Raises:
            Refused: The policy blocked the prompt or every picture; the record says why.
            ChopmarkError: A request that cannot be used, or a step that failed; nothing leaves.
        """
        return await self._through(request, progress)

    async def edit(self, request: EditRequest, *, progress: Progress | None = None) -> Released:
        """Change a picture by a prompt, within a mask if one is given.

        Raises:
            Refused: The policy blocked the prompt, the input or every output.
            ChopmarkError: As in :meth:`generate`.
        """
        return await self._through(request, progress)

    async def moderate(
        self, texts: Sequence[str], *, tenant: str = "default", subject: str | None = None
    ) -> Moderated:
        """Judge texts without generating anything; one record for the whole call.

        Raises:
            ChopmarkError: A guard or the log failed; nothing is called safe that was not judged.
        """
        case = _Case(request=GenerationRequest(prompt="", tenant=tenant, subject=subject))
        policy = await self._run(case, "judge_prompt", lambda: self.rooms.policy)
        verdicts = await self._run(
            case, "judge_prompt", lambda: self.rooms.prompt_guard.judge_many(texts, policy)
        )
        actions = [verdict.action for verdict in verdicts]
        record = await self._book(
            case,
            "completed",
            "moderation.completed",
            {
                "policy": policy.digest(),
                "texts": len(texts),
                "actions": {action: actions.count(action) for action in sorted(set(actions))},
            },
            {"texts": list(texts)},
        )
        return Moderated(record_id=record.record_id, verdicts=tuple(verdicts))

    async def moderate_image(self, data: bytes, *, tenant: str = "default") -> Moderated:
        """Judge one picture as an input; its bytes are not kept.

        Raises:
            ChopmarkError: The bytes are no picture, or a guard or the log failed.
        """
        from chopmark.safety import decode_image

        case = _Case(request=GenerationRequest(prompt="", tenant=tenant))
        policy = await self._run(case, "judge_input", lambda: self.rooms.policy)
        picture = await self._run(
            case,
            "judge_input",
            lambda: decode_image(
                data,
                max_bytes=self.settings.max_image_bytes,
                max_pixels=self.settings.max_image_pixels,
            ),
        )
        verdict = await self._judge_picture(case, "input", picture, policy)
        record = await self._book(
            case,
            "completed",
            "moderation.completed",
            {"policy": policy.digest(), "verdict": _summary("input", verdict)},
        )
        return Moderated(record_id=record.record_id, verdicts=(verdict,))

    def look(self, data: bytes) -> Report:
        """Tell what can be known of a picture: nothing is kept, nothing is fetched.

        Raises:
            ChopmarkError: The bytes are no picture, or over a limit.
        """
        from chopmark.provenance import verify

        rooms = self.rooms
        return verify(
            data,
            anchors=rooms.anchors,
            mark_keys=rooms.mark_keys.all,
            mark_methods=(self.settings.mark_method,),
            store=rooms.store,
            find_record=self.find_record,
            max_bytes=self.settings.max_image_bytes,
            max_pixels=self.settings.max_image_pixels,
        )

    async def verify(self, data: bytes, *, tenant: str = "default") -> Looked:
        """:meth:`look`, with a record that a look was taken and what the verdict was.

        The record holds neither the picture nor a digest of it (California SB 942 asks of a public
        detector that it keeps nothing of what it is shown).
        """
        case = _Case(request=GenerationRequest(prompt="", tenant=tenant))
        report = await _in_thread(lambda: self.look(data))
        record = await self._book(
            case, "completed", "verify.completed", {"verdict": report.verdict}
        )
        return Looked(record_id=record.record_id, report=report)

    def find_record(self, record_id: str) -> dict[str, JsonValue] | None:
        """Return what the log says of a request whose pictures left, or ``None``.

        A request that never completed has no record here: its pictures never left.
        """
        with contextlib.suppress(errors.RecordNotFound):
            for record in self.rooms.log.records(record_id):
                if record.kind == "request.completed":
                    return {
                        "record_id": record.record_id,
                        "index": record.index,
                        "time": record.time,
                        "model": record.public.get("model"),
                        "leaf_hash": record.leaf_hash,
                    }
        return None

    async def _through(self, request: GenerationRequest, progress: Progress | None) -> Released:
        if self._in_flight > self.settings.max_queue:
            raise errors.Busy(
                f"{self._in_flight} requests are waiting already", hint="try again in a moment"
            )
        self._in_flight += 1
        try:
            generator = await _in_thread(lambda: self.rooms.generator)
            check_request(request, self.settings, generator.info)
            case = _Case(
                request=request,
                # n outputs take the seeds seed .. seed + n - 1.
                seed=secrets.randbelow(MAX_SEED - 15) if request.seed is None else request.seed,
                size=request.size or generator.info.default_size,
                format=request.format or self.settings.output_format,
                progress=progress,
            )
            # 1. Durable in the log before any model runs. If the log cannot take it: refuse.
            await self._book(
                case, "received", "request.received", self._asked(case), _private(request)
            )
            try:
                return await self._two_to_seven(case)
            except BaseException as error:
                case.gone.set()
                await asyncio.shield(self._book_the_end(case, error))
                raise
        finally:
            self._in_flight -= 1

    async def _two_to_seven(self, case: _Case) -> Released:
        request, rooms = case.request, self.rooms
        model = rooms.generator.info

        # 2. The prompt, and every input picture, under the policy.
        policy = await self._run(case, "judge_prompt", lambda: rooms.policy)
        text = "\n".join(filter(None, (request.prompt, request.negative_prompt)))
        said = await self._run(
            case, "judge_prompt", lambda: rooms.prompt_guard.judge(text, policy, stage="prompt")
        )
        inputs = await self._run(case, "judge_input", lambda: self._open_inputs(request))
        seen = [await self._judge_picture(case, "input", picture, policy) for picture in inputs]
        await self._book(
            case,
            "decided",
            "request.decided",
            {
                "policy": policy.digest(),
                "verdicts": [
                    _summary("prompt", said),
                    *(_summary("input", verdict) for verdict in seen),
                ],
            },
            {"evidence": [verdict.to_dict()["evidence"] for verdict in (said, *seen)]},
        )
        for verdict in (said, *seen):
            if self._stops(verdict):
                raise Refused(record_id=case.record_id, stage="input", verdict=verdict)

        # 3. Generation.
        pictures = await self._run(case, "generate", lambda: self._generate(case, inputs))

        # 4. Every output is judged. A blocked one stays here, the others may go on.
        verdicts = [
            await self._judge_picture(case, "output", picture, policy, said) for picture in pictures
        ]
        judged = list(zip(range(1, len(pictures) + 1), pictures, verdicts, strict=True))
        withheld = [Withheld(index=i, verdict=v) for i, _, v in judged if self._stops(v)]
        kept = [item for item in judged if not self._stops(item[2])]
        if not kept:
            raise Refused(record_id=case.record_id, stage="output", verdict=withheld[0].verdict)

        # 5 and 6. Marked and read back; then metadata, the manifest last, validated at once.
        outputs = [await self._seal(case, *item) for item in kept]

        # 7. Durable, with the digests of what leaves. Only then does anything leave.
        booked = await self._book(
            case,
            "completed",
            "request.completed",
            {
                "model": f"{model.id}@{model.version}",
                "model_digest": model.digest,
                "policy": policy.digest(),
                "outputs": [
                    {
                        "output_id": output.output_id,
                        "manifest_id": output.manifest_id,
                        "format": output.format,
                        "seed": output.seed,
                        "verdict": _summary("output", output.verdict),
                    }
                    for output in outputs
                ],
                "withheld": [
                    {"index": item.index, "verdict": _summary("output", item.verdict)}
                    for item in withheld
                ],
                "timings_ms": {name: round(ms, 1) for name, ms in case.timings_ms.items()},
            },
            # Digests of pictures are personal data (a public picture is linkable by them).
            {"sha256": {output.output_id: output.sha256 for output in outputs}},
        )
        receipt = await self._run(case, "completed", lambda: rooms.log.receipt(booked.index))
        return Released(
            record_id=case.record_id,
            outputs=tuple(outputs),
            withheld=tuple(withheld),
            prompt_verdict=said,
            receipt=receipt,
            timings_ms=dict(case.timings_ms),
            model=f"{model.id}@{model.version}",
        )

    async def _judge_picture(
        self,
        case: _Case,
        where: Literal["input", "output"],
        picture: Image.Image,
        policy: Policy,
        said: Verdict | None = None,
    ) -> Verdict:
        return await self._run(
            case,
            "judge_input" if where == "input" else "judge_output",
            lambda: self.rooms.image_guard.judge(picture, policy, stage=where, prompt_verdict=said),
        )

    def _asked(self, case: _Case) -> dict[str, JsonValue]:
        request, model = case.request, self.rooms.generator.info
        return {
            "operation": case.operation,
            "model": f"{model.id}@{model.version}",
            "n": request.n,
            "size": list(case.size),
            "seed": case.seed,
            "format": case.format,
            "steps": request.steps,
        }

    def _open_inputs(self, request: GenerationRequest) -> list[Image.Image]:
        """Decode the input picture and the mask, in this order, within the limits."""
        if not isinstance(request, EditRequest):
            return []
        from chopmark.safety import decode_image

        return [
            decode_image(
                data,
                max_bytes=self.settings.max_image_bytes,
                max_pixels=self.settings.max_image_pixels,
            )
            for data in (request.image, request.mask)
            if data is not None
        ]

    def _generate(self, case: _Case, inputs: Sequence[Image.Image]) -> list[Image.Image]:
        from chopmark.generation import GenerationJob

        request = case.request
        edit = request if isinstance(request, EditRequest) else None
        job = GenerationJob(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            n=request.n,
            seed=case.seed,
            width=case.size[0],
            height=case.size[1],
            steps=request.steps,
            guidance=request.guidance,
            images=tuple(inputs[:1]),
            mask=inputs[1] if len(inputs) > 1 else None,
            strength=edit.strength if edit else None,
        )
        pictures = self.rooms.generator.generate(
            job,
            progress=lambda done, total: case.tell(done, total, "generating"),
            cancelled=case.gone.is_set,
        )
        if len(pictures) != request.n:
            raise errors.GenerationFailed(
                f"the generator made {len(pictures)} of {request.n} pictures"
            )
        return pictures

    async def _seal(
        self, case: _Case, index: int, picture: Image.Image, verdict: Verdict
    ) -> Output:
        """Steps 5 and 6 for one output."""
        output_id = ids.output_id(case.record_id, index)
        case.tell(index, case.request.n, "marking and signing")
        encoded = await self._run(case, "mark", lambda: self._mark(case, picture, output_id))
        signed = await self._run(case, "sign", lambda: self._sign(case, encoded, output_id))
        return Output(
            index=index,
            output_id=output_id,
            data=signed.data,
            format=case.format,
            width=picture.width,
            height=picture.height,
            seed=case.seed + index - 1,
            manifest_id=signed.manifest_id,
            verdict=verdict,
        )

    def _mark(self, case: _Case, picture: Image.Image, output_id: str) -> bytes:
        """Strike the watermark, encode, and read the mark back from the bytes that will leave."""
        from PIL import Image

        from chopmark.provenance import detect_mark, embed_mark, encode_image

        method, keys = self.settings.mark_method, self.rooms.mark_keys
        payload = bytes.fromhex(output_id)
        marked = embed_mark(picture, payload, key=keys.active, method=method)
        encoded = encode_image(marked, case.format, quality=case.request.quality)
        with Image.open(io.BytesIO(encoded)) as again:
            found = detect_mark(again, keys=[keys.active], methods=[method])
        if not found.detected or found.payload != payload:
            raise errors.MarkNotReadable(
                f"output {output_id}: the {method} watermark did not survive encoding as"
                f" {case.format}",
                hint="a higher quality, a lossless format or a larger picture carries it",
            )
        return encoded

    def _sign(self, case: _Case, encoded: bytes, output_id: str) -> Signed:
        """Write XMP, sign the manifest last, and keep it where the watermark leads to it."""
        from PIL import Image

        from chopmark import __version__
        from chopmark.provenance import ManifestInfo, fingerprint, mark_algorithm, sign, write_xmp

        model, request = self.rooms.generator.info, case.request
        edit = request if isinstance(request, EditRequest) else None
        with Image.open(io.BytesIO(encoded)) as marked:
            pdq, _ = fingerprint(marked)
        info = ManifestInfo(
            output_id=output_id,
            record_id=case.record_id,
            model_id=model.id,
            model_version=model.version or model.digest[:12],
            created_at=datetime.now(UTC),
            action="edited" if edit else "created",
            parent=edit.image if edit else None,
            mark_alg=mark_algorithm(self.settings.mark_method),
            mark_value=output_id,
            pdq=pdq,
            generator_version=__version__,
            prompt=request.prompt if self.settings.manifest_prompt else None,
        )
        signed = sign(
            write_xmp(encoded, case.format, info), case.format, info, self.rooms.credential
        )
        self.rooms.store.put(signed, info)
        return signed

    def _stops(self, verdict: Verdict) -> bool:
        return verdict.action == "block" or (
            verdict.action == "review" and self.settings.on_review == "refuse"
        )

    async def _run(self, case: _Case, stage: Stage, work: Callable[[], T]) -> T:
        """Run one step's work in a thread, within its time, and turn any failure into one error."""
        case.stage = stage
        case.tell(0, 0, stage.replace("_", " "))
        started = time.perf_counter()
        seconds = self._seconds(stage)
        try:
            return await asyncio.wait_for(_in_thread(work), seconds)
        except errors.ChopmarkError:
            raise
        except TimeoutError:
            raise errors.StageTimeout(
                f"{stage.replace('_', ' ')} took longer than {seconds:g} s",
                hint="nothing left the system; try again or raise the stage's time-out",
            ) from None
        except Exception as error:
            raise _STAGE_ERROR[stage](
                f"{stage.replace('_', ' ')} failed: {type(error).__name__}",
                hint="nothing left the system; the operator's log has the cause",
            ) from error
        finally:
            spent = (time.perf_counter() - started) * 1000
            case.timings_ms[stage] = case.timings_ms.get(stage, 0.0) + spent

    def _seconds(self, stage: Stage) -> float:
        match stage:
            case "judge_prompt" | "judge_input" | "judge_output":
                return self.settings.guard_timeout_s
            case "generate":
                return self.settings.generate_timeout_s
            case "mark" | "sign":
                return self.settings.seal_timeout_s
            case "received" | "decided" | "completed":
                return self.settings.log_timeout_s

    async def _book(
        self,
        case: _Case,
        stage: Stage,
        kind: Any,
        public: dict[str, JsonValue],
        private: dict[str, JsonValue] | None = None,
    ) -> Record:
        """Make one event durable; returns only after the commit."""
        from chopmark.audit import Event

        event = Event(
            kind=kind,
            record_id=case.record_id,
            tenant=case.request.tenant,
            subject=case.request.subject,
            public=public,
            private=private or {},
        )
        return await self._run(case, stage, lambda: self.rooms.log.append(event))

    async def _book_the_end(self, case: _Case, error: BaseException) -> None:
        """Book how a request ended that did not complete. Never hides the first error."""
        if isinstance(error, Refused):
            public: dict[str, JsonValue] = {
                "stage": error.stage,
                "action": error.verdict.action,
                "categories": list(error.verdict.categories),
                "verdict": _summary(error.stage, error.verdict),
            }
            kind = "request.refused"
        else:
            ours = error if isinstance(error, errors.ChopmarkError) else errors.Cancelled("gone")
            public = {"code": ours.code, "stage": case.stage}
            kind = "request.failed"
        public["timings_ms"] = {name: round(ms, 1) for name, ms in case.timings_ms.items()}
        try:
            await self._book(case, case.stage, kind, public)
        except errors.ChopmarkError:
            # The log is what failed. Its reconciler closes this request when it can write again:
            # a `request.received` without an end is found and booked as lost.
            return


def _summary(stage: str, verdict: Verdict) -> dict[str, JsonValue]:
    """The part of a verdict that tells nothing of the person: no text, no evidence."""
    return {
        "stage": stage,
        "action": verdict.action,
        "categories": list(verdict.categories),
        "scores": {name: round(score, 4) for name, score in sorted(verdict.scores.items())},
        "models": list(verdict.models),
    }


def _private(request: GenerationRequest) -> dict[str, JsonValue]:
    """What of a request is personal: encrypted in the log, and erasable."""
    private: dict[str, JsonValue] = {"prompt": request.prompt}
    if request.negative_prompt:
        private["negative_prompt"] = request.negative_prompt
    if request.client is not None:
        private["client"] = request.client
    if isinstance(request, EditRequest):
        private["input_sha256"] = hashlib.sha256(request.image).hexdigest()
    return private


async def _in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a daemon thread.

    Not ``asyncio.to_thread``: its pool is joined when the program ends, so that one hung stage
    would keep ``chopmark generate`` from ever exiting.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast("T", result))

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = work()
        except BaseException as caught:  # noqa: BLE001  it is handed to the caller, not swallowed
            error = caught
        # The loop is closed when the caller gave up and left; nobody waits for the result then.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True, name="chopmark-stage").start()
    return await future
