"""Past prompts by meaning: finds variations of a prompt, and the records of one asked before.

Opt in, one namespace a tenant, off by default. No prompt is stored, only its embedding, digests of
it, and the record that it led to; but an embedding gives away much of its text (Morris et al. 2023,
arXiv:2310.06816), so it is personal data like the prompt: it can be erased by record, by person or
by tenant, and what is erased is overwritten on the disk.

What it finds is a proposal. An embedding is the mean over the words: it does not tell "left" from
"right" (cosine 0.998), nor who of two does what, and knows no word beyond its vocabulary. Whoever
answers from the past must compare the words (:func:`same_wish`) and look into the record.

>>> from chopmark.generation.semantic import PromptIndex
>>> index = PromptIndex.open(Path("/tmp/chopmark-example"))  # doctest: +SKIP
>>> index.add("a red apple", record_id="a3f09c1122334450")  # doctest: +SKIP
>>> index.similar("an apple that is red", count=1)[0].record_id  # doctest: +SKIP
'a3f09c1122334450'
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from chopmark.errors import InvalidRequest
from chopmark.kit.sqlite import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from chopmark.kit.sqlite import SqliteDatabase

#: Numbers of an embedding.
WIDTH: Final = 384
#: Cosine from which another wording is looked at as perhaps the same wish; docs/benchmarks.md.
SAME: Final = 0.85
#: Where the index lies under the home folder.
FILE: Final = "prompts/index.sqlite"
_LENGTH: Final = 128
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS prompts (
    record_id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    subject BLOB,
    at REAL NOT NULL,
    vector BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_tenant ON prompts (tenant);
CREATE INDEX IF NOT EXISTS by_subject ON prompts (subject) WHERE subject IS NOT NULL;
"""
# Columns that an earlier version's file has not: what an answer depends on beside the prompt.
_ADDED: Final = {"wish": "BLOB", "terms": "BLOB", "seed": "INTEGER"}
_BY_WISH: Final = (
    "CREATE INDEX IF NOT EXISTS by_wish ON prompts (tenant, terms, wish) WHERE terms IS NOT NULL"
)
# They change nothing that a picture shows.
_IDLE: Final = frozenset({"a", "an", "please", "the"})
_WORD: Final = re.compile(r"\w+(?:['\u2019.,]\w+)*|[^\w\s,.;!]")
_QUOTED: Final = re.compile('["“”„«»]')


@dataclass(frozen=True, kw_only=True)
class SimilarPrompt:
    """A past prompt that is close.

    Attributes:
        record_id: what it led to.
        similarity: cosine of the embeddings, -1 to 1.
        at: Unix time at which it was kept.
    """

    record_id: str
    similarity: float
    at: float


class _Row(NamedTuple):
    """A past prompt as it is stored, in the order of a query."""

    record_id: str
    at: float
    vector: bytes


