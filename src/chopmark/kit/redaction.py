"""Text without what it may quote: keys always, and what the request at hand has concealed.

The text of an exception is written by whoever raised it, and may quote what it was given.

>>> with concealing():
...     conceal("a portrait of Jane Doe")
...     redact("no tokens for 'a portrait of Jane Doe' (key cm_0123456789ab_abcdefghij)")
"no tokens for '[redacted]' (key [redacted])"

It errs on the side of hiding: a single longer word of a prompt is hidden too, wherever it stands.
Types and places of exceptions are for :func:`chain_of`, and hold no text of anybody's.
"""

from __future__ import annotations

import base64
import json
import re
import traceback
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.kit.types import JsonValue

__all__ = ["chain_of", "conceal", "conceal_for_good", "concealing", "redact"]

_HIDDEN: Final = "[redacted]"
_FRAMES: Final = 6
_MOST_LINKS: Final = 10
# A message of megabytes must cost no seconds. What is shown is cut after it was searched, so that
# no half of a secret stands at its end.
_MOST_SEARCHED: Final = 100_000
_MOST_SHOWN: Final = 10_000
# Shorter words are in every sentence, and tell nothing alone.
_LEAST_WORD: Final = 4
_LEAST_TEXT: Final = 3
# Scripts without spaces have no words: there, so many characters in a row are a quotation.
_LEAST_RUN: Final = 3
_WORD: Final = re.compile(r"\w+")

# What is a secret by its form, whoever sent it.
_FORMS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        # PEM (RFC 7468): a certificate is public, but a message that is cut may say neither.
        r"(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)",
        # A picture in a URL (RFC 2397).
        r"(?i)data:[a-z0-9.+-]+/[a-z0-9.+-]+[;,][^\s\"'<>)]*",
        # User and password in an address, as of a database.
        r"(?<=://)[^\s/@]+(?=@)",
        # Our own keys, other services' keys, JSON Web Tokens (RFC 7519).
        r"cm_[0-9A-Za-z_-]{8,}",
        r"\b(?:sk|pk|rk)-[0-9A-Za-z_-]{8,}",
        r"\b(?:AIza|hf_|gh[pousr]_|xox[abp]-)[0-9A-Za-z_-]{8,}",
        r"\beyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]*)?",
        # The value of a header or a field that carries a secret.
        r"(?i)(?<=bearer )[^\s\"',;]+",
        r"(?i)(?<=basic )[0-9a-z+/=_-]{8,}",
        (
            r"(?i)(?:\b(?:api[-_ ]?key|x-goog-api-key|passw(?:or)?d|passphrase|secret|cookie|csrf"
            r"|authorization|token)[\"']?\s*[:=]\s*[\"']?)"
            r"(?!\[redacted\]|bearer |basic )[^\s\"',;}]+"
        ),
        # Long runs of hexadecimal or base64 with digits and both cases: keys, and pictures.
        r"\b[0-9a-fA-F]{40,}\b",
        (
            r"(?<![0-9A-Za-z+/_=-])(?=[0-9A-Za-z+/_=-]*[0-9])(?=[0-9A-Za-z+/_=-]*[a-z])"
            r"(?=[0-9A-Za-z+/_=-]*[A-Z])[0-9A-Za-z+/_=-]{32,}"
        ),
    )
)


@dataclass(slots=True, eq=False)
class _Scope:
    """What one request conceals; shared by all tasks and threads that work for it."""

    texts: list[str] = field(default_factory=list)


_SCOPE: ContextVar[_Scope | None] = ContextVar("chopmark.concealed", default=None)
_OPEN: Final[set[_Scope]] = set()
_FOR_GOOD: Final[set[str]] = set()


@contextmanager
def concealing() -> Iterator[None]:
    """Open a scope for :func:`conceal`, which tasks and threads begun inside share."""
    scope = _Scope()
    token = _SCOPE.set(scope)
    _OPEN.add(scope)
    try:
        yield
    finally:
        _OPEN.discard(scope)
        _SCOPE.reset(token)


