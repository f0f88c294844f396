"""No letter leads to a picture without having been judged; what is too long is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chopmark import Pipeline
from chopmark.kit import limits
from chopmark.safety import Verdict
from tests.support.generator import StandIn
from tests.support.server import Live, serve

END = "THE END"
MOST = limits.TEXT.most


class Guard:
    """Lets everything pass and notes what it was shown: whether all of it is, is what is asked."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def judge(self, text: str, *_: Any, **__: Any) -> Verdict:
        self.seen.append(text)
        return Verdict(action="allow", scores={})

    def judge_many(self, texts: Any, *_: Any, **__: Any) -> list[Verdict]:
        return [self.judge(text) for text in texts]


@pytest.fixture
def watched(open_pipeline: Callable[..., Pipeline]) -> Iterator[tuple[Live, Guard]]:
    pipeline, guard = open_pipeline(generator=StandIn(), requests_per_minute=0), Guard()
    pipeline.parts.use(prompt_guard=guard)
    with serve(pipeline) as live:
        yield live, guard


def _long(length: int) -> str:
    return ("a harmless word " * (length // 16 + 1))[: length - len(END)] + END


LENGTHS = [
    (100, 100), (MOST // 2, MOST // 2 - 1), (MOST - 60, 40), (MOST - 60, 80), (32_000, 32_000),
]  # fmt: skip


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("face", ["generations", "edits", "stream"])
def test_what_makes_a_picture_was_judged_whole_or_is_refused(
    watched: tuple[Live, Guard], lengths: tuple[int, int], face: str, make_picture: Any,
    to_bytes: Any,
) -> None:  # fmt: skip
    live, guard = watched
    prompt, negative = (_long(min(length, 32_000)) for length in lengths)
    body: dict[str, Any] = {"prompt": prompt, "negative_prompt": negative}
    live.generator.jobs.clear()
    with live.client() as client:
        if face == "edits":
            files = {"image": ("a.png", to_bytes(make_picture(64, 64)))}
            answer = client.post("/v1/images/edits", data=body, files=files)
        else:
            body["stream"] = face == "stream"
            answer = client.post("/v1/images/generations", json=body)
    if len(prompt) + 1 + len(negative) > MOST:
        assert (answer.status_code, live.generator.jobs) == (400, [])
        assert answer.json()["error"]["code"] == "text_too_long"
        return
    assert answer.status_code == 200, answer.text[:300]
    (job,) = live.generator.jobs
    assert f"{job.prompt}\n{job.negative_prompt}" == guard.seen[0] == f"{prompt}\n{negative}"


def test_googles_parts_are_judged_whole(watched: tuple[Live, Guard]) -> None:
    live, guard = watched
    parts = [{"text": _long(9_000)} for _ in range(3)]
    with live.client() as client:
        url = "/v1/models/drawing:generateContent"
        answer = client.post(url, json={"contents": [{"parts": parts}]})
    assert answer.status_code == 200, answer.text[:300]
    (job,) = live.generator.jobs
    assert job.prompt == guard.seen[0]
    assert guard.seen[0].count(END) == 3
