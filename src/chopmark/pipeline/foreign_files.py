"""Files that strangers sent: parsed here, or in a process that has nothing to lose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from chopmark.errors import WorkerLost
from chopmark.kit.raw_picture import RawPicture, received
from chopmark.pipeline.elsewhere import Elsewhere
from chopmark.provenance.reading import FilesHere, Match, Reading, ReadsFiles

if TYPE_CHECKING:
    from chopmark.kit.raw_picture import Shown
    from chopmark.provenance import InputIngredient, Limits
    from chopmark.provenance.trust import TrustAnchors
    from chopmark.settings import Settings
    from chopmark.workers.interface import Answer

__all__ = ["FilesElsewhere", "ForeignFiles", "ForeignFilesHere", "Looks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What people can see of one file; see :class:`chopmark.safety.Views`."""

    pictures: tuple[Shown, ...] = field(repr=False)
    missed: str = ""


class ForeignFiles(ReadsFiles, Protocol):
    """Whatever is done with a stranger's file. Called from several threads at once."""

    def decode(self, data: bytes) -> Shown:
        """Return a still picture, upright, in RGB, as :func:`chopmark.safety.decode_image` does.

        Raises:
            InvalidRequest: The bytes are no picture, or over a limit.
        """

    def views(self, data: bytes, *, still: bool) -> Looks:
        """Return whatever people can see of a file, as :func:`chopmark.safety.decode_views` does.

        Args:
            data: The file.
            still: Refuse animations and files of several pages.

        Raises:
            InvalidRequest: The bytes are no picture, or over a limit.
        """

    def ingredient(self, data: bytes, anchors: TrustAnchors) -> InputIngredient:
        """Return what an input picture says of itself, for the manifest of what is made of it.

        Raises:
            SigningFailed: It is of no format that a manifest can name.
        """

    def small_copy(
        self, data: bytes, *, side: int, within: Literal["signed", "input"] | None = None
    ) -> str | None:
        """Return a ``data:`` URL of a picture for a page, or ``None`` where there is none.

        Args:
            data: The file.
            side: Most pixels a side.
            within: Not of the picture, but of a small copy that its manifest holds: of what was
                ``signed``, or of the ``input`` that it was made from.
        """

    def alpha_mask(self, data: bytes) -> bytes:
        """Return a mask whose white is repainted from one whose transparent part is.

        Raises:
            InvalidRequest: The bytes are no picture, or over a limit.
        """


class ForeignFilesHere(FilesHere):
    """Parses in this process; see :class:`ForeignFiles`."""

    def __init__(self, settings: Settings) -> None:
        self._limits = _limits(settings)

    def decode(self, data: bytes) -> Shown:
        """Return the picture."""
        from chopmark.safety import decode_image

        return decode_image(data, **self._limits, still=True)

    def views(self, data: bytes, *, still: bool) -> Looks:
        """Return what can be seen."""
        from chopmark.safety import decode_views

        found = decode_views(data, **self._limits, still=still)
        return Looks(pictures=found.pictures, missed=found.missed)

    def ingredient(self, data: bytes, anchors: TrustAnchors) -> InputIngredient:
        """Return what it says of itself."""
        from chopmark.provenance import read_ingredient

        return read_ingredient(data, anchors)

    def small_copy(
        self, data: bytes, *, side: int, within: Literal["signed", "input"] | None = None
    ) -> str | None:
        """Return a ``data:`` URL."""
        from chopmark.pipeline.file_jobs import small_copy
        from chopmark.provenance import signed_copy

        shown = signed_copy(data, of=within) if within else data
        return None if shown is None else small_copy(shown, side=side, **self._limits)

    def alpha_mask(self, data: bytes) -> bytes:
        """Return the mask."""
        from chopmark.pipeline.file_jobs import alpha_mask

        return alpha_mask(data, **self._limits)


class FilesElsewhere(Elsewhere):
    """Has a confined process parse; see :class:`ForeignFiles`."""

    def decode(self, data: bytes) -> Shown:
        """Return the picture."""
        return self._decoded(data, still=True, all_views=False).pictures[0]

    def views(self, data: bytes, *, still: bool) -> Looks:
        """Return what can be seen."""
        return self._decoded(data, still=still, all_views=True)

    def _decoded(self, data: bytes, *, still: bool, all_views: bool) -> Looks:
        answer = self._ask("decode", (still, all_views, _limits(self.settings)), data)
        pictures = received(answer.value["pictures"], answer.buffers)
        if not pictures:
            raise WorkerLost("a worker's answer has no picture")
        return Looks(pictures=pictures, missed=str(answer.value["missed"]))

    def ingredient(self, data: bytes, anchors: TrustAnchors) -> InputIngredient:
        """Return what it says of itself."""
        found: InputIngredient = self._ask("read_ingredient", anchors, data).value
        return found

    def small_copy(
        self, data: bytes, *, side: int, within: Literal["signed", "input"] | None = None
    ) -> str | None:
        """Return a ``data:`` URL."""
        value = within, {**_limits(self.settings), "side": side}
        copy: str | None = self._ask("small_copy", value, data).value
        return copy

    def alpha_mask(self, data: bytes) -> bytes:
        """Return the mask."""
        return self._ask("alpha_mask", _limits(self.settings), data).buffers[0]

    def read(self, data: bytes, anchors: TrustAnchors, limits: Limits) -> Reading:
        """Return what a file says."""
        answer = self._ask("read_file", (anchors, limits), data)
        fields = answer.value
        return Reading(**{**fields, "images": received(fields["images"], answer.buffers)})

    def match(
        self, data: bytes, manifest: bytes, anchors: TrustAnchors, limits: Limits, *, whole: bool
    ) -> Match:
        """Tell how a kept manifest fits a file."""
        answer = self._ask("match_manifest", (anchors, limits, whole), data, manifest)
        return Match(examined=answer.value, whole=answer.buffers[0] if answer.buffers else None)

    def pixels(self, data: bytes, limits: Limits) -> Shown:
        """Return a file's first frame."""
        answer = self._ask("pixels_of_file", limits, data)
        return RawPicture.received(answer.value, *answer.buffers)

    def bare(self, data: bytes, limits: Limits) -> tuple[bytes, Shown]:
        """Return a file without its manifests, and its pixels."""
        answer = self._ask("bare_file", limits, data)
        without, pixels = answer.buffers
        return without, RawPicture.received(answer.value, pixels)

    def _ask(self, name: str, value: Any, *buffers: bytes) -> Answer:
        limit_s = self.settings.guard_timeout_s
        return self.ask("files", name, value, *buffers, limit_s=limit_s)


def _limits(settings: Settings) -> dict[str, int]:
    return {"max_bytes": settings.max_image_bytes, "max_pixels": settings.max_image_pixels}
