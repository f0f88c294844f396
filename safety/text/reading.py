"""Read a text once: undo its disguises, tell its language, choose the form that is scored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.safety.text.form import Form, form_of, written
from chopmark.safety.text.language import identify
from chopmark.safety.text.normalize import normalize
from chopmark.safety.text.words import known_share

if TYPE_CHECKING:
    from chopmark.safety.text.language import Language
    from chopmark.safety.text.normalize import Normalized

__all__ = ["Reading", "read_text"]

#: Share of letters in known English words from which a text without a certain language is English.
_ENGLISH: Final[float] = 0.9
_WORD: Final = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is known of a text before anything is scored.

    Attributes:
        plain: The text with its disguises undone, for word rules.
        form: What the encoder reads.
        language: Of the text as it was written.
        english: Whether it counts as English.
    """

    plain: Normalized
    form: Form
    language: Language
    english: bool

    @property
    def empty(self) -> bool:
        """Whether there is no letter and no digit in it: three dots, an emoji."""
        return not any(char.isalnum() for char in self.form.text)


def read_text(text: str, *, told: str | None = None) -> Reading:
    """Read a text.

    Args:
        text: Any.
        told: Its language, where the caller knows it (BCP 47).

    Raises:
        TextTooLong: It has more characters than are judged of one text.
    """
    plain = normalize(text)
    as_written = written(text)
    language = identify(as_written.text, told=told)
    form = form_of(as_written, plain, language.read_as)
    english = language.read_as == "en" or (
        language.read_as == "und" and known_share(_WORD.findall(plain.text.lower())) >= _ENGLISH
    )
    return Reading(plain=plain, form=form.without_tags(), language=language, english=english)
