"""The pages as a browser without JavaScript asks for them."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from chopmark.errors import RecordNotFound
from chopmark.provenance.reattachment import remove
from chopmark.web.held_pictures import HeldPictures
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
        bare = remove(file.content)
        said = anybody.post("/verify", files={"image": ("p.png", bare)})
        assert "The original was found again" in said.text
        back = anybody.post("/verify/restored", files={"image": ("p.png", bare)})
        assert back.content == file.content
        assert "restored.png" in back.headers["content-disposition"]
        # What was saved anew has other bytes: its own manifest would call it changed.
        anew = io.BytesIO()
        Image.open(io.BytesIO(file.content)).save(anew, "PNG")
        back = anybody.post("/verify/restored", files={"image": ("p.png", anew.getvalue())})
        assert back.status_code == 404
        assert "none of the manifests kept here fits" in back.text


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
        assert "Your appeal is recorded" in mine.text
        again = cleo.post("/studio/appeals", data={"csrf": site.csrf(cleo), **fields})
        assert again.status_code == 409


def _as_a_browser(fields: dict[str, str], files: list[tuple[str, bytes]]) -> dict[str, Any]:
    """Return body and headers of a form; a file field without a file has an empty name."""
    body = b""
    for name, value in fields.items():
        body += f'--xx\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for name, data in files:
        head = f'form-data; name="{name}"; filename="{"a.png" if data else ""}"'
        kind = "application/octet-stream"
        body += f"--xx\r\nContent-Disposition: {head}\r\nContent-Type: {kind}\r\n\r\n".encode()
        body += data + b"\r\n"
    return {
        "content": body + b"--xx--\r\n",
        "headers": {"content-type": "multipart/form-data; boundary=xx"},
    }


def test_several_pictures_are_joined_and_empty_file_fields_are_none(
    site: Site, make_picture: Callable[..., Image.Image], to_bytes: Callable[..., bytes]
) -> None:
    one, two, three = (to_bytes(make_picture(64, side)) for side in (64, 80, 96))
    with site.client("cleo") as cleo:
        assert "Up to 2 further pictures" in cleo.get("/studio").text
        for first, others in ((one, (two, three)), (b"", (one,)), (b"", (b"",))):
            parts = [("image", first), *(("references", data) for data in others)]
            fields = {"csrf": site.csrf(cleo), "prompt": "put them together", "n": "1"}
            made = cleo.post("/studio", **_as_a_browser(fields, parts))
            assert made.status_code == 200, made.text
    painter: Any = site.pipeline.parts.generator
    sizes = [[one.size for one in job.images] for job in painter.jobs[-3:]]
    assert sizes == [[(64, 64), (64, 80), (64, 96)], [(64, 64)], []]


def test_what_the_model_has_no_use_for_is_not_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site.client("cleo") as cleo:
        page = cleo.get("/studio").text
        assert 'name="negative_prompt"' in page
        assert 'name="strength"' in page
        painter: Any = site.pipeline.parts.generator
        info = replace(
            painter.info, ignores=frozenset({"negative_prompt", "strength"}), max_images=1
        )
        monkeypatch.setattr(painter, "info", info, raising=False)
        page = cleo.get("/studio").text
        for name in ("negative_prompt", "strength", "references"):
            assert f'name="{name}"' not in page
        assert 'name="mask"' in page


def test_held_pictures_are_for_their_person_only(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("carl") as carl, site.client() as anybody:
        made = _make(site, cleo, "a red disc")
        path = re.search(r'src="(/studio/pictures/[^"]+)"', made.text)
        assert path is not None
        assert cleo.get(path[1]).status_code == 200
        assert carl.get(path[1]).status_code == 404
        assert anybody.get(path[1]).status_code == 401


def test_what_was_erased_is_not_held_for_its_person_either(site: Site) -> None:
    with site.client("carl") as carl:
        made = _make(site, carl, "a red disc")
        path = re.search(r'src="(/studio/pictures/[^"]+)"', made.text)
        assert path is not None
        assert carl.get(path[1]).status_code == 200
        log = site.pipeline.parts.log
        index = max(record.index for record in log.find(kind="request.received"))
        content = log.content(index)
        assert content is not None
        assert content.subject is not None
        token = {"csrf": site.csrf(carl)}
        assert carl.post(f"{path[1]}/verify", data=token).status_code == 200
        log.custody.erase(content.subject, by=("ada", "bob"), reason="asked")
        # It can be looked at no more than it can be had; asked again, nobody has heard of it.
        gone = carl.post(f"{path[1]}/verify", data=token)
        assert (gone.status_code, b"erased" in gone.content) == (410, True)
        assert carl.get(path[1]).status_code == 404


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


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/a.png",
        "https://[::1]/a.png",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/a.png",
        "http://example.com/a.png",
        "https://example.com:8443/a.png",
        "file:///etc/passwd",
        "https://user@example.com/a.png",
    ],
)
def test_an_address_that_is_not_public_https_is_not_visited(site: Site, url: str) -> None:
    with site.client() as anybody:
        said = anybody.post("/verify", data={"url": url})
    assert said.status_code == 400
    assert "invalid_request" in said.text


def test_a_link_signs_in_once_and_sign_out_ends_it(site: Site) -> None:
    link = site.people.link("cleo")
    with site.client() as cleo:
        assert "works once" in cleo.get("/sign-in", params={"link": link}).text
        went = cleo.post("/sign-in", data={"link": link, "to": "studio"})
        assert went.headers["location"] == "/studio"
        cookie = went.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite" in cookie
        assert cleo.get("/studio").status_code == 200
        assert cleo.post("/sign-out", data={"csrf": site.csrf(cleo)}).status_code == 303
        assert cleo.get("/studio").status_code == 401
        assert cleo.post("/sign-in", data={"link": link}).status_code == 401


def test_the_studio_says_how_an_appeal_stands(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("carl") as carl, site.client("rolf") as rolf:
        said = _make(site, cleo, f"{BLOCKED} as a mosaic")
        decision = re.search(r'name="decision" value="([0-9a-f]{16})"', said.text)
        assert decision is not None
        path = f"/studio/appeals/{decision[1]}"
        assert cleo.get(path).status_code == 404
        fields = {"decision": decision[1], "statement": "Roman, first century."}
        cleo.post("/studio/appeals", data={"csrf": site.csrf(cleo), **fields})
        assert "Nobody has decided yet" in cleo.get(path).text
        assert carl.get(path).status_code == 404
        decided = {"csrf": site.csrf(rolf), "outcome": "upheld", "rationale": "Not in this room."}
        done = rolf.post(f"/console/appeals/{decision[1]}/decide", data=decided)
        assert done.status_code == 303
        seen = cleo.get(path).text
        assert "The refusal stands" in seen
        assert "Not in this room." in seen


def test_the_shelf_is_bounded_and_forgets() -> None:
    from types import SimpleNamespace

    now = [0.0]
    shelf = HeldPictures(clock=lambda: now[0])

    def made(size: int) -> Any:
        return SimpleNamespace(outputs=(SimpleNamespace(index=1, data=bytes(size)),))

    first = shelf.put("a:cleo", "x", made(10))
    assert shelf.output("a:cleo", first.token, 1).data == bytes(10)
    with pytest.raises(RecordNotFound):
        shelf.get("b:cleo", first.token)
    for _ in range(8):
        shelf.put("a:cleo", "x", made(10))
    with pytest.raises(RecordNotFound):
        shelf.get("a:cleo", first.token)
    for name in ("a:ada", "a:bob", "a:eve"):
        last = shelf.put(name, "x", made(60 * 2**20))
    assert sum(held.size for held in shelf._held.values()) <= 128 * 2**20
    now[0] = 901
    with pytest.raises(RecordNotFound):
        shelf.get("a:eve", last.token)


def test_every_page_is_in_the_manual() -> None:
    text = (Path(__file__).parents[2] / "docs" / "web.md").read_text(encoding="utf-8")
    paths = _paths()
    assert {"/verify", "/studio", "/console", "/console/search", "/sign-in"} <= paths
    for path in sorted(paths):
        assert f"`{path}`" in text, path


def _paths() -> set[str]:
    """Return the addresses of whole pages: what a GET without an id answers."""
    from chopmark.web import console, sign_in, studio, verify

    parts = [("", part) for part in (sign_in, studio, verify)]
    parts += [("/console", part) for part in console.PARTS]
    return {
        prefix + route.path
        for prefix, part in parts
        for route in part.router.routes
        if "GET" in route.methods and "{" not in route.path
    }
