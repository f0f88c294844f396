from __future__ import annotations

import ctypes
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from chopmark.errors import Busy, Cancelled, ChopmarkError, GenerationFailed, InvalidRequest
from chopmark.generation import (
    DiffusersGenerator,
    Draft,
    GenerationJob,
    Generator,
    LoadOptions,
    batch_size,
)
from chopmark.generation.batches import BatchingGenerator
from chopmark.generation.memory import check_after, keep_freed_memory
from tests.support.wait import HANG_S, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from PIL import Image

    from chopmark.generation.calls import Slot

#: Levels of 255 that a picture may differ by in a batch.
TOLERANCE = 2


def job(**changes: object) -> GenerationJob:
    values: dict[str, object] = {"prompt": "a red apple", "seed": 7, "width": 32, "height": 32}
    return GenerationJob(**{**values, "steps": 3, **changes})  # type: ignore[arg-type]


class Held:
    """The real engine, whose first call waits until told; notes who was in each call."""

    def __init__(self, engine: DiffusersGenerator) -> None:
        self.engine, self.go, self.batches = engine, threading.Event(), list[list[str]]()
        self.info, self.check, self.max_batch = engine.info, engine.check, engine.max_batch

    def run(self, slots: Sequence[Slot]) -> list[Image.Image]:
        first = not self.batches
        self.batches.append([slot.job.tenant for slot in slots])
        if first:
            assert self.go.wait(30)
        return self.engine.run(slots)


class Counting(Held):
    """The real engine; notes the steps of each call."""

    def __init__(self, engine: DiffusersGenerator) -> None:
        super().__init__(engine)
        self.steps = list[list[int]]()

    def run(self, slots: Sequence[Slot]) -> list[Image.Image]:
        steps: list[int] = []
        self.steps.append(steps)

        def counted(slot: Slot) -> Slot:
            def stepped(done: int, total: int) -> None:
                steps.append(done)
                slot.stepped(done, total)

            return replace(slot, stepped=stepped)

        return self.engine.run([counted(slot) for slot in slots])


class Crowd:
    """Callers in threads of their own."""

    def __init__(self, generator: BatchingGenerator) -> None:
        self.generator, self.threads = generator, list[threading.Thread]()
        self.results: dict[str, Any] = {}

    def ask(self, name: str, order: GenerationJob, **options: Any) -> None:
        def work() -> None:
            try:
                self.results[name] = self.generator.generate(order, **options)
            except ChopmarkError as error:
                self.results[name] = error

        self.threads.append(threading.Thread(target=work, daemon=True))
        self.threads[-1].start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(HANG_S)
            assert not thread.is_alive()


@pytest.fixture
def held(generator: DiffusersGenerator) -> Iterator[Held]:
    engine = Held(generator)
    yield engine
    engine.go.set()


def levels(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max())


def test_it_is_a_generator_and_a_lone_request_starts_at_once(
    generator: DiffusersGenerator,
) -> None:
    batching = BatchingGenerator(generator)
    assert isinstance(batching, Generator)
    picture = batching.generate(job())[0]
    assert picture.tobytes() == generator.generate(job())[0].tobytes()
    assert batch_size(picture) == 1


def test_concurrent_requests_share_a_call_and_keep_their_own_seeds(
    held: Held, generator: DiffusersGenerator
) -> None:
    batching = BatchingGenerator(held, max_batch=4)  # type: ignore[arg-type]
    crowd = Crowd(batching)
    crowd.ask("first", job())
    until(lambda: bool(held.batches))
    orders = {f"{seed}": job(seed=seed, prompt=f"picture {seed}") for seed in range(20, 25)}
    for name, order in orders.items():
        crowd.ask(name, order)
    until(lambda: batching.waiting == 5)
    held.go.set()
    crowd.join()
    assert [len(batch) for batch in held.batches] == [1, 4, 1]
    for name, order in orders.items():
        together, alone = crowd.results[name][0], generator.generate(order)[0]
        assert levels(together, alone) <= TOLERANCE
    assert sorted(batch_size(crowd.results[name][0]) for name in orders) == [1, 4, 4, 4, 4]


def test_what_differs_in_shape_steps_or_guidance_is_not_mixed(held: Held) -> None:
    batching = BatchingGenerator(held)  # type: ignore[arg-type]
    crowd = Crowd(batching)
    crowd.ask("first", job())
    until(lambda: bool(held.batches))
    kinds: tuple[dict[str, Any], ...] = ({}, {"width": 64}, {"steps": 2}, {"guidance": 3.0}, {})
    for index, changes in enumerate(kinds):
        crowd.ask(str(index), job(**changes))
        until(lambda count=index + 1: batching.waiting == count)  # type: ignore[misc]
    held.go.set()
    crowd.join()
    assert sorted(len(batch) for batch in held.batches[1:]) == [1, 1, 1, 2]
    assert crowd.results["1"][0].size == (64, 32)


