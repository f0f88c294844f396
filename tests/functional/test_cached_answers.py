"""A wish that was granted before: the same pictures where they stand, new ones in any doubt."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chopmark import EditRequest, GenerationRequest, Pipeline, Refused, Released
from chopmark.audit import Actor
from chopmark.kit.background import AfterwardsWarning
from chopmark.pipeline.erase_prompts import forget_person, forget_prompts, forget_with_the_log
from tests.support.generator import Watched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Pipeline]

PROMPT = "a red apple on a table"
TWO = ("Ada", "Grace")


@pytest.fixture
def open_cached(open_pipeline: Open, shared_pipeline: Pipeline) -> Open:
    """Opens pipelines that answer again, over a home of the test's own."""

    def make(**settings: Any) -> Pipeline:
        given = {"prompt_index": True, "cached_answers": "exact", **settings}
        return open_pipeline(generator=Watched(shared_pipeline.parts.generator), **given)

    return make


@pytest.fixture
def pipeline(open_cached: Open) -> Pipeline:
    return open_cached()


def ask(prompt: str = PROMPT, **changes: Any) -> GenerationRequest:
    return GenerationRequest(**{"prompt": prompt, "steps": 1, "size": (256, 256), **changes})


async def granted(pipeline: Pipeline, request: GenerationRequest) -> Released:
    """Ask, and wait until what is to be kept is kept."""
    released = await pipeline.generate(request)
    assert pipeline.parts.answer_cache.later.drain(120)
    return released


def jobs(pipeline: Pipeline) -> int:
    generator: Any = pipeline.parts.generator
    return len(generator.jobs)


async def test_a_repeated_prompt_gets_the_same_pictures_and_a_record_of_its_own(
    pipeline: Pipeline,
) -> None:
    first = await granted(pipeline, ask(n=2, subject="default:ann"))
    again = await granted(pipeline, ask("a red  apple on a table ", n=2, subject="default:bob"))
    assert jobs(pipeline) == 1
    assert [o.data for o in again.outputs] == [o.data for o in first.outputs]
    assert [o.output_id for o in again.outputs] == [o.output_id for o in first.outputs]
    assert again.repeats == first.record_id != again.record_id
    assert first.repeats is None
    log = pipeline.parts.log
    records = log.records(again.record_id)
    kinds = [record.kind for record in records]
    assert kinds == ["request.received", "request.decided", "request.completed"]
    assert records[2].public["repeats"] == first.record_id
    assert again.receipt.record.public["repeats"] == first.record_id
    assert again.receipt.verify(log.public_key) == ()
    # Judged today, and booked with the digests of what left.
    assert all(output.verdict.action == "allow" for output in again.outputs)
    private: Any = log.private(records[2].index)
    assert private["sha256"] == {o.output_id: o.sha256 for o in again.outputs}
    assert set(private["pdq"]) == set(private["sha256"])
    # The mark leads to where the picture was made.
    looked = await pipeline.verify(again.outputs[0].data)
    assert looked.report.verdict == "made_here"
    assert pipeline.parts.answer_cache.counts == {"miss": 1, "hit": 1}


CHANGES: list[dict[str, Any]] = [
    {"prompt": "a green apple on a table"},
    {"prompt": "A red apple on a table"},
    {"prompt": f"{PROMPT}."},
    {"tenant": "other"},
    {"n": 2},
    {"size": (256, 320)},
    {"steps": 2},
    {"guidance": 2.0},
    {"negative_prompt": "a worm"},
    {"format": "webp"},
    {"format": "png", "quality": 50},
    {"seed": 12},
    {"seed": 11, "fresh": True},
]


async def test_whatever_shapes_the_picture_must_be_the_same(pipeline: Pipeline) -> None:
    first = await granted(pipeline, ask(seed=11))
    for number, changes in enumerate(CHANGES):
        other = await granted(pipeline, ask(**changes))
        assert other.repeats is None, changes
        assert jobs(pipeline) == number + 2
        if "fresh" not in changes:
            assert (await granted(pipeline, ask(seed=11))).repeats == first.record_id, changes


async def test_a_named_seed_must_be_the_seed(pipeline: Pipeline) -> None:
    first = await granted(pipeline, ask(seed=11, n=2))
    assert (await granted(pipeline, ask(seed=12, n=2))).repeats is None
    same = await granted(pipeline, ask(seed=11, n=2))
    assert same.repeats == first.record_id
    assert [output.seed for output in same.outputs] == [11, 12]


