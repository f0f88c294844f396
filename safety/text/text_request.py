"""Does a prompt ask for writing in the picture? Then the picture's text is read and judged too."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["asks_for_text"]

_ASKS: Final = re.compile(
    r"\b(?:text|saying|says|reads|reading ['\"]|caption(?:ed)?|sign|banner|poster|meme|lettering|"
    r"logo|label(?:ed|led)?|written|writing|headline|newspaper|tweet|screenshot|slogan|placard|"
    r"graffiti|quote|t-?shirt|flyer|certificate|document|infographic|with the words?)\b|[\"“”«»]",
    re.IGNORECASE,
)


def asks_for_text(prompt: str) -> bool:
    """Tell whether a prompt asks for writing in the picture.

    >>> asks_for_text("a protest sign in the rain"), asks_for_text("a red apple")
    (True, False)
    """
    return _ASKS.search(prompt) is not None
