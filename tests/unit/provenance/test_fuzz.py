"""Mutated files: a report or one error of ours, never a panic, a hang or a lie.

2,000 files here; ``python -m benchmarks.provenance --fuzz 100000`` runs more, with other numbers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chopmark.errors import ChopmarkError
from chopmark.provenance import TrustAnchors, encode_image, reattach, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from chopmark.provenance import Report
    from tests.unit.provenance.conftest import Maker
    from tests.unit.provenance.provenance_attacks import Outsider
    from tests.unit.provenance.provenance_fuzz import mutants, plain_seeds
else:
    from provenance_fuzz import mutants, plain_seeds

FORMATS = ("png", "jpeg", "webp", "avif")
COUNT = 2_000
SECONDS = 20.0  # of CPU


@pytest.fixture(scope="module")
def seeds(
    session_maker: Maker,
    photograph: Callable[..., Image.Image],
    outsider: Callable[..., Outsider],
) -> list[bytes]:
    """Small signed files of every format, created and edited, with an identity, and unsigned."""
    found = plain_seeds()
    jpeg = encode_image(photograph(24, 24, seed=52), "jpeg")
    found.append(outsider().sign_with_identity(jpeg, outsider(name="Somebody")))
    for fmt in FORMATS:
        small = photograph(24, 24, seed=50)
        one = session_maker.make(small, fmt, output_id="f3f09c1122334451", mark=False)  # type: ignore[arg-type]
        two = session_maker.make(
            small,
            fmt,  # type: ignore[arg-type]
            output_id="f3f09c1122334452",
            mark=False,
            parent=one.data,
        )
        found += [one.data, two.data] * 2
    return found


def test_two_thousand_mutated_files(session_maker: Maker, seeds: list[bytes]) -> None:
    anchors = TrustAnchors.of(session_maker.credential)
    answers: dict[str, int] = {}
    for number, data in mutants(seeds, COUNT):
        began = time.process_time()
        try:
            report = verify(data, anchors=anchors, store=session_maker.store)
            _plausible(report, number)
            answer = str(report.manifest.state)
        except ChopmarkError as error:
            answer = error.code
        assert time.process_time() - began < SECONDS, f"mutant {number}"
        answers[answer] = answers.get(answer, 0) + 1
    # The mutations reach every kind of answer, or this test would prove little.
    assert {"absent", "intact", "broken", "malformed", "unreadable_image"} <= set(answers), answers


def _plausible(report: Report, number: int) -> None:
    """What holds of any file: without a log nothing is made here, and the JSON is whole."""
    assert report.verdict != "made_here", number
    assert report.summary, number
    assert report.to_dict()["verdict"] == report.verdict
    if report.credential.own:
        # The signer's own claim never says anything else than what was signed.
        assert report.manifest.output_id in {None, "f3f09c1122334451", "f3f09c1122334452"} or (
            report.manifest.state != "intact"
        ), number


def test_mutated_parents_and_reattaching(
    session_maker: Maker, seeds: list[bytes], photograph: Callable[..., Image.Image]
) -> None:
    done = {"signed": 0, "refused": 0, "reattached": 0}
    for _, data in mutants(seeds, 150, start=1_000_000):
        try:
            child = session_maker.make(
                photograph(24, 24, seed=51), output_id="f3f09c1122334461", mark=False, parent=data
            )
            done["signed"] += 1
            assert verify(child.data).manifest.state == "intact"
        except ChopmarkError:
            done["refused"] += 1
        try:
            reattach(data, session_maker.store)
            done["reattached"] += 1
        except ChopmarkError:
            pass
    assert done["signed"]
    assert done["refused"]


_EDITS = st.lists(
    st.tuples(
        st.sampled_from(("replace", "insert", "delete", "cut")),
        st.floats(0, 1, exclude_max=True),
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from((b"\xff" * 8, b"\0" * 64))),
    ),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=400,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(which=st.integers(0, 99), edits=_EDITS)
def test_edits_that_shrink_to_the_smallest_that_fails(
    session_maker: Maker, seeds: list[bytes], which: int, edits: list[tuple[str, float, bytes]]
) -> None:
    data = bytearray(seeds[which % len(seeds)])
    for kind, part, piece in edits:
        at = int(part * len(data))
        if kind == "replace":
            data[at : at + len(piece)] = piece
        elif kind == "insert":
            data[at:at] = piece
        elif kind == "delete":
            del data[at : at + len(piece)]
        else:
            del data[at:]
    anchors = TrustAnchors.of(session_maker.credential)
    try:
        report = verify(bytes(data), anchors=anchors, store=session_maker.store)
    except ChopmarkError:
        return
    _plausible(report, which)
