"""The wheel, built from the sdist, works in a fresh environment beside the index's `safety`."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# `make env` put it there, so that no test asks the index.
WHEELS = ROOT / ".venv" / "wheels"


def _run(*command: object, **env: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=env.pop("cwd", None),
        env={"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", **env},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist of this checkout and the wheel that comes out of the unpacked sdist."""
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", folder)
    _run(*build, "--sdist", ROOT)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    _run(*build, "--wheel", next(path for path in folder.iterdir() if path.is_dir()))
    return folder


@pytest.fixture(scope="module")
def fresh(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with our wheel and `safety`; third-party packages are borrowed."""
    env = tmp_path_factory.mktemp("fresh") / "env"
    _run(sys.executable, "-m", "venv", env)
    pip = (env / "bin" / "python", "-m", "pip", "install", "-q", "--no-index", "--no-deps")
    _run(*pip, next(dist.glob("*.whl")))
    _run(*pip, "--find-links", WHEELS, "safety")
    site = next((env / "lib").glob("python3*/site-packages"))
    # A plain path line adds the folder without running its own .pth files, so the editable
    # chopmark of this checkout stays out.
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return env


def test_the_wheel_holds_the_rooms_once_and_no_links(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert len(names) == len(set(names))
    for room in ("audit", "generation", "provenance", "safety"):
        assert f"chopmark/{room}/__init__.py" in names
        assert not any(name.startswith(f"{room}/") for name in names)
    assert "chopmark/policies/default.yaml" in names
    assert any(name.startswith("chopmark/generation/weights/embedded/") for name in names)


def test_all_four_rooms_import_beside_the_indexs_safety(fresh: Path) -> None:
    said = _run(
        fresh / "bin" / "python",
        "-c",
        "import importlib.util as u, json\n"
        "import chopmark.audit, chopmark.generation, chopmark.provenance, chopmark.safety\n"
        "print(json.dumps([chopmark.safety.__file__, u.find_spec('safety').origin]))",
        # `python -c` looks into the working folder first, and ours has a folder of that name.
        cwd=str(fresh),
    )
    ours, theirs = json.loads(said)
    assert str(fresh) in ours
    assert ours.endswith("site-packages/chopmark/safety/__init__.py")
    assert theirs.endswith("site-packages/safety/__init__.py")


def test_the_doctor_is_green_there(fresh: Path, tmp_path: Path) -> None:
    said = _run(
        fresh / "bin" / "chopmark", "doctor", "--json", CHOPMARK_HOME=str(tmp_path / "home")
    )
    report = json.loads(said)
    assert report["ok"], report
    assert {"generator", "log", "signing", "watermark"} <= {
        finding["part"] for finding in report["findings"]
    }
