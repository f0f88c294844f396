"""Long texts: read whole or refused, in a time that grows with their length, whatever they are."""

from __future__ import annotations

import itertools
import os
import re
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.errors import TextTooLong
from chopmark.kit.limits import TEXT
from chopmark.safety import PromptGuard, load_policy
from chopmark.safety.text.encoder import SentenceEncoder
from chopmark.safety.text.form import without_accents
from chopmark.safety.text.head import PromptHead
from chopmark.safety.text.reading import read_text
from chopmark.safety.text.rules import apply_rules, sexual_terms
from chopmark.safety.text.text_request import asks_for_text
from chopmark.safety.text.windows import SIZE, WHOLE, parts, plan, read_at_most, without_stop
from chopmark.safety.text.youth import youth_cues
from tests.support.long_texts import KINDS, long_text

ROOT = Path(__file__).resolve().parents[3]
POLICY = load_policy("default")
#: Characters of each kind, and processor seconds that one may take: several times what it takes on
#: a busy machine. What was quadratic took 2 to 14 seconds.
LENGTH, SECONDS = 12_000, 2


def look_at(text: str) -> None:
    """Do everything that a guard does with a text, but for the model."""
    asks_for_text(text)
    try:
        read = read_text(text)
    except TextTooLong:
        return
    apply_rules(read.plain.text)
    sexual_terms(read.plain.text)
    youth_cues(without_accents(read.form.text))


def look_at_every_kind() -> list[str]:
    """Return the kinds that the kernel ended: each has a process and seconds of the processor."""
    look_at("a warm-up: n*ked, t3xt, nnaakkeedd wwoommaann")
    slow = []
    for kind in KINDS:
        text = long_text(kind, LENGTH)
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            look_at(text)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            slow.append(f"{kind}: status {status}")
    return slow


def _in_a_process(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_no_kind_of_text_takes_more_than_its_length_deserves() -> None:
    said = _in_a_process(
        "from tests.unit.safety.test_long_texts import look_at_every_kind as f\n"
        "print(*f(), sep='\\n')"
    )
    assert said.strip() == ""


def _work(text: str) -> int:
    """Return how many functions were called while a text was looked at; the same on any machine."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        look_at(text)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_twice_as_long_is_twice_the_work(kind: str) -> None:
    look_at(long_text(kind, 2000))  # what is loaded or remembered once
    once, twice = (_work(long_text(kind, size)) for size in (1000, 2000))
    assert twice <= 2.5 * once + 2000


# Nothing is cut.


def _tokens(text: str) -> list[tuple[int, int]]:
    """Return a token a word, with the gap before it, as the tokenizer does."""
    return [found.span() for found in re.finditer(r"\s*\S+", text)]


@given(st.lists(st.sampled_from(["word", "word,", "word.", "word!\n", "ก ข"]), max_size=400))
def test_parts_cover_every_word_in_order_and_none_is_long(words: list[str]) -> None:
    text = " ".join(words)
    tokens = _tokens(text)
    cut = parts(text, tokens)
    assert (cut[0].start, cut[-1].end) == (0, len(tokens))
    assert all(0 < end - start <= WHOLE for start, end, _ in cut if tokens)
    assert all(a.start < b.start <= a.end < b.end for a, b in itertools.pairwise(cut))


@pytest.mark.parametrize(
    ("wish", "stop"), [("a b c d e f g h.", " "), ("a b c d e f g h。", ""), ("a. b. c. d.", " ")]
)
def test_a_sentence_amid_others_is_a_part_of_its_own(wish: str, stop: str) -> None:
    other = "a harmless sentence of some eight words here" + wish[-1]
    text = stop.join([other] * 9 + [wish] + [other] * 9)
    tokens = _tokens(text) if stop else [(at, at + 1) for at in range(len(text))]
    read = [text[tokens[a][0] : tokens[b - 1][1]].strip() for a, b, _ in parts(text, tokens)]
    assert (wish if stop else without_stop(wish)) in read


@pytest.mark.parametrize("stop", [".", "!", "...", "…", "。", "！", "।", "۔"])
def test_a_part_is_read_without_the_stop_at_its_end(stop: str) -> None:
    text = f"a wish of some seven words is {stop} " * 9
    tokens = _tokens(text.rstrip())
    cut = parts(text, tokens)
    assert len(cut) == 9
    assert {end - start for start, end, _ in cut} == {7}
    assert without_stop(f"a wish{stop} ") == "a wish"


def test_what_is_nothing_but_stops_stays() -> None:
    assert without_stop("...") == "..."
    assert parts("...", [(0, 1), (1, 2), (2, 3)]) == [(0, 3, False)]
    assert without_stop("") == ""
    assert without_stop("is it?") == "is it?"


def test_what_has_no_end_of_a_sentence_is_cut_in_windows_that_overlap() -> None:
    cut = parts("word " * 300, _tokens("word " * 300))
    assert all(end - start == SIZE for start, end, _ in cut[:-1])
    assert all(b.start <= a.end - 10 for a, b in itertools.pairwise(cut))
    assert all(one.cut for one in cut)


@given(
    said=st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=700),
)
def test_the_most_doubtful_parts_are_read_and_no_doubt_is_left_unsaid(said: list[float]) -> None:
    screened = np.array(said, np.float32)
    chosen = plan(screened, bar=0.0)
    left = np.delete(screened, chosen.read)
    assert len(chosen.read) == min(len(said), read_at_most(len(said))) <= 40
    assert not len(left) or left.max() <= screened[list(chosen.read)].min()
    assert chosen.doubtful == (left >= 0).sum()


class _Watched(SentenceEncoder):
    """Says which tokens a model would have looked at and read, and spares it the work."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()
        self.taken: list[tuple[int, ...]] = []

    def words(self, tokens: tuple[int, ...]) -> Any:
        self.seen |= set(tokens)
        return super().words(tokens)

    def vector(self, tokens: tuple[int, ...], *, edit: bool = False) -> Any:
        self.seen |= set(tokens)
        self.taken.append(tokens)
        return np.zeros(384, np.float32)


def _watching() -> tuple[PromptGuard, _Watched]:
    watched = _Watched()
    return PromptGuard(encoder=watched, head=PromptHead.load()), watched


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        # Numbered words: none looks like another.
        (" ".join(f"item {at}" for at in range(2000)), [str(at) for at in (0, 299, 1500, 1999)]),
        (long_text("chinese", 3000) + "\u5e74", ["\u5e74"]),
        ("apple" * 900 + " zebra", ["apple", "zebra"]),
        (long_text("english", 31_000) + " zebra", ["zebra"]),
        (long_text("thai", 31_000) + " zebra", ["zebra"]),
        ("a" * 3000 + " zebra " + "b" * 3000, ["zebra"]),
    ],
)
def test_a_guard_looks_at_a_text_to_its_end(text: str, marks: list[str]) -> None:
    guard, watched = _watching()
    guard.judge(text, POLICY)
    for mark in marks:
        assert set(watched.read(mark).ids) - set(watched.read("").ids) <= watched.seen
    # And nothing twice, but for a second look where a word of youth is in it.
    assert max(Counter(watched.taken).values()) <= 2
    assert len(watched.taken) <= 2 * 40


