"""What can be asked of the pipeline that makes no picture: judge a text, look at a picture."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from chopmark.errors import ImageTooSmall, RecordNotFound
from chopmark.pipeline.events import restricted, summary
from chopmark.pipeline.steps import Case, Stages, in_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from chopmark.audit import Record
    from chopmark.kit.types import JsonValue
    from chopmark.provenance import Report
    from chopmark.safety import Policy, Verdict
    from chopmark.safety.categories import Stage as SafetyStage

__all__ = ["Inspection", "Looked", "Moderated"]

# Below this a picture guard has nothing to look at.
MIN_INPUT_SIDE = 16


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


class Inspection(Stages):
    """The part of :class:`chopmark.Pipeline` that makes no pictures."""

    async def moderate(
        self,
        texts: Sequence[str],
        *,
        tenant: str = "default",
        subject: str | None = None,
        policy: Policy | None = None,
    ) -> Moderated:
        """Judge texts without generating anything; one record for the whole call.

        Raises:
            ChopmarkError: A guard or the log failed; nothing is called safe that was not judged.
        """
        case = Case(tenant=tenant, subject=subject)
        rules = await self.run(
            case, "judge_prompt", lambda: policy or self.parts.policies.for_tenant(tenant)
        )
        verdicts = await self.run(
            case,
            "judge_prompt",
            lambda: self.parts.prompt_guard.judge_many(texts, rules, tenant=tenant),
        )
        actions = [verdict.action for verdict in verdicts]
        record = await self.book(
            case,
            "completed",
            "moderation.completed",
            {
                "policy": rules.digest(),
                "texts": len(texts),
                "actions": {action: actions.count(action) for action in sorted(set(actions))},
                **restricted(verdicts),
                **await self.shadowed(case, [("prompt", verdict) for verdict in verdicts]),
            },
            {"texts": list(texts)},
        )
        return Moderated(record_id=record.record_id, verdicts=tuple(verdicts))

    async def moderate_image(
        self, data: bytes, *, tenant: str = "default", policy: Policy | None = None
    ) -> Moderated:
        """Judge one picture as an input; its bytes are not kept.

        Raises:
            ChopmarkError: The bytes are no picture, or a guard or the log failed.
        """
        from chopmark.safety import decode_image

        case = Case(tenant=tenant)
        rules = await self.run(
            case, "judge_input", lambda: policy or self.parts.policies.for_tenant(tenant)
        )
        picture = await self.run(
            case,
            "judge_input",
            lambda: decode_image(
                data,
                max_bytes=self.settings.max_image_bytes,
                max_pixels=self.settings.max_image_pixels,
            ),
        )
        verdict = await self.judge_picture(case, "input", picture, rules)
        record = await self.book(
            case,
            "completed",
            "moderation.completed",
            {
                "policy": rules.digest(),
                "verdict": summary("input", verdict),
                **restricted([verdict]),
                **await self.shadowed(case, [("input", verdict)]),
            },
        )
        return Moderated(record_id=record.record_id, verdicts=(verdict,))

    def look(self, data: bytes, *, public: bool = False) -> Report:
        """Tell what can be known of a picture: nothing is kept, nothing is fetched.

        Args:
            data: The file.
            public: Leave out whatever may name a person, as a public detector must.

        Raises:
            ChopmarkError: The bytes are no picture, or over a limit.
        """
        from chopmark.provenance import Limits, verify

        parts = self.parts
        # Somebody who only looks at a picture must not come to own keys and a log by it.
        return verify(
            data,
            anchors=parts.anchors,
            mark_keys=parts.mark_keys.all if parts.exists("mark_keys") else (),
            mark_methods=(self.settings.mark_method,),
            store=parts.store if parts.exists("store") else None,
            find_record=self.find_record if parts.exists("log") else None,
            public=public,
            limits=Limits(
                max_bytes=self.settings.max_image_bytes,
                max_pixels=self.settings.max_image_pixels,
            ),
        )

    def reattach(self, data: bytes) -> bytes:
        """Return a file of ours with the manifest that it lost, byte for byte what left.

        Raises:
            ManifestNotFound: No kept manifest fits this very file.
            ChopmarkError: The bytes are no picture, or of a format that cannot take one back.
        """
        from chopmark.provenance import reattach

        return reattach(data, self.parts.store, mark_keys=self.parts.mark_keys.all)

    async def verify(self, data: bytes, *, tenant: str = "default") -> Looked:
        """:meth:`look`, with a record that a look was taken and what the verdict was.

        The record holds neither the picture nor a digest of it (California SB 942 asks of a public
        detector that it keeps nothing of what it is shown).
        """
        case = Case(tenant=tenant)
        report = await in_thread(lambda: self.look(data, public=True))
        record = await self.book(case, "completed", "verify.completed", {"verdict": report.verdict})
        return Looked(record_id=record.record_id, report=report)

    def find_record(self, record_id: str) -> dict[str, JsonValue] | None:
        """Return what the log says of a request whose pictures left, or ``None``.

        A request that never completed has no record here: its pictures never left.
        """
        with contextlib.suppress(RecordNotFound):
            for record in self.parts.log.records(record_id):
                if record.kind == "request.completed":
                    return {
                        "record_id": record.record_id,
                        "index": record.index,
                        "time": record.time,
                        "model": record.public.get("model"),
                        "leaf_hash": record.leaf_hash,
                    }
        return None

    async def judge_picture(
        self,
        case: Case,
        where: Literal["input", "output"],
        picture: Image.Image,
        policy: Policy,
        said: Verdict | None = None,
    ) -> Verdict:
        """Judge one picture under the policy; ``said`` is the verdict on its prompt."""
        if where == "input" and min(picture.size) < MIN_INPUT_SIDE:
            raise ImageTooSmall(
                f"a picture of {picture.width}x{picture.height} pixels cannot be judged",
                hint=f"at least {MIN_INPUT_SIDE} pixels a side",
            )
        return await self.run(
            case,
            "judge_input" if where == "input" else "judge_output",
            lambda: self.parts.image_guard.judge(picture, policy, stage=where, prompt_verdict=said),
        )

    async def shadowed(
        self,
        case: Case,
        verdicts: Sequence[tuple[SafetyStage, Verdict]],
        said: Verdict | None = None,
    ) -> dict[str, JsonValue]:
        """Return what the shadow policy makes of the same scores, for the log and nothing else.

        Empty where no shadow policy is set. ``differs`` counts the verdicts that it would change.
        """
        from chopmark.safety.policy_tools import rejudge

        shadow = await self.run(
            case,
            case.stage,
            lambda: self.parts.policies.shadow(),  # noqa: PLW0108  opened in the step's thread
        )
        if shadow is None:
            return {}
        again = [
            rejudge(
                verdict, shadow, stage=stage, prompt_verdict=None if stage == "prompt" else said
            )
            for stage, verdict in verdicts
        ]
        told: list[JsonValue] = [
            {"stage": stage, "action": one.action, "categories": list(one.categories)}
            for (stage, _), one in zip(verdicts, again, strict=True)
        ]
        pairs = zip(verdicts, again, strict=True)
        differs = sum(verdict.action != one.action for (_, verdict), one in pairs)
        return {"shadow": {"policy": shadow.digest(), "differs": differs, "verdicts": told}}

    async def excepted(
        self, case: Case, prompt: str, negative_prompt: str, said: Verdict, policy: Policy
    ) -> Record | None:
        """Return the exception that lets a stopped prompt pass; some categories know none."""
        from chopmark.audit import PromptException

        reached = {
            name
            for name, rule in policy.categories.items()
            if rule.action("prompt", said.scores.get(name, 0.0)) != "allow"
        }
        barred = PromptException.NEVER.intersection(reached.union(said.categories))
        if barred or not self.stops(said):
            return None
        return await self.run(
            case,
            "judge_prompt",
            lambda: self.parts.log.exceptions.find(
                prompt, negative_prompt=negative_prompt, tenant=case.tenant
            ),
        )

    def stops(self, verdict: Verdict) -> bool:
        """Tell whether what was judged stays here."""
        return verdict.action == "block" or (
            verdict.action == "review" and self.settings.on_review == "refuse"
        )
