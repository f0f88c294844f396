"""An overturned appeal lets one prompt pass: through the real pipeline, and booked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chopmark import GenerationRequest, Refused
from chopmark.audit import Actor
from chopmark.safety import Verdict

if TYPE_CHECKING:
    from chopmark import Pipeline

PROMPT = "a mutilated corpse, gore, entrails, blood everywhere"
UNTIL = "2999-01-01T00:00:00Z"


def asked(prompt: str = PROMPT, **options: Any) -> GenerationRequest:
    return GenerationRequest(prompt=prompt, steps=2, **options)


async def overturned(pipeline: Pipeline, request: GenerationRequest) -> int:
    """Have a prompt refused, appeal, and overturn; return the exception's entry."""
    with pytest.raises(Refused) as caught:
        await pipeline.generate(request)
    log = pipeline.parts.log
    log.appeals.open(caught.value.record_id, statement="it is a poster of a classic film")
    with pytest.raises(Refused):
        await pipeline.generate(request)
    ada = Actor(name="Ada", roles=frozenset({"reviewer"}), tenant=None)
    log.desk(ada, purpose="appeals").appeals.decide(
        caught.value.record_id, "overturned", rationale="a known poster", allow_until=UNTIL
    )
    return log.exceptions.standing()[-1].index


async def test_an_excepted_prompt_passes_and_its_picture_is_judged(pipeline: Pipeline) -> None:
    index = await overturned(pipeline, asked())
    released = await pipeline.generate(asked(PROMPT.upper()))
    assert released.prompt_verdict.action == "block"
    assert all(output.verdict.action != "block" for output in released.outputs)
    records = pipeline.parts.log.records(released.record_id)
    decided = next(record for record in records if record.kind == "request.decided")
    assert decided.public["exception"] == index
    for other in (asked(f"{PROMPT}, more"), asked(negative_prompt="sky"), asked(tenant="b")):
        with pytest.raises(Refused):
            await pipeline.generate(other)
    desk = pipeline.parts.log.desk(
        Actor(name="Max", roles=frozenset({"reviewer"}), tenant=None), purpose="p"
    )
    desk.appeals.revoke_exception(index, reason="the poster is another one")
    with pytest.raises(Refused):
        await pipeline.generate(asked())


@pytest.mark.parametrize(
    "scores", [{"sexual/minors": 0.9}, {"sexual/minors": 0.35, "violence": 0.9}], ids=str
)
async def test_minors_are_never_excepted(pipeline: Pipeline, scores: dict[str, float]) -> None:
    """The guard is a stub with scores: such prompts are neither written nor kept."""
    prompt = f"{PROMPT}, {len(scores)}"
    await overturned(pipeline, asked(prompt))

    class Guard:
        def judge(self, *_: Any, **__: Any) -> Verdict:
            return Verdict(action="block", scores=scores, categories=(max(scores, key=scores.get),))  # type: ignore[arg-type]

    pipeline.parts.use(prompt_guard=Guard())
    with pytest.raises(Refused) as caught:
        await pipeline.generate(asked(prompt))
    records = pipeline.parts.log.records(caught.value.record_id)
    assert next(r for r in records if r.kind == "request.decided").public["exception"] is None


async def test_policy_and_keys_in_force_are_booked_when_they_change(pipeline: Pipeline) -> None:
    await pipeline.generate(asked("a red apple"))
    log = pipeline.parts.log
    assert [record.public["before"] for record in log.find(kind="policy.changed")] == [None]
    booked = {record.public["what"]: record.public for record in log.find(kind="key.rotated")}
    assert booked["watermark key"]["now"] == pipeline.parts.mark_keys.active.key_id
    assert booked["signing certificate"]["before"] is None
    assert log.in_force("policy.changed", pipeline.parts.policies.active().digest()) is None
    changed = log.in_force("policy.changed", "ab" * 32)
    assert changed is not None
    assert changed.public["before"] == pipeline.parts.policies.active().digest()
    assert log.in_force("policy.changed", pipeline.parts.policies.active().digest()) is not None
