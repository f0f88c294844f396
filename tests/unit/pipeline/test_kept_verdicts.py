"""What is kept of a request until it is answered holds whatever a verdict can say."""

from __future__ import annotations

from chopmark.pipeline import endings, moderation
from chopmark.safety import Verdict
from chopmark.safety.verdict import People
from chopmark.workers.values import decode

SEEN = Verdict(
    action="allow",
    scores={"sexual": 0.01},
    people=People(faces=1, largest=0.4, boxes=((1, 2, 3, 4),)),
)


def test_an_ending_with_people_in_its_picture() -> None:
    ending = endings.Ending(record_id="0" * 16, prompt_verdict=SEEN)
    kept = decode(ending.to_bytes(), endings._values())
    assert kept.prompt_verdict.people == SEEN.people


def test_a_judged_picture_with_people() -> None:
    judged = moderation.Moderated(record_id="0" * 16, verdicts=(SEEN,))
    kept = decode(judged.to_bytes(), moderation._values())
    assert kept.verdicts[0].people == SEEN.people
