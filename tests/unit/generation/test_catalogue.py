from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from chopmark.cli import app
from chopmark.generation.catalogue import list_models

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_lies_on_the_disk_is_listed_without_loading_it(
    home: Path, unet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(unet_folder, home / "models" / "mine")
    (home / "models" / "embedded-0123").mkdir()
    (home / "models" / "broken").mkdir()
    (home / "models" / "broken" / "model_index.json").write_text("[")
    cache = tmp_path / "hf"
    shutil.copytree(unet_folder, cache / "hub" / "models--org--tiny" / "snapshots" / "abc")
    (cache / "hub" / "models--org--no-pipeline" / "snapshots" / "abc").mkdir(parents=True)
    monkeypatch.setenv("HF_HOME", str(cache))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    found = list_models(home)
    mine = str(home / "models" / "mine")
    assert [entry.id for entry in found] == ["embedded", mine, "hf:org/tiny"]
    assert [entry.kind for entry in found] == [
        "Flux2KleinPipeline",
        *2 * ["StableDiffusionPipeline"],
    ]
    assert found[0].size_mb < 40


def test_models_list_info_and_pull(home: Path, unet_folder: Path) -> None:
    run = CliRunner().invoke
    rows = json.loads(run(app, ["models", "list", "--json"]).stdout)
    assert rows[0]["id"] == "embedded"
    assert rows[0]["set"] is True
    assert "* embedded" in run(app, ["models", "list"]).stdout
    said = json.loads(run(app, ["models", "info", str(unet_folder), "--json"]).stdout)
    assert said["supports"] == ["edit", "generate", "inpaint"]
    refused = run(app, ["models", "pull", str(unet_folder)])
    assert "hf:org/name" in refused.exception.hint  # type: ignore[union-attr]