class PromptIndex:
    """Embeddings of past prompts in one SQLite file; safe to use from several threads."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._lock = threading.Lock()  # of the model, which runs for one thread at a time
        self._model: Any = None

    @classmethod
    def open(cls, home: Path) -> PromptIndex:
        """Open or make ``home/prompts/index.sqlite``, mode 0600.

        Raises:
            ConfigurationError: It cannot be opened.
        """
        database = open_store(
            home / FILE,
            _SCHEMA,
            hint="delete it, nothing else depends on it; or set CHOPMARK_PROMPT_INDEX=false",
        )
        with database.write() as transaction:
            there = {row[1] for row in transaction.execute("PRAGMA table_info(prompts)")}
            for name, kind in _ADDED.items():
                if name not in there:
                    transaction.execute(f"ALTER TABLE prompts ADD COLUMN {name} {kind}")
            transaction.execute(_BY_WISH)
        return cls(database)

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()

    def add(
        self,
        prompt: str,
        *,
        record_id: str,
        tenant: str = "default",
        subject: str | None = None,
        terms: bytes | None = None,
        seed: int | None = None,
    ) -> None:
        """Keep the embedding of ``prompt``; the same record again replaces it.

        Args:
            prompt: What was asked for.
            record_id: What it led to.
            tenant: Whose it is.
            subject: The person, by whom it can be erased.
            terms: Digest of what else the pictures depend on; ``None`` is never an answer.
            seed: The seed of the first picture.
        """
        vector = self._embed([prompt])[0].astype("<f2").tobytes()
        row = (
            record_id, tenant, _person(subject), time.time(), vector, _wish(prompt), terms, seed
        )  # fmt: skip
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT OR REPLACE INTO prompts"
                " (record_id, tenant, subject, at, vector, wish, terms, seed)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    def similar(
        self, prompt: str, *, tenant: str = "default", count: int = 10, least: float = 0.6
    ) -> list[SimilarPrompt]:
        """Return the closest past prompts of one tenant, the closest first.

        Args:
            prompt: what to look for.
            tenant: whose prompts; those of others are not looked at.
            count: at most so many, 1 to 1000.
            least: cosine under which a prompt is not close, -1 to 1.

        Raises:
            InvalidRequest: ``count`` is out of its range.
        """
        if not 1 <= count <= 1000:
            raise InvalidRequest(f"count is {count}, not in 1..1000")
        with self._database.read() as transaction:
            rows = transaction.execute(
                "SELECT record_id, at, vector FROM prompts WHERE tenant = ?", (tenant,)
            )
        past = [_Row(*row) for row in rows]
        return self._closest(prompt, past, count=count, least=least)

    def _closest(
        self, prompt: str, past: list[_Row], *, count: int, least: float
    ) -> list[SimilarPrompt]:
        if not past:
            return []
        wanted = self._embed([prompt])[0]
        vectors = np.frombuffer(b"".join(row.vector for row in past), "<f2").reshape(-1, WIDTH)
        scores = vectors.astype(np.float32) @ wanted
        best = np.argsort(-scores, kind="stable")[:count]
        return [
            SimilarPrompt(record_id=past[i].record_id, similarity=float(scores[i]), at=past[i].at)
            for i in best
            if scores[i] >= least
        ]

    def asked_before(
        self,
        prompt: str,
        *,
        terms: bytes,
        tenant: str = "default",
        seed: int | None = None,
        reworded: bool = False,
        count: int = 3,
    ) -> list[SimilarPrompt]:
        """Return the records that may hold the answer to a prompt, the best first.

        The records decide: whether their prompt is the :func:`same_wish`, whether their pictures
        left, and may leave again.

        Args:
            prompt: What is asked for.
            terms: Digest of what else the pictures depend on; must be the same.
            tenant: Whose prompts.
            seed: Must be the same, unless ``None``.
            reworded: Look at other wordings too, from a cosine of :data:`SAME`. Not for a prompt
                that the model cannot read whole, or that asks for writing.
            count: At most so many of each kind.
        """
        where = "tenant = ? AND terms = ? AND seed = coalesce(?, seed)"
        among = (tenant, terms, seed)
        with self._database.read() as transaction:
            same = transaction.execute(
                f"SELECT record_id, at FROM prompts WHERE {where} AND wish = ?"  # noqa: S608 - fixed
                " ORDER BY at DESC LIMIT ?",
                (*among, _wish(prompt), count),
            )
        found = [SimilarPrompt(record_id=row[0], similarity=1.0, at=row[1]) for row in same]
        if found or not reworded or not self._reads(prompt):
            return found
        with self._database.read() as transaction:
            rows = transaction.execute(
                f"SELECT record_id, at, vector FROM prompts WHERE {where}",  # noqa: S608 - fixed
                among,
            )
        return self._closest(prompt, [_Row(*row) for row in rows], count=count, least=SAME)

    def erase(
        self,
        *,
        record_id: str | None = None,
        subject: str | None = None,
        tenant: str | None = None,
    ) -> int:
        """Forget what belongs to all that is named; return how many prompts went.

        Raises:
            InvalidRequest: Nothing is named: whoever wants all gone names every tenant.
            ConfigurationError: The file cannot be written, or another process reads it for so long
                that what is gone cannot be overwritten; call again.
        """
        named = {"record_id": record_id, "subject": _person(subject), "tenant": tenant}
        given = {column: value for column, value in named.items() if value is not None}
        if not given:
            raise InvalidRequest("say what to erase", hint="a record, a person or a tenant")
        where = " AND ".join(f"{column} = ?" for column in given)
        with self._database.write() as transaction:
            gone = transaction.execute(
                f"DELETE FROM prompts WHERE {where} RETURNING 1",  # noqa: S608 - columns of ours
                tuple(given.values()),
            )
        # Zeros stand in the file now, and the write-ahead log still holds what they replaced. Also
        # where nothing went: an earlier call may have come only so far.
        self._database.scrub()
        return len(gone)

    def records(self) -> list[str]:
        """Return the records of all prompts, of every tenant, the oldest first."""
        with self._database.read() as transaction:
            rows = transaction.execute("SELECT record_id FROM prompts ORDER BY at")
        return [str(row[0]) for row in rows]

    def __len__(self) -> int:
        with self._database.read() as transaction:
            return int(transaction.execute("SELECT count(*) FROM prompts")[0][0])

    def _reads(self, prompt: str) -> bool:
        """Tell whether the model reads the prompt to its end, every word of it, and no writing."""
        if _QUOTED.search(prompt):
            return False  # what shall be written keeps its case, and the model has none
        tokenizer, _ = self._opened()
        tokens = tokenizer(prompt)["input_ids"]
        return len(tokens) <= _LENGTH and tokenizer.unk_token_id not in tokens

    def _opened(self) -> tuple[Any, Any]:
        with self._lock:
            if self._model is None:
                self._model = _load()
            model: tuple[Any, Any] = self._model
            return model

    def _embed(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors (n, 384): the mean of MiniLM's last states over the words."""
        import torch

        tokenizer, encoder = self._opened()
        with self._lock, torch.inference_mode():
            tokens = tokenizer(
                list(prompts),
                padding=True,
                truncation=True,
                max_length=_LENGTH,
                return_tensors="pt",
            )
            states = encoder(**tokens).last_hidden_state
            mask = tokens["attention_mask"][:, :, None]
            mean = (states * mask).sum(dim=1) / mask.sum(dim=1)
            unit: NDArray[np.float32] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return unit


