"""A clock goes on whatever a turn meets, and says what went wrong once for each reason."""

from __future__ import annotations

import threading
import warnings

from chopmark.service.clock import repeating
from tests.support.wait import HANG_S


class ClockWarning(UserWarning):
    """Of these tests."""


def test_turns_go_on_after_any_failure() -> None:
    met = iter((OSError("the disk is full"), KeyError("x")))
    fine = threading.Event()

    def turn() -> None:
        failure = next(met, None)
        if failure is not None:
            raise failure
        fine.set()

    # Warnings are errors in these tests: that does not end it either.
    with repeating(turn, every_s=0.001, name="test", warning=ClockWarning, at_once=True):
        assert fine.wait(HANG_S)


def test_a_reason_is_said_once_until_it_changes() -> None:
    reasons = iter(("down", "down", "", "down", "other"))
    done = threading.Event()

    def turn() -> str | None:
        reason = next(reasons, None)
        if reason is None:
            done.set()
        return reason

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with repeating(turn, every_s=0.001, name="test", warning=ClockWarning):
            assert done.wait(HANG_S)
    said = [str(one.message) for one in caught if one.category is ClockWarning]
    assert said == ["test: down", "test: down", "test: other"]
