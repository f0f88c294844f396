"""Categories are data: named by a policy or a plugin, filled in from the default policy."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from chopmark.api.openai.answers import moderation_result
from chopmark.cli import app
from chopmark.errors import GuardFailed, HashListError, InvalidPolicy, InvalidRequest
from chopmark.safety import ImageGuards, Policy, PromptGuards, Verdict, load_policy, policy_tools
from chopmark.safety.categories import CATEGORIES, STAGES, closest, in_order, is_category
from chopmark.safety.evaluation import evaluate
from chopmark.safety.hashes.bank import HashEntry
from chopmark.safety.hashes.compiled import compile_bank
from chopmark.safety.policy.load import policy_from_text
from chopmark.safety.policy.override import apply_override
from chopmark.safety.policy.schema import PolicyOverride
from chopmark.web import words

GAMBLING = """
name: casino
version: "1"
categories:
  gambling: {prompt: {review: 0.4, block: 0.7}, output: {block: 0.9}}
  violence: {prompt: {review: 0.6, block: 0.8}}
"""


class Gambling:
    """A plugin's guard that only scores, and leaves the judgement to the policy."""

    def __init__(self, score: float, category: str = "gambling") -> None:
        self.score, self.category = score, category

    def judge(self, *given: Any, **_: Any) -> Verdict:
        return Verdict(action="allow", scores={self.category: self.score}, policy=given[1].digest())


class Ours:
    """Looks for everything but gambling, as a guard of Chopmark's own does."""

    def judge(self, *given: Any, **_: Any) -> Verdict:
        return Verdict(
            action="allow",
            scores=dict.fromkeys(CATEGORIES, 0.0),
            evaluated=CATEGORIES,
            not_evaluated=in_order(set(given[1].categories).difference(CATEGORIES)),
        )


@pytest.fixture
def casino() -> Policy:
    return policy_from_text(GAMBLING)


@pytest.mark.parametrize("name", ["gambling", "games/of-chance", "a_b/c-d/3", "x" * 64])
def test_a_category_has_a_form(name: str) -> None:
    assert is_category(name)


@pytest.mark.parametrize(
    "name", ["", "Gambling", "a//b", "/a", "a/", "a b", "-a", "a/-b", "é", "a\n", "x" * 65]
)
def test_what_has_not_the_form_is_no_category(name: str) -> None:
    assert not is_category(name)


@pytest.mark.parametrize(
    ("score", "action"), [(0.39, "allow"), (0.4, "review"), (0.69, "review"), (0.7, "block")]
)
def test_a_plugins_score_is_judged_by_the_thresholds_that_the_policy_names(
    casino: Policy, score: float, action: str
) -> None:
    verdict = PromptGuards([Ours(), Gambling(score)]).judge("a roulette wheel", casino)
    assert verdict.action == action
    assert verdict.categories == (() if action == "allow" else ("gambling",))
    assert "gambling" not in verdict.not_evaluated


def test_the_stage_of_a_picture_counts(casino: Policy) -> None:
    picture = Image.new("RGB", (32, 32))
    guards = ImageGuards([Gambling(0.8)])
    assert guards.judge(picture, casino, stage="output").action == "allow"
    assert guards.judge(picture, casino, stage="input").action == "allow"
    assert ImageGuards([Gambling(0.9)]).judge(picture, casino, stage="output").action == "block"


def test_a_guard_may_be_stricter_than_the_policy_never_laxer(casino: Policy) -> None:
    class Strict:
        def judge(self, *given: Any, **_: Any) -> Verdict:
            return Verdict(action="block", scores={"ip": 0.1}, categories=("ip",))

    assert PromptGuards([Strict()]).judge("a zebra", casino).categories == ("ip",)
    lax = PromptGuards([Gambling(0.95)]).judge("a roulette wheel", casino)
    assert lax.action == "block"
    assert [item.category for item in lax.evidence] == ["gambling"]


@pytest.mark.parametrize(("name", "action"), [("default", "review"), ("strict", "block")])
def test_a_category_that_no_policy_names_is_judged_as_other(name: str, action: str) -> None:
    policy = load_policy(name)
    guards = PromptGuards([Gambling(0.5)])
    assert guards.judge("a roulette wheel", policy).action == action
    assert guards.judge("a roulette wheel", policy, stage="output").action == action


