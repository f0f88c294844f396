"""Score the parts of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from chopmark.errors import GuardFailed, TextTooLong
from chopmark.kit.limits import SCORED
from chopmark.safety.categories import MODEL_CATEGORIES
from chopmark.safety.text.head import group_of, looks, score_of
from chopmark.safety.text.windows import parts, plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from chopmark.safety.text.encoder import SentenceEncoder
    from chopmark.safety.text.head import PromptHead

__all__ = ["Kind", "Scored", "Scorer"]

#: What is taken from the log odds of a part of a longer text. Per natural logarithm of the number of parts,
#: since each is one more chance to be wrong, in English and in other languages; from what is no whole sentence, since half sentences read
#: oddly; and so much of what the screen says, within these bounds, is added. Chosen with held-out rows of
#: the training amid prose and captions (`python -m training.safety.buried`).
PART_BAR: Final[dict[bool, float]] = {True: 0.7, False: 0.8}
CUT_BAR: Final[float] = 1.5
SCREEN_SHARE: Final[float] = 0.25
SCREEN_BOUNDS: Final[tuple[float, float]] = (-4.0, 1.0)


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
        scores: Each model category's largest score over the parts.
        spans: Where in the text that part stands.
        doubtful: Parts that the encoder did not read and the screen found doubtful.
        vectors: What the encoder made of each part that it read, by its tokens.
    """

    scores: dict[str, float]
    spans: dict[str, tuple[int, int]]
    doubtful: int = 0
    vectors: Mapping[tuple[int, ...], NDArray[np.float32]] = {}


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

    def score(
        self,
        text: str,
        kind: Kind,
        *,
        gone: Sequence[tuple[int, int]] = (),
        known: Mapping[tuple[int, ...], NDArray[np.float32]] = {},
    ) -> Scored:
        """Score a text of at least one letter or digit.

        Args:
            text: What is scored.
            kind: Which calibration holds.
            gone: Spans of words that are left out of the parts that hold them; the parts themselves are
                those of the whole text, so that what does not hold any need not be read again.
            known: What an earlier call made of its parts.

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
        # What stands in a text several times is looked at once, and counts once.
        cut = parts(text, read.spans)
        chosen = every = list({read.ids[one.start : one.end]: one for one in cut[::-1]}.values())[
            ::-1
        ]
        doubtful, bars = 0, np.zeros(1)
        if len(every) > 1:
            screened = self._head.screened(looks(self._encoder.words(read.ids), every))
            planned = plan(screened, bar=0.0)
            chosen, doubtful = [every[at] for at in planned.read], planned.doubtful
            bars = PART_BAR[kind.english] * np.log(len(every))
            bars = bars + CUT_BAR * np.array([one.cut for one in chosen])
            bars -= SCREEN_SHARE * np.clip(screened[list(planned.read)], *SCREEN_BOUNDS)
        kept = _kept(read.spans, gone)
        ids = [
            tuple(one for one, stays in zip(read.ids[a:b], kept[a:b], strict=True) if stays)
            for a, b, _ in chosen
        ]
        left = [at for at, window in enumerate(ids) if window or not gone]
        if not left:
            return Scored(scores=dict.fromkeys(MODEL_CATEGORIES, 0.0), spans={})
        chosen, ids = [chosen[at] for at in left], [ids[at] for at in left]
        bars = bars[left]
        vectors = {
            window: known[window]
            if window in known
            else self._encoder.vector(window, edit=kind.edit)
            for window in dict.fromkeys(ids)
        }
        logits = self._head.logits(np.stack([vectors[window] for window in ids]))
        odds = (
            self._head.odds(
                logits, group_of(english=kind.english, tokens=int(kept.sum()), edit=kind.edit)
            )
            - bars[:, None]
        )
        best = odds.argmax(axis=0)
        table = score_of(odds)
        return Scored(
            scores={
                name: round(float(table[best[at], at]), 6)
                for at, name in enumerate(MODEL_CATEGORIES)
            },
            spans={
                name: (
                    read.spans[chosen[best[at]].start][0],
                    read.spans[chosen[best[at]].end - 1][1],
                )
                for at, name in enumerate(MODEL_CATEGORIES)
                if read.ids
            },
            doubtful=doubtful,
            vectors=vectors,
        )


def _kept(spans: Sequence[tuple[int, int]], gone: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Return of each token whether no character of it is gone."""
    kept = np.ones(len(spans), bool)
    if gone:
        starts, ends = np.array(spans, np.int64).reshape(-1, 2).T
        for start, end in gone:
            kept[int(np.searchsorted(ends, start, "right")) : int(np.searchsorted(starts, end))] = (
                False
            )
    return kept
