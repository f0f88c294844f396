"""What a small model was taught: which words of a prompt it never met, and what it leaves open.

A model that learned four hundred things answers any prompt with a picture, be it of a blot. It
cannot know that, but its vocabulary can be read: ``words.json`` in its folder lists every name and
every word of the sentences that it was trained on. A folder without one claims nothing, and nothing
is said of its prompts.

>>> taught = Taught(words=frozenset({"fried egg", "cat", "red"}), language="en")
>>> taught.unknown("A red cat catches the frisbee, without a fried egg")
('catches', 'frisbee')
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chopmark.errors import ModelLoadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FILE_NAME", "Taught", "Variation", "read_taught"]

FILE_NAME: Final = "words.json"
#: More words than these help nobody, and a prompt may have thousands.
_MOST_NAMED: Final = 24
_MOST_READ: Final = 4096
_WORD: Final = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_CURLY: Final = "\N{RIGHT SINGLE QUOTATION MARK}"
#: Words that name nothing to draw, negations among them: no model of this size heeds them, and
#: naming them would hide the nouns.
_LITTLE: Final = frozenset(
    """a an the this that these those some any each every all no not without never nothing none and
    or but nor so as at by for from in inside into of off on onto out over than to under up with
    within near behind above below between through about around across along against before after
    during while where when which who whom whose what how why if then there here it its it's i i'm
    me my we us our you your he him his she her they them their be is am are was were been being
    has have had having do does did doing can could will would shall should may might must don't
    doesn't isn't aren't very really quite just only also too more most much many few both either
    such same please want like make made give show see draw create generate let let's s t one's
    thing things""".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """One way to draw what a prompt leaves open.

    Attributes:
        says: what is added to the prompt; empty for the prompt as it is.
        opens: which of ``style`` and ``ground`` the prompt must not have named.
    """

    says: str
    opens: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """What a model learned.

    Attributes:
        words: lower case; of several words where a name has several.
        language: BCP 47, of its prompts.
        things: how many things it can draw.
        examples: prompts that work.
        named: words by which a prompt names its ``style`` or its ``ground``.
        variations: by the seed one of them is drawn: where a sentence means one picture, seeds
            alone would give the same picture again.
    """

    words: frozenset[str] = field(repr=False)
    language: str
    things: int = 0
    examples: tuple[str, ...] = ()
    named: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)
    variations: tuple[Variation, ...] = ()

    def unknown(self, prompt: str) -> tuple[str, ...]:
        """Return the words of ``prompt`` that were never learned, in their order, at most 24.

        Articles, prepositions, pronouns, negations and the like are not named.
        """
        found = dict.fromkeys(word for word, known in self._read(prompt) if not known)
        return tuple(found)[:_MOST_NAMED]

    def speaks(self, prompt: str, language: str) -> bool:
        """Tell whether a prompt is in the model's language.

        Args:
            prompt: as it was typed.
            language: what a reader of languages made of it (BCP 47); ``und`` where it could not
                say. It is believed only where the words agree: short prompts are often misread.
        """
        if language in {"und", self.language} or language.startswith(f"{self.language}-"):
            return True
        read = [known for _, known in self._read(prompt)]
        return bool(read) and sum(read) * 2 > len(read)

    def varied(self, prompt: str, seed: int) -> str:
        """Return ``prompt`` with one of the variations that it leaves open, chosen by ``seed``."""
        choices = self.choices(prompt)
        return prompt + choices[seed % len(choices)]

    def choices(self, prompt: str) -> tuple[str, ...]:
        """Return what may be added to ``prompt``; at least one, which may be nothing."""
        words = {word for word, _ in self._read(prompt)}
        shut = {kind for kind, names in self.named.items() if words & names}
        found = tuple(one.says for one in self.variations if not one.opens & shut)
        return found or ("",)

    def _read(self, prompt: str) -> Iterator[tuple[str, bool]]:
        """Yield each word, or name of several, and whether it was learned; little words not."""
        text = unicodedata.normalize("NFKC", prompt[:_MOST_READ]).lower()
        text = text.replace(_CURLY, "'")
        words = _WORD.findall(text)
        longest = max((name.count(" ") for name in self.words), default=0) + 1
        at = 0
        while at < len(words):
            for length in range(min(longest, len(words) - at), 0, -1):
                name = " ".join(words[at : at + length])
                if name in self.words:
                    yield name, True
                    at += length
                    break
            else:
                word = words[at]
                at += 1
                # "red-haired" is two words of which one may be known; "t-shirt" was one above.
                for part in word.split("-"):
                    plain = part.removesuffix("'s")
                    if plain and plain not in _LITTLE:
                        yield plain, plain in self.words


def read_taught(folder: Path) -> Taught | None:
    """Return what ``words.json`` in a model's folder says; ``None`` where there is none.

    Raises:
        ModelLoadError: the file is there and is not of that form.
    """
    file = folder / FILE_NAME
    if not file.is_file():
        return None
    try:
        facts = json.loads(file.read_text("utf-8"))
        return Taught(
            words=frozenset(map(str, facts["words"])),
            language=str(facts["language"]),
            things=int(facts.get("things", 0)),
            examples=tuple(map(str, facts.get("examples", ()))),
            named={
                str(kind): frozenset(map(str, names))
                for kind, names in facts.get("named", {}).items()
            },
            variations=tuple(
                Variation(says=str(one["says"]), opens=frozenset(map(str, one["opens"])))
                for one in facts.get("variations", ())
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelLoadError(f"{file} is no list of words: {error}") from error
