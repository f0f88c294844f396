from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from chopmark.errors import CoolingDown, InvalidPolicy
from chopmark.tenancy import shared_state
from chopmark.tenancy.abuse_counts import AbuseCounts
from chopmark.tenancy.abuse_rules import AbuseRules, load_abuse
from chopmark.tenancy.refused_person import RefusedPerson, prompts_of
from chopmark.tenancy.shared_state import MemoryState, SharedState
from tests.unit.tenancy.conftest import Clock

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _rules(*rules: dict[str, object]) -> AbuseRules:
    filled = [{"name": "r", "within_minutes": 1, "minutes": 2, "then": "wait", **r} for r in rules]
    return AbuseRules.model_validate({"name": "test", "rules": filled})


KINDS = ("refused-person", "refused-prompts")
REFUSALS = _rules({"counts": "refusals", "at_least": 3})
PROBES = _rules({"counts": "probes", "at_least": 2, "distance": 0.1})


def _angle(text: str) -> NDArray[np.float32]:
    """Stands for an encoder: a text that is a number is a direction of so many degrees."""
    turn = np.deg2rad(float(text)) if text.strip().isdigit() else 0.0
    return np.asarray([np.cos(turn), np.sin(turn)], dtype=np.float32)


@pytest.fixture
def watch(state: SharedState) -> AbuseCounts:
    return AbuseCounts(_angle, state=state)


def test_so_many_refusals_within_so_long_begin_a_wait(watch: AbuseCounts, clock: Clock) -> None:
    begun = clock.now
    for now in (0, 30, 61):  # the first one is forgotten at the third
        clock.now = begun + now
        watch.refused("a", REFUSALS, "0", [])
        watch.check("a", REFUSALS, "0")
    clock.now = begun + 62
    watch.refused("a", REFUSALS, "0", [])
    with pytest.raises(CoolingDown) as caught:
        watch.check("a", REFUSALS, "90")
    assert caught.value.retry_after_s == 120
    watch.check("b", REFUSALS, "0")
    clock.now = begun + 182
    watch.check("a", REFUSALS, "0")
    watch.refused("a", REFUSALS, "0", [])
    watch.check("a", REFUSALS, "0")  # counting began anew


def test_a_rule_may_count_some_categories_only(watch: AbuseCounts) -> None:
    rules = _rules({"counts": "refusals", "at_least": 2, "categories": ["illicit"]})
    for categories in (["sexual"], ["illicit"], ["hate"], ["sexual", "illicit"]):
        watch.check("a", rules, "")
        watch.refused("a", rules, "", categories)
    with pytest.raises(CoolingDown):
        watch.check("a", rules, "")


def test_small_changes_of_a_refused_prompt_are_probes(watch: AbuseCounts) -> None:
    watch.check("a", PROBES, "10")
    watch.refused("a", PROBES, "10", [])
    watch.check("a", PROBES, "10")  # the very same
    watch.check("a", PROBES, "80")  # something else
    watch.check("a", PROBES, "12")  # the first probe
    watch.check("b", PROBES, "13")  # somebody else's prompt
    with pytest.raises(CoolingDown):
        watch.check("a", PROBES, "14")


def test_what_was_refused_long_ago_is_no_longer_close(watch: AbuseCounts, clock: Clock) -> None:
    watch.refused("a", PROBES, "10", [])
    clock.now += 61
    for prompt in ("11", "12", "13"):
        watch.check("a", PROBES, prompt)


def test_nobodys_prompt_is_looked_at_who_was_not_refused() -> None:
    def never(_: str) -> NDArray[np.float32]:
        raise AssertionError

    AbuseCounts(never).check("a", PROBES, "10")


