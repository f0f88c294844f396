from __future__ import annotations

import pytest

from chopmark.errors import GuardFailed
from chopmark.safety import Evidence, PromptGuards, Verdict, load_policy
from chopmark.safety.guards import join_verdicts


def _said(action: str, category: str, score: float, **more: object) -> Verdict:
    return Verdict(
        action=action,  # type: ignore[arg-type]
        scores={category: score},
        categories=(category,) if action != "allow" else (),
        evidence=(Evidence(category=category, kind="model"),),
        evaluated=(category,),
        models=(f"{category}@1",),
        elapsed_ms=1.0,
        **more,  # type: ignore[arg-type]
    )


def test_the_strictest_verdict_holds() -> None:
    joined = join_verdicts(
        [
            _said("review", "hate", 0.6, not_evaluated=("violence", "sexual")),
            _said("block", "violence", 0.9, not_evaluated=("hate", "sexual")),
            _said("allow", "hate", 0.7),
        ]
    )
    assert joined.action == "block"
    assert joined.categories == ("violence",)
    assert dict(joined.scores) == {"hate": 0.7, "violence": 0.9}
    assert joined.evaluated == ("hate", "violence")
    assert joined.not_evaluated == ("sexual",)
    assert len(joined.evidence) == 3
    assert joined.models == ("hate@1", "violence@1")
    assert joined.elapsed_ms == pytest.approx(3.0)


def test_one_verdict_stays_as_it_is() -> None:
    only = _said("review", "hate", 0.6)
    assert join_verdicts([only]) is only


def test_a_guard_that_fails_fails_for_all() -> None:
    class Fine:
        def judge(self, *_: object, **__: object) -> Verdict:
            return _said("allow", "hate", 0.0)

    class Broken:
        def judge(self, *_: object, **__: object) -> Verdict:
            raise GuardFailed("down")

    with pytest.raises(GuardFailed):
        PromptGuards([Fine(), Broken()]).judge("a", load_policy("default"))
