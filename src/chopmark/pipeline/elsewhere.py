"""Guards and the reading of pixels in worker processes, behind the methods that they have here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.kit.cancellation import current_tenant
from chopmark.kit.raw_picture import RawPicture
from chopmark.pipeline.packed_policy import pack_policy
from chopmark.workers.interface import Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.kit.raw_picture import Shown
    from chopmark.provenance.reading import Prints
    from chopmark.provenance.watermark import MarkResult
    from chopmark.safety import Policy, Verdict
    from chopmark.safety.categories import Stage
    from chopmark.settings import Settings
    from chopmark.workers.interface import Answer, Engine, PoolName

__all__ = ["Elsewhere", "ImageGuardElsewhere", "PixelsElsewhere", "PromptGuardElsewhere"]


class Elsewhere:
    """Hands work to an engine.

    Args:
        engine: Who does it.
        settings: How long it may take, and how much memory.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings = engine, settings

    def ask(self, pool: PoolName, name: str, value: Any, *buffers: bytes, limit_s: float) -> Answer:
        """Have a job done for whoever is asked for now; see ``Engine.submit``."""
        return self.engine.submit(
            pool,
            Job(
                name=name,
                value=value,
                buffers=buffers,
                tenant=current_tenant(),
                limit_s=limit_s,
                memory_mb=self.settings.worker_memory_mb,
            ),
        )


class PromptGuardElsewhere(Elsewhere):
    """The prompt guards; see :class:`chopmark.safety.PromptGuards`.

    Args:
        engine: Who judges.
        settings: For how long.
        pool: ``texts``, or ``trusted`` where a plugin or a larger model takes part.
    """

    def __init__(self, engine: Engine, settings: Settings, *, pool: PoolName) -> None:
        super().__init__(engine, settings)
        self._pool = pool

    judges_edits: Final = True

    def judge(
        self,
        text: str,
        policy: Policy,
        *,
        stage: Stage = "prompt",
        tenant: str | None = None,
        edit: bool = False,
        language: str | None = None,
    ) -> Verdict:
        """Judge one text."""
        return self._judge([text], policy, stage, tenant, [edit], [language], alone=True)[0]

    def judge_many(
        self,
        texts: Sequence[str],
        policy: Policy,
        *,
        tenant: str | None = None,
        edits: Sequence[bool] = (),
        languages: Sequence[str | None] = (),
    ) -> list[Verdict]:
        """Judge several texts; see :func:`chopmark.safety.guards.judge_each`."""
        edits, languages = list(edits), list(languages)
        return self._judge(list(texts), policy, "prompt", tenant, edits, languages, alone=False)

    def _judge(
        self,
        texts: list[str],
        policy: Policy,
        stage: Stage,
        tenant: str | None,
        edits: list[bool],
        languages: list[str | None],
        *,
        alone: bool,
    ) -> list[Verdict]:
        value = texts, pack_policy(policy), stage, tenant, edits, languages, alone
        limit_s = self.settings.guard_timeout_s
        verdicts: list[Verdict] = self.ask(self._pool, "judge_texts", value, limit_s=limit_s).value
        return verdicts


class ImageGuardElsewhere(Elsewhere):
    """The picture guards; see :class:`chopmark.safety.ImageGuards`."""

    def judge(
        self,
        image: Shown,
        policy: Policy,
        *,
        stage: Literal["output", "input"] = "output",
        prompt_verdict: Verdict | None = None,
    ) -> Verdict:
        """Judge one picture."""
        raw = RawPicture.of(image)
        value = raw.head, pack_policy(policy), stage, prompt_verdict
        limit_s = self.settings.guard_timeout_s
        verdict: Verdict = self.ask(
            "trusted", "judge_picture", value, raw.data, limit_s=limit_s
        ).value
        return verdict


class PixelsElsewhere(Elsewhere):
    """What pixels carry; see :class:`chopmark.provenance.reading.ReadsPixels`."""

    def mark(self, image: Shown, methods: Sequence[str]) -> MarkResult:
        """Look for a mark of ours."""
        raw = RawPicture.of(image)
        found: MarkResult = self.ask(
            "trusted", "find_mark", (raw.head, tuple(methods)), raw.data,
            limit_s=self.settings.guard_timeout_s,
        ).value  # fmt: skip
        return found

    def prints(self, image: Shown) -> Prints:
        """Return what identifies the pixels."""
        raw = RawPicture.of(image)
        prints: Prints = self.ask(
            "trusted", "prints", raw.head, raw.data, limit_s=self.settings.guard_timeout_s
        ).value
        return prints
