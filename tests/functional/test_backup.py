"""The lines of docs/deployment.md: what they copy comes back, verifies, and goes on."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from chopmark import GenerationRequest, Pipeline, Released
from chopmark.errors import LogCorrupt
from chopmark.pipeline.inspect import examine
from tests.support.generator import StandIn

Run = Callable[..., tuple[int, str, str]]

PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"


class Drill:
    """Runs the page's blocks over a home; ``chopmark`` in this process, the rest in a shell."""

    def __init__(self, home: Path, folder: Path, run: Run) -> None:
        text = PAGE.read_text(encoding="utf-8")
        blocks = re.findall(r"```bash\n# (\w+)[^\n]*\n(.*?)```", text, re.DOTALL)
        self._blocks = dict(blocks)
        self._run = run
        self._environment = {"PATH": os.defpath, "CHOPMARK_HOME": str(home)}
        for name in ("BACKUP", "ELSEWHERE"):
            (folder / name).mkdir()
            self._environment[name] = str(folder / name)

    def shell(self, name: str) -> None:
        lines = [line for line in self._blocks[name].splitlines() if "systemctl" not in line]
        script = "\n".join(["set -eu", *lines])
        subprocess.run(["sh", "-c", script], env=self._environment, check=True)

    def commands(self, name: str) -> list[tuple[int, str]]:
        ended = []
        for line in self._blocks[name].splitlines():
            program, *arguments = shlex.split(line)
            assert program == "chopmark"
            code, out, err = self._run(*arguments)
            ended.append((code, out + err))
        return ended


@pytest.fixture
def drill(home: Path, tmp_path: Path, run: Run) -> Drill:
    return Drill(home, tmp_path, run)


async def made(pipeline: Pipeline, subject: str) -> Released:
    return await pipeline.generate(
        GenerationRequest(prompt=f"a red apple for {subject}", seed=7, subject=subject)
    )


def prompts(pipeline: Pipeline) -> list[str]:
    """Return the prompts that can be read."""
    log = pipeline.parts.log
    found = [log.private(one.index) for one in log.find(kind="request.received", limit=100)]
    return sorted(str(private["prompt"]) for private in found if private)


async def test_nothing_was_booked_since(
    open_pipeline: Callable[..., Pipeline], drill: Drill, home: Path
) -> None:
    with open_pipeline(generator=StandIn()) as before:
        released = await made(before, "ann")
        size, key = before.parts.log.size, before.parts.log.public_key
    drill.shell("backup")
    drill.shell("memory")
    shutil.rmtree(home)
    drill.shell("restore")
    assert drill.commands("check")[0][0] == 0
    with open_pipeline(generator=StandIn()) as after:
        assert (after.parts.log.size, after.parts.log.public_key) == (size, key)
        assert examine(after.parts, released.outputs[0].data).verdict == "made_here"
        assert released.receipt.verify(key) == ()
        again = await made(after, "bob")
        assert again.receipt.verify(key) == ()
        assert prompts(after) == ["a red apple for ann", "a red apple for bob"]
    assert drill.commands("check")[0][0] == 0


async def test_what_was_booked_and_erased_since(
    open_pipeline: Callable[..., Pipeline], drill: Drill, home: Path, run: Run
) -> None:
    with open_pipeline(generator=StandIn()) as before:
        kept, _ = await made(before, "ann"), await made(before, "bob")
        key = before.parts.log.public_key
    drill.shell("backup")
    erase = ["audit", "erase", "--subject", "bob", "--second", "max", "--reason", "asked"]
    assert run(*erase, "--as", "ada", "--role", "eraser")[0] == 0
    with open_pipeline(generator=StandIn()) as before:
        late = await made(before, "eve")
    drill.shell("memory")
    shutil.rmtree(home)
    drill.shell("restore")
    ((code, said),) = drill.commands("check")
    assert code == 4
    assert "log_cut" in said
    with pytest.raises(LogCorrupt), open_pipeline(generator=StandIn()) as refused:
        await made(refused, "mallory")
    assert [code for code, _ in drill.commands("continue")] == [0, 0]
    with open_pipeline(generator=StandIn()) as after:
        # Who was erased since the backup stays so, though the backup has the key.
        assert prompts(after) == ["a red apple for ann"]
        assert examine(after.parts, kept.outputs[0].data).verdict == "made_here"
        keys = after.parts.log.proof.public_keys
        assert after.parts.log.public_key != key
        assert kept.receipt.verify(keys) == ()
        assert late.receipt.verify(keys) == ()  # lost here, and still proved to whoever has it
        again = await made(after, "fay")
        assert again.receipt.verify(after.parts.log.public_key) == ()
        assert prompts(after) == ["a red apple for ann", "a red apple for fay"]


async def test_data_keys_that_expired(
    open_pipeline: Callable[..., Pipeline], drill: Drill, home: Path, tmp_path: Path
) -> None:
    """The home's backup alone reads nothing of anybody, proves the rest, and says what it lacks."""
    with open_pipeline(generator=StandIn()) as before:
        released = await made(before, "ann")
    drill.shell("backup")
    drill.shell("memory")
    archive = tmp_path / "BACKUP" / "home.tar"
    with tarfile.open(archive) as opened:
        names = opened.getnames()
    assert "./audit/log.db" in names
    assert not [name for name in names if "vault" in name]
    assert b"a red apple" not in archive.read_bytes()
    shutil.rmtree(home)
    drill.shell("restore")
    shutil.rmtree(home / "audit" / "vault")
    ((code, said),) = drill.commands("check")
    assert code == 0
    assert "not looked at: data keys" in said
    with open_pipeline(generator=StandIn()) as after:
        assert prompts(after) == []
        assert released.receipt.verify(after.parts.log.public_key) == ()
        await made(after, "bob")
        assert prompts(after) == ["a red apple for bob"]
    ((code, said),) = drill.commands("check")  # the new vault does not have the old keys
    assert code == 4
    assert "key_missing" in said
