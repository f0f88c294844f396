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
import hashlib
import io
import logging
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from chopmark import errors
from chopmark.kit import ids, limits
from chopmark.pipeline import events
from chopmark.pipeline.answer_cache import Repeats
from chopmark.pipeline.inspect import Inspection
from chopmark.pipeline.parts import Parts
from chopmark.pipeline.released import Output, Refused, Released, Withheld
from chopmark.pipeline.request import EditRequest, GenerationRequest, check_request
from chopmark.pipeline.steps import Case, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL import Image

    from chopmark.generation import Draft
    from chopmark.kit.types import ImageFormat, JsonValue, Progress
    from chopmark.pipeline.answer_cache import Again
    from chopmark.pipeline.preview import PreviewSink
    from chopmark.provenance import Signed
    from chopmark.safety import Policy, Verdict
    from chopmark.settings import Settings

__all__ = ["Pipeline"]

_LOG = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Asked(Case):
    """A case with what was asked for, every open choice made."""

    request: GenerationRequest
    seed: int
    size: tuple[int, int]
    format: ImageFormat
    preview: PreviewSink | None = None
    previews_shown: int = 0
    pdq: dict[str, str] = field(default_factory=dict)
    looks: dict[str, JsonValue] = field(default_factory=dict)
    terms: bytes | None = None


