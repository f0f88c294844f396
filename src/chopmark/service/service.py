"""What stands between the routes and the pipeline: quota, policy, and who still waits."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from chopmark.errors import Cancelled, ChopmarkError, DatabaseUnavailable, TextTooLong
from chopmark.kit.redaction import conceal
from chopmark.pipeline.endings import released_again
from chopmark.pipeline.moderation import moderated_again
from chopmark.pipeline.released import Refused
from chopmark.pipeline.request import EditRequest, GenerationRequest, SealRequest
from chopmark.pipeline.steps import in_thread
from chopmark.service.abuse import AbuseControl
from chopmark.service.cache_headers import wants_fresh
from chopmark.service.claim import claim_of
from chopmark.service.exports import Exports
from chopmark.service.looking import Looking, declared_pixels
from chopmark.service.metrics import Metrics
from chopmark.service.store_calls import StoreCalls
from chopmark.service.two_persons import TwoPersons
from chopmark.tenancy.room import Room
from chopmark.tenancy.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from fastapi import Request

    from chopmark.kit.types import Progress
    from chopmark.pipeline import Pipeline
    from chopmark.pipeline.inspect import Verification
    from chopmark.pipeline.moderation import Moderated
    from chopmark.pipeline.preview import Preview, PreviewSink
    from chopmark.pipeline.released import Released
    from chopmark.safety import Policy
    from chopmark.service.caller import Caller
    from chopmark.service.claim import Claim
    from chopmark.tenancy import AccessStore, People, Tenant
    from chopmark.tenancy.shared_state import SharedState

__all__ = ["Service"]

T = TypeVar("T")


class Service:
    """The one place through which every face reaches the pipeline.

    Attributes:
        pipeline: Judges, makes, signs and books.
        store: Keys, tenants and quotas.
        stores: Asks it off the event loop.
        generator_turns: Turns at the generator.
        judge_turns: Turns at what judges texts, and at the hash lists and policies.
        looking: Turns at what looks at pictures, and room for their pixels.
        edit_room: Pixels of the pictures that edits start from; theirs stay for minutes.
        metrics: What is counted.
        working: What is on its way now.
        abuse: Who was refused too often lately.
        exports: What exporters asked for.
        two_persons: What waits for a second person to agree.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        store: AccessStore,
        people: People,
        state: SharedState | None = None,
    ) -> None:
        settings = pipeline.settings
        self.pipeline = pipeline
        self.store = store
        self.stores = StoreCalls()
        self.working: set[asyncio.Future[Any]] = set()
        queue_s = settings.max_queue_s
        self.generator_turns = Turns(
            slots=settings.max_running, places=settings.max_queue, longest_s=queue_s
        )
        # Judging is a hundred times quicker than making, so more of it may wait.
        self.judge_turns = Turns(
            slots=settings.max_running, places=8 * settings.max_queue, longest_s=queue_s
        )
        self.looking = Looking(settings, self.working)
        self.edit_room = Room(max(settings.max_pixels_in_flight, settings.max_image_pixels))
        lines = {
            "making": self.generator_turns,
            "judging": self.judge_turns,
            "looking": self.looking.turns,
        }
        self.metrics = Metrics(pipeline.parts, lines, repeats=pipeline.parts.answer_cache)
        if state is not None:
            self.metrics.watch_state(state.trouble)
        self.abuse = AbuseControl(pipeline, self.metrics.abused, state)
        self.exports = Exports(pipeline.parts, people)
        self.two_persons = TwoPersons()

    async def make(
        self,
        http: Request,
        caller: Caller,
        asked: GenerationRequest | SealRequest,
        *,
        identifier: str | None = None,
        progress: Progress | None = None,
        preview: PreviewSink | None = None,
    ) -> Released:
        """Make, change or seal pictures for a caller, as long as the client is there.

        Args:
            http: The request, whose end is watched.
            caller: Who asks; fills in tenant, policy, subject and client.
            asked: What for.
            identifier: The person, as the tenant names them.
            progress: Told about each stage.
            preview: Takes the judged previews that ``asked.previews`` asks for.

        Raises:
            Refused: The policy said no.
            QuotaExhausted: The tenant's day is used up.
            CoolingDown: The person was refused too often lately.
            Cancelled: The client went away.
            ChopmarkError: As in :meth:`chopmark.Pipeline.generate`.
        """
        # Before anything is done with them: whatever fails may quote what it was given.
        conceal(asked.prompt, asked.negative_prompt, identifier)
        claim = claim_of(http)
        if claim is not None and claim.earlier is not None:
            # Booked and charged already, and judged by what was in force then.
            released = await self._again(caller, claim)
            if released is not None:
                return released
        mine: GenerationRequest | SealRequest = replace(
            asked,
            tenant=caller.tenant.name,
            policy=asked.policy or await in_thread(lambda: self.policy_of(caller.tenant)),
            subject=caller.subject(identifier),
            client=caller.address,
        )
        if isinstance(mine, GenerationRequest):
            mine = replace(mine, fresh=mine.fresh or wants_fresh(http.headers))
        try:
            await self.abuse.before(caller.tenant, mine)
            released = await self.attended(http, self._make(caller, mine, progress, preview, claim))
        except ChopmarkError as error:
            self.metrics.failed(error)
            if isinstance(error, Refused):
                await self.abuse.refused(caller.tenant, mine, error)
                await self.abuse.after(mine, error.record_id)
            raise
        self.metrics.released(released)
        await self.abuse.after(mine, released.record_id)
        return released

    async def _again(self, caller: Caller, claim: Claim) -> Released | None:
        """Return what the request ended in before, unless it never came to that."""
        parts, tenant = self.pipeline.parts, caller.tenant.name
        return await self._resumed(
            claim, lambda ending: released_again(parts, ending, tenant=tenant)
        )

    async def _resumed(self, claim: Claim | None, find: Callable[[bytes], T | None]) -> T | None:
        """Return what ``find`` makes of an earlier end; where it is nothing, it is made anew."""
        earlier = None if claim is None else claim.earlier
        if claim is None or earlier is None:
            return None
        claim.resumed()
        found = await in_thread(lambda: find(earlier.ending))
        if found is None:
            claim.again, claim.record_id = False, None
            await in_thread(claim.renew)
        return found

    async def _make(
        self,
        caller: Caller,
        asked: GenerationRequest | SealRequest,
        progress: Progress | None,
        preview: PreviewSink | None,
        claim: Claim | None,
    ) -> Released:
        pixels = 0
        ending = None if claim is None else claim.end
        if isinstance(asked, EditRequest):
            masks = () if asked.mask is None else (asked.mask,)
            pictures = (asked.image, *asked.references, *masks)
            pixels = declared_pixels(pictures, self.pipeline.settings)
        day = await self.stores.ask(lambda: self.store.reserve_images(caller.tenant, asked.n))
        out: set[int] = set()  # the pictures of which something left
        watched = None if preview is None else _noting(preview, out)
        try:
            if isinstance(asked, SealRequest):
                # Nothing is generated: the work is that of looking at a picture.
                released = await self.looking.run(
                    caller,
                    [asked.image],
                    lambda: self.pipeline.seal(asked, progress=progress, ending=ending),
                )
                out.update(output.index for output in released.outputs)
                return released
            async with (
                self.generator_turns.turn(caller.tenant.name),
                self.edit_room.held(pixels),
            ):
                if isinstance(asked, EditRequest):
                    released = await self.pipeline.edit(
                        asked, progress=progress, preview=watched, ending=ending
                    )
                else:
                    released = await self.pipeline.generate(
                        asked, progress=progress, preview=watched, ending=ending
                    )
            # What was made before takes nothing from the day.
            if released.repeats is None:
                out.update(output.index for output in released.outputs)
            return released
        finally:
            # The pipeline has booked the end by now: no preview follows it. A picture that was
            # shown half done is taken from the day, whatever became of it.
            if len(out) < asked.n:
                back = lambda: self.store.return_images(caller.tenant.name, day, asked.n - len(out))
                # Where it cannot be returned, the day counts too many: nothing is lost by that.
                with contextlib.suppress(DatabaseUnavailable):
                    await asyncio.shield(self.stores.ask(back))

    async def moderate(
        self,
        caller: Caller,
        texts: list[str],
        *,
        edits: Sequence[bool] = (),
        languages: Sequence[str | None] = (),
        claim: Claim | None = None,
    ) -> Moderated:
        """Judge texts under the caller's policy; what a claimed key led to before stands.

        Args:
            caller: Whose policy.
            texts: What is judged.
            edits: Of each, whether it is asked of an edit; of none where it is empty.
            languages: Of each its language, where it is known; of none where it is empty.
            claim: The request's ``Idempotency-Key``.
        """
        conceal(*texts)
        # The pipeline takes edits behind texts; the verdicts go back to their places.
        order = sorted(range(len(texts)), key=lambda at: bool(edits and edits[at]))
        first = len(texts) - sum(map(bool, edits))
        moderated = await self._moderated_again(caller, claim)
        if moderated is None:
            policy = await in_thread(lambda: self.policy_of(caller.tenant))
            async with self.judge_turns.turn(caller.tenant.name):
                try:
                    moderated = await self.pipeline.moderate(
                        [texts[at] for at in order[:first]],
                        edits=[texts[at] for at in order[first:]],
                        languages=[languages[at] for at in order] if languages else (),
                        tenant=caller.tenant.name,
                        policy=policy,
                        ending=None if claim is None else claim.end,
                    )
                except TextTooLong as error:
                    places = {f"input[{at}]": f"input[{was}]" for at, was in enumerate(order)}
                    error.param = places.get(error.param or "", error.param)
                    raise
            self.metrics.judged("prompt", *moderated.verdicts)
        placed = sorted(zip(order, moderated.verdicts, strict=True), key=lambda pair: pair[0])
        return replace(moderated, verdicts=tuple(verdict for _, verdict in placed))

    async def moderate_image(
        self,
        caller: Caller,
        data: bytes,
        *,
        edit: str | None = None,
        language: str | None = None,
        claim: Claim | None = None,
    ) -> Moderated:
        """Judge a picture, alone or with what is asked of its edit, under the caller's policy.

        Args:
            caller: Whose policy.
            data: The file.
            edit: What is asked; then its verdict stands first.
            language: Of it, where it is known.
            claim: The request's ``Idempotency-Key``; what it led to before stands.
        """
        if (again := await self._moderated_again(caller, claim)) is not None:
            return again
        policy = await in_thread(lambda: self.policy_of(caller.tenant))
        tenant = caller.tenant.name
        edits = [] if edit is None else [edit]
        conceal(*edits)
        moderated = await self.looking.run(
            caller,
            [data],
            lambda: self.pipeline.moderate(
                edits=edits,
                languages=[language for _ in edits],
                image=data,
                tenant=tenant,
                policy=policy,
                ending=None if claim is None else claim.end,
            ),
        )
        self.metrics.judged("prompt", *moderated.verdicts[: len(edits)])
        self.metrics.judged("input", *moderated.verdicts[len(edits) :])
        return moderated

    async def _moderated_again(self, caller: Caller, claim: Claim | None) -> Moderated | None:
        """Return what was judged when the first answer was lost, unless it was never booked."""
        parts, tenant = self.pipeline.parts, caller.tenant.name
        return await self._resumed(
            claim, lambda ending: moderated_again(parts, ending, tenant=tenant)
        )

    async def verify(self, caller: Caller, data: bytes) -> Verification:
        """Tell what a picture is."""
        tenant = caller.tenant.name
        return await self.looking.run(
            caller, [data], lambda: self.pipeline.verify(data, tenant=tenant)
        )

    async def look(
        self,
        request: Request,
        caller: Caller,
        pictures: Sequence[bytes] | None,
        work: Callable[[], T],
    ) -> T:
        """Run ``work``, which looks at pictures, in a thread when it is the caller's turn.

        Args:
            request: Whose end is watched.
            caller: Who asks.
            pictures: The files; ``None`` where one is fetched.
            work: Looks at them.

        Raises:
            Cancelled: Nobody is there to take the answer.
            ChopmarkError: As in :meth:`chopmark.service.looking.Looking.run`, and what the work
                raises.
        """
        return await self.attended(
            request, self.looking.run(caller, pictures, lambda: in_thread(work))
        )

    async def attended(self, request: Request, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` while the client is there; cancel it when the client goes away.

        The pipeline books a cancelled request as failed, and the generator stops within one step.

        Raises:
            Cancelled: Nobody is there to take the answer.
        """
        task = asyncio.ensure_future(work)
        self.working.add(task)
        task.add_done_callback(self.working.discard)
        watch = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Cancelled("the client went away")
            return task.result()
        finally:
            watch.cancel()
            if not task.done():
                task.cancel()
            with contextlib.suppress(BaseException):
                await task

    async def drained(self) -> None:
        """Wait until what was cancelled has booked how it ended; the log is open until then."""
        if self.working:
            await asyncio.wait(self.working, timeout=2 * self.pipeline.settings.log_timeout_s)

    def policy_of(self, tenant: Tenant) -> Policy:
        """Return the policy that a tenant's requests are judged under.

        Raises:
            InvalidPolicy: The tenant's policy file cannot be used; nothing is judged by another.
        """
        return self.pipeline.parts.policies.for_tenant(tenant.name, policy=tenant.policy)


def _noting(sink: PreviewSink, out: set[int]) -> PreviewSink:
    """Return a sink that notes of which pictures previews leave, before they do."""

    def take(preview: Preview, /) -> None:
        out.add(preview.index)
        sink(preview)

    return take


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
