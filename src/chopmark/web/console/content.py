"""A record's content, made ready for a page: spans, evidence, verdicts, pictures still blurred."""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from PIL import Image, ImageFilter, ImageOps

from chopmark.errors import RecordNotFound
from chopmark.web.text_pieces import TextPiece, pieces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.audit import AuditLog, Record, View

__all__ = ["Copy", "RecordContent", "content_of", "copy_of", "data_url", "thumbs_of"]

_BLURRED_SIDE: Final = 240
_THUMB_SIDE: Final = 72
_THUMBS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Copy:
    """The small copy of a picture that a guard flagged.

    Attributes:
        name: The output's id, or its number where it never left.
        blurred: A ``data:`` URL, grey and blurred: what nobody asked for never reaches the browser.
        boxes: Left, top, width and height in percent, and the category, of what a guard points at.
    """

    name: str
    blurred: str
    boxes: tuple[tuple[float, float, float, float, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class RecordContent:
    """A record's content, ready to be shown.

    Attributes:
        prompt: The prompt, cut at the spans that evidence points to.
        verdicts: Each stage's verdict, from the public part.
        evidence: Category, kind and detail of each reason.
        copies: Pictures that can be shown blurred.
        remarks: What else was written: appeals, rationales, who looked why.
    """

    prompt: list[TextPiece]
    verdicts: list[dict[str, Any]]
    evidence: list[dict[str, Any]]
    copies: list[Copy]
    remarks: list[tuple[str, str, str]]
    erased: bool


def content_of(view: View) -> RecordContent:
    """Return a record's content for a page."""
    text = ""
    verdicts: list[dict[str, Any]] = []
    evidence: list[Any] = []
    copies: list[Copy] = []
    remarks: list[tuple[str, str, str]] = []
    for entry, private in zip(view.records, view.private, strict=True):
        inside: Mapping[str, Any] = private or {}
        if entry.kind == "request.received":
            text = _words(inside)
        texts = inside.get("texts")
        text = text or ("\n".join(map(str, texts)) if isinstance(texts, list) else "")
        # A refusal repeats the verdict that decided it, under the name of the stage.
        verdicts += [
            one
            for one in _verdicts(entry)
            if entry.kind != "request.refused" or not _told(one, verdicts)
        ]
        begins = 0
        if entry.kind == "request.decided" and (wish := _words(inside)):
            # Of a sitting, whose wishes stand one below the other.
            begins = len(text) + 1 if text else 0
            text = f"{text}\n{wish}" if text else wish
        listed = inside.get("evidence")
        evidence += [
            _moved(item, begins)
            for one in listed or []
            for item in (one if isinstance(one, list) else [one])
        ]
        kept = inside.get("looks")
        named = kept.items() if isinstance(kept, dict) else ()
        copies += [copy for name, one in named if (copy := _copy(name, one)) is not None]
        remarks += [
            (str(entry.kind), str(inside.get("by", "")), str(inside[key]))
            for key in ("statement", "rationale", "reason", "comment")
            if inside.get(key)
        ]
    spans = [
        (item["start"], item["end"], str(item.get("category", "")))
        for item in evidence
        if isinstance(item, dict)
        and isinstance(item.get("start"), int)
        and isinstance(item.get("end"), int)
    ]
    return RecordContent(
        prompt=pieces(text, spans),
        verdicts=verdicts,
        evidence=[item for item in evidence if isinstance(item, dict)],
        copies=copies,
        remarks=remarks,
        erased=not text,
    )


def thumbs_of(copies: Mapping[str, Any]) -> list[str]:
    """Return the first flagged pictures of a record, for a list: small, grey and blurred."""
    found = [data for kept in copies.values() if (data := _webp(kept)) is not None]
    return [data_url(_blur(data, _THUMB_SIDE)) for data in found[:_THUMBS]]


def _words(inside: Mapping[str, Any]) -> str:
    prompts = (inside.get("prompt", ""), inside.get("negative_prompt", ""))
    return "\n".join(str(part) for part in prompts if part)


def _moved(item: Any, by: int) -> Any:
    """Return a reason whose span counts from where its text begins on the page."""
    if not by or not isinstance(item, dict):
        return item
    return item | {
        key: item[key] + by for key in ("start", "end") if isinstance(item.get(key), int)
    }


def _verdicts(entry: Record) -> list[dict[str, Any]]:
    found: list[Any] = [entry.public.get("verdict")]
    for name in ("verdicts", "outputs", "withheld"):
        listed = entry.public.get(name)
        found += [
            one.get("verdict", one)
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, dict)
        ]
    return [one for one in found if isinstance(one, dict) and "action" in one]


def _told(verdict: dict[str, Any], before: list[dict[str, Any]]) -> bool:
    said = (verdict.get("action"), verdict.get("scores"))
    return any((one.get("action"), one.get("scores")) == said for one in before)


def _copy(name: str, kept: Any) -> Copy | None:
    data = _webp(kept)
    if data is None:
        return None
    listed = kept.get("boxes")
    boxes = [
        (float(box[0]), float(box[1]), float(box[2]), float(box[3]), str(box[4]))
        for box in (listed if isinstance(listed, list) else [])
        if isinstance(box, list) and len(box) == 5
    ]
    return Copy(name=name, blurred=data_url(_blur(data)), boxes=tuple(boxes))


def _webp(kept: Any) -> bytes | None:
    try:
        text = kept.get("webp") if isinstance(kept, dict) else None
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except binascii.Error:
        return None


def data_url(data: bytes) -> str:
    """Return a WebP picture as an address that stands inside the page."""
    return "data:image/webp;base64," + base64.b64encode(data).decode()


def copy_of(log: AuditLog, record_id: str, name: str, *, grey: bool = False) -> bytes:
    """Return the copy of a picture as it is; whoever calls this has booked that it is shown.

    Raises:
        RecordNotFound: None of this name is kept.
    """
    for entry in log.records(record_id):
        private = log.private(entry.index) or {}
        copies = private.get("looks")
        data = _webp(copies.get(name)) if isinstance(copies, dict) else None
        if data is not None:
            return _grey(data) if grey else data
    raise RecordNotFound(f"no picture {name[:40]} is kept with record {record_id[:16]}")


def _grey(data: bytes) -> bytes:
    out = io.BytesIO()
    with Image.open(io.BytesIO(data)) as picture:
        picture.convert("L").save(out, "WEBP", quality=80)
    return out.getvalue()


def _blur(data: bytes, side: int = _BLURRED_SIDE) -> bytes:
    with Image.open(io.BytesIO(data)) as picture:
        grey = ImageOps.contain(picture.convert("L"), (side, side))
    out = io.BytesIO()
    radius = max(grey.size) / 14
    grey.filter(ImageFilter.GaussianBlur(radius)).save(out, "WEBP", quality=60)
    return out.getvalue()