class Pipeline(Inspection):
    """Judges, generates, judges, marks, signs and books; see the module's docstring.

    Attributes:
        settings: How this installation behaves.
        parts: The opened parts; ``parts.open_all()`` warms everything up.
        repeats: Earlier answers, where the deployer opted in.
    """

    def __init__(self, settings: Settings, parts: Parts) -> None:
        super().__init__(settings, parts)
        self.repeats = Repeats(parts)
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
        return cls(settings, Parts(settings, progress=progress))

    def close(self) -> None:
        """Finish what is still to be kept; close the log and the manifest store. Idempotent."""
        self.repeats.close()
        self.parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def generate(
        self,
        request: GenerationRequest,
        *,
        progress: Progress | None = None,
        preview: PreviewSink | None = None,
    ) -> Released:
        """Make pictures from a prompt.

        Args:
            request: What is asked for.
            progress: Told about each stage and each denoising step.
            preview: Takes the ``request.previews`` looks at each picture on its way. Each was
                judged like an output, is small and labelled, and carries no mark.

        Raises:
            Refused: The policy blocked the prompt or every picture; the record says why.
            ChopmarkError: A request that cannot be used, or a step that failed; nothing leaves.
        """
        return await self._through(request, progress, preview)

    async def edit(
        self,
        request: EditRequest,
        *,
        progress: Progress | None = None,
        preview: PreviewSink | None = None,
    ) -> Released:
        """Change a picture by a prompt, within a mask if one is given, drawing on others.

        Else as :meth:`generate`. Whatever picture comes in is judged alike.

        Raises:
            Refused: The policy blocked the prompt, an input or every output.
            ChopmarkError: As in :meth:`generate`.
        """
        return await self._through(request, progress, preview)

    async def _through(
        self,
        request: GenerationRequest,
        progress: Progress | None,
        preview: PreviewSink | None,
    ) -> Released:
        if self._in_flight > self.settings.max_queue:
            raise errors.Busy(
                f"{self._in_flight} requests are waiting already", hint="try again in a moment"
            )
        self._in_flight += 1
        try:
            generator = await in_thread(lambda: self.parts.generator)
            check_request(request, self.settings, generator.info)
            case = _Asked(
                request=request,
                tenant=request.tenant,
                subject=request.subject,
                # n outputs take the seeds seed .. seed + n - 1, each of which can be asked for.
                seed=secrets.randbelow(limits.SEED.most - limits.N.most)
                if request.seed is None
                else request.seed,
                size=request.size or generator.info.default_size,
                format=request.format or self.settings.output_format,
                progress=progress,
                preview=preview,
            )
            # 1. Durable in the log before any model runs. If the log cannot take it: refuse.
            public, personal = events.received(
                request, generator.info, seed=case.seed, size=case.size, format=case.format
            )
            await self.book(case, "received", "request.received", public, personal)
            try:
                return await self._two_to_seven(case)
            except BaseException as error:
                case.gone.set()
                await asyncio.shield(self._book_the_end(case, error))
                raise
        finally:
            self._in_flight -= 1

    async def _two_to_seven(self, case: _Asked) -> Released:
        request, parts = case.request, self.parts

        # 2. The prompt, and every input picture, under the policy.
        policy = await self.run(
            case, "judge_prompt", lambda: request.policy or parts.policies.for_tenant(case.tenant)
        )
        text = "\n".join(filter(None, (request.prompt, request.negative_prompt)))
        said = await self.run(
            case,
            "judge_prompt",
            lambda: parts.prompt_guard.judge(text, policy, stage="prompt", tenant=case.tenant),
        )
        inputs = await self.run(case, "judge_input", lambda: self._open_inputs(request))
        seen = [
            await self.judge_picture(case, "input", picture, policy, said) for picture in inputs
        ]
        # An overturned appeal may have let this very prompt pass; its pictures are judged as ever.
        excepted = await self.excepted(case, request.prompt, request.negative_prompt, said, policy)
        # A second policy may be judged beside the active one; only the log hears of it.
        shadow = await self.shadowed(
            case, [("prompt", said), *(("input", verdict) for verdict in seen)], said
        )
        public, personal = events.decided(policy, said, seen, exception=excepted, shadow=shadow)
        await self.book(case, "decided", "request.decided", public, personal)
        for verdict in (said, *seen):
            if self.stops(verdict) and not (excepted and verdict is said):
                raise Refused(record_id=case.record_id, stage="input", verdict=verdict)

        # A wish that was granted before gets those pictures again, where that still stands; in any
        # doubt new ones are made.
        again = await self._granted_before(case, policy, said)
        if again is not None:
            return await self._complete(case, policy, (said,), again.outputs, repeats=again.repeats)

        # 3. Generation. A preview is judged like an output before anybody sees it.
        def show(draft: Draft) -> None:
            self._show(case, draft, policy, said)

        pictures = await self.run(case, "generate", lambda: self._generate(case, inputs, show))

        # 4. Every output is judged. A blocked one stays here, the others may go on.
        verdicts = [
            await self.judge_picture(case, "output", picture, policy, said) for picture in pictures
        ]
        judged = list(zip(range(1, len(pictures) + 1), pictures, verdicts, strict=True))
        withheld = [Withheld(index=i, verdict=v) for i, _, v in judged if self.stops(v)]
        kept = [item for item in judged if not self.stops(item[2])]
        if self.settings.review_pictures:
            await self.run(case, "judge_output", lambda: _look(case, judged, (said, *seen)))
        if not kept:
            raise Refused(record_id=case.record_id, stage="output", verdict=withheld[0].verdict)

        # Another mark key or certificate than before is booked before it is used.
        await self.run(case, "mark", parts.announce_keys)

        # 5 and 6. Marked and read back; then metadata, the manifest last, validated at once.
        outputs = [await self._seal(case, *item) for item in kept]

        return await self._complete(case, policy, (said, *seen), outputs, withheld)

    async def _complete(
        self,
        case: _Asked,
        policy: Policy,
        before: Sequence[Verdict],
        outputs: Sequence[Output],
        withheld: Sequence[Withheld] = (),
        *,
        repeats: str | None = None,
    ) -> Released:
        """Step 7; ``before`` are the verdicts on what came in, the prompt's first."""
        parts, said = self.parts, before[0]
        model = parts.generator.info
        judged = {one.index: one.verdict for one in outputs}
        judged |= {one.index: one.verdict for one in withheld}

        # 7. Durable, with the digests of what leaves. Only then does anything leave.
        shadow = await self.shadowed(case, [("output", judged[i]) for i in sorted(judged)], said)
        public, personal = events.completed(
            model, policy, outputs, withheld,
            before=before, shadow=shadow, pdq=case.pdq, looks=case.looks, repeats=repeats,
        )  # fmt: skip
        public |= self._told(case)
        booked = await self.book(case, "completed", "request.completed", public, personal)
        receipt = await self.run(case, "completed", lambda: parts.log.receipt(booked.index))
        released = Released(
            record_id=case.record_id,
            outputs=tuple(outputs),
            withheld=tuple(withheld),
            prompt_verdict=said,
            receipt=receipt,
            timings_ms=dict(case.timings_ms),
            model=f"{model.id}@{model.version}",
            repeats=repeats,
        )
        # Kept for later, where the deployer opted in; nobody waits for it.
        self.repeats.remember(case.request, released, seed=case.seed, terms=case.terms)
        return released

    async def _granted_before(self, case: _Asked, policy: Policy, said: Verdict) -> Again | None:
        """Return the pictures that this very wish got before, judged again; any doubt is None."""
        repeats, request = self.repeats, case.request
        if not repeats.concern(request) or said.action != "allow":
            return None
        try:
            case.terms = await self.run(
                case, "recall", lambda: repeats.terms(request, policy, case.size, case.format)
            )
            past = await self.run(case, "recall", lambda: repeats.find(request, policy, case.terms))
            if past is None:
                return None
            verdicts = [
                await self.judge_picture(case, "output", one.picture, policy, said)
                for one in past.kept
            ]
        except errors.ChopmarkError as error:
            repeats.failed(error)
            return None
        again = repeats.again(past, verdicts)
        if again is not None:
            case.pdq.update(again.pdq)
        return again

    def _open_inputs(self, request: GenerationRequest) -> list[Image.Image]:
        """Decode the pictures that come in, and the mask after them, within the limits."""
        from chopmark.safety import decode_image

        limits = self.settings.max_image_bytes, self.settings.max_image_pixels
        opened = []
        for name, data in request.inputs.items() if isinstance(request, EditRequest) else ():
            try:
                opened.append(decode_image(data, max_bytes=limits[0], max_pixels=limits[1]))
            except errors.InvalidRequest as error:
                error.message = f"{name}: {error.message}"  # which of several it is
                raise
        return opened

    def _generate(
        self, case: _Asked, inputs: Sequence[Image.Image], show: Callable[[Draft], None]
    ) -> list[Image.Image]:
        from chopmark.generation import GenerationJob

        request = case.request
        edit = request if isinstance(request, EditRequest) else None
        shown = len(edit.pictures) if edit else 0
        job = GenerationJob(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            n=request.n,
            seed=case.seed,
            width=case.size[0],
            height=case.size[1],
            steps=request.steps,
            guidance=request.guidance,
            images=tuple(inputs[:shown]),
            mask=inputs[shown] if len(inputs) > shown else None,
            strength=edit.strength if edit else None,
            drafts=request.previews if case.preview else 0,
            tenant=case.tenant,
        )
        pictures = self.parts.generator.generate(
            job,
            progress=lambda done, total: case.tell(done, total, "generating"),
            cancelled=case.gone.is_set,
            draft=show,
        )
        if len(pictures) != request.n:
            raise errors.GenerationFailed(
                f"the generator made {len(pictures)} of {request.n} pictures"
            )
        return pictures

    def _show(self, case: _Asked, draft: Draft, policy: Policy, said: Verdict) -> None:
        """Hand a preview out if the guards let it; what is raised here ends the generation."""
        from chopmark.pipeline.preview import make_preview

        try:
            verdict = self.parts.image_guard.judge(
                draft.picture, policy, stage="output", prompt_verdict=said
            )
        except errors.ChopmarkError:
            raise
        except Exception as error:
            raise errors.GuardFailed("a preview could not be judged") from error
        if self.stops(verdict):
            raise Refused(record_id=case.record_id, stage="output", verdict=verdict)
        if case.preview is not None and not case.gone.is_set():
            case.preview(make_preview(draft, verdict))
            case.previews_shown += 1

    async def _seal(
        self, case: _Asked, index: int, picture: Image.Image, verdict: Verdict
    ) -> Output:
        """Steps 5 and 6 for one output."""
        from chopmark.generation import batch_size

        output_id = ids.output_id(case.record_id, index)
        case.tell(index, case.request.n, "marking and signing")
        encoded = await self.run(case, "mark", lambda: self._mark(case, picture, output_id))
        signed = await self.run(case, "sign", lambda: self._sign(case, encoded, output_id))
        return Output(
            index=index,
            output_id=output_id,
            data=signed.data,
            format=case.format,
            width=picture.width,
            height=picture.height,
            seed=case.seed + index - 1,
            batch=batch_size(picture),
            manifest_id=signed.manifest_id,
            verdict=verdict,
        )

    def _mark(self, case: _Asked, picture: Image.Image, output_id: str) -> bytes:
        """Draw the label if there is one, strike the watermark, encode, and read the mark back."""
        from PIL import Image

        from chopmark.provenance import detect_mark, draw_label, embed_mark, encode_image

        if self.parts.label is not None:
            picture = draw_label(picture, self.parts.label)
        method, keys = self.settings.mark_method, self.parts.mark_keys
        payload = bytes.fromhex(output_id)
        marked = embed_mark(picture, payload, key=keys.active, method=method)
        encoded = encode_image(marked, case.format, quality=case.request.quality)
        with Image.open(io.BytesIO(encoded)) as again:
            found = detect_mark(again, keys=[keys.active], methods=[method])
        if not found.detected or found.payload != payload:
            request = case.request
            chosen = request.quality is not None or request.size is not None
            # With our own size and quality it is our failure, with the caller's it is theirs.
            raise (errors.MarkTooWeak if chosen else errors.MarkNotReadable)(
                f"output {output_id}: the {method} watermark did not survive encoding as"
                f" {case.format}",
                hint="a higher quality, a lossless format or a larger picture carries it",
            )
        _LOG.debug("the mark of output %s was read back (%s)", output_id, method)
        return encoded

    def _sign(self, case: _Asked, encoded: bytes, output_id: str) -> Signed:
        """Write XMP, sign the manifest last, and keep it where the watermark leads to it."""
        from PIL import Image

        from chopmark import __version__
        from chopmark.provenance import ManifestInfo, fingerprint, pixel_digest, sign, write_xmp

        settings, parts = self.settings, self.parts
        model, request = parts.generator.info, case.request
        edit = request if isinstance(request, EditRequest) else None
        with Image.open(io.BytesIO(encoded)) as marked:
            pdq, _ = fingerprint(marked)
            pixels = pixel_digest(marked)
        case.pdq[output_id] = pdq
        info = ManifestInfo(
            output_id=output_id,
            record_id=case.record_id,
            model_id=model.id,
            model_version=model.version or model.digest[:12],
            created_at=datetime.now(UTC),
            action="edited" if edit else "created",
            parent=edit.image if edit else None,
            references=edit.references if edit else (),
            mark_method=settings.mark_method,
            mark_payload=bytes.fromhex(output_id),
            pdq=pdq,
            pixels_sha256=pixels,
            soft_bindings=settings.soft_binding,
            generator_version=__version__,
            prompt=request.prompt if settings.manifest_prompt else None,
            training=settings.training_mining,
            aigc_producer=settings.aigc_producer,
        )
        signed = sign(
            write_xmp(encoded, case.format, info),
            case.format,
            info,
            parts.credential,
            authority=parts.authority,
        )
        parts.store.put(
            manifest_id=signed.manifest_id,
            manifest=signed.manifest,
            output_id=output_id,
            record_id=case.record_id,
            pdq=pdq,
            signed_sha256=hashlib.sha256(signed.data).hexdigest(),
        )
        if parts.authority is not None and not signed.time_stamped:
            parts.stamps.add(signed)  # an authority that is down never stops a picture
        return signed

    @staticmethod
    def _told(case: _Asked) -> dict[str, JsonValue]:
        """What every end of a request says."""
        return {"previews": case.previews_shown, "timings_ms": events.rounded(case.timings_ms)}

    async def _book_the_end(self, case: _Asked, error: BaseException) -> None:
        """Book how a request ended that did not complete. Never hides the first error."""
        kind, public = events.ended(error, case.stage)
        public |= self._told(case)
        private: dict[str, JsonValue] = {"looks": dict(case.looks)} if case.looks else {}
        try:
            await self.book(case, case.stage, kind, public, private)
        except errors.ChopmarkError:  # the step has said it
            # The log is what failed. Its reconciler closes this request when it can write again:
            # a `request.received` without an end is found and booked as lost.
            return


def _look(
    case: _Asked, judged: Sequence[tuple[int, Image.Image, Verdict]], others: Sequence[Verdict]
) -> None:
    """Keep small copies of what a guard flagged, for the log's private part."""
    from chopmark.pipeline.review_copy import look_at

    for index, picture, verdict in judged:
        look = look_at(picture, verdict, others)
        if look is not None:
            case.looks[ids.output_id(case.record_id, index)] = look
