"""Two nodes of Ray on a network of their own, of which one is killed under load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(880)  # three minutes on two quiet cores
def test_a_node_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.cluster", "--small", "--keep", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    figures = json.loads(done.stdout)
    if reason := figures.get("skipped"):
        pytest.skip(reason)
    assert figures["told"] > 0
    assert figures["given_up"] == 0
    assert figures["kill"]["answered"] > 0
    log = figures["log"]
    assert [log[name] for name in ("not_booked", "twice", "lost", "left_open")] == [0, 0, 0, 0]
    assert figures["log_verifies"]
