"""Long texts: read whole or refused, in a time that grows with their length, whatever they are."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.errors import TextTooLong
from chopmark.kit.limits import SCORED, TEXT
from chopmark.safety import PromptGuard, load_policy, normalize
from chopmark.safety.text.encoder import FRAME, MAX_TOKENS, SentenceEncoder
from chopmark.safety.text.features import MOST_WINDOWS, hashed, windows
from chopmark.safety.text.language import language_of
from chopmark.safety.text.multilingual import Multilingual, multilingual_installed
from chopmark.safety.text.rules import apply_rules, sexual_terms
from chopmark.safety.text.text_request import asks_for_text
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
        plain = normalize(text).text
    except TextTooLong:
        return
    language_of(plain)
    apply_rules(plain)
    sexual_terms(plain)
    youth_cues(plain, english=False)
    for start, end in windows(plain):
        hashed(plain[start:end])


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


@settings(max_examples=200, deadline=None)
@given(
    words=st.lists(st.text("ab\u6f22\u0e01.", min_size=1, max_size=260), max_size=60),
    gap=st.sampled_from([" ", "\n"]),
)
def test_windows_cover_every_word(words: list[str], gap: str) -> None:
    text = gap.join(words)
    first, *others = windows(text)
    assert first == (0, len(text))
    seen = np.zeros(len(text) + 1, bool)
    for start, end in others or [first]:
        seen[start:end] = True
    assert all(seen[at] for at, char in enumerate(text) if not char.isspace())
    # No window has a word that the encoder would take for none.
    assert all(len(word) <= 100 for a, b in others for word in text[a:b].split())


@pytest.mark.parametrize("count", [1, 18, 19, 100, 294])
def test_a_text_of_up_to_some_hundred_words_has_short_windows(count: int) -> None:
    text = " ".join(str(at) for at in range(count))
    parts = [text[a:b].split() for a, b in windows(text)]
    assert len(parts) == (1 if count <= 18 else 2 + -(-(count - 12) // 6))
    assert all(len(part) == 12 for part in parts[1:])
    assert len(parts) <= MOST_WINDOWS


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


@pytest.mark.parametrize("count", [0, 1, 8, 9, 125, 126, 127, 244, 245, 1000, 4567])
def test_pieces_hold_every_token_in_order(encoder: SentenceEncoder, count: int) -> None:
    text = " ".join(str(at) for at in range(count))
    pieces = encoder.pieces(text)
    assert all(len(piece) <= MAX_TOKENS - FRAME for piece in pieces)
    whole = list(pieces[0])
    for piece in pieces[1:]:
        shared = next(n for n in range(len(piece), -1, -1) if whole[-n:] == list(piece[:n]))
        assert shared >= 8
        whole += piece[shared:]
    assert whole == encoder._tokenizer.encode(text, add_special_tokens=False).ids


class _Watched(SentenceEncoder):
    """Says which tokens a model would have read, and spares it the work."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[tuple[int, ...]] = []

    def vector(self, piece: tuple[int, ...]) -> Any:
        self.read.append(piece)
        return np.zeros(384, np.float32)


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        # Numbered words: none looks like another.
        (" ".join(f"item {at}" for at in range(2000)), [str(at) for at in (0, 299, 1500, 1999)]),
        (long_text("chinese", 3000) + "\u5e74", ["\u5e74"]),
        ("apple" * 900 + " zebra", ["apple", "zebra"]),
        (long_text("english", 31_000) + " zebra", ["zebra"]),
        ("a" * 3000 + " zebra " + "b" * 3000, ["zebra"]),
    ],
)
def test_a_guard_reads_a_text_to_its_end(text: str, marks: list[str]) -> None:
    watched = _Watched()
    guard = PromptGuard(encoder=watched, head=PromptGuard.load()._head)
    guard.judge(text, POLICY)
    read = {token for piece in watched.read for token in piece}
    for mark in marks:
        assert set(watched._tokenizer.encode(mark, add_special_tokens=False).ids) <= read
    assert len(watched.read) == len(set(watched.read))  # and nothing twice
    assert sum(len(piece) + FRAME for piece in watched.read) <= SCORED.most


@pytest.mark.parametrize(
    "text",
    [
        "a" * (TEXT.most + 1),
        "\ufdfa" * (TEXT.most // 18 + 1),  # eighteen letters each
        long_text("chinese", 30_000),  # a token each, or nearly
    ],
    ids=["characters", "letters that grow", "tokens"],
)
def test_what_is_too_long_is_refused_and_nothing_cut(text: str) -> None:
    guard = PromptGuard(encoder=_Watched(), head=PromptGuard.load()._head)
    with pytest.raises(TextTooLong) as refused:
        guard.judge(text, POLICY)
    error = refused.value
    assert (error.code, error.status, error.param) == ("text_too_long", 400, "prompt")
    assert error.hint
    assert guard._encoder.read == []  # type: ignore[attr-defined]


def test_the_longest_english_prompt_is_judged() -> None:
    guard = PromptGuard(encoder=_Watched(), head=PromptGuard.load()._head)
    assert guard.judge(long_text("english", 32_000), POLICY).scores


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


class _WatchedOthers:
    """An encoder of other languages that says what it would have read."""

    model = "others@0"

    def __init__(self) -> None:
        self.read: list[str] = []

    def tokens(self, text: str) -> int:
        return len(text)

    def embed(self, text: str) -> Any:
        self.read.append(text)
        return np.zeros(384, np.float32)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Multilingual:
    monkeypatch.setattr("chopmark.safety.text.multilingual.E5Encoder", _WatchedOthers)
    return Multilingual()


@pytest.mark.parametrize("kind", ["russian", "chinese", "thai", "hindi", "arabic"])
def test_a_text_of_another_language_is_read_to_its_end(kind: str, others: Multilingual) -> None:
    text = normalize(long_text(kind, 1500)).text
    others.scores(text)
    read: list[str] = others._encoder.read  # type: ignore[attr-defined]
    seen = np.zeros(len(text), bool)
    for part in read:
        at = text.index(part)
        seen[at : at + len(part)] = True
    assert all(seen[at] for at, char in enumerate(text) if not char.isspace())
    assert sum(map(len, read)) < 1.5 * len(text)


def test_a_text_of_another_language_can_be_too_long_too(others: Multilingual) -> None:
    with pytest.raises(TextTooLong):
        others.scores(normalize(long_text("russian", 9000)).text)
    assert others._encoder.read == []  # type: ignore[attr-defined]


def test_threads_get_the_scores_that_one_gets() -> None:
    from concurrent.futures import ThreadPoolExecutor

    guard = PromptGuard.load(other_languages=Multilingual() if multilingual_installed() else None)
    alone = {text: guard.judge(text, POLICY).scores for text in _TEXTS}
    with ThreadPoolExecutor(4) as pool:
        for text, verdict in zip(
            _TEXTS * 6, pool.map(lambda t: guard.judge(t, POLICY), _TEXTS * 6), strict=True
        ):
            assert verdict.scores == alone[text]