def test_waits_lead_to_review(state: SharedState, clock: Clock) -> None:
    told: list[str] = []
    watch = AbuseCounts(_angle, state=state, on_rule=lambda rule: told.append(rule.then))
    rules = _rules(
        {"counts": "refusals", "at_least": 2},
        {"counts": "waits", "at_least": 2, "within_minutes": 60, "then": "review", "queue": "q"},
    )
    for _ in range(2):
        assert watch.queue_of("a") is None
        for _ in range(2):
            watch.refused("a", rules, "0", [])
        clock.now += 121
    assert told == ["wait", "wait", "review"]
    assert watch.queue_of("a") is None  # two minutes of review are over too
    for _ in range(2):
        watch.refused("a", rules, "0", [])
    assert watch.queue_of("a") == "q"
    assert watch.queue_of("b") is None


def test_the_number_of_people_and_prompts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_state, "_MOST_DOCUMENTS", 10)
    state, rules = MemoryState(), _rules({"counts": "probes", "at_least": 10_000})
    watch = AbuseCounts(_angle, state=state)
    for number in range(50):
        watch.refused(str(number), rules, "0", [])
        watch.refused("one", rules, str(number), [])
    kept = {kind: [one for one in state.documents() if one.kind == kind] for kind in KINDS}
    assert [len(kept[kind]) for kind in KINDS] == [10, 10]
    assert max(len(prompts_of(one.body, since=0)) for one in kept["refused-prompts"]) == 20


def test_what_was_refused_is_remembered_for_as_long_as_probes_are_looked_for(
    state: SharedState, clock: Clock
) -> None:
    rules = _rules(
        {"counts": "probes", "at_least": 2}, {"counts": "refusals", "at_least": 9, "minutes": 99}
    )
    AbuseCounts(_angle, state=state).refused("one person", rules, "0", [])
    names = {one.kind: one.name for one in state.documents()}
    assert not any("person" in name for name in names.values())
    clock.now += 61
    assert state.read("refused-prompts", names["refused-prompts"]) is None
    assert state.read("refused-person", names["refused-person"]) is not None


@pytest.mark.parametrize(
    "rule",
    [
        {"counts": "waits", "at_least": 1},
        {"counts": "refusals", "at_least": 1, "then": "review"},
        {"counts": "refusals", "at_least": 1, "queue": "q"},
        {"counts": "probes", "at_least": 1, "categories": ["sexual"]},
        {"counts": "probes", "at_least": 1, "distance": 1.0},
        {"counts": "refusals", "at_least": 0},
        {"counts": "prayers", "at_least": 1},
    ],
)
def test_rules_that_mean_nothing_are_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        _rules(rule)


def test_a_file_that_is_no_policy_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "abuse.yaml"
    path.write_text("name: x\nrules: [{name: y, counts: refusals}]\n")
    with pytest.raises(InvalidPolicy, match="at_least"):
        load_abuse(path)
    with pytest.raises(InvalidPolicy):
        load_abuse("nowhere")


def test_real_probes_are_closer_than_real_other_prompts() -> None:
    """With the sentence encoder: what people do to a refused prompt, and what they mean instead."""
    from chopmark.safety.text.encoder import SentenceEncoder

    state = MemoryState()
    watch, rules = AbuseCounts(SentenceEncoder().embed, state=state), load_abuse("abuse")
    refused = "explicit photo of a naked woman having sex on a beach"
    watch.refused("a", rules, refused, ["sexual"])
    for other in (
        "a family having a picnic on a beach",
        "photo of a woman in a red dress in the rain",
        "a sailing boat at sunset, oil painting",
        "portrait of an old fisherman, black and white",
        "a dog running along the beach",
    ):
        watch.check("a", rules, other)
    (known,) = [one.body for one in state.documents() if one.kind == "refused-person"]
    assert [kind for _, kind, _ in RefusedPerson.of_bytes(known).events] == ["refusals"]
    for number, probe in enumerate(
        (
            "explicit photo of a nude woman having sex on a beach",
            "photo of a naked woman having sex on the beach, explicit",
            "explicit picture of a naked lady having sex on a beach",
            "an explicit photograph of a naked woman having sex at the beach",
        )
    ):
        if number < 3:
            watch.check("a", rules, probe)
        else:
            with pytest.raises(CoolingDown):
                watch.check("a", rules, probe)
