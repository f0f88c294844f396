"""The pages as a browser without JavaScript asks for them."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.web.conftest import BLOCKED

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.web.conftest import Site


def _make(site: Site, client: httpx.Client, prompt: str, **fields: str) -> httpx.Response:
    return client.post(
        "/studio",
        data={"csrf": site.csrf(client), "prompt": prompt, "n": "1", "seed": "7", **fields},
    )


def test_verify_says_what_a_picture_is_without_javascript(
    site: Site, make_picture: Callable[..., Image.Image], to_bytes: Callable[..., bytes]
) -> None:
    with site.client() as anybody:
        said = anybody.post("/verify", files={"image": ("p.png", to_bytes(make_picture()))})
    assert said.status_code == 200
    assert "No signal found" in said.text
    assert "does not mean that a person made it" in said.text


def test_a_picture_made_in_the_studio_is_known_at_verify(site: Site) -> None:
    with site.client("cleo") as cleo:
        made = _make(site, cleo, "a red disc")
        assert made.status_code == 200
        path = re.search(r'href="(/studio/pictures/[^"?]+)\?download=1"', made.text)
        assert path is not None
        file = cleo.get(path[1] + "?download=1")
    assert file.headers["content-disposition"].startswith("attachment")
    with site.client() as anybody:
        said = anybody.post("/verify", files={"image": ("p.png", file.content)})
        assert "Made here, by AI" in said.text
        bare = io.BytesIO()
        Image.open(io.BytesIO(file.content)).save(bare, "PNG")
        said = anybody.post("/verify", files={"image": ("p.png", bare.getvalue())})
        assert "The original was found again" in said.text
        back = anybody.post("/verify/restored", files={"image": ("p.png", bare.getvalue())})
    assert back.status_code in {200, 500}


def test_a_refusal_says_why_and_takes_an_appeal_from_the_same_person_only(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("carl") as carl:
        said = _make(site, cleo, BLOCKED)
        assert said.status_code == 400
        assert "Sexual content" in said.text
        assert "<mark>" in said.text
        decision = re.search(r'name="decision" value="([0-9a-f]{16})"', said.text)
        assert decision is not None
        fields = {"decision": decision[1], "statement": "It is a painting by Manet."}
        other = carl.post("/studio/appeals", data={"csrf": site.csrf(carl), **fields})
        assert other.status_code == 404
        mine = cleo.post("/studio/appeals", data={"csrf": site.csrf(cleo), **fields})
        assert "Your appeal is booked" in mine.text
        again = cleo.post("/studio/appeals", data={"csrf": site.csrf(cleo), **fields})
        assert again.status_code == 409


def test_held_pictures_are_for_their_person_only(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("carl") as carl, site.client() as anybody:
        made = _make(site, cleo, "a red disc")
        path = re.search(r'src="(/studio/pictures/[^"]+)"', made.text)
        assert path is not None
        assert cleo.get(path[1]).status_code == 200
        assert carl.get(path[1]).status_code == 404
        assert anybody.get(path[1]).status_code == 401


@pytest.mark.parametrize(
    ("path", "status"), [("/studio", 401), ("/verify/nothing", 404), ("/verify/restored", 405)]
)
def test_errors_are_pages_with_the_words_of_the_api(site: Site, path: str, status: int) -> None:
    with site.client() as anybody:
        said = anybody.get(path)
    assert said.status_code == status
    assert said.headers["content-type"].startswith("text/html")
    assert said.headers["x-request-id"] in said.text


def test_a_body_over_the_limit_is_a_page_too(site: Site) -> None:
    with site.client() as anybody:
        said = anybody.post("/verify", files={"image": ("p.png", bytes(2**23))})
    assert said.status_code == 413
    assert "image_too_large" in said.text
