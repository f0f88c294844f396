"""``chopmark verify`` from outside: exit codes, sidecars, signed reports and their check."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from chopmark.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from chopmark import Pipeline

ATTACKS = Path(__file__).parents[1] / "unit" / "provenance"


@pytest.fixture(scope="module")
def attacks() -> Any:
    sys.path.insert(0, str(ATTACKS))
    try:
        import provenance_attacks  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(ATTACKS))
    return provenance_attacks


@pytest.fixture
def run(shared_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("CHOPMARK_HOME", str(shared_pipeline.parts.home))

    def call(*arguments: object) -> Any:
        return CliRunner().invoke(app, ["verify", *map(str, arguments)])

    return call


@pytest.fixture(scope="module")
def made(shared_pipeline: Pipeline) -> bytes:
    import asyncio

    from chopmark import GenerationRequest

    request = GenerationRequest(prompt="a blue cup", seed=9)
    released = asyncio.run(shared_pipeline.generate(request))
    return released.outputs[0].data


def test_a_report_holds_for_its_file_and_no_other(
    run: Callable[..., Any], made: bytes, tmp_path: Path
) -> None:
    file, report = tmp_path / "made.png", tmp_path / "report.json"
    file.write_bytes(made)
    assert run(file, "--report", report).exit_code == 0
    checked = run("--check-report", report, file, "--json")
    said = json.loads(checked.stdout)
    assert checked.exit_code == 0
    assert (said["ok"], said["of_file"], said["known_key"], said["receipt"]) == (
        True, True, True, True,
    )  # fmt: skip
    assert said["report"]["verdict"] == "made_here"
    assert run("--check-report", report).exit_code == 0
    other = tmp_path / "other.png"
    other.write_bytes(made + b"\0")
    refused = run("--check-report", report, other, "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["of_file"]) == (4, False)
    members = json.loads(report.read_text())
    members["payload"] = members["payload"][:-8] + "AAAAAAAA"
    (tmp_path / "forged.json").write_text(json.dumps(members))
    assert run("--check-report", tmp_path / "forged.json", file).exit_code != 0


def test_a_report_is_checked_by_the_key_that_is_given(
    run: Callable[..., Any], made: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chopmark.audit import AuditLog

    file, report = tmp_path / "made.png", tmp_path / "report.json"
    file.write_bytes(made)
    key = run(file, "--report", report).stderr.rpartition("the key of ")[2].strip()
    with AuditLog.open(tmp_path / "other") as log:
        stranger = log.public_key
    assert run("--check-report", report, "--public-key", key).exit_code == 0
    assert run("--check-report", report, "--public-key", stranger).exit_code == 4
    # Somewhere else, without that log: it agrees with itself, and that is all that is said.
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "elsewhere"))
    said = json.loads(run("--check-report", report, "--json").stdout)
    assert (said["ok"], said["known_key"]) == (True, False)
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_is_checked_against_a_sidecar(
    run: Callable[..., Any],
    attacks: Any,
    make_picture: Callable[..., Image.Image],
    to_bytes: Callable[..., bytes],
    tmp_path: Path,
) -> None:
    import io

    import c2pa

    bare = to_bytes(make_picture(96, 96, seed=5), "JPEG")
    stranger = attacks.Outsider()
    definition = {
        "claim_version": 2,
        "claim_generator_info": [{"name": "Somebody else", "version": "1"}],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {
                    "actions": [
                        {
                            "action": "c2pa.created",
                            "digitalSourceType": attacks.SOURCE + "trainedAlgorithmicMedia",
                        }
                    ]
                },
            }
        ],
    }
    settings = {"version": 1, "trust": {"trust_config": attacks.EKU_LIST},
                "verify": {"verify_after_sign": False}}  # fmt: skip
    context = c2pa.Context.from_dict(settings)
    info = c2pa.C2paSignerInfo(
        "es256", stranger.chain_pem.encode(), stranger.key_pem.encode(), None
    )
    with c2pa.Builder(definition, context=context) as builder:
        builder.set_no_embed()
        sidecar = builder.sign(
            c2pa.Signer.from_info(info), "image/jpeg", io.BytesIO(bare), io.BytesIO()
        )
    (tmp_path / "a.jpg").write_bytes(bare)
    (tmp_path / "a.c2pa").write_bytes(sidecar)
    (tmp_path / "b.jpg").write_bytes(to_bytes(make_picture(96, 96, seed=6), "JPEG"))

    def state(name: str) -> tuple[str, str]:
        said = run(tmp_path / name, "--manifest", tmp_path / "a.c2pa", "--json")
        assert said.exit_code == 4
        found = json.loads(said.stdout)
        return found["manifest"]["state"], found["verdict"]

    assert state("a.jpg") == ("intact", "made_by_ai_elsewhere")
    assert state("b.jpg") == ("broken", "edited_after_signing")


def test_without_a_file_it_says_how_it_is_used(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run().exit_code == 2
    for option in ("--report", "--manifest", "--reattach"):
        refused = run("a.png", "b.png", option, tmp_path / "x")
        assert "takes one file" in str(refused.exception)


def test_every_report_has_all_five_techniques(
    run: Callable[..., Any],
    make_picture: Callable[..., Image.Image],
    to_bytes: Callable[..., bytes],
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(to_bytes(make_picture(300, 300, seed=7), "PNG"))
    said = json.loads(run(file, "--json").stdout)
    assert [one["name"] for one in said["techniques"]] == [
        "c2pa", "watermark", "fingerprint", "log", "metadata",
    ]  # fmt: skip
    assert {one["outcome"] for one in said["techniques"]} <= {"not_found", "not_examined"}
