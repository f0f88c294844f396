"""Does a prompt ask for writing in the picture? Then the picture's text is read and judged too."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["asks_for_text"]

#: Words for writing, things that bear it, or a quotation mark of any kind. Generous on purpose: a
#: false alarm costs one reading of the picture, a miss leaves words in it that nobody judged.
_ASKS: Final = re.compile(
    r"""
    \b(?: text|saying|says|reads|reading[ ]['"]|written|writing|lettering|with[ ]the[ ]words?
        | caption(?:ed)?|headline|quote|slogan|label(?:ed|led)?|logo|meme
        | sign|banner|poster|placard|graffiti|flyer|t-?shirt
        | newspaper|tweet|screenshot|certificate|document|infographic
    )\b
    | ["“”«»]
    """,
    re.IGNORECASE | re.VERBOSE,
)


def asks_for_text(prompt: str) -> bool:
    """Tell whether a prompt asks for writing in the picture.

    >>> asks_for_text("a protest sign in the rain"), asks_for_text("a red apple")
    (True, False)
    """
    return _ASKS.search(prompt) is not None
