"""The commands of a safety desk, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chopmark.cli import app
from chopmark.errors import ConfigurationError
from chopmark.safety import draw_test_card

Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CHOPMARK_HASH_LISTS", raising=False)

    def go(*arguments: str) -> tuple[int, Any]:
        done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=True)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, json.loads(done.stdout)

    return go


def test_policy_diff_and_test(run: Run, tmp_path: Path) -> None:
    code, said = run("policy", "diff", "default", "strict")
    assert code == 0
    assert {change["effect"] for change in said["changes"]} == {"stricter", "other"}
    golden = tmp_path / "golden.yaml"
    golden.write_text('version: "1"\ncases: [{text: a red apple, action: block}]\n')
    code, said = run("policy", "test", "default", "--golden", str(golden))
    assert code == 1
    assert said["failures"][0]["action"] == "allow"


def test_hashes_import_list_match(run: Run, tmp_path: Path) -> None:
    lists, page = tmp_path / "lists", tmp_path / "page.json"
    rows = [{"id": "7", "indicator": "ab" * 32, "type": "HASH_PDQ"}]
    page.write_text(json.dumps({"data": rows}))
    code, said = run("hashes", "import", str(page), "--lists", str(lists), "--category", "sexual")
    assert (code, said["entries"], said["read"]) == (0, 1, 1)
    page.write_text(json.dumps({"data": [{"id": "7", "should_delete": True}]}))
    assert run("hashes", "import", str(page), "--lists", str(lists))[1]["entries"] == 0
    code, said = run("hashes", "list", "--lists", str(lists))
    assert [row["list"] for row in said["lists"]] == ["chopmark-test", "page"]
    draw_test_card().save(tmp_path / "card.png")
    code, said = run("hashes", "match", str(tmp_path / "card.png"), "--lists", str(lists))
    assert code == 3
    assert said["matches"][0]["reference"] == "test card"


def test_hashes_need_a_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "page.csv").write_text("pdq," + "ab" * 32)
    with pytest.raises(ConfigurationError):
        run("hashes", "import", str(tmp_path / "page.csv"))


def test_eval_prints_numbers(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text('{"text": "a red apple", "categories": []}\n')
    code, said = run("eval", str(path))
    assert code == 0
    assert said["harmless"]["allow"] == 1.0
    assert "apple" not in json.dumps(said)
