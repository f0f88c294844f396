"""Whose policy applies in the pipeline: overrides, allowed phrases, a shadow policy, minors."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from chopmark import GenerationRequest, Pipeline, Refused
from chopmark.errors import InvalidPolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL import Image

    Open = Callable[..., Pipeline]

NIKE = "official Nike logo on a t-shirt"


def _public(pipeline: Pipeline, record_id: str, kind: str) -> Any:
    return next(r.public for r in pipeline.parts.log.records(record_id) if r.kind == kind)


async def test_a_tenant_is_judged_by_its_override_and_others_are_not(
    open_pipeline: Open, tmp_path: Path
) -> None:
    (tmp_path / "shop.yaml").write_text("name: shop\ncategories:\n  ip: {ceiling: allow}\n")
    pipeline = open_pipeline(tenant_policies=tmp_path)
    theirs = await pipeline.moderate([NIKE], tenant="shop")
    ours = await pipeline.moderate([NIKE], tenant="other")
    assert theirs.verdicts[0].action == "allow"
    assert ours.verdicts[0].action == "block"
    digest = _public(pipeline, theirs.record_id, "moderation.completed")["policy"]
    assert digest == theirs.verdicts[0].policy != ours.verdicts[0].policy


async def test_a_changed_override_is_in_force_at_the_next_request(
    open_pipeline: Open, tmp_path: Path
) -> None:
    file = tmp_path / "shop.yaml"
    pipeline = open_pipeline(tenant_policies=tmp_path)
    actions = []
    for ceiling in ("review", "block"):
        file.write_text(f"name: shop\ncategories:\n  ip: {{ceiling: {ceiling}}}\n")
        said = await pipeline.moderate([NIKE], tenant="shop")
        actions.append(said.verdicts[0].action)
    assert actions == ["review", "block"]


async def test_an_override_below_a_floor_stops_that_tenant_and_nothing_is_judged_without_it(
    open_pipeline: Open, tmp_path: Path
) -> None:
    (tmp_path / "shop.yaml").write_text(
        "name: shop\ncategories:\n  sexual: {prompt: {review: 0.8, block: 0.9}}\n"
    )
    pipeline = open_pipeline(tenant_policies=tmp_path)
    with pytest.raises(InvalidPolicy, match="floor"):
        await pipeline.generate(GenerationRequest(prompt="a red apple", tenant="shop"))
    released = await pipeline.generate(GenerationRequest(prompt="a red apple", steps=2))
    assert released.outputs


@pytest.mark.parametrize("tenant", ["../other", "a/b", ".hidden", ""])
async def test_a_name_of_a_tenant_leads_to_no_other_file(
    open_pipeline: Open, tmp_path: Path, tenant: str
) -> None:
    (tmp_path / "other.yaml").write_text("not: a policy\n")
    (tmp_path / "folder").mkdir()
    pipeline = open_pipeline(tenant_policies=tmp_path / "folder")
    policies = pipeline.parts.policies
    assert policies.for_tenant(tenant) is policies.active()


@pytest.mark.parametrize(("days", "action"), [(1, "allow"), (-1, "block")])
async def test_an_allowed_phrase_holds_for_its_tenant_until_it_expires(
    open_pipeline: Open, tmp_path: Path, days: int, action: str
) -> None:
    until = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=days)
    (tmp_path / "shop.yaml").write_text(
        "name: shop\nallow:\n"
        f"  - {{phrase: nike logo, categories: [ip], reason: licensed, expires: {until}}}\n"
    )
    pipeline = open_pipeline(tenant_policies=tmp_path)
    said = await pipeline.moderate(["a nike logo on a shirt"], tenant="shop")
    assert said.verdicts[0].action == action


async def test_a_shadow_policy_is_logged_and_never_acted_on(open_pipeline: Open) -> None:
    pipeline = open_pipeline(shadow_policy="strict")
    # Under "strict" what cannot be read is blocked; here it goes to a person, and is released.
    said = await pipeline.moderate(["a red apple", "xqzv kjwpf zzqx vbnmk qwrtp"])
    shadow = _public(pipeline, said.record_id, "moderation.completed")["shadow"]
    assert [verdict.action for verdict in said.verdicts] == ["allow", "review"]
    assert [verdict["action"] for verdict in shadow["verdicts"]] == ["allow", "block"]
    assert shadow["differs"] == 1
    assert shadow["policy"] != said.verdicts[0].policy

    released = await pipeline.generate(GenerationRequest(prompt="a red apple", seed=3, steps=2))
    decided = _public(pipeline, released.record_id, "request.decided")["shadow"]
    completed = _public(pipeline, released.record_id, "request.completed")["shadow"]
    assert [one["stage"] for one in decided["verdicts"]] == ["prompt"]
    assert [one["stage"] for one in completed["verdicts"]] == ["output"]


async def test_youth_and_a_sexual_signal_across_prompt_and_picture_is_refused_and_restricted(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chopmark.safety import ImageGuard

    class Stub:
        model = "stub@0"

        def score(self, image: Image.Image) -> float:
            return 0.2  # far below every threshold of its own

    pipeline.parts.use(image_guard=ImageGuard(model=Stub(), banks=()))  # type: ignore[arg-type]
    released = await pipeline.generate(GenerationRequest(prompt="a red apple", steps=2))
    assert released.outputs
    with pytest.raises(Refused) as caught:
        await pipeline.generate(GenerationRequest(prompt="a child with a kite", steps=2))
    assert caught.value.verdict.categories == ("sexual/minors",)
    said = _public(pipeline, caught.value.record_id, "request.refused")
    assert said["restricted"] is True
    assert said["stage"] == "output"


async def test_an_upload_on_a_list_of_abuse_is_refused_restricted_and_closed(
    pipeline: Pipeline, tmp_path: Path, to_bytes: Any, make_picture: Any
) -> None:
    from chopmark import EditRequest
    from chopmark.safety import ImageGuard
    from chopmark.safety.hashes.perceptual import hash_picture

    # An ordinary picture stands on the list: what is tested is the path, not the picture.
    picture = make_picture(320, 256, seed=5)
    digest = hash_picture(picture).sha256
    (tmp_path / "ncmec.csv").write_text(f"sha256,{digest},sexual/minors,case 1\n")
    pipeline.parts.use(image_guard=ImageGuard.load(hash_lists=tmp_path))
    with pytest.raises(Refused) as caught:
        await pipeline.edit(EditRequest(prompt="a red apple", image=to_bytes(picture)))
    assert caught.value.verdict.restricted
    said = _public(pipeline, caught.value.record_id, "request.refused")
    assert (said["restricted"], said["categories"], said["stage"]) == (
        True,
        ["sexual/minors"],
        "input",
    )
    assert "case 1" not in str(said)
    assert digest not in str(said)
