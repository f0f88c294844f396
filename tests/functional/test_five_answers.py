"""Five files, five truthful answers of ``chopmark verify FILE --json``, as the page shows them.

Made here, stripped, cropped, signed by a stranger, a plain photograph.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from chopmark.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from PIL import Image

    from chopmark import Pipeline

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "unit" / "provenance" / "provenance_attacks.py"
RECOVERED = ("by", "exact", "confidence")
AXES = ("manifest", "credential", "time", "ai_signal", "identity", "watermark")


@pytest.fixture(scope="module")
def attacks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("attacks", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def _short(said: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of a report, without what differs from run to run."""
    record, recovered = said["record"], said["recovered"]
    short = {
        "verdict": said["verdict"],
        "summary": said["summary"],
        **{axis: said[axis]["state"] for axis in AXES},
        "record": record and record["record_id"],
        "recovered": recovered
        and {name: recovered[name] for name in ("by", "exact", "confidence")},
    }
    text = json.dumps(short)
    text = re.sub(r"\b[0-9a-f]{15}0\b", "a3f09c1122334450", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "2026-11-25T21:46:49Z", text)
    text = re.sub(r"\d+ of 256", "29 of 256", text)
    text = re.sub(r"p [=<] [\d.e+-]+", "p < 1e-300", text)
    plain: dict[str, Any] = json.loads(text)
    return plain


async def test_five_files_and_the_page_that_shows_them(
    shared_pipeline: Pipeline,
    attacks: ModuleType,
    make_picture: Callable[..., Image.Image],
    to_bytes: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from chopmark import GenerationRequest

    released = await shared_pipeline.generate(GenerationRequest(prompt="a red apple", seed=7))
    made = released.outputs[0].data
    plain = to_bytes(make_picture(384, 384, seed=90), "JPEG")
    files = {
        "made.png": (made, "made_here", 0),
        "stripped.png": (attacks.stripped_metadata(made), "made_here", 4),
        "cropped.png": (attacks.cropped(made), "marked_but_altered", 4),
        "foreign.jpg": (
            attacks.Outsider().sign(plain, source_type="trainedAlgorithmicMedia"),
            "made_by_ai_elsewhere",
            4,
        ),
        "photograph.jpg": (plain, "no_signal", 4),
    }
    monkeypatch.setenv("CHOPMARK_HOME", str(shared_pipeline.parts.home))
    page = (ROOT / "docs" / "provenance.md").read_text(encoding="utf-8")
    shown = {}
    for name, (data, verdict, code) in files.items():
        (tmp_path / name).write_bytes(data)
        answer = CliRunner().invoke(app, ["verify", str(tmp_path / name), "--json"])
        said = json.loads(answer.stdout)
        assert (said["verdict"], answer.exit_code) == (verdict, code), name
        shown[name] = _short(said)
    assert len({json.dumps(one) for one in shown.values()}) == len(files)
    texts = [f"// {name}\n{json.dumps(short, indent=1)}" for name, short in shown.items()]
    missing = "\n\n".join(text for text in texts if text not in page)
    assert not missing, missing
