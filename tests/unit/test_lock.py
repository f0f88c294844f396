"""``requirements.lock`` has a digest for every pin, and for nothing else."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_pin_has_digests() -> None:
    pins = set(re.findall(r"^[\w.-]+==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    lock = (ROOT / "requirements.lock").read_text()
    locked = re.findall(
        r"^([\w.-]+==\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", lock, re.MULTILINE
    )
    assert {name for name, _ in locked} == pins
    assert len(locked) == len(pins) > 100
    # Nothing in the file but those and its head.
    rest = re.sub(r"^#.*\n|^\n", "", lock, flags=re.MULTILINE)
    assert sum(1 + digests.count("\n") for _, digests in locked) == rest.count("\n")
