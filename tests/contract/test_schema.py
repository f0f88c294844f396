"""schemathesis sends what /openapi.json allows, and what it does not, with every check on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chopmark.tenancy import ROLES, People
from tests.support.wait import HANG_S

CONFIG = Path(__file__).with_name("schemathesis.toml")

# Only a run that hangs takes as long; how long one takes is the machine's affair.
pytestmark = pytest.mark.timeout(3600)


def _explore(url: str, *options: str, cwd: Path) -> str:
    done = subprocess.run(
        [
            Path(sys.executable).with_name("st"),
            "--config-file",
            CONFIG,
            "run",
            f"{url}/openapi.json",
            "--no-color",
            "--generation-deterministic",
            # Its own limit on a read is ten seconds, which a busy machine needs for a picture.
            f"--request-timeout={HANG_S}",
            *options,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def test_nothing_comes_back_that_is_not_described(forgiving: Any, tmp_path: Path) -> None:
    before = forgiving.pipeline.parts.log.size
    # The desk's routes are explored below, by somebody whom they do not answer 403.
    desk = [f"--exclude-tag={tag}" for tag in ("desk", "hashes", "policies", "exports")]
    told = _explore(forgiving.url, "--max-examples=6", *desk, cwd=tmp_path)
    assert " passed" in told
    # It did reach the pipeline: pictures were made, and nothing is left open.
    assert forgiving.generator.jobs
    assert forgiving.pipeline.parts.log.size > before + 10
    assert forgiving.pipeline.parts.log.reconcile(older_than_s=0) == []


def test_the_same_of_somebody_who_may_do_everything(forgiving: Any, tmp_path: Path) -> None:
    """Without a sign-in the desk answers 403 and nothing behind that is looked at."""
    with People.open(forgiving.pipeline.parts.home) as people:
        people.add("root", roles=ROLES, tenant=None)
        begun = people.redeem(people.link("root"))
    told = _explore(
        forgiving.url,
        "--max-examples=4",
        "--exclude-tag=openai",
        "--exclude-tag=gemini",
        # Signing the explorer out would end what it is there for.
        "--exclude-path-regex=/session",
        "--exclude-checks=ignored_auth",  # it takes keys away; here it is a cookie that lets in
        f"--header=cookie: chopmark_session={begun.token}",
        f"--header=x-csrf-token: {begun.session.csrf}",
        cwd=tmp_path,
    )
    assert " passed" in told
    booked = forgiving.pipeline.parts.log.find(kind="access.searched")
    assert booked


@pytest.mark.slow
def test_everything_for_longer(forgiving: Any, tmp_path: Path) -> None:
    """What the two above leave to chance: many more examples of each operation."""
    _explore(forgiving.url, "--max-examples=150", cwd=tmp_path)
