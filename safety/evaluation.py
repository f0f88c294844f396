"""Judge a deployer's own labelled texts or pictures and give numbers, nothing else.

The set stays where it is: no text, no picture, no path and no hash of one leaves this function, so
a set that may not be copied (a gated one, one of real reports) can still be used.

Each line of the JSONL file is ``{"text": ...}`` or ``{"image": "file beside the list"}`` with
``"categories": [...]``; an empty list says that it is harmless. ``"unknown": [...]`` names
categories that nobody labelled.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from chopmark.errors import InvalidRequest
from chopmark.safety.categories import closest, in_order

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.kit.types import JsonValue, Progress
    from chopmark.safety.guards import JudgesPictures, JudgesText
    from chopmark.safety.policy.schema import Policy
    from chopmark.safety.verdict import Verdict

__all__ = ["evaluate"]


@dataclass(slots=True)
class _Tally:
    actions: Counter[str] = field(default_factory=Counter)
    named: int = 0

    def add(self, verdict: Verdict, category: str | None) -> None:
        self.actions[verdict.action] += 1
        self.named += category is not None and category in verdict.categories

    def to_dict(self, *, named: bool) -> dict[str, JsonValue]:
        total = sum(self.actions.values())
        made: dict[str, JsonValue] = {"rows": total}
        for action in ("block", "review", "allow"):
            made[action] = round(self.actions[action] / total, 4) if total else None
        if named:
            made["category_named"] = round(self.named / total, 4) if total else None
        return made


def evaluate(
    path: Path,
    policy: Policy,
    *,
    prompt_guard: JudgesText | None = None,
    image_guard: JudgesPictures | None = None,
    progress: Progress | None = None,
) -> dict[str, JsonValue]:
    """Return how the guards do on a labelled set.

    Args:
        path: The JSONL file; pictures are found relative to its folder.
        policy: The policy to judge by.
        prompt_guard: Needed for rows with a text.
        image_guard: Needed for rows with an image.
        progress: Told after each row.

    Returns:
        Shares of block, review and allow of the harmless rows and of each category's rows, the area
        under the ROC curve of each category's score, and wall times. Numbers only.

    Raises:
        InvalidRequest: A line is no such row, names a category that the policy does not name, or
            needs a guard that was not given.
        GuardFailed: A row could not be judged.
    """
    rows = _read(path, policy)
    harmless = _Tally()
    harmful: dict[str, _Tally] = {}
    scores: dict[str, tuple[list[float], list[float]]] = {}
    spent: list[float] = []
    for number, row in enumerate(rows, start=1):
        verdict = _judge(row, path, number, policy, prompt_guard, image_guard)
        spent.append(verdict.elapsed_ms)
        labels = row["categories"]
        if not labels:
            harmless.add(verdict, None)
        for name in labels:
            harmful.setdefault(name, _Tally()).add(verdict, name)
        for name in verdict.scores:
            if name not in row.get("unknown", ()):
                kept = scores.setdefault(name, ([], []))
                kept[0 if name in labels else 1].append(verdict.scores[name])
        if progress is not None:
            progress(number, len(rows), "judging")
    found: dict[str, JsonValue] = {
        name: harmful[name].to_dict(named=True) for name in in_order(harmful)
    }
    areas: dict[str, JsonValue] = {
        name: _area(*scores[name]) for name in in_order(scores) if all(scores[name])
    }
    times = np.asarray(spent) if spent else np.zeros(1)
    return {
        "rows": len(rows),
        "policy": policy.digest(),
        "harmless": harmless.to_dict(named=False),
        "harmful": found,
        "auc": areas,
        "ms": {
            "median": round(float(np.median(times)), 2),
            "p95": round(float(np.percentile(times, 95)), 2),
        },
    }


def _read(path: Path, policy: Policy) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path.name} cannot be read: {error}", hint="a JSONL file") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(f"{path.name}:{number}: not JSON") from error
        if not isinstance(row, dict) or not isinstance(row.get("categories"), list):
            raise InvalidRequest(
                f"{path.name}:{number}: no list of categories", hint="[] says that it is harmless"
            )
        if not (isinstance(row.get("text"), str) or isinstance(row.get("image"), str)):
            raise InvalidRequest(f"{path.name}:{number}: a text or an image is asked for")
        for name in row["categories"]:
            if not isinstance(name, str) or name not in policy.categories:
                near = closest(name) if isinstance(name, str) else None
                raise InvalidRequest(
                    f"{path.name}:{number}: the policy names no category {str(name)[:80]!r}",
                    hint=f"did you mean {near!r}?" if near else ", ".join(policy.categories),
                )
        rows.append(row)
    return rows


def _judge(
    row: dict[str, Any],
    path: Path,
    number: int,
    policy: Policy,
    prompt_guard: JudgesText | None,
    image_guard: JudgesPictures | None,
) -> Verdict:
    if "text" in row:
        if prompt_guard is None:
            raise InvalidRequest(f"{path.name}:{number}: a text, and no prompt guard")
        return prompt_guard.judge(row["text"], policy)
    if image_guard is None:
        raise InvalidRequest(f"{path.name}:{number}: a picture, and no picture guard")
    from chopmark.safety.image.decode import decode_image

    try:
        data = (path.parent / row["image"]).read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{path.name}:{number}: the picture cannot be read") from error
    return image_guard.judge(decode_image(data), policy)


def _area(harmful: list[float], harmless: list[float]) -> float:
    """Return the area under the ROC curve; ties count half (Mann-Whitney)."""
    below = np.sort(np.asarray(harmless))
    wins = np.searchsorted(below, harmful, "left") + np.searchsorted(below, harmful, "right")
    return round(float(wins.sum()) / 2 / (len(harmful) * len(harmless)), 4)
