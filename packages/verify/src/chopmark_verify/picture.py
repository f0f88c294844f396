"""A picture: its manifest, its metadata and, where the packages are there, its pixels."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import InvalidRequest
from chopmark.kit.files import read_private
from chopmark.provenance._carriers import read_manifest
from chopmark.provenance._formats import check_bytes, mime_of
from chopmark.provenance.metadata import read_metadata
from chopmark.provenance.reading import FilesHere, Reading
from chopmark.provenance.trust import TrustAnchors, load_anchors
from chopmark.provenance.verification import verify
from chopmark.provenance.watermark import MarkKey
from chopmark.provenance.xmp import read_xmp

if TYPE_CHECKING:
    import argparse

    from chopmark.provenance._formats import Limits
    from chopmark.provenance.report import Report

__all__ = ["look_at"]

_PACKAGES: Final = ("PIL", "cv2", "numpy")
_INSTALL: Final = "pip install 'chopmark-verify[pixels]'"
_AXES: Final = ("manifest", "credential", "time", "ai_signal", "identity", "watermark")
_DETAILS: Final = (
    "kind", "anchor", "anchor_date", "issuer", "name", "assurance_level", "system",
    "payload", "p_value", "method", "signed_at", "address", "reason",
)  # fmt: skip
#: No home: nothing here is ours, and nothing is kept.
_NOWHERE: Final = Path("/nonexistent")


class WithoutPixels(FilesHere):
    """Reads what a file says, and leaves its pixels alone: nothing here decodes them."""

    def read(self, data: bytes, anchors: TrustAnchors, limits: Limits) -> Reading:
        """Return what a file says; see :class:`chopmark.provenance.reading.ReadsFiles`."""
        kind = check_bytes(data, limits)
        return Reading(
            kind=kind,
            examined=read_manifest(data, mime_of(kind), anchors, limits),
            xmp=read_xmp(data),
            metadata=read_metadata(data, kind),
            undecoded="the pixels are not decoded without Pillow, NumPy and OpenCV",
            advice=_INSTALL,
        )


def look_at(what: str, data: bytes, given: argparse.Namespace) -> bool:
    """Tell what a picture is; return whether its manifest is intact and its signer trusted.

    Raises:
        ChopmarkError: The bytes are no picture, or an option cannot be used.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if given.mark_key is not None and missing:
        raise InvalidRequest(
            f"--mark-key needs the pixels, and {', '.join(missing)} is not installed",
            hint=_INSTALL,
        )
    key = _mark_key(given.mark_key)
    report = verify(
        data,
        anchors=load_anchors(_NOWHERE, lists=given.anchors),
        mark_keys=() if key is None else (key,),
        public=given.public,
        files=WithoutPixels() if missing else FilesHere(),
        sidecar=None if given.manifest is None else given.manifest.read_bytes(),
    )
    if given.json:
        print(json.dumps({"file": what, **report.to_dict()}, ensure_ascii=False, sort_keys=True))
    else:
        _print(what, report)
    # `Report.holds` also asks that the pixels were looked at, which is not so here.
    return (
        report.manifest.state == "intact"
        and report.credential.state == "trusted"
        and report.watermark.state != "conflict"
        and report.verdict != "contradictory"
    )


def _mark_key(path: Path | None) -> MarkKey | None:
    if path is None:
        return None
    text = read_private(path).decode("ascii", "replace").strip()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise InvalidRequest(f"{path} is not a mark key", hint="64 hex digits are wanted")
    return MarkKey(key_id=path.stem, secret=bytes.fromhex(text))


def _print(what: str, report: Report) -> None:
    print(f"{what}: {report.summary}")
    print(f"  {'verdict':<14} {report.verdict}")
    members: dict[str, Any] = report.to_dict()
    for axis in _AXES:
        value = members[axis]
        # Where nobody looked, no figure says anything.
        unlooked = {"p_value"} if value["state"] == "not_examined" else set()
        told = [one for one in _DETAILS if value.get(one) is not None and one not in unlooked]
        detail = "  ".join(f"{one} {value[one]}" for one in told)
        print(f"  {axis.replace('_', ' '):<14} {value['state']}  {detail}".rstrip())
    for one in report.techniques:
        print(f"  {'by ' + one.name:<14} {one.outcome.replace('_', ' ')}: {one.detail}")
    for note in report.notes:
        print(f"  {'note':<14} {note}")
