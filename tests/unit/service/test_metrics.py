"""What /metrics counts stays bounded, whatever a plugin's guard calls its categories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark import Pipeline
from chopmark.safety import Verdict
from chopmark.service.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.settings import Settings


@pytest.fixture
def metrics(settings: Settings) -> Iterator[Metrics]:
    with Pipeline.from_settings(settings) as pipeline:
        yield Metrics(pipeline.parts, {}, repeats=pipeline.parts.answer_cache)


def _counts(metrics: Metrics) -> dict[str, float]:
    return {
        sample.labels["category"]: sample.value
        for family in metrics.registry.collect()
        if family.name == "chopmark_verdicts"
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def test_a_plugins_category_has_a_label(metrics: Metrics) -> None:
    metrics.judged("prompt", Verdict(action="review", scores={}, categories=("gambling", "hate")))
    metrics.judged("prompt", Verdict(action="allow", scores={}))
    assert _counts(metrics) == {"gambling": 1.0, "hate": 1.0, "none": 1.0}


def test_a_guard_that_makes_names_up_does_not_fill_the_memory(metrics: Metrics) -> None:
    for number in range(100):
        verdict = Verdict(action="block", scores={}, categories=(f"made-up/{number}", "violence"))
        metrics.judged("prompt", verdict)
    counts = _counts(metrics)
    assert len(counts) == 32 + 2
    assert counts["other"] == 100 - 32
    assert counts["violence"] == 100