async def test_who_refuses_an_old_answer_gets_a_new_one_which_is_the_next_answer(
    pipeline: Pipeline,
) -> None:
    first = await granted(pipeline, ask(seed=1))
    fresh = await granted(pipeline, ask(fresh=True))
    assert fresh.repeats is None
    again = await granted(pipeline, ask())
    assert again.repeats == fresh.record_id != first.record_id
    assert pipeline.parts.answer_cache.counts["bypassed"] == 1


async def test_nothing_is_kept_or_answered_unless_somebody_opted_in(
    open_cached: Open, home: Path
) -> None:
    pipeline = open_cached(cached_answers="off")
    first = await granted(pipeline, ask())
    assert (await granted(pipeline, ask())).repeats is None
    assert jobs(pipeline) == 2
    assert (
        pipeline.parts.log.custody.attachments.of(
            first.receipt.record.index, younger_than=timedelta(days=1)
        )
        is None
    )
    off = open_cached(cached_answers="off", prompt_index=False)
    await granted(off, ask())
    assert off.parts.answer_cache.later.counts == {}


async def test_other_wordings_are_the_same_wish_only_where_set(open_cached: Open) -> None:
    pipeline = open_cached(cached_answers="reworded")
    first = await granted(pipeline, ask("a cup on the left of a jug"))
    same = await granted(pipeline, ask("A cup on the left of the jug."))
    assert same.repeats == first.record_id
    for other in (
        "a cup on the right of a jug",
        "a jug on the left of a cup",
        "two cups on the left of a jug",
        "a cup left of a jug",
    ):
        assert (await granted(pipeline, ask(other))).repeats is None, other
    await granted(pipeline, ask('a sign that says "polish"'))
    assert (await granted(pipeline, ask('a sign that says "Polish"'))).repeats is None


async def test_what_the_model_cannot_read_must_be_the_very_prompt(open_cached: Open) -> None:
    pipeline = open_cached(cached_answers="reworded")
    long = "apple " * 140
    first = await granted(pipeline, ask(f"{long} red"))
    assert (await granted(pipeline, ask(f"{long} blue"))).repeats is None
    assert (await granted(pipeline, ask(f"{long} red"))).repeats == first.record_id


async def test_a_prompt_is_judged_before_any_answer(pipeline: Pipeline) -> None:
    await granted(pipeline, ask())
    real, seen = pipeline.parts.prompt_guard, []

    class Stricter:
        def judge(self, text: str, policy: Any, **options: Any) -> Any:
            seen.append(text)
            return dataclasses.replace(
                real.judge(text, policy, **options), action="block", categories=("violence",)
            )

    pipeline.parts.use(prompt_guard=Stricter())
    with pytest.raises(Refused):
        await pipeline.generate(ask())
    assert seen == [PROMPT]


async def test_a_picture_that_todays_guards_doubt_is_not_handed_out_again(
    pipeline: Pipeline,
) -> None:
    first = await granted(pipeline, ask())
    real, seen = pipeline.parts.image_guard, []

    class Stricter:
        def judge(self, picture: Any, policy: Any, **options: Any) -> Any:
            seen.append(picture)
            verdict = real.judge(picture, policy, **options)
            return dataclasses.replace(verdict, action="review") if len(seen) == 1 else verdict

    pipeline.parts.use(image_guard=Stricter())
    other = await granted(pipeline, ask())
    assert other.repeats is None
    assert other.outputs[0].output_id != first.outputs[0].output_id
    assert len(seen) == 2
    assert pipeline.parts.answer_cache.counts["doubt"] == 1


async def test_what_was_allowed_with_reserve_is_never_an_answer(pipeline: Pipeline) -> None:
    real = pipeline.parts.image_guard

    class Doubtful:
        def judge(self, picture: Any, policy: Any, **options: Any) -> Any:
            return dataclasses.replace(real.judge(picture, policy, **options), action="review")

    pipeline.parts.use(image_guard=Doubtful())
    first = await granted(pipeline, ask())
    booked = pipeline.parts.request_log.records(first.record_id)[-1]
    assert booked.public["action"] == "review"
    pipeline.parts.use(image_guard=real)
    assert (await granted(pipeline, ask())).repeats is None


async def test_another_policy_asks_anew(pipeline: Pipeline) -> None:
    from chopmark.safety import load_policy

    first = await granted(pipeline, ask())
    strict = load_policy("strict")
    assert (await granted(pipeline, ask(policy=strict))).repeats is None
    assert (await granted(pipeline, ask())).repeats == first.record_id


