"""What comes out of the pipeline: a ``Released`` value, or a ``Refused`` error. Nothing else.

``Released`` proves itself: it can only be built with a receipt which shows that the log holds a
``request.completed`` record naming exactly these outputs. Faces (CLI, HTTP, web) serialise nothing
but ``Released``, so no face can let a picture out that was not logged.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from chopmark.errors import AuditError, ChopmarkError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from chopmark.audit import Receipt
    from chopmark.kit.types import ImageFormat, JsonValue
    from chopmark.safety import Verdict

__all__ = ["KeepsEnding", "Output", "Refused", "Released", "Withheld"]

MIME: Mapping[ImageFormat, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One picture that may leave: judged, marked and signed.

    Attributes:
        index: 1..n, its place in the request.
        output_id: 16 hex digits; the watermark carries them.
        data: The file's bytes.
        width: Pixels.
        height: Pixels.
        seed: The seed that made it; ``None`` where another generator did.
        batch: How many pictures the model made in the same call. The same seed in a batch of
            another size may differ by single levels of 255.
        manifest_id: Label of the C2PA manifest inside ``data``.
        verdict: What the picture guards said.
    """

    index: int
    output_id: str
    data: bytes = field(repr=False)
    format: ImageFormat
    width: int
    height: int
    seed: int | None
    batch: int = 1
    manifest_id: str
    verdict: Verdict

    @property
    def mime(self) -> str:
        """Media type of ``data``."""
        return MIME[self.format]

    @property
    def sha256(self) -> str:
        """SHA-256 of ``data``, hex."""
        return hashlib.sha256(self.data).hexdigest()

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_bytes(self.data)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return everything but the bytes, for machines."""
        return {
            "index": self.index,
            "output_id": self.output_id,
            "format": self.format,
            "width": self.width,
            "height": self.height,
            "seed": self.seed,
            "batch": self.batch,
            "sha256": self.sha256,
            "manifest_id": self.manifest_id,
            "verdict": self.verdict.to_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """One picture that was made and does not leave.

    Attributes:
        index: 1..n, its place in the request.
        verdict: What the picture guards said.
        reason: ``policy``, or ``mark_too_weak``: it was let through, but takes no watermark in the
            format and quality that was asked for.
    """

    index: int
    verdict: Verdict
    reason: Literal["policy", "mark_too_weak"] = "policy"

    def to_dict(self) -> dict[str, JsonValue]:
        """Return it for machines."""
        return {"index": self.index, "reason": self.reason, "verdict": self.verdict.to_dict()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The pictures of one request, with the proof that they were logged.

    Attributes:
        record_id: 16 hex digits; what ``chopmark audit show`` takes.
        outputs: The pictures that leave, at least one.
        withheld: Pictures of the same request that were blocked.
        prompt_verdict: What the prompt guard said.
        receipt: Inclusion proof and checkpoint of the ``request.completed`` record.
        timings_ms: Milliseconds a stage, in the order of the stages.
        model: ``id@version`` of the generator; of another one, the name that the caller gave.
        repeats: The earlier record whose pictures these are, judged again and logged again;
            ``None``: they were made for this request.
        unknown_words: Words of the prompt that the model never learned, where its words are known.
        unknown_language: The prompt's language (BCP 47), where the model learned none of it.
        unknown_input: A picture to edit is of a kind that the model never saw, so that next to
            nothing of it is kept.
    """

    record_id: str
    outputs: tuple[Output, ...]
    withheld: tuple[Withheld, ...]
    prompt_verdict: Verdict
    receipt: Receipt
    timings_ms: Mapping[str, float]
    model: str
    repeats: str | None = None
    unknown_words: tuple[str, ...] = ()
    unknown_language: str | None = None
    unknown_input: bool = False

    def __post_init__(self) -> None:
        """Check the proof.

        Raises:
            AuditError: The receipt does not prove that these outputs were logged as completed.
        """
        problems = self.receipt.verify()
        if problems:
            raise AuditError(f"the receipt does not hold: {problems[0]}")
        leaf = self.receipt.record
        outputs = leaf.public.get("outputs")
        booked = [o.get("output_id") for o in outputs] if isinstance(outputs, list) else []  # type: ignore[union-attr]
        if (
            leaf.kind != "request.completed"
            or leaf.record_id != self.record_id
            or booked != [output.output_id for output in self.outputs]
            or not self.outputs
            or leaf.public.get("repeats") != self.repeats
        ):
            raise AuditError(f"the receipt does not cover the outputs of record {self.record_id}")

    def about(self) -> dict[str, JsonValue]:
        """Return what every face says of how these pictures came to be, beside the pictures."""
        return {
            "record_id": self.record_id,
            "model": self.model,
            "repeats": self.repeats,
            "unknown_words": list(self.unknown_words),
            "unknown_language": self.unknown_language,
            "unknown_input": self.unknown_input,
        }

    def to_dict(self) -> dict[str, JsonValue]:
        """Return everything but the pictures' bytes, for machines."""
        return {
            **self.about(),
            "outputs": [output.to_dict() for output in self.outputs],
            "withheld": [item.to_dict() for item in self.withheld],
            "prompt_verdict": self.prompt_verdict.to_dict(),
            "receipt": self.receipt.to_dict(),
            "timings_ms": dict(self.timings_ms),
        }


class KeepsEnding(Protocol):
    """Keeps what a request is about to end in, as bytes, before the log has it as ended."""

    def __call__(self, record_id: str, ending: bytes, /) -> None:
        """Keep one durably; called from a worker thread.

        Raises:
            ChopmarkError: It cannot be kept; then nothing is logged as completed.
        """


class Refused(ChopmarkError):
    """The policy said no. The record is logged; no picture leaves.

    Attributes:
        record_id: The decision id that an appeal names.
        stage: ``input`` (prompt or input picture) or ``output`` (every generated picture).
        verdict: The verdict that decided it. What of it a caller learns is in the next two: the
            whole teaches how to word it otherwise.
        categories: That led to it; empty where the setting ``refusal_tells`` says ``nothing``.
        evidence: Words and reasons in their JSON form; empty unless the setting says ``words``.
    """

    code = "moderation_blocked"
    status = 400

    def __init__(
        self,
        *,
        record_id: str,
        stage: Literal["input", "output"],
        verdict: Verdict,
        tells: Literal["nothing", "category", "words"] = "category",
    ) -> None:
        self.categories = () if tells == "nothing" else verdict.categories
        self.evidence: list[JsonValue] = (
            [item.to_dict() for item in verdict.evidence] if tells == "words" else []
        )
        why = f": {', '.join(self.categories) or verdict.action}" if tells != "nothing" else ""
        what = "the prompt or input picture" if stage == "input" else "the generated picture"
        super().__init__(
            f"{what} was refused by the policy{why}",
            hint=f"decision {record_id}; rephrase the prompt, or appeal and name this decision",
        )
        self.record_id = record_id
        self.stage = stage
        self.verdict = verdict