def same_wish(asked: str, before: str, *, reworded: bool = False) -> bool:
    """Tell whether two prompts ask for the same picture.

    White space and Unicode form may differ. With ``reworded`` also case, articles and punctuation
    may; the words that tell must be the same, in the same order: "a cup on the left, a jug on the
    right" is another wish with two words changed round, and no embedding sees that.

    >>> same_wish("a red  apple", "a red apple"), same_wish("A red apple", "a red apple")
    (True, False)
    >>> same_wish("Please, a red apple.", "the red apple", reworded=True)
    True
    >>> same_wish("red cup, blue jug", "blue cup, red jug", reworded=True)
    False
    """
    if _spelled(asked) == _spelled(before):
        return True
    return reworded and _telling(asked) == _telling(before)


def _spelled(prompt: str) -> str:
    return " ".join(unicodedata.normalize("NFC", prompt).split())


def _telling(prompt: str) -> list[str]:
    words = _WORD.findall(unicodedata.normalize("NFC", prompt).casefold())
    return [word for word in words if word not in _IDLE]


def _wish(prompt: str) -> bytes:
    return hashlib.sha256(_spelled(prompt).encode("utf-8", "surrogatepass")).digest()


def _load() -> tuple[Any, Any]:
    from transformers import AutoTokenizer, BertModel

    from chopmark.generation.embedded import text_encoder_folder
    from chopmark.generation.folders import quiet

    folder = text_encoder_folder()
    with quiet():
        return (
            AutoTokenizer.from_pretrained(folder),
            BertModel.from_pretrained(folder, add_pooling_layer=False).eval(),
        )


def _person(subject: str | None) -> bytes | None:
    # Enough to find a person's prompts when they are to go, and no list of persons.
    return None if subject is None else hashlib.sha256(subject.encode()).digest()
