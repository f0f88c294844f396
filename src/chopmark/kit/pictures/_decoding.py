"""What decoders raise, and what they fill up without a word."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from chopmark.errors import ChopmarkError, ImageTooLarge, OverMemory, UnreadableImage
from chopmark.kit.pictures.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

__all__ = ["decoding", "rows_there"]


@contextlib.contextmanager
def decoding(kind: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one error of ours."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except ChopmarkError:
        raise
    except MemoryError as error:  # ours is short; the file may be sound
        raise OverMemory(
            "the picture needs more memory than there is",
            hint="send a smaller one, or try again when there is less to do",
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(
            "the picture unpacks to far more pixels than its file suggests",
            hint="scale it down first",
        ) from error
    except Exception as error:  # OSError, SyntaxError, struct.error, ValueError, ...
        # Pillow's words for "no decoder takes it" hold an address in memory.
        why = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
        raise UnreadableImage(
            f"the {KINDS[kind].words.split(' ', 1)[1]} is damaged or cut off{why}",
            hint="send the whole, intact file",
        ) from error


def rows_there(image: Image.Image) -> float:
    """Return the share of rows above the flat ones that a decoder fills a cut JPEG up with."""
    import numpy as np

    grey = np.asarray(image.convert("L") if image.mode != "L" else image)
    flat = (grey.max(axis=1) - grey.min(axis=1)) <= 2
    there = np.flatnonzero(~flat)
    rows = int(there[-1]) + 1 if there.size else 0
    # A block row is 8 or 16 high: less than one is the picture's own.
    return 1.0 if len(grey) - rows < 16 else rows / len(grey)
