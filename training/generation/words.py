"""``words.json``: every name and every word of the sentences that the embedded model learns."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any, Final

from training.generation.captions import plural
from training.generation.edits import KINDS, sample_example
from training.generation.prepare import PROMPTS
from training.generation.vocabulary import BACKGROUNDS, CONCEPTS, PAINTS, STYLE_WORDS
from training.generation.wide.scenes import sample_wide
from training.generation.wide.things import further_things

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["taught_words", "write_words"]

#: Sentences of each kind that are read for the words around the names: every pattern many times.
_READ: Final = 1500
_WORD: Final = r"[^\W_]+(?:-[^\W_]+)*"
#: What each kind of variation adds. The plain picture comes first: seed 0 gives it.
_VARIATIONS: Final = (
    {"says": "", "opens": []},
    {"says": " on a light blue background", "opens": ["ground"]},
    {"says": ", cartoon", "opens": ["style"]},
    {"says": " on a yellow background, flat icon", "opens": ["style", "ground"]},
    {"says": " on a pink background, cartoon", "opens": ["style", "ground"]},
    {"says": ", flat icon", "opens": ["style"]},
)


def taught_words(*, wide: bool = False) -> dict[str, Any]:
    """Return what ``words.json`` holds.

    Args:
        wide: of a model that was trained on the wide set.
    """
    further = further_things() if wide else ()
    names = {name for concept in CONCEPTS for name in concept.names}
    names |= {name for thing in further for name in thing.names}
    names |= {plural(name) for name in names}
    # Longest first, so that "fried egg" leaves no "fried" behind.
    pattern = re.compile(
        r"\b(?:" + "|".join(map(re.escape, sorted(names, key=len, reverse=True))) + r")\b"
    )
    rng = random.Random(0)
    around: set[str] = set()
    for kind in KINDS:
        for _ in range(_READ):
            for sentence in sample_example(rng, kind, sentences=3).words:
                around |= set(re.findall(_WORD, pattern.sub(" ", sentence)))
    for _ in range(len(KINDS) * _READ if wide else 0):
        for sentence in sample_wide(rng, sentences=3).words:
            around |= set(re.findall(_WORD, pattern.sub(" ", sentence.lower())))
    styles = {word for words in STYLE_WORDS.values() for word in words}
    # Colours and "background" close the ground even where they paint a thing: what a prompt says
    # of colour is not to be added to.
    grounds = {*BACKGROUNDS, *PAINTS, "background", "ground"}
    return {
        "language": "en",
        "things": len(CONCEPTS) + len(further),
        "words": sorted(names | around | styles | set(BACKGROUNDS) | set(PAINTS)),
        "examples": list(PROMPTS),
        "named": {
            "style": sorted(styles | {"icon", "emoji", "photo", "3d"}),
            "ground": sorted(grounds),
        },
        "variations": list(_VARIATIONS),
    }


def write_words(file: Path, *, wide: bool = False) -> None:
    """Write ``words.json``, of the vocabulary or of the wide set."""
    file.write_text(
        json.dumps(taught_words(wide=wide), ensure_ascii=False, indent=1) + "\n", "utf-8"
    )
