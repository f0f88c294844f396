"""A reviewer sees which model said what of a picture, and where it points at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.generator import StandIn
from tests.support.symbol import hooked_cross
from tests.web.conftest import NEEDS_CHROMIUM, Visits, open_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from chopmark import Pipeline
    from tests.web.conftest import Site

pytestmark = NEEDS_CHROMIUM


@pytest.fixture
def strict(shared_pipeline: Pipeline, tmp_path: Path) -> Iterator[Site]:
    """A site whose model draws a hooked cross, under the policy that asks a person about each."""
    drawing = StandIn(
        lambda job, _seed: hooked_cross(corner=True).resize((job.width, job.height)),
        default_size=(320, 320),
        max_size=512,
        ignores=frozenset(),
    )
    with open_site(shared_pipeline, tmp_path, generator=drawing, policy="strict") as site:
        yield site


def test_a_symbol_has_its_box_and_the_model_that_saw_it(strict: Site, browser: Browser) -> None:
    with strict.client("cleo") as cleo:
        fields = {"csrf": strict.csrf(cleo), "prompt": "a sign on a banner", "n": "1", "seed": "3"}
        assert cleo.post("/studio", data=fields).status_code == 200
    visits = Visits(browser, strict)
    page = visits("rita")
    page.goto("/console")
    page.get_by_role("button", name="Take the next").first.click()
    page.wait_for_url("**/console/records/*")
    evidence = page.locator("table", has_text="Evidence").inner_text()
    assert "hooked cross, score" in evidence
    assert page.locator("figure svg rect").count() == 0  # blurred, nothing is pointed at
    page.get_by_role("button", name="Show it").first.click()
    shown = page.locator("figure img[data-shown]")
    shown.wait_for()
    whole, box = shown.bounding_box(), page.locator("figure svg rect").first.bounding_box()
    assert whole is not None
    assert box is not None
    # The sign stands in the middle of the picture and is half as wide: so does its box.
    across = (box["x"] + box["width"] / 2 - whole["x"]) / whole["width"]
    down = (box["y"] + box["height"] / 2 - whole["y"]) / whole["height"]
    assert 0.35 < across < 0.65
    assert 0.35 < down < 0.65
    assert 0.3 < box["width"] / whole["width"] < 1.0
    assert "symbol" in page.locator("figcaption").inner_text().lower()
    visits.close()
