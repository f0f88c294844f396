"""No line of a log quotes a prompt or a key, whatever an exception's author made of it."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from urllib.parse import quote_plus

import pytest

from chopmark.kit import redaction
from chopmark.kit.redaction import chain_of, conceal, concealing, redact
from chopmark.pipeline.steps import in_thread

PROMPT = "A portrait of Jane Doe, 12 Elm Street\nby night in a café, 红色的苹果 on the table"
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIKq\nx9\n-----END PRIVATE KEY-----"
KEY = "cm_0123456789ab_" + "aB3_-" * 8 + "xyz"
SECRETS = {
    "our key": KEY,
    "another service's key": "sk-proj-abcdefghijk",
    "bearer token": "Authorization: Bearer abc.def-123",
    "basic": "Authorization: Basic dXNlcjpwYXNzd29yZA==",
    "header": "{'x-goog-api-key': 'short1'}",
    "json": '{"password": "hunter2"}',
    "assignment": "passphrase=correct-horse",
    "token of OIDC": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln",
    "private key": PEM,
    "private key that is cut": PEM[:50],
    "address of a database": "postgresql://chopmark:hunter2@db/log",
    "picture": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==",
    "bytes": base64.b64encode(bytes(range(90, 140))).decode(),
    "hexadecimal": "9f" * 32,
}
PARTS = (
    KEY[-20:], "abcdefghijk", "abc.def-123", "dXNlcj", "short1", "hunter2", "correct-horse",
    "eyJ", "MC4CAQ", "x9", "iVBOR", "9f9f", SECRETS["bytes"][:16], "-----",
)  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_key_is_hidden_by_its_form(secret: str) -> None:
    told = redact(f"cannot send {secret}\nto the host")
    assert "[redacted]" in told
    assert told.startswith("cannot send ")
    assert "to the host" in told or "-----END" not in secret  # a cut one may run to the end
    assert not [part for part in PARTS if part in told]


@pytest.mark.parametrize(
    "ordinary",
    [
        "n is 16, not in 1..15",
        "[Errno 28] No space left on device: '/var/lib/chopmark/audit/log.sqlite'",
        "cannot open /usr/lib/python3.11/site-packages/chopmark/pipeline/steps.py",
        "record 0123456789abcde0 has ended",
        "the token has expired",
        "model hf:stabilityai/stable-diffusion-3.5-medium does not load",
    ],
)
def test_what_is_no_secret_can_be_read(ordinary: str) -> None:
    assert redact(ordinary) == ordinary
    with concealing():
        conceal("a red apple", None, "")
        assert redact(ordinary) == ordinary


@pytest.mark.parametrize(
    "quoted",
    [
        PROMPT,
        PROMPT.upper(),
        repr(PROMPT),
        ascii(PROMPT),
        repr(PROMPT.encode()),
        json.dumps(PROMPT),
        json.dumps({"prompt": PROMPT, "n": 1}),
        quote_plus(PROMPT),
        base64.b64encode(PROMPT.encode()).decode(),
        PROMPT.splitlines()[1],
        PROMPT[5:30],
        "unknown words: 'jane', 'STREET', '红色的'",
        f"{PROMPT[:20]}...",
    ],
)
def test_a_prompt_is_hidden_in_every_form_in_which_it_may_be_quoted(quoted: str) -> None:
    with concealing():
        conceal(PROMPT)
        told = redact(f"tokenizer: {quoted}!").casefold()
    assert told.startswith("tokenizer: ")
    for part in ("jane", "portrait", "street", "night", "caf", "苹", "7ea2", "xe7", "table"):
        assert part not in told, part


def test_a_short_prompt_does_not_blank_other_words() -> None:
    with concealing():
        conceal("art", "x")
        assert redact("the part art could not start: x") == (
            "the part [redacted] could not start: x"
        )


def test_a_scope_ends_and_no_scope_conceals_nothing() -> None:
    conceal("a red apple")
    assert redact("apple") == "apple"
    with concealing():
        conceal("a red apple")
        with concealing():  # another request's
            assert redact("apple") == "apple"
        assert redact("apple") == "[redacted]"
    assert redact("apple") == "apple"


def test_a_deployments_secret_is_hidden_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_FOR_GOOD", set())
    redaction.conceal_for_good("opensesame", "")
    assert redact("the peer got (opensesame)") == "the peer got ([redacted])"


async def test_what_a_request_conceals_is_known_in_its_tasks_and_threads() -> None:
    told: dict[str, str] = {}

    async def another() -> None:
        with concealing():
            conceal("a green pear")
            told["another"] = await in_thread(lambda: redact("apple, pear"))

    with concealing():
        begun = asyncio.create_task(in_thread(lambda: redact("apple, pear")))
        # After the task was made: the scope is one, whoever works for the request.
        conceal("a red apple")
        await asyncio.create_task(another())
        told["thread"], told["task"] = await in_thread(lambda: redact("apple, pear")), await begun
    assert told == {
        "another": "apple, [redacted]",
        "thread": "[redacted], pear",
        "task": "[redacted], pear",
    }


def test_a_very_long_message_is_cut_and_quick() -> None:
    with concealing():
        conceal(*(f"prompt number {i} of many words" * 40 for i in range(256)))
        told = redact(f"{'many ' * 10}{'0123456789 ' * 1_000_000}")
    assert told.startswith("[redacted] ")
    assert "11000050 characters" in told
    assert len(told) < 11_000


def _planted(secret: str) -> BaseException:
    def inner(local: str) -> None:
        raise KeyError(local)

    try:
        try:
            inner(secret)
        except KeyError as error:
            raise RuntimeError(f"no {secret}") from error
    except RuntimeError as error:
        return error
    raise AssertionError


def test_a_chain_has_types_messages_and_places_and_no_values() -> None:
    with concealing():
        conceal(PROMPT)
        links = chain_of(_planted(f"{PROMPT} {KEY}"))
    assert [link["type"] for link in links] == ["builtins.RuntimeError", "builtins.KeyError"]
    assert str(links[0]["message"]).startswith("no [redacted]")
    frames = links[1]["frames"]
    assert isinstance(frames, list)
    assert str(frames[-1]).startswith("test_redaction.py:")
    assert str(frames[-1]).endswith(" inner")
    text = json.dumps(links, ensure_ascii=False)
    assert not [part for part in ("Jane", "Elm", "苹", KEY, KEY[-20:]) if part in text]


def test_a_chain_ends_also_where_it_is_a_circle_or_says_nothing() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    first, second = RuntimeError("first"), Mute()
    first.__cause__, second.__context__ = second, first
    links = chain_of(first)
    assert [link["message"] for link in links] == [
        "first", "(its message cannot be shown: ValueError)",
    ]  # fmt: skip
    group = ExceptionGroup("two", [OSError("one"), OSError("other")])
    assert [link["message"] for link in chain_of(group)][1:] == ["one", "other"]


def test_a_context_that_was_taken_back_is_not_told() -> None:
    def fails() -> None:
        try:
            raise OSError("a detail")
        except OSError:
            raise RuntimeError("all there is") from None

    with pytest.raises(RuntimeError) as caught:
        fails()
    assert [link["message"] for link in chain_of(caught.value)] == ["all there is"]


def test_a_thread_that_works_for_many_requests_quotes_none_of_them() -> None:
    told: list[str] = []
    with concealing():
        conceal("a red apple")
        # Such as the one in which a batch of several requests is made.
        thread = threading.Thread(target=lambda: told.append(redact("no tokens for 'apple'")))
        thread.start()
        thread.join()
        with concealing():
            conceal("a green pear")
            told.append(redact("of the batch 'a green pear', 'a red apple'"))
    assert told == ["no tokens for '[redacted]'", "of the batch '[redacted]', '[redacted]'"]
