"""The types of the faces hold: a misspelt attribute in a route, a page or a command fails mypy.

FastAPI hands a route whatever its dependency returns, so that one ``Any`` among the annotations
would make everything behind it ``Any`` as well, and ``mypy --strict`` would stay silent.
"""

from __future__ import annotations

import re
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from chopmark.api import create_app
from chopmark.pipeline import Pipeline
from chopmark.service.deployment import Deployment
from chopmark.service.logging import make_logger
from chopmark.service.state import put_state, state_of
from chopmark.settings import Settings

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "src" / "chopmark"
# What stands there, and the same misspelt: at least one of each face, through each dependency.
PLANTED: Final = (
    ("api/openai/routes.py", "service.pipeline.parts", "service.pipline.parts"),
    ("api/openai/stream.py", "service.pipeline.settings", "service.pipline.settings"),
    ("api/gemini/routes.py", "service.make(", "service.mak("),
    ("api/c2pa/routes.py", "resolver.by_content(", "resolver.by_contents("),
    ("api/desk/records.py", "desk.search(", "desk.serch("),
    ("api/desk/appeals.py", "deployment.service", "deployment.servise"),
    ("api/signin.py", "deployment.sign_in_turns", "deployment.signin_turns"),
    ("api/public_log.py", "public.checkpoint(", "public.chekpoint("),
    ("web/verify.py", "service.pipeline.settings", "service.pipline.settings"),
    ("web/studio.py", "state.pictures.get(", "state.picturs.get("),
    ("web/sign_in.py", "identity.sign_in", "identity.signin"),
    ("web/csrf.py", "viewer_of(request).session", "viewer_of(request).sesion"),
    ("web/console/record.py", "viewer.caller.actor()", "viewer.caler.actor()"),
    ("web/console/queue.py", "state.shifts.seen(", "state.shifts.sen("),
    ("web/console/exports.py", "service.exports.agree(", "service.exports.agre("),
    ("web/console/log_health.py", "service.pipeline.settings", "service.pipeline.setings"),
    ("cli/server.py", "pipeline.parts.open_all()", "pipeline.parts.openall()"),
    ("service/service.py", "self.pipeline.settings", "self.pipline.settings"),
    ("service/deployment.py", "the_deployment(request).service", "the_deployment(request).servise"),
    ("service/access.py", "self.callers.settings", "self.callers.setings"),
    ("site.py", "is_page(scope", "is_pag(scope"),
)
# What no name of ours comes from is not read, which makes the check three times as quick.
_FOREIGN: Final = """
[[tool.mypy.overrides]]
module = ["PIL.*", "cryptography.*", "httpx.*", "numpy.*", "rich.*", "torch.*", "uvicorn.*"]
follow_imports = "skip"
"""
_CODES: Final = frozenset({"attr-defined", "name-defined"})


@pytest.mark.timeout(900)  # a machine at load 8 takes ten times as long
def test_a_misspelt_attribute_in_any_face_fails_mypy(tmp_path: Path) -> None:
    arguments, expected = [], {}
    for number, (name, right, wrong) in enumerate(PLANTED):
        lines = (SOURCE / name).read_text(encoding="utf-8").splitlines(keepends=True)
        at = next((i for i, line in enumerate(lines) if right in line), None)
        assert at is not None, f"{name} has no {right!r} any more: plant another misspelling there"
        lines[at] = lines[at].replace(right, wrong, 1)
        planted = tmp_path / f"planted_{number}.py"
        planted.write_text("".join(lines), encoding="utf-8")
        arguments += ["--shadow-file", str(SOURCE / name), str(planted)]
        expected[name] = at + 1
    checked = [str((SOURCE / name).relative_to(ROOT)) for name in expected]
    config = tmp_path / "pyproject.toml"
    config.write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8") + _FOREIGN)
    found = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file", str(config)),
            *("--cache-dir", str(tmp_path / "cache"), "--no-pretty", "--no-color-output"),
            *arguments,
            *checked,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [
        (match[1], int(match[2]), match[3])
        for match in re.finditer(
            r"^(?:src/chopmark/)?(\S+?):(\d+): error: .*\[([a-z-]+)\]$", found.stdout, re.MULTILINE
        )
    ]
    reported = {(name, line) for name, line, code in errors if code in _CODES}
    assert found.returncode == 1, found.stdout + found.stderr
    silent = [name for name, line in expected.items() if (name, line) not in reported]
    assert not silent, found.stdout
    # And nothing else is wrong: whatever was reported stands in a planted line.
    assert {(name, line) for name, line, _ in errors} == set(expected.items()), found.stdout


def test_no_parameter_of_a_route_or_a_page_is_anything(tmp_path: Path) -> None:
    from chopmark.web import console, sign_in, studio, verify

    app = create_app(Pipeline.from_settings(Settings(home=tmp_path / "home")), logger=make_logger())
    pages = [part.router for part in (sign_in, studio, verify, *console.PARTS)]
    endpoints = {endpoint for router in (app.router, *pages) for endpoint in _endpoints(router)}
    assert len(endpoints) > 80
    for endpoint in endpoints:
        hints = typing.get_type_hints(endpoint)
        loose = [name for name, hint in hints.items() if hint is Any and name != "return"]
        assert not loose, (endpoint.__module__, endpoint.__qualname__, loose)


def _endpoints(router: Any) -> Iterator[Callable[..., Any]]:
    for route in router.routes:
        included = getattr(route, "original_router", None)  # newer FastAPI keeps them as they were
        if included is not None:
            yield from _endpoints(included)
        elif hasattr(route, "dependant"):
            yield route.endpoint


def test_the_state_of_an_application_is_found_by_its_class(tmp_path: Path) -> None:
    app = create_app(Pipeline.from_settings(Settings(home=tmp_path / "home")), logger=make_logger())
    assert state_of(app, Deployment).settings.home == tmp_path / "home"
    with pytest.raises(TypeError, match="holds no Path"):
        state_of(app, Path)
    put_state(app, tmp_path)
    assert state_of(app, type(tmp_path)) == tmp_path
