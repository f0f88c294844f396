"""What ``/metrics`` tells (Prometheus). Labels are bounded sets, never a caller's text."""

from __future__ import annotations

import shutil
import time
from functools import partial
from typing import TYPE_CHECKING, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from chopmark.audit import Actor, AuditLog
from chopmark.errors import ChopmarkError, MarkNotReadable
from chopmark.kit.background import Outcome
from chopmark.pipeline.answer_cache import AnswerOutcome
from chopmark.pipeline.released import Refused
from chopmark.safety.categories import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from chopmark.pipeline.answer_cache import AnswerCache
    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.released import Released
    from chopmark.safety import Verdict
    from chopmark.tenancy.abuse_rules import AbuseRule
    from chopmark.tenancy.turns import Turns

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

# A plugin's guard may name categories of its own. So many have a label each; a guard that makes
# names up has the rest counted as one, and the number of time series stays bounded.
_MOST_OTHERS = 32
_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 180, 600)


class Metrics:
    """One registry a server: two servers in one process must not share counts."""

    def __init__(self, parts: Parts, lines: Mapping[str, Turns], *, repeats: AnswerCache) -> None:
        self.registry = CollectorRegistry()
        self._parts = parts
        self._others: set[str] = set()
        self._requests = Counter(
            "chopmark_requests",
            "HTTP requests, by route template.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "chopmark_request_seconds",
            "Time from a request's first byte to its answer's last.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._verdicts = Counter(
            "chopmark_verdicts",
            "Verdicts; one that names several categories counts once for each.",
            ["stage", "action", "category"],
            registry=self.registry,
        )
        self._pictures = Counter(
            "chopmark_pictures",
            "Pictures that were made, or handed out again.",
            ["outcome"],
            registry=self.registry,
        )
        self._stages = Histogram(
            "chopmark_stage_seconds",
            "Time that a completed request spent in a stage of the pipeline.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._failures = Counter(
            "chopmark_failures",
            "Requests that failed, by error code; refusals are verdicts.",
            ["code"],
            registry=self.registry,
        )
        self._unread = Counter(
            "chopmark_mark_readback_failures",
            "Watermarks that were struck and could not be read back.",
            registry=self.registry,
        )
        self._abuse = Counter(
            "chopmark_abuse",
            "Times that a rule about people who are refused again and again held.",
            ["counts", "then"],
            registry=self.registry,
        )
        self.registry.register(_RepeatsCollector(repeats))
        for name, what in (("running", "have their turn"), ("waiting", "wait for their turn")):
            gauge = Gauge(
                f"chopmark_{name}", f"Requests that {what}.", ["line"], registry=self.registry
            )
            for line, turns in lines.items():
                gauge.labels(line).set_function(partial(getattr, turns, name))
        Gauge(
            "chopmark_log_entries", "Entries of the audit log.", registry=self.registry
        ).set_function(self._entries)
        Gauge(
            "chopmark_checkpoint_age_seconds",
            "Age of the audit log's last signed checkpoint.",
            registry=self.registry,
        ).set_function(self._checkpoint_age)
        Gauge(
            "chopmark_unstamped",
            "Signed pictures that wait for a time stamp.",
            registry=self.registry,
        ).set_function(self._unstamped)
        for name, what, read in (
            ("home_free_bytes", "Bytes that are free where the home is.", self._free),
            (
                "signing_certificate_seconds_left",
                "Time until the signing certificate ends; negative once it has.",
                self._certificate_left,
            ),
            ("trust_lists_stale", "Trust lists that are past their next update.", self._stale),
            ("review_overdue", "Open review tasks that are past their time.", self._overdue),
        ):
            Gauge(f"chopmark_{name}", what, registry=self.registry).set_function(read)

    def watch_state(self, trouble: Callable[[], str]) -> None:
        """Tell whether what servers count together is counted elsewhere meanwhile."""
        Gauge(
            "chopmark_shared_state_lost",
            "1 while Redis is lost and another keeper counts.",
            registry=self.registry,
        ).set_function(lambda: float(bool(trouble())))

    def render(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self.registry)

    def answered(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Count an HTTP answer."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def judged(self, stage: str, *verdicts: Verdict) -> None:
        """Count verdicts."""
        for verdict in verdicts:
            for category in verdict.categories or ("none",):
                self._verdicts.labels(stage, verdict.action, self._label(category)).inc()

    def _label(self, category: str) -> str:
        if category in CATEGORIES or category == "none":
            return category
        if len(self._others) < _MOST_OTHERS:
            self._others.add(category)
        return category if category in self._others else "other"

    def released(self, released: Released) -> None:
        """Count what left and what did not."""
        self.judged("prompt", released.prompt_verdict)
        self.judged("output", *(item.verdict for item in released.outputs))
        self.judged("output", *(item.verdict for item in released.withheld))
        outcome = "released" if released.repeats is None else "repeated"
        self._pictures.labels(outcome).inc(len(released.outputs))
        self._pictures.labels("withheld").inc(len(released.withheld))
        for stage, milliseconds in released.timings_ms.items():
            self._stages.labels(stage).observe(milliseconds / 1000)

    def abused(self, rule: AbuseRule) -> None:
        """Count a rule that held; its name is the deployer's text and no label."""
        self._abuse.labels(rule.counts, rule.then).inc()

    def failed(self, error: ChopmarkError) -> None:
        """Count a refusal by its verdict, anything else by its code."""
        if isinstance(error, Refused):
            self.judged(error.stage, error.verdict)
            return
        self._failures.labels(error.code).inc()
        if isinstance(error, MarkNotReadable):
            self._unread.inc()

    def _entries(self) -> float:
        try:
            return float(self._parts.log.size)
        except ChopmarkError:
            return float("nan")  # a scrape must not fail because the log does

    def _unstamped(self) -> float:
        try:
            return self._parts.stamps.waiting() if self._parts.authority is not None else 0
        except ChopmarkError:
            return float("nan")

    def _free(self) -> float:
        try:
            return float(shutil.disk_usage(self._parts.home).free)
        except OSError:
            return float("nan")

    def _certificate_left(self) -> float:
        if "credentials" not in self._parts.opened:
            return float("nan")  # a scrape makes no certificate
        try:
            return self._parts.credential.leaf.not_valid_after_utc.timestamp() - time.time()
        except ChopmarkError:
            return float("nan")

    def _stale(self) -> float:
        try:
            return float(sum(one.is_stale() for one in self._parts.anchors.lists))
        except ChopmarkError:
            return float("nan")

    def _overdue(self) -> float:
        log = self._parts.opened.get("request_log")
        if not isinstance(log, AuditLog):
            return float("nan")  # none was opened, or a plugin's, which has no desk
        watcher = Actor(name="metrics", roles=frozenset({"writer"}), tenant=None)
        try:
            return float(log.desk(watcher, purpose="metrics").review.overdue(follow=False))
        except ChopmarkError:
            return float("nan")

    def _checkpoint_age(self) -> float:
        try:
            return time.time() - (self._parts.home / "audit" / "checkpoint").stat().st_mtime
        except OSError:
            return float("nan")


class _RepeatsCollector:
    """Reads what the pipeline counted: it works without a server too, and knows no Prometheus."""

    def __init__(self, repeats: AnswerCache) -> None:
        self._repeats = repeats

    def collect(self) -> Iterator[Metric]:
        """Yield the counts as they are now."""
        answers = CounterMetricFamily(
            "chopmark_cached_answers",
            "Requests that might have been answered from the past, by what came of it.",
            labels=["outcome"],
        )
        for outcome in get_args(AnswerOutcome):
            answers.add_metric([outcome], self._repeats.counts[outcome])
        index = CounterMetricFamily(
            "chopmark_prompt_index",
            "Prompts that were to be kept in the index of past prompts, by what came of it.",
            labels=["outcome"],
        )
        for outcome in get_args(Outcome):
            index.add_metric([outcome], self._repeats.later.counts[outcome])
        waiting = GaugeMetricFamily(
            "chopmark_prompt_index_waiting",
            "Prompts that wait to be kept.",
            value=self._repeats.later.waiting,
        )
        yield from (answers, index, waiting)