async def test_another_model_or_key_asks_anew(pipeline: Pipeline) -> None:
    first = await granted(pipeline, ask())
    generator: Any = pipeline.parts.generator
    before = generator.info
    generator.info = dataclasses.replace(before, digest="1" * 64)
    assert (await granted(pipeline, ask())).repeats is None
    # Weights that nobody can name are never the same.
    generator.info = dataclasses.replace(before, digest="")
    assert (await granted(pipeline, ask())).repeats is None
    assert (await granted(pipeline, ask())).repeats is None
    generator.info = before
    assert (await granted(pipeline, ask())).repeats == first.record_id
    keys = pipeline.parts.mark_keys
    other = dataclasses.replace(keys.active, key_id="another")
    pipeline.parts.use(mark_keys=dataclasses.replace(keys, all=(other, *keys.all)))
    assert (await granted(pipeline, ask())).repeats is None


def _review(pipeline: Pipeline, record_id: str) -> None:
    from chopmark.audit import Rule

    actor = Actor(name="Ada", roles=frozenset({"writer"}), tenant=None)
    desk = pipeline.parts.log.desk(actor, purpose="a test")
    desk.review.route([Rule(queue="q", tenant="default")])
    assert pipeline.parts.log.records(record_id)[-1].kind == "review.queued"


def _seal(pipeline: Pipeline, record_id: str) -> None:
    actor = Actor(name="Ada", roles=frozenset({"investigator"}), tenant=None)
    pipeline.parts.log.desk(actor, purpose="a test").seal(record_id, reason="a test")


def _withdraw(pipeline: Pipeline, record_id: str) -> None:
    actor = Actor(name="Ada", roles=frozenset({"reviewer"}), tenant=None)
    desk = pipeline.parts.log.desk(actor, purpose="a test")
    desk.outputs.withdraw(record_id, rationale="it leaked")


def _hold(pipeline: Pipeline, _record_id: str) -> None:
    pipeline.parts.log.custody.holds.place("default:ann", basis="a court order", by="Ada")


def _erase(pipeline: Pipeline, _record_id: str) -> None:
    pipeline.parts.log.custody.erase("default:ann", by=TWO, reason="she asked")


def _expire(pipeline: Pipeline, _record_id: str) -> None:
    assert pipeline.parts.log.custody.expire({"standard": timedelta()})


def _take_back(pipeline: Pipeline, record_id: str) -> None:
    output_id = f"{record_id[:-1]}1"
    entry = pipeline.parts.store.by_output(output_id)
    assert entry is not None
    pipeline.parts.store.delete(entry.manifest_id)


def _forget_record(pipeline: Pipeline, record_id: str) -> None:
    assert forget_prompts(pipeline.parts.home, pipeline.parts.log, record_id=record_id) == 1


def _forget_tenant(pipeline: Pipeline, _record_id: str) -> None:
    assert forget_prompts(pipeline.parts.home, pipeline.parts.log, tenant="default") == 1


def _detach(pipeline: Pipeline, record_id: str) -> None:
    assert pipeline.parts.log.custody.attachments.drop(record_id=record_id) == 1


def _age(pipeline: Pipeline, _record_id: str) -> None:
    pipeline.parts.settings = pipeline.settings.model_copy(update={"cached_answers_hours": 1e-6})


def _tamper(pipeline: Pipeline, _record_id: str) -> None:
    log: Any = pipeline.parts.log
    with log._ledger.database.write() as transaction:
        (sealed,) = transaction.execute("SELECT sealed FROM attachment")[0]
        changed = bytes(sealed)[:-1] + bytes([bytes(sealed)[-1] ^ 1])
        transaction.execute("UPDATE attachment SET sealed = ?", (changed,))


@pytest.mark.parametrize(
    "happens",
    [
        _review, _seal, _withdraw, _hold, _erase, _expire, _take_back, _forget_record,
        _forget_tenant, _detach, _age,
    ],
)  # fmt: skip
async def test_what_has_befallen_a_record_ends_its_being_an_answer(
    pipeline: Pipeline, happens: Callable[[Pipeline, str], None]
) -> None:
    first = await granted(pipeline, ask(subject="default:ann"))
    assert (await granted(pipeline, ask(subject="default:bob"))).repeats == first.record_id
    happens(pipeline, first.record_id)
    after = await granted(pipeline, ask(subject="default:bob"))
    assert after.repeats is None
    assert after.outputs[0].output_id != first.outputs[0].output_id


