"""The documentation site: it builds without a warning and asks no other host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import typer.main

from chopmark.cli import app
from chopmark.safety.categories import CATEGORIES

pytest.importorskip("mkdocs", reason="the site needs chopmark[docs]; .ci/run builds it")
pytest.importorskip("material", reason="the site needs chopmark[docs]; .ci/run builds it")

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
ROLES = ("analyst", "auditor", "developer", "operator", "security", "verifier")


class _Asked(HTMLParser):
    """What a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        if tag in {"script", "img", "iframe", "source", "video"}:
            self.addresses.append(held.get("src") or "")
        if tag == "link" and held.get("rel") != "canonical":
            self.addresses.append(held.get("href") or "")


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback: axe reads style sheets, which a browser refuses it of files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    # With --strict a broken link, a broken anchor or a page outside the navigation ends the build.
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_no_page_asks_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        parser = _Asked()
        parser.feed(page.read_text(encoding="utf-8"))
        assert not [one for one in parser.addresses if "//" in one], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)[\"' ]*(?:https?:)?//", sheet.read_text()), sheet


def test_search_works_from_the_file_system(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    found = json.loads(index.removeprefix("var __index = "))["docs"]
    assert any("tamper-evident" in one["text"] for one in found)
    assert (site / "assets" / "vendor" / "iframe-worker.js").is_file()


def test_the_reference_has_every_command_and_category(site: Path) -> None:
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    policy = (site / "reference" / "policy.html").read_text(encoding="utf-8")
    names = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in names.items():
        for path in getattr(command, "commands", {}) or [""]:
            assert f"<code>chopmark {name} {path}".rstrip() in commands, (name, path)
    for category in CATEGORIES:
        assert f"<code>{category}</code>" in policy, category
    operations = (site / "reference" / "operations.html").read_text(encoding="utf-8")
    assert "<code>POST /v1/images/generations</code>" in operations


@pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no /usr/bin/chromium")
@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_has_a_barrier_that_axe_knows(site: Path, width: int) -> None:
    engine = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with _served(site) as address, engine.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        for name in ("index", "start", "settings", "roles/verifier", "reference/policy"):
            page.goto(f"{address}/{name}.html")
            found = axe.run(page)
            assert found.violations_count == 0, f"{name}: {found.generate_report()}"
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, f"{name} is {wide} pixels wider than its window"
        browser.close()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_finds_five_questions_with_answers(role: str) -> None:
    text = (ROOT / "docs" / "roles" / f"{role}.md").read_text(encoding="utf-8")
    asked, *answers = re.split(r"^## ", text, flags=re.MULTILINE)
    assert asked.startswith("# ")
    assert len(answers) == 5
    for answer in answers:
        assert answer.splitlines()[0].endswith("?")
        assert re.search(r"\]\(\.\./", answer), answer  # and the page that has the rest