@pytest.mark.parametrize(
    "text",
    ["a" * (TEXT.most + 1), "\ufdfa" * (TEXT.most // 18 + 1)],  # eighteen letters each
    ids=["characters", "letters that grow"],
)
def test_what_is_too_long_is_refused_and_nothing_cut(text: str) -> None:
    guard, watched = _watching()
    with pytest.raises(TextTooLong) as refused:
        guard.judge(text, POLICY)
    error = refused.value
    assert (error.code, error.status, error.param) == ("text_too_long", 400, "prompt")
    assert error.hint
    assert watched.taken == []


@pytest.mark.parametrize("kind", ["english", "chinese", "thai", "hindi", "arabic", "russian"])
def test_the_longest_prompt_is_judged(kind: str) -> None:
    guard, _ = _watching()
    assert guard.judge(long_text(kind, 32_000), POLICY).scores


# Threads and forks.

_TEXTS = (
    "a red apple",
    "n u d e  w o m a n",
    "how to build a pipe bomb",
    "a dog in the park " * 20,
    "красное яблоко",
)

_FORKED = """
import os, signal, threading
from chopmark.safety import PromptGuard, load_policy
policy, guard = load_policy("default"), PromptGuard.load()
text = "a knight fights a dragon, oil painting"
before = dict(guard.judge(text, policy).scores)
stop = threading.Event()
def busy():
    while not stop.is_set():
        guard.judge("a red apple on a blue table", policy)
threads = [threading.Thread(target=busy) for _ in range(3)]
for thread in threads: thread.start()
failed = []
for _ in range(5):
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a lock that nobody is left to give back
        os._exit(0 if dict(guard.judge(text, policy).scores) == before else 1)
    failed.append(os.waitpid(child, 0)[1])
stop.set()
for thread in threads: thread.join()
print(failed)
"""


def test_a_guard_works_in_a_forked_process_while_others_judge() -> None:
    assert _in_a_process(_FORKED).strip() == "[0, 0, 0, 0, 0]"


_FORKED_LARGER = """
import os, signal
from chopmark.safety.text.cascade import Cascade
class Model:
    model, evaluates = "model@0", ("sexual",)
    def scores(self, text, wanted):
        return {"sexual": 0.25}
cascade = Cascade(Model(), timeout_s=30)
assert cascade.ask("a", ["sexual"]).scores == {"sexual": 0.25}
child = os.fork()
if child == 0:
    signal.alarm(60)
    os._exit(0 if cascade.ask("a", ["sexual"]).scores == {"sexual": 0.25} else 1)
print(os.waitpid(child, 0)[1])
"""


def test_a_forked_process_asks_a_larger_model_by_a_thread_of_its_own() -> None:
    assert _in_a_process(_FORKED_LARGER).strip() == "0"


def test_threads_get_the_scores_that_one_gets() -> None:
    from concurrent.futures import ThreadPoolExecutor

    guard = PromptGuard.load()
    alone = {text: guard.judge(text, POLICY).scores for text in _TEXTS}
    with ThreadPoolExecutor(4) as pool:
        for text, verdict in zip(
            _TEXTS * 6, pool.map(lambda t: guard.judge(t, POLICY), _TEXTS * 6), strict=True
        ):
            assert verdict.scores == alone[text]
