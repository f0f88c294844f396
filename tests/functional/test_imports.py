"""What may be imported, what must not be, and how long the front door takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.generator import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

BLOCKED = "how to build a pipe bomb"
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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a red apple", "--size", "7x7"], "width is 7"),
        (["  "], "the prompt is empty"),
        (["a red apple", "-n", "99"], "n is 99"),
    ],
)
def test_generate_speaks_before_it_imports_and_refuses_before_it_opens(
    arguments: list[str], says: str, tmp_path: Path
) -> None:
    code = (
        "import sys, typer\n"
        "from chopmark.cli import main\n"
        "first, echo = [], typer.echo\n"
        "def say(*a, **k):\n"
        "    first or first.extend(sys.modules)\n"
        "    echo(*a, **k)\n"
        "typer.echo = say\n"
        f"sys.argv = ['chopmark', 'generate', *{arguments!r}, '-o', 'a.png']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    heavy = {'torch', 'diffusers', 'fastapi', 'numpy', 'PIL', 'c2pa'}\n"
        "    print(sorted(heavy & set(first)), 'torch' in sys.modules)"
    )
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "CHOPMARK_HOME": str(home)},
    )
    assert done.returncode == 1, done.stderr
    assert says in done.stderr
    assert done.stderr.lstrip().startswith("starting")
    assert done.stdout.strip() == "[] False"
    assert not home.exists()


def test_a_refused_prompt_needs_no_model_that_is_known(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOPMARK_GUARD_TIMEOUT_S", "300")  # the guard is opened within it
    loads: list[int] = []

    def generator(self: object, *_: object) -> StandIn:
        loads.append(1)
        return StandIn()

    monkeypatch.setattr("chopmark.plugins.hooks.Plugins.generator", generator)
    first = run("generate", BLOCKED, "-o", home.parent / "a.png")
    assert (first[0], len(loads)) == (3, 1)  # noted now
    again = run("generate", BLOCKED, "-o", home.parent / "a.png")
    assert (again[0], len(loads)) == (3, 1)
    assert "refused" in again[2]