def test_each_tenant_gets_its_turn(held: Held) -> None:
    batching = BatchingGenerator(held, max_batch=2)  # type: ignore[arg-type]
    crowd = Crowd(batching)
    crowd.ask("first", job(tenant="greedy"))
    until(lambda: bool(held.batches))
    crowd.ask("many", job(tenant="greedy", n=8))
    until(lambda: batching.waiting == 8)
    crowd.ask("one", job(tenant="modest"))
    until(lambda: batching.waiting == 9)
    held.go.set()
    crowd.join()
    # Eight pictures were there before, and the ninth is in the first batch that follows.
    assert sorted(held.batches[1]) == ["greedy", "modest"]
    assert len(crowd.results["many"]) == 8


def test_one_who_leaves_goes_at_once_and_the_others_stay(held: Held) -> None:
    batching = BatchingGenerator(held)  # type: ignore[arg-type]
    crowd, gone = Crowd(batching), threading.Event()
    crowd.ask("leaves", job(n=3), cancelled=gone.is_set)
    # Both at once might share the call, and then nobody waits.
    until(lambda: bool(held.batches))
    crowd.ask("stays", job(tenant="other"))
    until(lambda: batching.waiting == 1)
    gone.set()
    until(lambda: "leaves" in crowd.results)
    assert isinstance(crowd.results["leaves"], Cancelled)
    held.go.set()
    crowd.join()
    assert len(crowd.results["stays"]) == 1
    assert batching.waiting == 0


def test_a_call_that_nobody_waits_for_ends_within_one_step(
    generator: DiffusersGenerator,
) -> None:
    counting = Counting(generator)
    batching = BatchingGenerator(counting)  # type: ignore[arg-type]
    seen: list[int] = []
    with pytest.raises(Cancelled):
        batching.generate(
            job(steps=60, n=4),
            progress=lambda done, _total: seen.append(done),
            cancelled=lambda: len(seen) >= 2,
        )
    # One worker makes one call after the other, so the first has ended when this one is answered.
    assert len(batching.generate(job())) == 1
    assert max(counting.steps[0]) < 60
    assert len(seen) == 2


def test_progress_and_drafts_reach_the_one_who_asked_in_its_own_thread(held: Held) -> None:
    batching = BatchingGenerator(held)  # type: ignore[arg-type]
    crowd, told, drafts = Crowd(batching), list[tuple[int, int]](), list[Draft]()
    threads: set[int] = set()

    def draft(one: Draft) -> None:
        drafts.append(one)
        threads.add(threading.get_ident())

    crowd.ask("first", job())
    until(lambda: bool(held.batches))
    crowd.ask("quiet", job(seed=1))
    crowd.ask(
        "told", job(n=2, steps=3, drafts=1), progress=lambda *at: told.append(at), draft=draft
    )
    until(lambda: batching.waiting == 3)
    held.go.set()
    crowd.join()
    assert [len(batch) for batch in held.batches] == [1, 3]
    assert told[-1] == (6, 6)
    assert sorted((one.index, one.step) for one in drafts) == [(1, 1), (2, 1)]
    assert threads == {crowd.threads[2].ident}


def test_who_wants_looks_only_has_no_picture_finished(generator: DiffusersGenerator) -> None:
    engine = Counting(generator)
    engine.go.set()
    batching = BatchingGenerator(engine)  # type: ignore[arg-type]
    looks: list[Draft] = []
    assert batching.generate(job(drafts=1, looks_only=True, steps=4), draft=looks.append) == []
    assert [look.step for look in looks] == [2]
    assert engine.steps == [[1, 2]]
    # Where no step comes before the last, there is no look, and the picture is made.
    (picture,) = batching.generate(job(drafts=1, looks_only=True, steps=1), draft=looks.append)
    assert picture.size == (32, 32)
    assert len(looks) == 1


def test_a_neighbour_of_one_who_wants_looks_only_gets_the_picture(held: Held) -> None:
    batching = BatchingGenerator(held)  # type: ignore[arg-type]
    crowd, looks = Crowd(batching), list[Draft]()
    crowd.ask("first", job())
    until(lambda: bool(held.batches))
    crowd.ask("looks", job(tenant="looks", drafts=1, looks_only=True), draft=looks.append)
    crowd.ask("whole", job(tenant="whole"))
    until(lambda: batching.waiting == 2)
    held.go.set()
    crowd.join()
    assert sorted(held.batches[1]) == ["looks", "whole"]
    assert len(looks) == 1
    assert crowd.results["whole"][0].size == (32, 32)


def test_a_full_queue_refuses_and_an_empty_one_takes_any_job(held: Held) -> None:
    batching = BatchingGenerator(held, max_waiting=3)  # type: ignore[arg-type]
    crowd = Crowd(batching)
    crowd.ask("first", job())
    until(lambda: bool(held.batches))
    crowd.ask("second", job(n=3))
    until(lambda: batching.waiting == 3)
    with pytest.raises(Busy):
        batching.generate(job())
    held.go.set()
    crowd.join()
    assert len(batching.generate(job(n=5))) == 5


