"""The seam between what parses a stranger's file and what knows something worth stealing.

``verify``, ``reattach`` and the resolver ask a :class:`ReadsFiles` what a file says and a
:class:`ReadsPixels` what its pixels carry. Here are both as plain calls; where work is done in
processes of their own, the first runs in one that has no key and no database, and the second in one
that never sees a file (``chopmark.pipeline.elsewhere``).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from chopmark.errors import ChopmarkError, OverMemory
from chopmark.kit.fingerprint import dihedral, pixel_digest
from chopmark.kit.pictures import read_picture
from chopmark.kit.raw_picture import as_image
from chopmark.provenance import _native
from chopmark.provenance._carriers import read_manifest
from chopmark.provenance._examine import Examined, examine
from chopmark.provenance._formats import Limits, check_bytes, mime_of, open_image
from chopmark.provenance.metadata import Metadata, read_metadata
from chopmark.provenance.xmp import XmpFound, read_xmp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from chopmark.kit.raw_picture import Shown
    from chopmark.provenance.trust import TrustAnchors
    from chopmark.provenance.watermark import MarkKey, MarkResult

__all__ = [
    "FilesHere",
    "Match",
    "PixelsHere",
    "Prints",
    "Reading",
    "ReadsFiles",
    "ReadsPixels",
]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All that one file says of itself.

    Attributes:
        kind: What it is, told from its first bytes.
        examined: What its manifest answers.
        xmp: What its XMP says about AI.
        metadata: What all of its metadata say, each place on its own.
        images: Its frames and further pictures that were decoded, upright, RGB or RGBA, with their
            values as in the file.
        in_file: How many frames and further pictures it has; 0 where that is not known.
        shown: Whether a viewer shows each of ``images``.
        only_picture: It is one frame, whole, and in colours that say nothing of their own; only
            such a file can show exactly the pixels that were signed.
        undecoded: What of its pixels could not be looked at; empty where all was.
        advice: What can be done about that, where somebody could.
        damage: What is wrong with the file, though it was decoded.
        share: Of the first frame, how much is there, 0..1.
        behind: Bytes that stand behind the end of the picture.
    """

    kind: str
    examined: Examined
    xmp: XmpFound
    metadata: Metadata = field(default_factory=Metadata)
    images: tuple[Shown, ...] = field(default=(), repr=False)
    in_file: int = 0
    shown: tuple[bool, ...] = ()
    only_picture: bool = False
    undecoded: str = ""
    advice: str = ""
    damage: tuple[str, ...] = ()
    share: float = 1.0
    behind: int = 0

    @property
    def image(self) -> Shown | None:
        """The first of its frames; None where none was decoded."""
        return self.images[0] if self.images else None


@dataclass(frozen=True, kw_only=True)
class Match:
    """How a kept manifest fits a file that may have lost it.

    Attributes:
        examined: What the manifest answers beside this file; None where it cannot be read.
        whole: The file with the manifest put back in, where that validates.
    """

    examined: Examined | None
    whole: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Prints:
    """What identifies pixels.

    Attributes:
        turned: PDQ of the eight orientations, 64 hex digits each, as it stands first.
        quality: Of the fingerprint, 0 (flat) to 100.
        digest: SHA-256 of the pixels, hex.
    """

    turned: tuple[str, ...]
    quality: int
    digest: str

    @property
    def pdq(self) -> str:
        """The fingerprint of the picture as it stands."""
        return self.turned[0]


class ReadsFiles(Protocol):
    """Parses strangers' files. Called from several threads at once."""

    def read(self, data: bytes, anchors: TrustAnchors, limits: Limits) -> Reading:
        """Return what a file says.

        Raises:
            ImageTooLarge: Over a limit.
            UnreadableImage: The bytes are no picture, and carry no manifest either.
        """

    def match(
        self, data: bytes, manifest: bytes, anchors: TrustAnchors, limits: Limits, *, whole: bool
    ) -> Match:
        """Tell how a kept manifest fits a file.

        Args:
            data: The file.
            manifest: A manifest store (JUMBF).
            anchors: Whom to believe.
            limits: How large a file is looked at.
            whole: Also try to put it back in.
        """

    def pixels(self, data: bytes, limits: Limits) -> Shown:
        """Return a file's first frame, upright, RGB or RGBA.

        Raises:
            ImageTooLarge: Over a limit.
            UnreadableImage: The bytes are no picture.
        """

    def bare(self, data: bytes, limits: Limits) -> tuple[bytes, Shown]:
        """Return a file without its manifests, and its pixels.

        Raises:
            UnsupportedImage: A format that manifests are not taken out of.
            UnreadableImage: The bytes are no picture.
        """


