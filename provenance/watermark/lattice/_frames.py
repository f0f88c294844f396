"""What one look at one picture makes of it, each thing made when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.provenance.watermark.lattice._frame import LEVELS, Tiles, canonical, residual
from chopmark.provenance.watermark.lattice._listener import heard

if TYPE_CHECKING:
    from chopmark.provenance.watermark._pixels import Plane
    from chopmark.provenance.watermark.lattice._frame import Affine, Part
    from chopmark.provenance.watermark.lattice._sync import Lock

__all__ = ["Frames", "HeardFrames"]

_SMALL = 512
_EVEN = 0.5


class Frames:
    """The frames of one picture, their residuals, and the tiles that these are cut into."""

    _by_size = False

    def __init__(self, luma: Plane) -> None:
        self.luma = luma
        self._planes: dict[int, Plane] = {}
        self._evened: dict[int, Plane] = {}
        self._tiles: dict[tuple[int, Part | None, bytes], Tiles] = {}

    def __getitem__(self, level: int) -> Plane:
        if level not in self._planes:
            self._planes[level] = residual(canonical(self.luma, level))
        return self._planes[level]

    def evened(self, level: int) -> Plane:
        """Return a residual in which quiet ground counts as much as busy one.

        It reads less after a lossy file, and tells better where a mark is.
        """
        if level not in self._evened:
            self._evened[level] = residual(canonical(self.luma, level), floor=_EVEN)
        return self._evened[level]

    def part(self, level: int, part: Part | None) -> Plane:
        """Return the residual of a part of a frame."""
        if part is None:
            return self[level]
        left, top, width, height = part
        return self[level][top : top + height, left : left + width]

    def tiles(self, lock: Lock, affine: Affine | None = None) -> Tiles:
        """Return the tiles that a hypothesis sees, or would with another map, made once."""
        affine = lock.affine if affine is None else affine
        name = lock.level, lock.part, affine.tobytes()
        if name not in self._tiles:
            plane = self.part(lock.level, lock.part)
            self._tiles[name] = Tiles.of(plane, affine, by_size=self._by_size)
        return self._tiles[name]

    def put(self, level: int, plane: Plane) -> None:
        """Use this residual at ``level`` in place of the picture's own."""
        self._planes[level] = plane

    def search_levels(self) -> tuple[int, ...]:
        """Level 2 shows only lattices that a small picture was given."""
        height, width = self.luma.shape
        return LEVELS if width * height < _SMALL**2 else LEVELS[:2]


class HeardFrames(Frames):
    """The same picture as the network of ``_listener`` hears it."""

    _by_size = True

    def __getitem__(self, level: int) -> Plane:
        if level not in self._planes:
            self._planes[level] = heard(canonical(self.luma, level))
        return self._planes[level]

    def evened(self, level: int) -> Plane:
        """Return the same residual: the network weighs quiet and busy ground by itself."""
        return self[level]