def test_a_batch_that_breaks_is_made_again_one_by_one(
    held: Held, generator: DiffusersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    batching = BatchingGenerator(held)  # type: ignore[arg-type]
    crowd = Crowd(batching)
    crowd.ask("first", job())
    until(lambda: bool(held.batches))
    for seed in range(3):
        crowd.ask(str(seed), job(seed=seed))
    crowd.ask("poison", job(prompt="poison"))
    until(lambda: batching.waiting == 4)
    real = generator.run

    def breaks(slots: Sequence[Slot]) -> list[Image.Image]:
        if any(slot.job.prompt == "poison" for slot in slots):
            raise GenerationFailed("out of memory")
        return real(slots)

    monkeypatch.setattr(generator, "run", breaks)
    held.go.set()
    crowd.join()
    assert isinstance(crowd.results["poison"], GenerationFailed)
    assert all(len(crowd.results[str(seed)]) == 1 for seed in range(3))


def test_the_pictures_of_one_job_share_calls_too(generator: DiffusersGenerator) -> None:
    pictures = BatchingGenerator(generator, max_batch=4).generate(job(n=6))
    assert [batch_size(picture) for picture in pictures] == [4, 4, 4, 4, 2, 2]
    alone = generator.generate(job(n=6))
    assert max(levels(*pair) for pair in zip(pictures, alone, strict=True)) <= TOLERANCE


def test_prompts_that_come_again_are_not_encoded_again(unet_folder: Path) -> None:
    engine = DiffusersGenerator.load(unet_folder)
    first = engine.generate(job(guidance=3.0, negative_prompt="a car"))[0]
    misses = engine.prompt_cache.misses
    again = engine.generate(job(guidance=3.0, negative_prompt="a car"))[0]
    assert again.tobytes() == first.tobytes()
    assert engine.prompt_cache.misses == misses
    assert engine.prompt_cache.hits
    none = DiffusersGenerator.load(unet_folder, options=LoadOptions(prompt_cache_mb=0))
    assert none.generate(job(guidance=3.0, negative_prompt="a car"))[0].tobytes() == first.tobytes()
    assert none.prompt_cache.hits == none.prompt_cache.misses == 0


def test_a_full_prompt_cache_forgets_the_oldest(unet_folder: Path) -> None:
    engine = DiffusersGenerator.load(unet_folder)
    engine.prompt_cache._limit = 4000
    for number in range(6):
        engine.generate(job(prompt=f"picture {number}"))
    assert engine.prompt_cache._size <= 4000
    assert 0 < len(engine.prompt_cache._kept) < 6


def test_a_model_over_the_memory_ceiling_says_so_before_it_loads(unet_folder: Path) -> None:
    from chopmark.errors import ModelLoadError

    with pytest.raises(ModelLoadError, match="ceiling") as caught:
        DiffusersGenerator.load(unet_folder, options=LoadOptions(memory_limit_mb=1))
    assert "CHOPMARK_MEMORY_LIMIT_MB" in caught.value.hint


@pytest.mark.parametrize(
    "options", [{"max_batch": 0}, {"max_batch": 65}, {"max_waiting": -1}, {"dtype": "int2"}]
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        LoadOptions(**options)


@pytest.mark.parametrize("device", ["no-such-device", "cuda"])
def test_a_device_that_is_not_here_is_a_clear_error(device: str) -> None:
    import torch

    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(InvalidRequest, match="device"):
        _ = LoadOptions(device=device).torch_device


def test_who_chose_how_memory_is_kept_is_not_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    assert not keep_freed_memory()
    monkeypatch.delenv("MALLOC_ARENA_MAX")
    assert keep_freed_memory() == hasattr(ctypes.CDLL(None), "mallopt")


def test_one_thread_makes_all_calls_and_ends_with_its_generator(
    generator: DiffusersGenerator,
) -> None:
    threads: list[threading.Thread] = []

    class Noting(Held):
        def run(self, slots: Sequence[Slot]) -> list[Image.Image]:
            threads.append(threading.current_thread())
            return self.engine.run(slots)

    batching = BatchingGenerator(Noting(generator))  # type: ignore[arg-type]
    for _ in range(3):
        batching.generate(job(steps=1))
    assert len(set(threads)) == 1
    del batching
    threads[0].join(20)
    assert not threads[0].is_alive()


@pytest.mark.parametrize(("device", "number"), [("cuda", 3), ("cuda:1", 1)])
def test_a_ceiling_on_a_gpu_names_the_gpu_by_its_number(
    device: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[float, int]] = []
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _device: SimpleNamespace(total_memory=2**33)
    )
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *given: told.append(given)
    )
    check_after(device=device, limit_mb=2048)
    # torch refuses "cuda" here: it wants a number.
    assert told == [(0.25, number)]
