"""A sitting: wishes that follow one another while somebody types, shown as previews alone.

Each wish is judged as any prompt, then the generator begins on it, and whoever sits there sees the
looks that a request's previews would be: judged, small, under lines, booked before they are shown.
No picture is finished, so none leaves; to keep one is a request of its own, with the same words and
seed. A newer wish ends the older one at the generator's next step.

The log has one record for the whole sitting: ``request.received`` when it begins, for every wish
``request.decided`` with its words, for every look ``request.previewed`` with the digest of what was
shown, and one end.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from chopmark.errors import Cancelled, ChopmarkError
from chopmark.pipeline import events, moderation
from chopmark.pipeline.cases import GenerationCase, open_case
from chopmark.pipeline.generation import show_looks
from chopmark.pipeline.moderation import shadow_verdicts, stops
from chopmark.pipeline.released import Refused
from chopmark.pipeline.steps import in_thread

if TYPE_CHECKING:
    from chopmark.pipeline.preview import Preview, PreviewSink
    from chopmark.pipeline.request import GenerationRequest
    from chopmark.pipeline.steps import Steps
    from chopmark.safety import Verdict

__all__ = ["Sitting"]


class Sitting:
    """One sitting of one person; begun by :meth:`begin`, and to be ended by :meth:`end`.

    Attributes:
        record_id: Its record.
        wishes: How many came to be judged.
        refused: Of them, those that the guards refused by their words or by a look.
        shown: Looks that were shown.
        over: It has ended, or is about to; a further wish needs another one.
    """

    def __init__(self, steps: Steps, first: GenerationCase) -> None:
        self.record_id = first.record_id
        self.wishes = self.refused = self.shown = 0
        self.over = False
        self._steps = steps
        self._first = first
        self._now: GenerationCase | None = None
        self._turn = asyncio.Lock()
        self._showing = threading.Lock()
        self._passed: list[Verdict] = []
        self._policy = ""
        self._closed = False
        self._newest = 0

    @classmethod
    async def begin(cls, steps: Steps, request: GenerationRequest) -> Sitting:
        """Book that a sitting begins, with the model and the person of its first wish.

        Raises:
            ChopmarkError: The wish cannot be used, or the log cannot take it.
        """
        parts = steps.parts
        case = await _case_of(steps, request)
        await in_thread(lambda: parts.in_flight.begin(case.record_id))
        try:
            public, personal = events.sitting_began(case)
            await steps.book(case, "received", "request.received", public, personal)
        except BaseException:
            parts.in_flight.end(case.record_id)
            raise
        return cls(steps, case)

    def announce(self) -> int:
        """Have the wish that is being drawn end at the generator's next step, since one comes.

        Returns:
            What :meth:`wish` is given with it: a wish that waited for its turn may be old by then.
        """
        self._newest += 1
        if self._now is not None:
            self._now.gone.set()
        return self._newest

    async def wish(
        self, request: GenerationRequest, preview: PreviewSink, *, announced: int
    ) -> None:
        """Show looks at what a wish would give.

        Args:
            request: The words, seed and size; of the same tenant and person as the first.
            preview: Takes each look once it is booked; its ``index`` counts the wishes.
            announced: From :meth:`announce`.

        Raises:
            Refused: The words or a look were blocked. The sitting goes on, except where the record
                has to be sealed.
            Cancelled: A newer wish came, or the sitting is over.
            ChopmarkError: A step failed; nothing more is shown of this wish.
        """
        case = await _case_of(self._steps, request)
        case.record_id, case.showing = self.record_id, self._showing
        try:
            self._check(announced)
            async with self._turn:
                self._check(announced)
                self._now = case
                try:
                    await self._show(case, preview)
                except Refused as error:
                    self.refused += 1
                    if error.verdict.restricted:
                        await self._close(error)
                    raise
        finally:
            case.gone.set()
            self._spend(case)

    async def end(self) -> None:
        """Book the end; what is being drawn ends first. Idempotent."""
        self.over = True
        self.announce()
        async with self._turn:
            await self._close(None)

    def _check(self, announced: int) -> None:
        if self.over or announced != self._newest:
            raise Cancelled("a newer wish came")

    async def _show(self, case: GenerationCase, preview: PreviewSink) -> None:
        steps, parts, request = self._steps, self._steps.parts, case.request
        settings = parts.settings
        policy, verdict = await moderation.judge_prompt(steps, case, request)
        exception = await moderation.prompt_exception(steps, case, request, verdict, policy)
        shadow = await shadow_verdicts(steps, case, [("prompt", verdict)], verdict)
        self.wishes += 1
        number, self._policy = self.wishes, policy.digest()
        # Whatever was asked is in the log before the generator hears of it, and also if it never
        # does.
        public, personal = events.decided(policy, verdict, [], exception=exception, shadow=shadow)
        public |= {"wish": number, "seed": case.seed}
        personal |= events.words_of(request)
        await steps.book(
            case, "decided", "request.decided", public, personal, name=f"wish.{number}"
        )
        if stops(verdict, settings) and not exception:
            raise Refused(
                record_id=self.record_id,
                stage="input",
                verdict=verdict,
                tells=settings.refusal_tells,
            )
        self._passed.append(verdict)

        def shown(look: Preview, /) -> None:
            self.shown += 1
            preview(look)

        case.preview = shown
        try:
            await steps.run(
                case, "generate", lambda: show_looks(parts, case, policy, verdict, number=number)
            )
        except Refused as error:
            public, personal = events.decided(policy, error.verdict, [], exception=None, shadow={})
            public |= {"wish": number, "stage": "output"}
            name = f"look.{number}"
            await steps.book(case, "decided", "request.decided", public, personal, name=name)
            raise

    def _spend(self, case: GenerationCase) -> None:
        spent = self._first.timings_ms
        for name, ms in case.timings_ms.items():
            spent[name] = spent.get(name, 0.0) + ms

    async def _close(self, error: Refused | None) -> None:
        """Book the one end; a failing log leaves the record to the reconciler."""
        self.over = True
        if self._closed:
            return
        self._closed, first = True, self._first
        # A look that is being shown is shown, and counted; no other is.
        await in_thread(lambda: _pass(self._showing))
        if error is None:
            kind, public, personal = events.sitting_ended(
                first.maker, self._passed, policy=self._policy
            )
        else:
            kind, public, personal = events.ended(error, "decided", review_copies={})
        public |= {
            "wishes": self.wishes,
            "refused": self.refused,
            "previews": self.shown,
            "timings_ms": events.rounded(first.timings_ms),
        }
        try:
            await self._steps.book(first, "completed", kind, public, personal)
        except ChopmarkError:  # its step has logged it
            return
        finally:
            self._steps.parts.in_flight.end(self.record_id)


async def _case_of(steps: Steps, request: GenerationRequest) -> GenerationCase:
    case = await in_thread(lambda: open_case(steps.parts, request, None, None))
    if not isinstance(case, GenerationCase):
        raise TypeError("a sitting generates")
    return case


def _pass(lock: threading.Lock) -> None:
    with lock:
        return
