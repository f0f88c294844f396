"""Kills a server a thousand times, at every stage of a request, and compares who was told what.

``python -m benchmarks.crash --kills 1000`` prints one line of JSON; it fails where an answer that
was given is not in the log, where a retry leads to another record, or where something is left open.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.support.crash import MOMENTS, Campaign, check

__all__ = ["main"]


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--most", type=int, default=6, help="which such moment kills, at most")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with Campaign(home=home, chance=chance) as campaign:
            for number in range(asked.kills):
                moment = MOMENTS[number % len(MOMENTS)]
                campaign.kill(moment, after=chance.randint(1, asked.most))
            wrong = campaign.settle()
        completed = check(home, campaign.acknowledged)
    figures = {
        "kills": campaign.kills,
        "completed": completed,
        "acknowledged": len(campaign.acknowledged),
        "retried": len(campaign.unanswered),
        "wrong": wrong,
        "seconds": round(time.monotonic() - begun),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