def conceal(*texts: str | None) -> None:
    """Hide these texts, and what quotes them, from :func:`redact` until the scope ends.

    Where there is no scope nothing is concealed: a person at the command line wrote the prompt.
    """
    scope = _SCOPE.get()
    if scope is not None:
        scope.texts += [text for text in texts if text and text.strip()]


def conceal_for_good(*texts: str) -> None:
    """Hide these texts for as long as the process runs: secrets of the deployment's settings."""
    _FOR_GOOD.update(text for text in texts if len(text) >= _LEAST_TEXT)


def redact(text: str) -> str:
    """Return a text without secrets, and without what quotes the prompts of this request."""
    length, text = len(text), text[:_MOST_SEARCHED]
    for secret in sorted(_FOR_GOOD, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    mine, others = _SCOPE.get(), [scope.texts for scope in _OPEN.copy()]
    # A thread that works for many requests at once (a batch of the model) is in no scope, and what
    # fails there may quote any of them; what fails for one may quote another of the batch.
    own = mine.texts if mine is not None else [one for texts in others for one in texts]
    variants = {form for one in own for form in _variants(one)}
    every = variants | {form for texts in others for one in texts for form in _variants(one)}
    folded = text.casefold()
    for form in sorted(every, key=len, reverse=True):
        if len(form) >= _LEAST_TEXT and form.casefold() in folded:
            # A prompt of one short word must not blank the middle of other words.
            text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", _HIDDEN, text, flags=re.IGNORECASE)
    for pattern in _FORMS:
        text = pattern.sub(_HIDDEN, text)
    if variants:
        text = _without_words(text, variants)
    return text if length <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ... (of {length} characters)"


def _variants(text: str) -> Iterator[str]:
    """Yield a text in the forms in which a message may quote it."""
    text = text.strip()
    yield text
    yield from (line.strip() for line in text.splitlines())
    yield repr(text)[1:-1]
    yield ascii(text)[1:-1]
    data = text.encode("utf-8", "surrogatepass")
    yield repr(data)[2:-1]
    yield json.dumps(text)[1:-1]
    yield quote(data)
    yield quote_plus(data)
    yield base64.b64encode(data).decode().rstrip("=")


def _without_words(text: str, variants: set[str]) -> str:
    """Hide each longer word that is also a word of what is concealed."""
    known = {word for form in variants for word in _WORD.findall(form.casefold())}
    whole = " ".join(variants).casefold()

    def hidden(match: re.Match[str]) -> str:
        word = match[0].casefold()
        if word == "redacted":
            return match[0]
        if len(word) >= _LEAST_WORD and word in known:
            return _HIDDEN
        runs = (word[i : i + _LEAST_RUN] for i in range(len(word) - _LEAST_RUN + 1))
        return _HIDDEN if not word.isascii() and any(run in whole for run in runs) else match[0]

    return _WORD.sub(hidden, text)


def chain_of(error: BaseException, *, frames: int = _FRAMES) -> list[dict[str, JsonValue]]:
    """Return an exception and its causes, the outermost first: type, message, innermost frames.

    Messages are redacted. A frame is its file's name, line and function, never a value: neither
    source text nor locals are looked at.
    """
    links: list[dict[str, JsonValue]] = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting and len(links) < _MOST_LINKS:
        link = waiting.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        links.append(
            {
                "type": f"{type(link).__module__}.{type(link).__qualname__}",
                "message": redact(_message_of(link)),
                "frames": [
                    f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
                    for frame in traceback.extract_tb(link.__traceback__)[-frames:]
                ],
            }
        )
        inner: Sequence[BaseException] = (
            link.exceptions if isinstance(link, BaseExceptionGroup) else ()
        )
        # `raise ... from None` says that the context explains nothing; Python hides it as well.
        cause = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
        waiting += [cause, *inner]
    return links


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001  a foreign __str__ must not break the log
        return f"(its message cannot be shown: {type(failure).__name__})"
