"""What a process does that has the keys: it judges, marks, signs and reads marks.

Loaded by :mod:`chopmark.workers.nursery`. It is given raw pixels and parsed values, never a
stranger's file, and it opens neither the log nor the manifest store: what it made goes back to
where these are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2

from chopmark.kit.raw_picture import RawPicture, as_image
from chopmark.pipeline import seal
from chopmark.pipeline.packed_policy import unpack_policy
from chopmark.pipeline.parts import Parts
from chopmark.pipeline.text_jobs import judging_texts
from chopmark.provenance.reading import PixelsHere
from chopmark.workers.interface import Answer, JobTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from chopmark.settings import Settings

__all__ = ["open_jobs"]


def open_jobs(value: tuple[Settings, bool]) -> JobTable:
    """Return the jobs, with the guards loaded.

    Args:
        value: The settings, and whether words are judged here.
    """
    settings, judges_texts = value
    cv2.setNumThreads(1)
    # Keys and certificates are opened by each process for itself, when it needs them: a token's
    # session does not survive a fork, and a rotated key is taken up without a restart.
    parts = Parts(settings.model_copy(update={"workers": 0}))
    _ = parts.image_guard
    if judges_texts:
        _ = parts.prompt_guard
    jobs = _Jobs(parts)
    return JobTable(
        functions={
            "judge_texts": judging_texts(lambda: parts.prompt_guard),
            "judge_picture": jobs.judge_picture,
            "find_mark": jobs.find_mark,
            "prints": jobs.prints,
            "mark": jobs.mark,
            "sign": jobs.sign,
        },
        values={},
    )


class _Jobs:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def judge_picture(self, value: Any, buffers: Sequence[bytes]) -> Answer:
        what, packed, stage, prompt_verdict = value
        policy = unpack_policy(packed)
        return Answer(
            value=self._parts.image_guard.judge(
                _image(what, buffers[0]), policy, stage=stage, prompt_verdict=prompt_verdict
            )
        )

    def find_mark(self, value: Any, buffers: Sequence[bytes]) -> Answer:
        what, methods = value
        pixels = PixelsHere(self._parts.mark_keys.all)
        return Answer(value=pixels.mark(_image(what, buffers[0]), methods))

    @staticmethod
    def prints(value: Any, buffers: Sequence[bytes]) -> Answer:
        return Answer(value=PixelsHere().prints(_image(value, buffers[0])))

    def mark(self, value: Any, buffers: Sequence[bytes]) -> Answer:
        what, request, output_id, format, earlier = value  # noqa: A001  the field's name
        return Answer(
            value=seal.mark(
                self._parts, _image(what, buffers[0]), request,
                output_id=output_id, format=format, earlier=earlier,
            )
        )  # fmt: skip

    def sign(self, value: Any, _buffers: Sequence[bytes]) -> Answer:
        marked, request, output_id, format, model, inputs = value  # noqa: A001  the field's name
        return Answer(
            value=seal.sign(
                self._parts, marked, request,
                output_id=output_id, format=format, model=model, inputs=inputs,
            )
        )  # fmt: skip


def _image(head: Any, data: bytes) -> Image.Image:
    return as_image(RawPicture.received(head, data))
