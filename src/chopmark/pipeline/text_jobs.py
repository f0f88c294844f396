"""What a process does that judges words; it has no key, no database and no settings.

Loaded by :mod:`chopmark.workers.nursery`, with Chopmark's own guard. Where a plugin or a larger
model takes part, which may need a network, words are judged by ``trusted_jobs`` instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.pipeline.packed_policy import unpack_policy
from chopmark.pipeline.worker_values import TEXT_VALUES
from chopmark.plugins.builtin import own_prompt_guard
from chopmark.safety import PromptGuards, load_policy
from chopmark.workers.interface import Answer, JobTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.pipeline.elsewhere import PromptGuardElsewhere
    from chopmark.workers.interface import WorkFunction

__all__ = ["judging_texts", "open_jobs"]


def open_jobs(_value: object) -> JobTable:
    """Return the jobs, with the models loaded and used once."""
    guards = PromptGuards([own_prompt_guard()])
    guards.judge("a red apple on a table", load_policy("default"))
    return JobTable(functions={"judge_texts": judging_texts(lambda: guards)}, values=TEXT_VALUES)


def judging_texts(guards: Callable[[], PromptGuards | PromptGuardElsewhere]) -> WorkFunction:
    """Return the job that judges texts with these guards."""

    def judge_texts(value: Any, _buffers: Sequence[bytes]) -> Answer:
        texts, packed, stage, tenant, edits, languages, alone = value
        policy, guard = unpack_policy(packed), guards()
        if not alone:
            return Answer(
                value=guard.judge_many(
                    texts, policy, tenant=tenant, edits=edits, languages=languages
                )
            )
        # A text that is about to be made into a picture: where it cannot be read, nothing is made.
        verdict = guard.judge(
            texts[0], policy, stage=stage, tenant=tenant, edit=edits[0], language=languages[0]
        )
        return Answer(value=[verdict])

    return judge_texts