async def test_bytes_that_were_changed_are_no_answer_and_somebody_hears_of_it(
    pipeline: Pipeline,
) -> None:
    await granted(pipeline, ask())
    _tamper(pipeline, "")
    with pytest.warns(AfterwardsWarning, match="does not decrypt"):
        after = await granted(pipeline, ask())
    assert after.repeats is None
    assert pipeline.parts.answer_cache.counts["failed"] == 1


def test_erasure_takes_embedding_and_pictures_and_leaves_no_residue(
    pipeline: Pipeline, home: Path
) -> None:
    log: Any = pipeline.parts.log
    asyncio.run(granted(pipeline, ask(subject="default:ann")))
    with log._ledger.database.read() as transaction:
        (sealed,) = transaction.execute("SELECT sealed FROM attachment")[0]
    piece = bytes(sealed)[100:200]

    def lies_somewhere() -> bool:
        return any(piece in path.read_bytes() for path in home.rglob("*") if path.is_file())

    assert lies_somewhere()
    log.custody.erase("default:ann", by=TWO, reason="she asked")
    forget_person(home, "default:ann")
    index = pipeline.parts.prompt_index
    assert index is not None
    assert len(index) == 0
    assert not lies_somewhere()


async def test_what_is_erased_while_it_is_being_kept_does_not_come_back(
    pipeline: Pipeline,
) -> None:
    index = pipeline.parts.prompt_index
    assert index is not None
    real, log = index.add, pipeline.parts.log

    def late(*args: Any, **options: Any) -> None:
        log.custody.erase("default:ann", by=TWO, reason="she asked")
        forget_person(pipeline.parts.home, "default:ann")
        real(*args, **options)

    index.add = late  # type: ignore[method-assign]
    await granted(pipeline, ask(subject="default:ann"))
    assert len(index) == 0


async def test_the_end_of_retention_reaches_the_index(pipeline: Pipeline) -> None:
    await granted(pipeline, ask())
    home, log = pipeline.parts.home, pipeline.parts.log
    assert forget_with_the_log(home, log) == 0
    log.custody.expire({"standard": timedelta()})
    assert forget_with_the_log(home, log) == 1
    assert forget_with_the_log(home, log) == 0


async def test_an_edit_is_never_an_answer_and_never_gets_one(
    pipeline: Pipeline, make_picture: Any, to_bytes: Any
) -> None:
    edit = EditRequest(prompt=PROMPT, image=to_bytes(make_picture()), steps=2, size=(256, 256))
    for _ in range(2):
        released = await pipeline.edit(edit)
        assert released.repeats is None
    assert pipeline.parts.answer_cache.later.drain(120)
    assert (await granted(pipeline, ask(steps=2))).repeats is None
    assert pipeline.parts.answer_cache.later.counts == {"done": 3}


async def test_a_repeated_answer_is_not_repeated_itself(pipeline: Pipeline) -> None:
    first = await granted(pipeline, ask())
    for _ in range(3):
        assert (await granted(pipeline, ask())).repeats == first.record_id
    assert jobs(pipeline) == 1


