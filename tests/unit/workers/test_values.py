"""What a process may answer that is not believed: the worst is a lie, never code of its own."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from chopmark.errors import ChopmarkError, ImageTooLarge, WorkerLost
from chopmark.kit.raw_picture import RawPicture
from chopmark.pipeline.worker_values import TEXT_VALUES
from chopmark.safety import Evidence, Verdict
from chopmark.workers import values

VERDICT = Verdict(
    action="review",
    scores={"sexual": 0.5},
    evidence=(Evidence(category="sexual", kind="span", start=1, end=2, text="ü"),),
    cues=("youth",),
)


@pytest.mark.parametrize(
    "value",
    [None, 1, 2.5, "a\x00\ud800", b"\xff", [1], (1, (2,)), frozenset({"a"}), {"~": 1}, VERDICT],
)
def test_it_comes_as_it_went(value: Any) -> None:
    assert values.decode(values.encode(value, TEXT_VALUES), TEXT_VALUES) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"a": 1}',
        b'{"~": "Path", "v": {}}',
        b'{"~": "Verdict", "v": {"nothing": 1}}',
        b'{"~": "Verdict", "v": []}',
        b'{"~": [], "v": 1}',
        b'{"~": "bytes", "v": "no base64!"}',
        pickle.dumps(Path("/etc/passwd")),
    ],
)
def test_what_is_nothing_of_the_kind_is_one_error(data: bytes) -> None:
    with pytest.raises(WorkerLost):
        values.decode(data, TEXT_VALUES)


def test_no_other_class_leaves_a_worker() -> None:
    with pytest.raises(TypeError):
        values.encode(Path("/etc"), TEXT_VALUES)


def test_an_error_is_of_our_own_tree() -> None:
    told = values.encode_error(ImageTooLarge("large", hint="smaller", param="image"))
    error = values.decode_error(json.loads(json.dumps(told)))
    assert (type(error), error.message, error.hint) == (ImageTooLarge, "large", "smaller")
    unknown = values.decode_error({"code": "moderation_blocked", "message": 3})
    assert (type(unknown), unknown.message) == (ChopmarkError, "3")


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"mode": "RGB", "size": [2, 3]},
        {"mode": "CMYK", "size": [1, 4]},
        {"mode": "RGB", "size": [-2, -2]},
        {"mode": "RGB", "size": [10**30, 1]},
        {"mode": "RGB", "size": ["x", 1]},
        {"mode": "RGB", "size": 4},
        [],
    ],
)
def test_pixels_are_what_is_said_of_them(head: Any) -> None:
    assert RawPicture.received({"mode": "RGB", "size": [2, 2]}, bytes(12)).size == (2, 2)
    with pytest.raises(WorkerLost):
        RawPicture.received(head, bytes(12))
