"""A server signs what is new on the clock, and asks its witnesses then."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.audit import Event, verify_log
from chopmark.audit.proof.note import open_checkpoint
from chopmark.kit.ids import new_record_id
from chopmark.service.checkpoints import CheckpointWarning, checkpointing, sign_what_is_new
from tests.support.wait import until
from tests.unit.audit.test_witness import SmallWitness, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark import Pipeline
    from chopmark.audit import AuditLog


@pytest.fixture
def open_parts(open_pipeline: Callable[..., Pipeline]) -> Callable[..., Any]:
    return lambda **settings: open_pipeline(**settings).parts


def book(log: AuditLog) -> None:
    log.append(Event(kind="policy.changed", record_id=new_record_id(), tenant="acme"))


def signed(home: Path) -> int:
    return open_checkpoint((home / "audit" / "checkpoint").read_text(), None).size


def test_what_is_new_is_signed_by_itself(open_parts: Callable[..., Any]) -> None:
    parts = open_parts(log_checkpoint_s=0.01)
    log, home = parts.log, parts.home
    with checkpointing(parts):
        for _ in range(3):
            book(log)
            until(lambda: signed(home) == log.size)
    assert verify_log(home).problems == ()


def test_zero_signs_nothing_by_itself(open_parts: Callable[..., Any]) -> None:
    parts = open_parts(log_checkpoint_s=0.0)
    before = signed(parts.log._paths.home)
    with checkpointing(parts):
        book(parts.log)
    assert signed(parts.home) == before


def test_witnesses_are_asked_and_a_refusal_is_said(
    open_parts: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "witnesses"
    parts = open_parts(log_witnesses=file)
    log = parts.log
    witness = SmallWitness("example.org/w", log.public_key)
    with serving(witness) as ask:
        file.write_text(f"{ask.url} {witness.key}\n")
        book(log)
        assert sign_what_is_new(parts) == ""
        assert witness.size == log.size
        assert verify_log(parts.home, witnesses=[str(witness.key)]).problems == ()
        # Nothing new and cosigned already: nobody is asked again.
        witness.size = 10**6
        assert sign_what_is_new(parts) == ""
        book(log)  # now it says that it has seen more than there is
        assert "witness_refused" in sign_what_is_new(parts)
        book(log)
        fast = parts.settings.model_copy(update={"log_checkpoint_s": 0.01})
        parts.settings = fast
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with checkpointing(parts):
                until(lambda: caught)
    assert caught[0].category is CheckpointWarning
