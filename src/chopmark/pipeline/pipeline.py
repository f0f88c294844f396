"""The one way through: from a request to a receipt, in seven steps.

>>> import asyncio
>>> from chopmark import GenerationRequest, Pipeline, Settings
>>> async def main():
...     pipeline = Pipeline.from_settings(Settings())
...     return await pipeline.generate(GenerationRequest(prompt="a red apple", seed=7))
>>> released = asyncio.run(main())  # doctest: +SKIP

``Pipeline.generate`` and ``Pipeline.edit`` are the only functions that return generated pixels (and
``endings`` what these booked, if the answer was lost; ``Pipeline.sit`` shows previews alone),
``Pipeline.seal`` takes those of another generator the same way, and every face calls them. They
fail closed: whatever goes wrong in a step (an exception, a time-out, a full disk), no pixels leave,
the caller gets one error with a code, and the log says so as soon as it can. ``Released`` can only
be built with a receipt of the log, so there is no way around step 7.

This file holds the order of the steps, and what is booked when. How a step is done stands in the
modules beside it, whose pictures no face may touch: ``moderation`` (steps 2 and 4), ``generation``
(3), ``seal_pictures`` and ``seal`` (5 and 6), ``events`` (what the log holds) and ``steps``
(threads, time-outs, errors).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Self

from chopmark import errors
from chopmark.kit.raw_picture import as_image
from chopmark.pipeline import edit_chain, endings, events, inspect, moderation, recall, seal
from chopmark.pipeline.cases import GenerationCase, SealCase, open_case
from chopmark.pipeline.generation import make_pictures, unknown_to_the_model
from chopmark.pipeline.held import hold_pictures, is_held
from chopmark.pipeline.moderation import judge_looks, judge_picture, shadow_verdicts, stops
from chopmark.pipeline.originals import keep_public_copies
from chopmark.pipeline.parts import Parts
from chopmark.pipeline.released import Refused, Released, Withheld
from chopmark.pipeline.review_copy import review_copies
from chopmark.pipeline.seal_pictures import seal_pictures
from chopmark.pipeline.side_by_side import side_by_side
from chopmark.pipeline.sitting import Sitting
from chopmark.pipeline.steps import Steps, in_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.kit.types import Progress
    from chopmark.pipeline.inspect import Verification
    from chopmark.pipeline.moderation import Moderated
    from chopmark.pipeline.preview import PreviewSink
    from chopmark.pipeline.released import KeepsEnding, Output
    from chopmark.pipeline.request import EditRequest, GenerationRequest, SealRequest
    from chopmark.provenance import InputIngredient
    from chopmark.safety import Policy, Verdict
    from chopmark.settings import Settings

__all__ = ["Pipeline"]


class Pipeline:
    """Judges, generates, judges, marks, signs and books; see the module's docstring.

    Attributes:
        parts: The opened parts; ``parts.open_all()`` warms everything up.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._steps = Steps(parts)
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
        return cls(Parts(settings, progress=progress))

    @property
    def settings(self) -> Settings:
        """How this installation behaves."""
        return self.parts.settings

    def close(self) -> None:
        """Finish what is still to be kept; close the log and the manifest store. Idempotent."""
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
        ending: KeepsEnding | None = None,
    ) -> Released:
        """Make pictures from a prompt.

        Args:
            request: What is asked for.
            progress: Told about each stage and each denoising step.
            preview: Takes the ``request.previews`` looks at each picture on its way. Each was
                judged like an output, is small and labelled, and carries no mark.
            ending: Keeps what the request is about to end in before the log has it as ended, for
                :func:`chopmark.pipeline.endings.released_again`.

        Raises:
            Refused: The policy blocked the prompt or every picture; the record says why.
            ChopmarkError: A request that cannot be used, or a step that failed; nothing leaves.
        """
        return await self._fulfil(request, progress, preview, ending)

    async def edit(
        self,
        request: EditRequest,
        *,
        progress: Progress | None = None,
        preview: PreviewSink | None = None,
        ending: KeepsEnding | None = None,
    ) -> Released:
        """Change a picture by a prompt, within a mask if one is given, drawing on others.

        Else as :meth:`generate`. Whatever picture comes in is judged alike.

        Raises:
            Refused: The policy blocked the prompt, an input or every output.
            ChopmarkError: As in :meth:`generate`.
        """
        return await self._fulfil(request, progress, preview, ending)

    async def seal(
        self,
        request: SealRequest,
        *,
        progress: Progress | None = None,
        ending: KeepsEnding | None = None,
    ) -> Released:
        """Judge, mark, sign and book a picture that another generator made; nothing is generated.

        The manifest names that generator as the caller's claim. Else as :meth:`generate`.

        Raises:
            Refused: The policy blocked the prompt or the picture.
            ChopmarkError: As in :meth:`generate`.
        """
        return await self._fulfil(request, progress, None, ending)

    async def sit(self, request: GenerationRequest) -> Sitting:
        """Begin a sitting: wishes that follow one another, shown as previews alone, in one record.

        Args:
            request: The first wish, whose tenant and person the sitting has; it is not drawn yet.

        Raises:
            ChopmarkError: It cannot be used, or the log cannot take it.
        """
        return await Sitting.begin(self._steps, request)

    async def moderate(
        self,
        texts: Sequence[str] = (),
        *,
        edits: Sequence[str] = (),
        languages: Sequence[str | None] = (),
        image: bytes | None = None,
        tenant: str = "default",
        subject: str | None = None,
        policy: Policy | None = None,
        ending: KeepsEnding | None = None,
    ) -> Moderated:
        """Judge texts, a picture, or both, without generating anything; one record for the call.

        A text that cannot be read goes to a person and stops nothing.

        Args:
            texts: Judged as prompts; they are kept as a prompt is.
            edits: Judged as what is asked of an edit, and kept likewise.
            languages: Of each text and then of each edit its language (BCP 47), where it is known;
                of none where it is empty.
            image: The bytes of a file, judged as an input picture and not kept; with one edit in
                the
                light of what it asks, as ``edit`` would.
            tenant: Whose policy and log namespace apply.
            subject: Opaque reference to the person.
            policy: Instead of the tenant's.
            ending: Keeps what was judged before the log has it, for
                :func:`chopmark.pipeline.moderation.moderated_again`.

        Raises:
            InvalidRequest: There is nothing to judge, or the bytes are no picture.
            ChopmarkError: A guard or the log failed; nothing is called safe that was not judged.
        """
        return await moderation.moderate(
            self._steps,
            texts,
            edits=edits,
            languages=languages,
            image=image,
            tenant=tenant,
            subject=subject,
            policy=policy,
            ending=ending,
        )

    async def verify(
        self, data: bytes, *, tenant: str = "default", linked: str | None = None
    ) -> Verification:
        """Tell what a picture is, and book that somebody asked and what the verdict was.

        Neither the picture nor a digest of it is kept.

        Raises:
            ChopmarkError: The bytes are no picture or over a limit, or the log failed.
        """
        return await inspect.verify(self._steps, data, tenant=tenant, linked=linked)

    async def _fulfil(
        self,
        request: GenerationRequest | SealRequest,
        progress: Progress | None,
        preview: PreviewSink | None,
        ending: KeepsEnding | None,
    ) -> Released:
        """Step 1, and the record of how the request ended."""
        if self._in_flight > self.settings.max_queue:
            raise errors.Busy(
                f"{self._in_flight} requests are waiting already", hint="try again in a moment"
            )
        self._in_flight += 1
        try:
            case = await in_thread(lambda: open_case(self.parts, request, progress, preview))
            case.ending = ending
            # 1. Durable in the log before any model runs. If the log cannot take it: refuse.
            public, personal = events.received(case)
            await in_thread(lambda: self.parts.in_flight.begin(case.record_id))
            try:
                await self._steps.book(case, "received", "request.received", public, personal)
                return await self._judge_and_make(case)
            except BaseException as error:
                case.gone.set()
                await asyncio.shield(endings.book_the_end(self._steps, case, error))
                raise
            finally:
                self.parts.in_flight.end(case.record_id)
        finally:
            self._in_flight -= 1

    async def _judge_and_make(self, case: GenerationCase | SealCase) -> Released:
        """Steps 2 to 6."""
        request, parts, steps = case.request, self.parts, self._steps
        settings = parts.settings

        # 2. The prompt, and every input picture, under the policy.
        policy, prompt_verdict = await moderation.judge_prompt(steps, case, request)
        inputs = await steps.run(
            case, "judge_input", lambda: moderation.open_inputs(request, parts.files)
        )
        # A picture to seal is judged once, as what leaves (step 4).
        input_verdicts = [
            await judge_looks(steps, case, looks, policy, prompt_verdict)
            for looks in ([] if isinstance(case, SealCase) else inputs)
        ]
        # What the pictures of an edit were asked for before counts too, where we made them.
        chain = await steps.run(
            case, "judge_input", lambda: edit_chain.chain_of(parts, request, tenant=case.tenant)
        )
        chain_verdicts = [
            await steps.run(
                case,
                "judge_prompt",
                partial(
                    parts.prompt_guard.judge, whole, policy, stage="prompt", tenant=case.tenant
                ),
            )
            for whole in chain.texts_with(moderation.text_of(request))
        ]
        # An overturned appeal may have let this very prompt pass; its pictures are judged as ever.
        exception = await moderation.prompt_exception(steps, case, request, prompt_verdict, policy)
        # A second policy may be judged beside the active one; only the log hears of it.
        shadow = await shadow_verdicts(
            steps,
            case,
            [("prompt", prompt_verdict), *(("input", verdict) for verdict in input_verdicts)],
            prompt_verdict,
        )
        public, personal = events.decided(
            policy, prompt_verdict, input_verdicts, exception=exception, shadow=shadow,
            chain=chain.parents, chain_verdicts=chain_verdicts,
        )  # fmt: skip
        await steps.book(case, "decided", "request.decided", public, personal)
        for verdict in (prompt_verdict, *input_verdicts, *chain_verdicts):
            if stops(verdict, settings) and not (exception and verdict is prompt_verdict):
                raise Refused(
                    record_id=case.record_id,
                    stage="input",
                    verdict=verdict,
                    tells=settings.refusal_tells,
                )

        # A request that was answered before gets those pictures again, where that still stands and
        # today's guards let them; in any doubt new ones are made.
        cached = await recall.recall(steps, case, policy, prompt_verdict)
        if cached is not None:
            return await self._complete(
                case, policy, prompt_verdict, cached.outputs, repeats=cached.repeats
            )

        # 3. Generation, where there is no picture yet. Nobody sees a preview that was not judged.
        pictures = [as_image(looks.pictures[0]) for looks in inputs]
        if isinstance(case, GenerationCase):
            order, given = case, pictures
            pictures = await steps.run(
                case, "generate",
                lambda: make_pictures(parts, order, given, policy, prompt_verdict),
            )  # fmt: skip

        # 4. Every output is judged. A blocked one stays here, the others may go on.
        output_verdicts = await side_by_side(
            case,
            [
                partial(judge_picture, steps, case, "output", picture, policy, prompt_verdict)
                for picture in pictures
            ],
        )
        judged = list(zip(range(1, len(pictures) + 1), pictures, output_verdicts, strict=True))
        withheld = [Withheld(index=i, verdict=v) for i, _, v in judged if stops(v, settings)]
        kept = [item for item in judged if not stops(item[2], settings)]
        if settings.review_pictures:
            case.review_copies = await steps.run(
                case,
                "judge_output",
                lambda: review_copies(case.record_id, judged, (prompt_verdict, *input_verdicts)),
            )
        # What waits for a person is finished like the rest, and stays here until they let it out.
        others = (prompt_verdict, *input_verdicts)
        waiting = [item for item in judged if is_held(item[2], others, settings)]
        named: Sequence[InputIngredient] = ()
        if kept or waiting:
            # Another mark key or certificate than before is booked before it is used.
            await steps.run(case, "mark", parts.announce_keys)
            # What an edit's pictures say of themselves is read once, and not where the key is.
            if inputs:
                named = await steps.run(case, "sign", lambda: seal.read_inputs(parts, request))
            case.held = await hold_pictures(steps, case, named, waiting)
        if not kept:
            raise Refused(
                record_id=case.record_id,
                stage="output",
                verdict=withheld[0].verdict,
                tells=settings.refusal_tells,
            )

        # 5 and 6. Marked and read back; then metadata, the manifest last, validated at once.
        outputs, weak = await seal_pictures(steps, case, named, kept)

        return await self._complete(
            case,
            policy,
            prompt_verdict,
            outputs,
            [*withheld, *weak],
            input_verdicts=input_verdicts,
        )

    async def _complete(
        self,
        case: GenerationCase | SealCase,
        policy: Policy,
        prompt_verdict: Verdict,
        outputs: Sequence[Output],
        withheld: Sequence[Withheld] = (),
        *,
        input_verdicts: Sequence[Verdict] = (),
        repeats: str | None = None,
    ) -> Released:
        """Step 7."""
        parts, steps = self.parts, self._steps
        judged = {output.index: output.verdict for output in outputs}
        judged |= {item.index: item.verdict for item in withheld}

        # 7. Durable, with the digests of what leaves. Only then does anything leave.
        shadow = await shadow_verdicts(
            steps, case, [("output", judged[i]) for i in sorted(judged)], prompt_verdict
        )
        public, personal = events.completed(
            case.maker, policy, outputs, withheld,
            prompt_verdict=prompt_verdict, input_verdicts=input_verdicts, shadow=shadow,
            pdq=case.pdq, review_copies=case.review_copies, repeats=repeats,
        )  # fmt: skip
        public |= endings.at_every_end(case)
        words, language = unknown_to_the_model(parts, case, prompt_verdict)
        ending = endings.Ending(
            record_id=case.record_id,
            outputs=tuple(outputs),
            withheld=tuple(withheld),
            prompt_verdict=prompt_verdict,
            timings_ms=dict(case.timings_ms),
            model=case.maker.name,
            repeats=repeats,
            unknown_words=words,
            unknown_language=language,
            unknown_input=case.unknown_input,
        )
        await endings.keep_ending(steps, case, ending)
        booked = await steps.book(case, "completed", "request.completed", public, personal)
        released = await steps.run(
            case, "completed", lambda: endings.released_by(parts, ending, booked)
        )
        # Kept for later, where the deployer opted in; nobody waits for it.
        if isinstance(case, GenerationCase):
            recall.keep(parts, case.request, released, seed=case.seed, terms=case.terms)
        keep_public_copies(parts, released, input_verdicts)
        return released