@pytest.mark.parametrize("score", [math.nan, 1.5, -0.1])
def test_a_score_that_is_none_stops_everything(casino: Policy, score: float) -> None:
    with pytest.raises(GuardFailed, match="scored 'gambling'"):
        PromptGuards([Gambling(score)]).judge("a red apple", casino)


def test_a_guard_that_names_no_category_stops_everything(casino: Policy) -> None:
    with pytest.raises(GuardFailed, match="named the category"):
        PromptGuards([Gambling(0.1, "Gambling\n")]).judge("a red apple", casino)


def test_a_category_that_nobody_scores_is_shown_as_not_evaluated(casino: Policy) -> None:
    assert PromptGuards([Ours()]).judge("a red apple", casino).not_evaluated == ("gambling",)


def test_what_a_file_leaves_out_has_the_rules_of_the_default(casino: Policy) -> None:
    default = load_policy("default")
    assert set(casino.categories) == {*CATEGORIES, "gambling"}
    for name in CATEGORIES:
        if name != "violence":
            assert casino.categories[name] == default.categories[name]
    assert casino.categories["violence"].prompt.block == 0.8
    assert casino.other == default.other
    assert casino.decide({"hate": 0.5}, stage="prompt").action == "block"


def test_the_digest_is_of_what_is_in_force(casino: Policy) -> None:
    whole = yaml.safe_dump(casino.model_dump(mode="json"))
    assert policy_from_text(whole).digest() == casino.digest()
    stricter = casino.model_dump(mode="json")
    stricter["categories"]["hate"]["prompt"]["block"] = 0.47
    assert policy_from_text(yaml.safe_dump(stricter)).digest() != casino.digest()


@pytest.mark.parametrize("named", [(), ("sexual", "ip")], ids=["none", "two"])
def test_minors_are_not_loosened_by_leaving_them_out(named: tuple[str, ...]) -> None:
    default = load_policy("default").model_dump(mode="json")
    raw = {
        "name": "old",
        "version": "1",
        "categories": {n: default["categories"][n] for n in named},
    }
    policy = policy_from_text(yaml.safe_dump(raw))
    for stage in STAGES:
        verdict = policy.decide({"sexual/minors": 0.5}, stage=stage)
        assert (verdict.action, verdict.categories) == ("block", ("sexual/minors",))


@pytest.mark.parametrize(
    "rule",
    [
        {"floor": False},
        {"prompt": {"block": 0.9}, "input": {"block": 0.5}, "output": {"block": 0.5}},
        {
            "ceiling": "review",
            "prompt": {"block": 0.5},
            "input": {"block": 0.5},
            "output": {"block": 0.5},
        },
    ],
    ids=["no-thresholds", "late", "ceiling"],
)
def test_minors_are_not_loosened_by_naming_them(rule: dict[str, Any]) -> None:
    raw = {"name": "lax", "version": "1", "categories": {"sexual/minors": rule}}
    with pytest.raises(InvalidPolicy, match="sexual/minors must block"):
        policy_from_text(yaml.safe_dump(raw))


def test_minors_are_not_loosened_by_a_plugin_that_scores_them(casino: Policy) -> None:
    verdict = PromptGuards([Gambling(0.5, "sexual/minors")]).judge("a red apple", casino)
    assert verdict.restricted


def _override(**content: object) -> PolicyOverride:
    return PolicyOverride.model_validate({"name": "acme", **content})


def test_an_override_names_a_category_that_the_policy_does_not() -> None:
    change = {"gambling": {"prompt": {"block": 0.8}}}
    policy = apply_override(load_policy("default"), _override(categories=change))
    rule = policy.categories["gambling"]
    assert (rule.prompt.review, rule.prompt.block) == (0.5, 0.8)  # it starts from `other`
    assert rule.input == load_policy("default").other.input


def test_an_override_may_not_loosen_an_other_that_is_a_floor() -> None:
    strict = load_policy("strict")
    assert strict.other.floor
    for content in (
        {"categories": {"gambling": {"prompt": {"block": 0.8}}}},
        {"other": {"output": {"review": 0.9, "block": 0.9}}},
        {"allow": [{"phrase": "poker face", "categories": ["gambling"], "reason": "a song",
                    "expires": "2030-01-01"}]},
    ):  # fmt: skip
        with pytest.raises(InvalidPolicy, match="is a floor"):
            apply_override(strict, _override(**content))
    tighter = apply_override(strict, _override(other={"output": {"block": 0.3}}))
    assert tighter.other.output.block == 0.3


