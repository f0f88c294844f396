"""The main job through its public faces: generate, verify, edit, refuse, prove."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from chopmark import EditRequest, GenerationRequest, Pipeline, Refused
from chopmark.kit.ids import record_of
from chopmark.pipeline.inspect import examine
from chopmark.safety import draw_test_card
from tests.support.generator import UNSAFE_OUTPUT, StandIn

if TYPE_CHECKING:
    from pathlib import Path

BLOCKED = "explicit photo of a naked woman having sex"


def _cli(home: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chopmark", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        cwd=cwd,
        env={**os.environ, "CHOPMARK_HOME": str(home)},
    )


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "avif"])
async def test_what_is_made_here_verifies_as_made_here(pipeline: Pipeline, fmt: Any) -> None:
    released = await pipeline.generate(
        GenerationRequest(prompt="a red apple", seed=7, steps=4, format=fmt)
    )
    (output,) = released.outputs
    with Image.open(io.BytesIO(output.data)) as picture:
        assert picture.format == fmt.upper()
        assert picture.size == (output.width, output.height)
    report = examine(pipeline.parts, output.data)
    said: Any = report.to_dict()
    assert report.verdict == "made_here"
    assert said["manifest"]["state"] == "intact"
    assert said["credential"]["state"] == "trusted"
    assert said["ai_signal"]["state"] == "active"
    assert said["watermark"]["state"] == "detected"
    assert said["watermark"]["payload"] == output.output_id
    assert said["watermark"]["p_value"] <= 1e-9
    assert said["record"]["record_id"] == released.record_id == record_of(output.output_id)


async def test_a_stripped_copy_still_leads_to_its_record(pipeline: Pipeline) -> None:
    released = await pipeline.generate(GenerationRequest(prompt="a red apple", seed=8))
    with Image.open(io.BytesIO(released.outputs[0].data)) as picture:
        stripped = io.BytesIO()
        picture.convert("RGB").save(stripped, "JPEG", quality=80)
    report = examine(pipeline.parts, stripped.getvalue())
    said: Any = report.to_dict()
    assert said["manifest"]["state"] == "absent"
    assert said["watermark"]["payload"] == released.outputs[0].output_id
    assert said["record"]["record_id"] == released.record_id
    assert said["recovered"]["manifest_id"] == released.outputs[0].manifest_id
    assert report.verdict != "no_signal"


async def test_a_plain_picture_has_no_signal_and_that_is_not_called_authentic(
    pipeline: Pipeline, make_picture: Any, to_bytes: Any
) -> None:
    report = examine(pipeline.parts, to_bytes(make_picture(512, 512)))
    assert report.verdict == "no_signal"
    assert report.to_dict()["record"] is None


async def test_variations_have_their_own_seeds_and_ids(pipeline: Pipeline) -> None:
    released = await pipeline.generate(
        GenerationRequest(prompt="a red apple", n=3, seed=20, steps=2)
    )
    assert [output.seed for output in released.outputs] == [20, 21, 22]
    assert len({output.output_id for output in released.outputs}) == 3
    assert len({output.sha256 for output in released.outputs}) == 3
    for output in released.outputs:
        assert examine(pipeline.parts, output.data).verdict == "made_here"


async def test_an_edit_keeps_the_history_of_its_input(pipeline: Pipeline) -> None:
    first = await pipeline.generate(GenerationRequest(prompt="a red apple", seed=9, steps=4))
    edited = await pipeline.edit(
        EditRequest(prompt="a green apple", image=first.outputs[0].data, strength=0.6, steps=4)
    )
    said: Any = examine(pipeline.parts, edited.outputs[0].data).to_dict()
    assert said["verdict"] == "made_here"
    assert said["watermark"]["payload"] == edited.outputs[0].output_id
    assert len(said["ingredients"]) == 1


async def test_a_blocked_prompt_makes_nothing_and_is_booked(pipeline: Pipeline) -> None:
    before = pipeline.parts.log.size
    with pytest.raises(Refused) as caught:
        await pipeline.generate(GenerationRequest(prompt=BLOCKED))
    assert caught.value.stage == "input"
    assert "sexual" in caught.value.verdict.categories
    kinds = [pipeline.parts.log.get(i).kind for i in range(before, pipeline.parts.log.size)]
    assert kinds == ["request.received", "request.decided", "request.refused"]


async def test_the_test_card_as_input_is_blocked_and_booked(
    pipeline: Pipeline, to_bytes: Any
) -> None:
    with pytest.raises(Refused) as caught:
        await pipeline.edit(EditRequest(prompt="a red apple", image=to_bytes(draw_test_card())))
    assert caught.value.stage == "input"
    assert pipeline.parts.log.records(caught.value.record_id)[-1].kind == "request.refused"


async def test_a_generator_that_makes_the_test_card_is_blocked_neither_marked_nor_signed(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    import chopmark.provenance

    touched: list[str] = []
    for name in ("embed_mark", "sign"):
        monkeypatch.setattr(
            chopmark.provenance, name, lambda *_, _name=name, **__: touched.append(_name)
        )
    pipeline.parts.use(generator=StandIn())
    with pytest.raises(Refused) as caught:
        await pipeline.generate(GenerationRequest(prompt=UNSAFE_OUTPUT))
    assert caught.value.stage == "output"
    assert not touched
    # Whoever decides an appeal can read which model or list spoke against it.
    log = pipeline.parts.log
    (refused,) = log.find(kind="request.refused")
    inside: Any = log.private(refused.index)
    (reasons,) = inside["evidence"]
    listed: Any = refused.public["categories"]
    assert [one["kind"] for one in reasons if one["category"] in listed]


async def test_the_log_holds_no_prompt_in_the_clear(pipeline: Pipeline) -> None:
    word = "pomegranate-4711"
    await pipeline.generate(GenerationRequest(prompt=f"a red apple {word}", steps=2))
    for file in (pipeline.parts.home / "audit").rglob("*"):
        if file.is_file():
            assert word.encode() not in file.read_bytes(), file


class TestCommandLine:
    def test_generate_verify_prove(self, shared_pipeline: Pipeline, tmp_path: Path) -> None:
        home = tmp_path / "cli-home"
        made = _cli(
            home, "generate", "a red apple", "-o", "a.png", "--seed", "7", "--json", cwd=tmp_path
        )
        assert made.returncode == 0, made.stderr
        said = json.loads(made.stdout)
        assert (tmp_path / "a.png").exists()

        looked = _cli(home, "verify", "a.png", "--json", cwd=tmp_path)
        assert looked.returncode == 0, looked.stderr
        assert json.loads(looked.stdout)["verdict"] == "made_here"

        proved = _cli(home, "audit", "prove", said["record_id"], "-o", "r.json", cwd=tmp_path)
        assert proved.returncode == 0, proved.stderr
        checked = _cli(tmp_path / "elsewhere", "audit", "verify", "--receipt", "r.json",
                       "--json", cwd=tmp_path)  # fmt: skip
        assert checked.returncode == 0, checked.stderr
        assert json.loads(checked.stdout)["ok"] is True

        receipt = json.loads((tmp_path / "r.json").read_text())
        forged = json.dumps(receipt).replace(said["record_id"], "0" * 16)
        (tmp_path / "forged.json").write_text(forged)
        refused = _cli(home, "audit", "verify", "--receipt", "forged.json", cwd=tmp_path)
        assert refused.returncode in {1, 4}

        walked = _cli(home, "audit", "verify", "--json", cwd=tmp_path)
        assert walked.returncode == 0
        assert json.loads(walked.stdout)["ok"] is True

    def test_a_refused_prompt_exits_3_and_leaves_no_file(self, tmp_path: Path) -> None:
        home = tmp_path / "cli-home"
        done = _cli(home, "generate", BLOCKED, "-o", "never.png", cwd=tmp_path)
        assert done.returncode == 3
        assert "sexual" in done.stderr
        assert not list(tmp_path.glob("*.png"))
        decision = done.stderr.split("decision ")[1][:16]
        shown = _cli(home, "audit", "show", decision, "--json", cwd=tmp_path)
        kinds = [json.loads(line)["kind"] for line in shown.stdout.splitlines()]
        assert kinds[-1] == "request.refused"

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["generate", "a red apple", "-o", "missing/a.png"], 1),
            (["generate", "a red apple", "-o", "a.txt"], 1),
            (["generate", "a red apple", "--size", "big"], 1),
            (["generate"], 2),
            (["verify", "none.png"], 1),
            (["mark", "embed", "x.png", "-o", "y.png", "--payload", "zz"], 1),
            (["moderate"], 1),
            (["audit", "show", "not-an-id"], 1),
        ],
    )
    def test_wrong_usage_is_one_clear_line(
        self, tmp_path: Path, arguments: list[str], code: int
    ) -> None:
        done = _cli(tmp_path / "home", *arguments, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.strip()

    def test_moderate_reads_rows_and_answers_in_order(self, tmp_path: Path) -> None:
        rows = ["a red apple", BLOCKED, "a dog in the park"]
        (tmp_path / "rows.jsonl").write_text(
            "".join(json.dumps({"text": row}) + "\n" for row in rows)
        )
        done = _cli(tmp_path / "h", "moderate", "--jsonl", "rows.jsonl", "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        said = [json.loads(line) for line in done.stdout.splitlines()]
        assert [row["flagged"] for row in said] == [False, True, False]
        assert said[1]["action"] == "block"
        assert {"flagged", "action", "scores", "evidence"} <= set(said[0])

    def test_mark_embed_then_detect(self, tmp_path: Path, make_picture: Any, to_bytes: Any) -> None:
        (tmp_path / "in.png").write_bytes(to_bytes(make_picture(512, 512)))
        home, payload = tmp_path / "h", "00112233445566ff"
        done = _cli(
            home, "mark", "embed", "in.png", "-o", "out.png", "--payload", payload, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        found = _cli(home, "mark", "detect", "out.png", "--json", cwd=tmp_path)
        said = json.loads(found.stdout)
        assert (said["detected"], said["payload"]) == (True, payload)
        assert said["p_value"] <= 1e-9
        none = _cli(home, "mark", "detect", "in.png", "--json", cwd=tmp_path)
        assert none.returncode == 4
        assert json.loads(none.stdout)["payload"] is None