class Hanging:
    """An index that takes its time, until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = 0

    def asked_before(self, *_args: Any, **_options: Any) -> list[Any]:
        self.asked += 1
        self.go.wait()
        return []

    def add(self, *_args: Any, **_options: Any) -> None:
        self.go.wait()

    def close(self) -> None:
        self.go.set()


async def test_an_index_that_hangs_delays_one_request_and_no_other(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Hanging()
    pipeline.parts.use(prompt_index=index)
    with monkeypatch.context() as patch:
        patch.setattr("chopmark.pipeline.steps.RECALL_S", 0.3)
        with pytest.warns(AfterwardsWarning, match="recall took longer"):
            await pipeline.generate(ask())
    for _ in range(2):
        await pipeline.generate(ask())
    assert index.asked == 1
    assert pipeline.parts.answer_cache.later.waiting == 3
    index.go.set()
    assert pipeline.parts.answer_cache.later.drain(120)
    await pipeline.generate(ask())
    assert index.asked == 2


async def test_an_index_that_breaks_is_counted_said_once_and_harms_nothing(
    pipeline: Pipeline,
) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

    pipeline.parts.use(prompt_index=Broken())
    with pytest.warns(AfterwardsWarning) as said:
        released = [await granted(pipeline, ask()) for _ in range(3)]
    assert len({one.outputs[0].output_id for one in released}) == 3
    assert pipeline.parts.answer_cache.counts == {"failed": 3}
    assert pipeline.parts.answer_cache.later.counts == {"failed": 3}
    ours = [str(one.message) for one in said if one.category is AfterwardsWarning]
    assert sorted(message.partition(":")[0] for message in ours) == [
        "no answers from the past",
        "the index of past prompts",
    ]


async def test_nothing_is_lost_when_the_pipeline_closes(open_cached: Open) -> None:
    pipeline = open_cached()
    index = pipeline.parts.prompt_index
    assert index is not None
    real, go = index.add, threading.Event()

    def slow(*args: Any, **options: Any) -> None:
        go.wait()
        real(*args, **options)

    index.add = slow  # type: ignore[method-assign]
    released = [await pipeline.generate(ask(f"{PROMPT} {number}")) for number in range(3)]
    assert pipeline.parts.answer_cache.later.waiting == 3
    threading.Timer(0.3, go.set).start()
    pipeline.close()
    again = open_cached()
    for number, first in enumerate(released):
        repeated = await granted(again, ask(f"{PROMPT} {number}"))
        assert repeated.repeats == first.record_id


async def test_a_search_by_picture_finds_everybody_who_got_it(pipeline: Pipeline) -> None:
    from chopmark.audit import Query

    first = await granted(pipeline, ask(subject="default:ann"))
    again = await granted(pipeline, ask(subject="default:bob"))
    log: Any = pipeline.parts.log
    private = log.private(first.receipt.record.index)
    actor = Actor(name="Ada", roles=frozenset({"reader"}), tenant=None)
    hits = log.desk(actor, purpose="a test").search(
        Query(similar_to=next(iter(private["pdq"].values())))
    )
    assert {hit.record_id for hit in hits} == {first.record_id, again.record_id}


async def test_of_a_restricted_record_nothing_is_kept(pipeline: Pipeline) -> None:
    real = pipeline.parts.image_guard
    seen: list[Any] = []

    class Finds:
        def judge(self, picture: Any, policy: Any, **options: Any) -> Any:
            first = not seen  # pictures of one request are judged side by side
            seen.append(picture)
            verdict = real.judge(picture, policy, **options)
            if not first:
                return verdict
            return dataclasses.replace(verdict, action="block", categories=("sexual/minors",))

    pipeline.parts.use(image_guard=Finds())
    released = await granted(pipeline, ask(n=2))
    assert len(released.withheld) == 1
    booked = pipeline.parts.request_log.records(released.record_id)[-1]
    assert booked.public["restricted"] is True
    assert pipeline.parts.answer_cache.later.counts == {}
    index = pipeline.parts.prompt_index
    assert index is not None
    assert len(index) == 0


@pytest.mark.filterwarnings("ignore::chopmark.provenance.DevelopmentCredentialWarning")
def test_the_command_line_says_so_and_takes_a_refusal(
    run: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOPMARK_CACHED_ANSWERS", "exact")
    code, _, err = run("generate", PROMPT)
    assert code == 1
    assert "CHOPMARK_PROMPT_INDEX=true" in err

    monkeypatch.setenv("CHOPMARK_PROMPT_INDEX", "true")
    files = [tmp_path / f"{name}.png" for name in ("first", "again", "fresh", "gone")]
    options = ("--steps", "1", "--size", "256x256", "-q")
    code, out, err = run("generate", PROMPT, "-o", str(files[0]), *options)
    assert code == 0, err
    assert "again" not in out
    record = out.partition("record ")[2][:16]
    code, out, _ = run("generate", PROMPT, "-o", str(files[1]), *options)
    assert f"again  the pictures of {record}, judged anew; --fresh makes new ones" in out
    assert files[1].read_bytes() == files[0].read_bytes()
    code, out, _ = run("generate", PROMPT, "-o", str(files[2]), *options, "--fresh", "--json")
    fresh = json.loads(out)
    assert fresh["repeats"] is None
    assert files[2].read_bytes() != files[0].read_bytes()

    assert run("prompts", "forget", "--record", fresh["record_id"])[1] == "erased 1 prompts\n"
    assert run("prompts", "forget", "--tenant", "default", "--json")[1] == '{"erased": 1}\n'
    assert run("prompts", "forget")[0] == 1
    code, out, _ = run("generate", PROMPT, "-o", str(files[3]), *options, "--json")
    assert json.loads(out)["repeats"] is None
    code, out, _ = run("audit", "retain", "--standard", "0", "--role", "eraser")
    assert code == 0, out
    assert run("prompts", "forget", "--tenant", "default", "--json")[1] == '{"erased": 0}\n'
