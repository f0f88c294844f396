"""``sexual/minors``: a rule on two signals, which must both be strong and rest on different words.

The first is a cue of youth, the second sexual content in the text without the words of those cues. Where
both are strong the text is blocked, without override. Where one is doubtful nobody is accused: the
text goes to a person who is allowed to see it, as a doubt about ``sexual``. There is no data of this
kind here and never will be; the rule is tested with stubs of scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from chopmark.safety.text.rules import sexual_terms
from chopmark.safety.text.youth import youth_cues

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Finding", "find"]

Span = tuple[int, int]
#: From which ``sexual`` score on the model is sure, and from which it doubts; those of the default policy.
_STRONG: Final[float] = 0.5
_DOUBT: Final[float] = 0.3


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the rule says.

    Attributes:
        state: ``none``, ``doubt`` or ``both`` signals strong.
        youth: The cues of youth, as spans of the text.
    """

    state: Literal["none", "doubt", "both"]
    youth: tuple[Span, ...] = ()


def find(
    text: str, *, language: str, sexual: float, without: Callable[[Sequence[Span]], float]
) -> Finding:
    """Apply the rule to a text.

    Args:
        text: As it is read, without accents.
        language: Which the guard reads it as; ``und`` where that is not certain.
        sexual: The text's own ``sexual`` score.
        without: Gives the ``sexual`` score of the text without the words at these spans, which are those of
            its cues of youth.
    """
    cues = youth_cues(text, language=language)
    if not cues:
        return Finding(state="none")
    spans = tuple(cue.span for cue in cues)
    terms = [
        (a, b)
        for a, b in sexual_terms(text)
        if not any(a < end and start < b for start, end in spans)
    ]
    other = without(spans)
    clear = any(cue.clear for cue in cues)
    if clear and other >= _STRONG:
        return Finding(state="both", youth=spans)
    doubt = other >= _DOUBT or sexual >= _STRONG or bool(terms)
    return Finding(state="doubt" if doubt else "none", youth=spans)
