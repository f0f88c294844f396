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
from chopmark.safety.guards import judge_each
from chopmark.workers.interface import Answer, JobTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.safety import JudgesText
    from chopmark.workers.interface import WorkFunction

__all__ = ["judging_texts", "open_jobs"]


def open_jobs(_value: object) -> JobTable:
    """Return the jobs, with the models loaded and used once."""
    guards = PromptGuards([own_prompt_guard()])
    guards.judge("a red apple on a table", load_policy("default"))
    return JobTable(functions={"judge_texts": judging_texts(lambda: guards)}, values=TEXT_VALUES)


def judging_texts(guards: Callable[[], JudgesText]) -> WorkFunction:
    """Return the job that judges texts with these guards."""

    def judge_texts(value: Any, _buffers: Sequence[bytes]) -> Answer:
        texts, packed, stage, tenant = value
        policy = unpack_policy(packed)
        return Answer(value=judge_each(guards(), texts, policy, stage=stage, tenant=tenant))

    return judge_texts
