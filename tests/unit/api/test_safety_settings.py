"""Gemini's settings never make a policy laxer, whatever they are."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.api.gemini.safety_settings import HARMS, Threshold, safety_ratings, tighten
from chopmark.safety import Verdict, load_policy
from chopmark.safety.categories import CATEGORIES, STAGES

ORDER = {"allow": 0, "review": 1, "block": 2}
SETTING = st.tuples(st.sampled_from([*HARMS, "UNKNOWN"]), st.sampled_from(get_args(Threshold)))


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["default", "strict"]),
    chosen=st.lists(SETTING, max_size=8),
    scores=st.dictionaries(st.sampled_from(CATEGORIES), st.floats(0, 1), max_size=6),
    stage=st.sampled_from(STAGES),
)
def test_never_laxer(name: str, chosen: list, scores: dict, stage: str) -> None:  # type: ignore[type-arg]
    policy = load_policy(name)
    tight = tighten(policy, chosen)
    before = policy.decide(scores, stage=stage)  # type: ignore[arg-type]
    after = tight.decide(scores, stage=stage)  # type: ignore[arg-type]
    assert ORDER[after.action] >= ORDER[before.action]


def test_a_tightened_policy_is_another_policy() -> None:
    policy = load_policy("default")
    assert tighten(policy, []) is policy
    assert tighten(policy, [("HARM_CATEGORY_HARASSMENT", "OFF")]) is policy
    tight = tighten(policy, [("HARM_CATEGORY_HATE_SPEECH", "BLOCK_LOW_AND_ABOVE")])
    assert tight.digest() != policy.digest()
    assert tight.decide({"hate": 0.25}, stage="prompt").action == "block"
    assert policy.decide({"hate": 0.25}, stage="prompt").action == "allow"
    assert tight.decide({"violence": 0.25}, stage="prompt").action == "allow"


@pytest.mark.parametrize(
    ("score", "band"), [(0.1, "NEGLIGIBLE"), (0.2, "LOW"), (0.4, "MEDIUM"), (0.5, "HIGH")]
)
def test_ratings(score: float, band: str) -> None:
    verdict = Verdict(
        action="block" if score >= 0.5 else "allow",
        scores={"sexual": score, "obfuscated": 1.0},
        categories=("sexual",) if score >= 0.5 else (),
    )
    assert safety_ratings([verdict]) == [
        {
            "category": "HARM_CATEGORY_SEXUALLY_EXPLICIT",
            "probability": band,
            "probabilityScore": score,
            "blocked": score >= 0.5,
        }
    ]