def test_a_difference_in_a_category_that_one_policy_names_is_found(casino: Policy) -> None:
    changes = {c.field: c for c in policy_tools.diff(load_policy("default"), casino)}
    assert changes["categories.gambling.prompt.block"].effect == "stricter"
    assert changes["categories.gambling.input.review"].effect == "laxer"
    back = {c.field: c for c in policy_tools.diff(casino, load_policy("default"))}
    assert back["categories.gambling.input.review"].effect == "stricter"
    others = {c.field for c in policy_tools.diff(load_policy("default"), load_policy("strict"))}
    assert {"other.floor", "other.prompt.block"} <= others


def test_a_misspelling_is_pointed_out_and_what_was_meant_keeps_its_rule(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GAMBLING.replace("violence", "violense"), "utf-8")
    run = CliRunner().invoke(app, ["policy", "check", str(path)])
    assert run.exit_code == 0
    assert "categories.violense" in run.stderr
    assert "did you mean 'violence'?" in run.stderr
    assert "categories.gambling" in run.stderr
    assert load_policy(path).categories["violence"] == load_policy("default").categories["violence"]
    as_json = CliRunner().invoke(app, ["policy", "check", str(path), "--json"])
    assert "did you mean" in as_json.stdout
    assert policy_tools.doubts(load_policy("default")) == ()


def test_a_misspelling_in_a_rule_is_pointed_out() -> None:
    raw = load_policy("default").model_dump(mode="json")
    raw["rules"][0]["prompt"] = {"sexaul": 0.2}
    (doubt,) = policy_tools.doubts(Policy.model_validate(raw))
    assert "the rule 'prompt-and-picture-sexual'" in doubt
    assert "'sexual'" in doubt


def test_show_prints_a_file_that_is_the_policy_in_force(tmp_path: Path, casino: Policy) -> None:
    path, again = tmp_path / "casino.yaml", tmp_path / "again.yaml"
    path.write_text(GAMBLING, "utf-8")
    again.write_text(CliRunner().invoke(app, ["policy", "show", str(path)]).stdout, "utf-8")
    assert load_policy(again).digest() == casino.digest()


def test_the_openai_answer_has_its_thirteen_and_the_plugins_beside_them(casino: Policy) -> None:
    verdict = PromptGuards([Ours(), Gambling(0.8)]).judge("a roulette wheel", casino)
    result: Any = moderation_result([("text", verdict)])
    assert set(CATEGORIES[:13]) <= set(result["categories"])
    assert result["categories"]["gambling"] is True
    assert result["category_scores"]["gambling"] == 0.8
    assert "gambling" not in result["not_evaluated"]


def test_a_set_may_be_labelled_with_what_the_policy_names(tmp_path: Path, casino: Policy) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(
        '{"text": "a roulette wheel", "categories": ["gambling"]}\n'
        '{"text": "a red apple", "categories": []}\n',
        "utf-8",
    )
    found: Any = evaluate(path, casino, prompt_guard=PromptGuards([Gambling(0.7)]))
    assert found["harmful"]["gambling"]["category_named"] == 1.0
    path.write_text('{"text": "x", "categories": ["violense"]}', "utf-8")
    with pytest.raises(InvalidRequest, match="violense") as caught:
        evaluate(path, casino, prompt_guard=PromptGuards([Gambling(0.7)]))
    assert caught.value.hint == "did you mean 'violence'?"


@pytest.mark.parametrize("category", ["sexual/minor", "hate speech", "Sexual"])
def test_a_list_names_no_category_that_is_nearly_one(category: str) -> None:
    with pytest.raises(HashListError):
        HashEntry(kind="phash", value="00ff" * 4, category=category)
    assert HashEntry(kind="phash", value="00ff" * 4, category="gambling").category == "gambling"


def test_a_compiled_list_has_so_many_categories_and_no_more(tmp_path: Path) -> None:
    def entries(count: int) -> Callable[[], list[HashEntry]]:
        return lambda: [
            HashEntry(kind="phash", value="00ff" * 4, category=f"x{at}q") for at in range(count)
        ]

    assert compile_bank(entries(256)(), tmp_path / "most.bank") == 256
    with pytest.raises(HashListError, match="256 categories"):
        compile_bank(entries(257)(), tmp_path / "more.bank")
    assert not (tmp_path / "more.bank").exists()


def test_names_for_people() -> None:
    assert words.category("sexual/minors") == "Sexual content with minors"
    assert words.category("games/of-chance") == "Games: of chance"
    assert closest("gambling") is None
