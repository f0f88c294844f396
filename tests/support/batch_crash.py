"""Batches over a home whose servers are killed in the middle, and what must be true at the end."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any, Final

import httpx
import openai

from tests.support.crash import Campaign

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["LINE_MOMENTS", "survive"]

#: Around what a line goes through: judged, booked, its answer kept for its key, written down.
LINE_MOMENTS: Final = tuple(
    itertools.product(("judge_prompt", "completed", "answer", "line"), ("before", "after"))
)
_OVER: Final = {"completed", "failed", "expired", "cancelled"}
_HANG_S: Final = 300
_PAUSE_S: Final = 0.05


def survive(
    home: Path,
    *,
    moderations: int,
    pictures: int,
    moments: Sequence[tuple[str, str]],
    most: int,
    chance: random.Random,
) -> dict[str, int]:
    """Hand over a batch of each kind, kill servers meanwhile, and check the end.

    Args:
        home: The home folder.
        moderations: Lines of the one batch.
        pictures: Lines of the other one, of one picture each.
        moments: When each server dies, as long as something is left to do.
        most: Each at the first to ``most``-th of its moments.
        chance: Draws when.

    Returns:
        How many of each were made, how many servers died, and how many seconds it took.
    """
    begun, died = time.monotonic(), 0
    with Campaign(home=home, chance=chance) as campaign:
        with _client(campaign.serve()) as client:
            batches = [
                _hand_over(client, "/v1/moderations", "input", moderations),
                _hand_over(client, "/v1/images/generations", "prompt", pictures),
            ]
        campaign.stop()
        for moment in moments:
            with _client(campaign.serve(moment, after=chance.randint(1, most))) as client:
                if _all_over(client, batches):
                    campaign.stop()
                    break
                died += 1
        with _client(campaign.serve()) as client:
            assert _all_over(client, batches)
            records = [_records(client, batch) for batch in batches]
        campaign.stop()
    _check(home, moderations=records[0], pictures=records[1])
    assert (len(records[0]), len(records[1])) == (moderations, pictures)
    return {
        "moderations": moderations,
        "pictures": pictures,
        "kills": died,
        "seconds": round(time.monotonic() - begun),
    }


def _client(url: str) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{url}/v1",
        api_key="unused",
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False, timeout=_HANG_S),
    )


def _hand_over(client: openai.OpenAI, endpoint: Any, field: str, number: int) -> str:
    lines = "".join(
        json.dumps(
            {
                "custom_id": f"{one}",
                "method": "POST",
                "url": endpoint,
                "body": {field: f"a red apple, number {one}"},
            }
        )
        + "\n"
        for one in range(number)
    )
    file = client.files.create(file=("lines.jsonl", lines.encode()), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")
    return made.id


def _all_over(client: openai.OpenAI, batches: list[str]) -> bool:
    """Wait until all is done, or the server dies."""
    end = time.monotonic() + _HANG_S
    try:
        while any(client.batches.retrieve(one).status not in _OVER for one in batches):
            assert time.monotonic() < end, "nothing moves any more"
            time.sleep(_PAUSE_S)
    except (openai.APIConnectionError, httpx.TransportError):
        return False
    return True


def _records(client: openai.OpenAI, batch_id: str) -> list[str]:
    """Return the record of each line's answer."""
    batch = client.batches.retrieve(batch_id)
    assert batch.status == "completed"
    assert batch.error_file_id is None
    rows = [
        json.loads(line)
        for line in client.files.content(batch.output_file_id or "").text.splitlines()
    ]
    assert [row["custom_id"] for row in rows] == [str(number) for number in range(len(rows))]
    return [row["response"]["body"]["provenance"]["record_id"] for row in rows]


def _check(home: Path, *, moderations: list[str], pictures: list[str]) -> None:
    """Hold the log to what was answered: all of it, once, and nothing else."""
    from chopmark.audit import AuditLog, verify_log
    from chopmark.provenance import ManifestStore

    booked: dict[str, list[str]] = {}
    with AuditLog.open(home) as log:
        for index in range(log.size):
            one = log.get(index)
            booked.setdefault(one.kind, []).append(one.record_id)
    assert sorted(booked["moderation.completed"]) == sorted(moderations)
    assert sorted(booked["request.completed"]) == sorted(pictures)
    store = ManifestStore.open(home)
    assert store.count() == len(pictures)
    store.close()
    assert verify_log(home).ok
