"""The one reader of pictures that strangers send: what a file is, and what it shows.

>>> import io
>>> from PIL import Image
>>> from chopmark.kit.pictures import read_picture
>>> held = io.BytesIO()
>>> Image.new("LA", (8, 4)).save(held, "PNG")
>>> file = read_picture(held.getvalue(), max_pixels=100)
>>> file.kind, file.in_file, file.only_picture, [view.mode for view in file.views()]
('png', 1, True, ['RGB', 'RGB', 'RGB'])

Tolerant: what a decoder does not need (texts, profiles, private chunks) is taken out before it
sees the file, and a file that breaks off gives the rows that are there. Honest: ``missed`` and
``damage`` say what could not be looked at. Bounded: parts are counted and sizes checked first.
"""

from __future__ import annotations

from chopmark.kit.pictures._colour import Colour, in_srgb
from chopmark.kit.pictures._still import eight_bit
from chopmark.kit.pictures.kinds import KINDS, Kind
from chopmark.kit.pictures.picture_file import PictureFile
from chopmark.kit.pictures.reader import MOST_FRAMES, load_decoders, read_picture
from chopmark.kit.pictures.sniffing import sniff

__all__ = [
    "KINDS",
    "MOST_FRAMES",
    "Colour",
    "Kind",
    "PictureFile",
    "eight_bit",
    "in_srgb",
    "load_decoders",
    "read_picture",
    "sniff",
]
