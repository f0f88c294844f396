"""Score the windows of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from chopmark.errors import GuardFailed, TextTooLong
from chopmark.kit.limits import SCORED
from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.head import group_of, score_of
from chopmark.safety.text.windows import plan, spans

if TYPE_CHECKING:
    from chopmark.safety.text.encoder import SentenceEncoder
    from chopmark.safety.text.head import PromptHead

__all__ = ["Kind", "Scored", "Scorer"]

#: Per natural logarithm of the number of windows that were read, in log odds: each is one more chance to
#: be wrong.
WINDOW_BAR: Final[float] = 0.6


class Kind(NamedTuple):
    """How a text is scored.

    Attributes:
        english: Whether it counts as English.
        edit: Whether it says what to change in a picture that is there.
    """

    english: bool
    edit: bool


class Scored(NamedTuple):
    """What the model says of a text.

    Attributes:
        scores: Each model category's largest score over the windows.
        spans: Where in the text that window stands.
        doubtful: Windows that the encoder did not read and the screen found doubtful.
    """

    scores: dict[str, float]
    spans: dict[str, tuple[int, int]]
    doubtful: int = 0


class Scorer:
    """Encoder and head. Safe for threads."""

    def __init__(self, *, encoder: SentenceEncoder, head: PromptHead) -> None:
        """Take the loaded models.

        Raises:
            GuardFailed: The head was made for another encoder.
        """
        if head.encoder != encoder.digest:
            raise GuardFailed(
                f"the prompt head is for the encoder {head.encoder[:16]}…, not {encoder.digest[:16]}…",
                hint="reinstall chopmark",
            )
        self._encoder, self._head = encoder, head

    def score(self, text: str, kind: Kind) -> Scored:
        """Score a text of at least one letter or digit.

        Raises:
            TextTooLong: It has more tokens than are scored of one text.
        """
        read = self._encoder.read(text)
        if len(read.ids) > SCORED.most:
            raise TextTooLong(
                f"the text has {len(read.ids)} tokens to score, more than {SCORED.most}",
                hint="send a shorter text, or several: nothing of it was cut off, and nothing was judged",
                param="prompt",
            )
        parts = spans(len(read.ids))
        doubtful = 0
        if len(parts) > 1:
            # Sums of the vectors up to each token: the mean of a window is a difference of two.
            sums = np.cumsum(self._encoder.words(read.ids), axis=0, dtype=np.float64)
            sums = np.concatenate([np.zeros((1, sums.shape[1])), sums])
            means = np.stack([(sums[end] - sums[start]) / (end - start) for start, end in parts])
            chosen = plan(self._head.screened(means.astype(np.float32)), bar=0.0)
            parts, doubtful = [parts[at] for at in chosen.read], chosen.doubtful
        # What stands in a text several times is read once.
        distinct = dict.fromkeys(read.ids[start:end] for start, end in parts)
        vectors = {ids: self._encoder.vector(ids, edit=kind.edit) for ids in distinct}
        logits = self._head.logits(np.stack([vectors[read.ids[a:b]] for a, b in parts]))
        odds = self._head.odds(
            logits, group_of(english=kind.english, tokens=len(read.ids), edit=kind.edit)
        ) - WINDOW_BAR * np.log(len(distinct))
        best = odds.argmax(axis=0)
        table = score_of(odds)
        return Scored(
            scores={
                name: round(float(table[best[at], at]), 6)
                for at, name in enumerate(MODEL_CATEGORIES)
            },
            spans={
                name: (read.spans[parts[best[at]][0]][0], read.spans[parts[best[at]][1] - 1][1])
                for at, name in enumerate(MODEL_CATEGORIES)
                if read.ids
            },
            doubtful=doubtful,
        )
