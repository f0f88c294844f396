"""Hooks of the documentation site (``mkdocs.yml``): pages from elsewhere, and their links.

The pages lie in ``docs/`` and read well where the repository is shown. The site adds what lies
beside them (model cards, the changelog) and what is generated from the code, and turns links that
leave ``docs/`` into links to those pages, or to the repository.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

from scripts.docs_reference import PAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
#: Where files that are no pages are shown.
REPOSITORY = "https://github.com/chopmark/chopmark/blob/main/"
#: Files of the repository, and the pages that show them.
PROJECT = {
    "generation/weights/embedded/MODEL_CARD.md": "project/generator-card.md",
    "generation/weights/embedded/grid.png": "project/grid.png",
    "generation/weights/embedded/edits.png": "project/edits.png",
    "generation/weights/embedded/newcomers.png": "project/newcomers.png",
    "safety/weights/MODEL_CARD.md": "project/safety-card.md",
    "provenance/anchors/README.md": "project/trust-lists.md",
    "SECURITY.md": "project/security-policy.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "THIRD_PARTY.md": "project/third-party.md",
    "CHANGELOG.md": "project/changelog.md",
}
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s#]+)([^)]*\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show pages that the navigation does not name yet under "More", so that none is lost."""
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    missing = sorted(written - set(_named(config.nav)))
    if missing:
        config.nav = [*(config.nav or []), {"More": missing}]
    return config


def _named(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for each in nav.values() if isinstance(nav, dict) else nav or []:  # type: ignore[attr-defined]
            yield from _named(each)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in ``docs/``."""
    for source, page in PROJECT.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for page, make in PAGES.items():
        files.append(File.generated(config, page, content=make()))
    return files


def on_post_page(output: str, config: MkDocsConfig, **_: object) -> str:
    """Give the theme's search and lists of pages the names that a screen reader reads."""
    titles = [next(iter(each)) for each in config.nav or []]
    named = output.replace(
        'data-md-component="search" role="dialog"',
        'data-md-component="search" role="dialog" aria-label="Search the documentation"',
    )
    return re.sub(
        r'aria-labelledby="__nav_(\d+)_label"',
        lambda found: f'aria-label="{titles[int(found[1]) - 1]}"',
        named,
    )


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Point links at pages of the site, or at the repository."""
    here = page.file.src_uri
    source = next((one for one, shown in PROJECT.items() if shown == here), f"docs/{here}")

    def turned(match: re.Match[str]) -> str:
        before, target, after = match.groups()
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        shown = PROJECT.get(meant) or (meant[5:] if meant.startswith("docs/") else None)
        if shown is not None:
            return before + os.path.relpath(shown, posixpath.dirname(here) or ".") + after
        if not (ROOT / meant).exists():
            raise ValueError(f"{source} links to {target}, which is not there")
        return before + REPOSITORY + meant + after

    return _LINK.sub(turned, markdown)
