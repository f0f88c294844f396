"""What may be imported, what must not be, and how long the front door takes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

ROOMS = ("audit", "generation", "provenance", "safety")


@pytest.mark.parametrize("module", ["chopmark", *(f"chopmark.{room}" for room in ROOMS)])
def test_a_door_does_not_import_torch(module: str) -> None:
    code = f"import {module}, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"torch", "diffusers", "transformers", "onnxruntime", "c2pa", "cv2"}


def test_verify_alone_does_not_import_torch(
    make_picture: Any, to_bytes: Any, tmp_path: Path
) -> None:
    (tmp_path / "plain.png").write_bytes(to_bytes(make_picture()))
    code = (
        "import sys; from pathlib import Path; from chopmark.provenance import verify\n"
        f"print(verify(Path({str(tmp_path / 'plain.png')!r}).read_bytes()).verdict)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.stdout.strip() == "no_signal", done.stderr


def test_help_loads_nothing_heavy() -> None:
    """The half second of CPU that --help may take is kept by what it does not import."""
    code = (
        "import sys, json\n"
        "from chopmark.cli import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & {"torch", "diffusers", "fastapi", "pydantic", "numpy", "PIL", "c2pa"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_does_not_know_another(room: str) -> None:
    code = f"import chopmark.{room}, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = json.loads(done.stdout)
    others = [f"chopmark.{other}" for other in ROOMS if other != room] + ["chopmark.pipeline"]
    assert not [name for name in loaded if any(name.startswith(other) for other in others)]
