"""Policies as data: mistakes are found and placed, floors hold, digests follow content."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.errors import InvalidPolicy
from chopmark.safety import Policy, PromptGuard, Verdict, load_policy, policy_tools
from chopmark.safety.categories import CATEGORIES
from chopmark.safety.policy.load import policy_from_text, policy_path
from chopmark.safety.policy.override import apply_override, load_override
from chopmark.safety.policy.schema import AllowEntry, PolicyOverride

DEFAULT = policy_path("default").read_text("utf-8")


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, str], Path]:
    def make(old: str, new: str) -> Path:
        assert old in DEFAULT
        path = tmp_path / "changed.yaml"
        path.write_text(DEFAULT.replace(old, new, 1), "utf-8")
        return path

    return make


@pytest.mark.parametrize("name", ["default", "strict"])
def test_built_in_policies_cover_every_category(name: str) -> None:
    assert set(load_policy(name).categories) == set(CATEGORIES)


def test_the_digest_follows_content_not_layout() -> None:
    again = yaml.safe_dump(yaml.safe_load(DEFAULT), sort_keys=True)
    assert policy_from_text(again).digest() == load_policy("default").digest()
    other = DEFAULT.replace("block: 0.70", "block: 0.71", 1)
    assert policy_from_text(other).digest() != load_policy("default").digest()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("review: 0.60, block: 0.85", "review: 0.90, block: 0.85", "must not be above"),
        ("block: 0.50", "block: 1.50", "less than or equal to 1"),
        ("  sexual/minors:\n", "  Sexual/Minors:\n", "did you mean 'sexual/minors'"),
        ("  violence:\n", "  ../violence:\n", "no category's name"),
        ('version: "1"', "version: 1.10", "in quotes"),
        ("name: default", "nmae: default", "name"),
        ("name: default", "name: default\nname: again", "stands twice"),
        ("name: default", "name: [default", "not YAML"),
        ("name: default", "name: &a default\ndescription: *a", "aliases"),
        ("name: default", "? [a, b]\n: c\nname: default", "YAML"),
    ],
)
def test_a_mistake_is_one_clear_error(
    changed: Callable[[str, str], Path], old: str, new: str, said: str
) -> None:
    with pytest.raises(InvalidPolicy, match=said) as caught:
        load_policy(changed(old, new))
    assert caught.value.hint
    assert "changed.yaml" in caught.value.message


def test_the_line_of_a_mistake_is_said(changed: Callable[[str, str], Path]) -> None:
    line = DEFAULT[: DEFAULT.index("name: prompt-and-picture")].count("\n") + 1
    path = changed("stages: [output]", "stages: [outputs]")
    with pytest.raises(InvalidPolicy, match=rf"changed\.yaml:{line + 3}: rules\.0\.stages"):
        load_policy(path)


def test_minors_can_be_neither_weakened_nor_allowed(changed: Callable[[str, str], Path]) -> None:
    minors = "  sexual/minors:\n    floor: true\n    prompt: {review: 0.30, block: 0.50}"
    with pytest.raises(InvalidPolicy, match="must block"):
        load_policy(changed(minors, minors.replace("block: 0.50", "block: 0.90")))
    entry = "{phrase: words, categories: [sexual/minors], reason: none, expires: 2030-01-01}"
    entry = f"allow: [{entry}]"
    with pytest.raises(InvalidPolicy, match="no override"):
        load_policy(changed("allow: []", entry))


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=400))
def test_no_bytes_leak_another_error(data: bytes) -> None:
    with pytest.raises(InvalidPolicy):
        policy_from_text(data)


@settings(max_examples=100, deadline=None)
@given(low=st.floats(0, 1), high=st.floats(0, 1), name=st.sampled_from(sorted(set(CATEGORIES))))
def test_a_higher_score_is_never_judged_milder(low: float, high: float, name: str) -> None:
    order = ("allow", "review", "block")
    policy = load_policy("default")
    lower, higher = sorted((low, high))
    first = policy.decide({name: lower}, stage="prompt").action
    assert order.index(first) <= order.index(policy.decide({name: higher}, stage="prompt").action)


def _override(**content: object) -> PolicyOverride:
    return PolicyOverride.model_validate({"name": "acme", **content})


def test_an_override_may_tighten_a_floor() -> None:
    base = load_policy("default")
    policy = apply_override(base, _override(categories={"sexual": {"prompt": {"block": 0.47}}}))
    assert policy.name == "default.acme"
    assert policy.categories["sexual"].prompt.block == 0.47
    assert policy.categories["sexual"].prompt.review == base.categories["sexual"].prompt.review
    assert policy.digest() != base.digest()


@pytest.mark.parametrize(
    "content",
    [
        {"categories": {"sexual": {"prompt": {"block": 0.9}}}},
        {"categories": {"sexual": {"prompt": {"block": None}}}},
        {"categories": {"sexual": {"ceiling": "review"}}},
        {
            "allow": [
                {
                    "phrase": "nude study",
                    "categories": ["sexual"],
                    "reason": "art school",
                    "expires": "2030-01-01",
                }
            ]
        },
        {
            "rules": [
                {
                    "name": "prompt-and-picture-sexual",
                    "category": "ip",
                    "action": "review",
                    "here": {"ip": 0.1},
                }
            ]
        },
        {"categories": {"ip": {"prompt": {"review": 0.9}}}},
    ],
    ids=["laxer", "removed", "ceiling", "allowed", "shadowing-rule", "review-above-block"],
)
def test_an_override_may_not_weaken_a_floor(content: dict[str, object]) -> None:
    with pytest.raises(InvalidPolicy):
        apply_override(load_policy("default"), _override(**content))


def test_an_override_may_loosen_what_is_no_floor(tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text("name: acme\ncategories:\n  ip: {prompt: {review: 0.9, block: 0.95}}\n")
    policy = apply_override(load_policy("default"), load_override(path))
    assert policy.decide({"ip": 0.8}, stage="prompt").action == "allow"


def test_diff_says_what_is_stricter() -> None:
    changes = policy_tools.diff(load_policy("default"), load_policy("strict"))
    by_field = {change.field: change for change in changes}
    assert by_field["categories.sexual.prompt.block"].effect == "stricter"
    assert by_field["categories.obfuscated.ceiling"].effect == "stricter"
    assert not [change for change in changes if change.effect == "laxer"]
    assert policy_tools.diff(load_policy("default"), load_policy("default")) == ()


def test_a_shadow_policy_judges_the_same_scores() -> None:
    verdict = Verdict(
        action="allow", scores={"sexual": 0.37}, policy=load_policy("default").digest()
    )
    shadow = policy_tools.rejudge(verdict, load_policy("strict"))
    assert (verdict.action, shadow.action) == ("allow", "block")
    assert shadow.policy == load_policy("strict").digest()


def test_allow_entries_end() -> None:
    entry = AllowEntry(
        phrase="pipe bomb",
        categories=("illicit",),
        reason="bomb disposal training",
        tenants=("police",),
        expires=dt.date(2027, 1, 31),
    )
    assert entry.active(tenant="police", today=dt.date(2027, 1, 31))
    assert not entry.active(tenant="police", today=dt.date(2027, 2, 1))
    assert not entry.active(tenant="other", today=dt.date(2027, 1, 1))


def test_an_allowed_phrase_is_taken_out_and_the_rest_still_judged() -> None:
    guard = PromptGuard.load()
    raw = load_policy("default").model_dump(mode="json")
    raw["allow"] = [
        {
            "phrase": "pipe bomb",
            "categories": ["illicit", "illicit/violent", "violence"],
            "reason": "bomb disposal training",
            "tenants": ["police"],
            "expires": "2027-01-31",
        }
    ]
    policy = Policy.model_validate(raw)
    text, day = "pipe bomb on a table in a classroom", dt.date(2027, 1, 1)
    assert guard.judge(text, policy, tenant="other", today=day).flagged
    allowed = guard.judge(text, policy, tenant="police", today=day)
    assert allowed.action == "allow"
    assert any("allows" in item.detail for item in allowed.evidence)
    worse = "pipe bomb and a naked woman having sex"
    assert guard.judge(worse, policy, tenant="police", today=day).action == "block"


def test_the_default_policy_passes_its_golden_cases() -> None:
    golden = policy_tools.load_golden(policy_tools.golden_path("default"))
    report = policy_tools.run_golden(load_policy("default"), golden, PromptGuard.load())
    assert report.ok, report.to_dict()


def test_a_wrong_golden_case_is_reported() -> None:
    golden = policy_tools.GoldenSet.model_validate(
        {"version": "1", "cases": [{"text": "a red apple", "action": "block"}]}
    )
    report = policy_tools.run_golden(load_policy("default"), golden, PromptGuard.load())
    assert not report.ok
    assert report.failures[0].action == "allow"
