"""The generator in a process of its own: the same pictures, and what happens when it ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chopmark import Settings
from chopmark.errors import Cancelled, ChopmarkError, GenerationFailed, ModelNotFound
from chopmark.generation import Draft, GenerationJob, batch_size, load_generator
from chopmark.workers.generators import Generators, generator_elsewhere
from tests.support.wait import HANG_S, until
from tests.unit.generation.families import FAMILIES

JOB = GenerationJob(prompt="a red apple", n=2, seed=7, width=64, height=64, steps=3)


@pytest.fixture(scope="module")
def flux_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FAMILIES["flux"].save(tmp_path_factory.mktemp("flux"))


@pytest.fixture(scope="module")
def elsewhere(flux_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generators]:
    home = tmp_path_factory.mktemp("home")
    generator = generator_elsewhere(
        Settings(home=home, model=str(flux_folder), quantization="none", device="cpu"),
        threads=1,
    )
    yield generator
    generator.close()


def test_it_makes_the_same_pictures(
    elsewhere: Generators, flux_folder: Path, tmp_path: Path
) -> None:
    here = load_generator(str(flux_folder), home=tmp_path)
    assert elsewhere.info.digest == here.info.digest
    seen: list[tuple[int, int]] = []
    pictures = elsewhere.generate(JOB, progress=lambda done, total: seen.append((done, total)))
    alone = here.generate(JOB)
    # Sums are added up in another order by one thread than by several: a level of 255 at most.
    for one, other in zip(pictures, alone, strict=True):
        far = max(abs(a - b) for a, b in zip(one.tobytes(), other.tobytes(), strict=True))
        assert far <= 2
    assert batch_size(pictures[0]) in {1, 2}
    assert seen[-1] == (6, 6)


def test_looks_come_as_they_are_made(elsewhere: Generators) -> None:
    looks: list[Draft] = []
    job = GenerationJob(prompt="x", n=1, seed=1, width=64, height=64, steps=3, drafts=2)
    elsewhere.generate(job, draft=looks.append)
    assert [(look.index, look.step) for look in looks] == [(1, 1), (1, 2)]

    def refuse(_draft: Draft) -> None:
        raise GenerationFailed("refused")

    with pytest.raises(GenerationFailed, match="refused"):
        elsewhere.generate(job, draft=refuse)
    until(lambda: elsewhere.waiting == 0)


def test_a_caller_who_is_gone_ends_the_job(elsewhere: Generators) -> None:
    with pytest.raises(Cancelled):
        elsewhere.generate(JOB, cancelled=lambda: True)
    assert len(elsewhere.generate(JOB)) == 2


def test_a_killed_generator_is_one_coded_error_and_is_started_again(
    elsewhere: Generators,
) -> None:
    elsewhere.generate(JOB)
    (pid,) = elsewhere.pids
    os.kill(pid, signal.SIGSTOP)
    caught: list[ChopmarkError] = []

    def work() -> None:
        try:
            elsewhere.generate(JOB)
        except ChopmarkError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: elsewhere.waiting)
    os.kill(pid, signal.SIGKILL)
    thread.join(HANG_S)
    assert [error.code for error in caught] == ["generation_failed"]
    assert caught[0].hint
    assert len(elsewhere.generate(JOB)) == 2
    assert elsewhere.pids != [pid]


def test_what_cannot_be_loaded_is_said_as_it_is_here(tmp_path: Path) -> None:
    missing = generator_elsewhere(Settings(home=tmp_path, model=str(tmp_path / "nothing")))
    with pytest.raises(ModelNotFound):
        _ = missing.info
    missing.close()


def test_each_device_has_a_process(flux_folder: Path, tmp_path: Path) -> None:
    both = generator_elsewhere(
        Settings(home=tmp_path, model=str(flux_folder), quantization="none", device="cpu,cpu"),
        threads=1,
    )
    both.warm_up()
    assert len(set(both.pids)) == 2
    assert len(both.generate(JOB)) == 2
    both.close()