class ReadsPixels(Protocol):
    """Reads what pixels carry. Called from several threads at once."""

    def mark(self, image: Shown, methods: Sequence[str]) -> MarkResult:
        """Look for a mark of ours by these methods.

        Raises:
            ChopmarkError: The picture cannot be looked at: it is too small, say.
        """

    def prints(self, image: Shown) -> Prints:
        """Return what identifies the pixels."""


class FilesHere:
    """Parses files in this process."""

    def read(self, data: bytes, anchors: TrustAnchors, limits: Limits) -> Reading:
        """Return what a file says; see :class:`ReadsFiles`."""
        kind = check_bytes(data, limits)
        examined = read_manifest(data, mime_of(kind), anchors, limits)
        metadata = read_metadata(data, kind)
        read = Reading(kind=kind, examined=examined, xmp=read_xmp(data), metadata=metadata)
        try:
            file = read_picture(data, max_pixels=limits.max_pixels)
        except OverMemory:
            raise
        except ChopmarkError as error:
            # With a manifest, or with words on AI, there is still something to say.
            if examined.manifest.state == "absent" and metadata.strongest is None:
                raise
            return dataclasses.replace(read, undecoded=error.message, advice=error.hint or "")
        return dataclasses.replace(
            read,
            images=tuple(file.plain()),
            in_file=file.in_file,
            shown=file.shown,
            only_picture=file.only_picture,
            undecoded="; ".join(file.missed),
            damage=file.damage,
            share=file.share,
            behind=file.behind,
        )

    def match(
        self, data: bytes, manifest: bytes, anchors: TrustAnchors, limits: Limits, *, whole: bool
    ) -> Match:
        """Tell how a kept manifest fits a file; see :class:`ReadsFiles`."""
        mime = mime_of(check_bytes(data, limits))
        try:
            found = _native.read(data, mime, _native.settings(*anchors.native()), manifest=manifest)
            examined = examine(found, anchors)
        except (_native.NoManifest, _native.RemoteOnly, _native.NativeRefusal):
            examined = None
        return Match(
            examined=examined,
            whole=_put_back(data, manifest, mime, anchors, limits) if whole else None,
        )

    def pixels(self, data: bytes, limits: Limits) -> Image.Image:
        """Return a file's pixels; see :class:`ReadsFiles`."""
        return open_image(data, limits)

    def bare(self, data: bytes, limits: Limits) -> tuple[bytes, Image.Image]:
        """Return a file without its manifests, and its pixels; see :class:`ReadsFiles`."""
        from chopmark.provenance._reinsertion import remove

        check_bytes(data, limits)
        without = remove(data)
        return without, open_image(without, limits)


class PixelsHere:
    """Reads pixels in this process.

    Args:
        keys: To look for marks with; old ones too.
    """

    def __init__(self, keys: Sequence[MarkKey] = ()) -> None:
        self._keys = keys

    def mark(self, image: Shown, methods: Sequence[str]) -> MarkResult:
        """Look for a mark of ours; see :class:`ReadsPixels`."""
        from chopmark.provenance.watermark import detect_mark

        return detect_mark(as_image(image), keys=self._keys, methods=tuple(methods))

    def prints(self, image: Shown) -> Prints:
        """Return what identifies the pixels; see :class:`ReadsPixels`."""
        picture = as_image(image)
        turned, quality = dihedral(picture)
        return Prints(turned=tuple(turned), quality=quality, digest=pixel_digest(picture))


def _put_back(
    data: bytes, manifest: bytes, mime: str, anchors: TrustAnchors, limits: Limits
) -> bytes | None:
    from chopmark.provenance._reinsertion import insert

    try:
        whole = insert(data, manifest)
    except ChopmarkError:
        return None
    state = read_manifest(whole, mime, anchors, limits).manifest.state
    return whole if state == "intact" else None
