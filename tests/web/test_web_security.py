"""Attacks on the pages: scripts in what people write, forged forms, frames, other tenants."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from chopmark.web.headers import CSP

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from tests.web.conftest import Site

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'`"
_LIVE = re.compile(r"<script>|<img src=x|onerror=alert\(\d\)>[\"']", re.IGNORECASE)


def _is_dead(text: str) -> None:
    assert "alert(" in text
    assert not _LIVE.search(text)


def test_a_script_in_a_prompt_is_text_wherever_it_is_shown(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("ines") as ines:
        token = site.csrf(cleo)
        made = cleo.post("/studio", data={"csrf": token, "prompt": f"a disc {SCRIPT}", "n": "1"})
        _is_dead(made.text)
        record = re.search(r"<dt>record</dt><dd>([0-9a-f]{16})", made.text)
        assert record is not None
        seen = ines.get(f"/console/records/{record[1]}", params={"why": SCRIPT})
        _is_dead(seen.text)


def test_a_script_in_a_refused_prompt_and_in_a_seed_is_text(site: Site) -> None:
    with site.client("cleo") as cleo:
        token = site.csrf(cleo)
        prompt = f"explicit photo of a naked woman having sex {SCRIPT}"
        _is_dead(cleo.post("/studio", data={"csrf": token, "prompt": prompt}).text)
        said = cleo.post("/studio", data={"csrf": token, "prompt": "x", "size": SCRIPT})
        assert said.status_code == 400
        assert not _LIVE.search(said.text)


def test_a_script_in_an_address_is_text(site: Site) -> None:
    with site.client("rita") as rita:
        _is_dead(rita.get("/console/search", params={"text": SCRIPT}).text)
        assert not _LIVE.search(rita.get(f"/console/records/{SCRIPT}").text)
        assert not _LIVE.search(rita.get("/sign-in", params={"link": SCRIPT, "to": SCRIPT}).text)


def test_a_link_puts_no_words_of_its_own_on_a_page(site: Site) -> None:
    with site.client("rita") as rita:
        for said in ("Call+555-0100", "Released.+Send+this", "decided.x", "decided", "decided.1.2"):
            for page in ("/console", "/console/queues/review"):
                shown = rita.get(f"{page}?done={said}&said={said}").text
                assert "555-0100" not in shown
                assert 'role="status"' not in shown
        mine = "/console/queues/review?done=decided-some.3.1"
        assert "3 decided, 1 not: somebody else has them." in rita.get(mine).text
        elsewhere = {"sec-fetch-site": "cross-site"}
        assert "3 decided" not in rita.get(mine, headers=elsewhere).text


def test_a_script_in_a_file_name_or_manifest_is_text(
    site: Site, make_picture: Callable[..., Image.Image], to_bytes: Callable[..., bytes]
) -> None:
    import datetime as dt

    from chopmark.provenance import ManifestInfo, sign, write_xmp

    data = to_bytes(make_picture())
    info = ManifestInfo(
        output_id="a3f09c1122334451",
        record_id="a3f09c1122334450",
        model_id=f"m{SCRIPT}",
        model_version=SCRIPT,
        created_at=dt.datetime.now(dt.UTC),
        generator_version="0.1.0",
    )
    signed = sign(write_xmp(data, "png", info), "png", info, site.pipeline.parts.credential)
    with site.client() as anybody:
        said = anybody.post("/verify", files={"image": (f"{SCRIPT}.png", signed.data)})
    assert said.status_code == 200
    _is_dead(said.text)


def test_a_script_in_a_hash_list_is_text(site: Site) -> None:
    folder = site.pipeline.settings.hash_lists
    assert folder is not None
    (folder / "notes<b>.csv").write_text(
        "# source: <script>alert(1)</script>\nkind,value,category,reference\n"
        f"sha256,{'0' * 64},sexual,<script>alert(1)</script>\n"
    )
    state = {"enabled": False, "version": 3, "source": "<script>alert(1)</script>"}
    (folder / "notes<b>.json").write_text(json.dumps(state))
    try:
        with site.client("rita") as rita:
            seen = rita.get("/console/hashes").text
    finally:
        (folder / "notes<b>.csv").unlink()
        (folder / "notes<b>.json").unlink()
    assert "version 3" in seen
    assert "<b>.csv" not in seen
    assert "notes&lt;b&gt;" in seen
    assert not _LIVE.search(seen)


@pytest.mark.parametrize("path", ["/studio", "/studio/appeals", "/console/lease", "/sign-out"])
def test_a_form_needs_the_token_of_its_session(site: Site, path: str) -> None:
    with site.client("cleo") as cleo, site.client("carl") as carl:
        assert cleo.post(path, data={"prompt": "a disc"}).status_code == 403
        other = cleo.post(path, data={"csrf": site.csrf(carl), "prompt": "a disc"})
        assert other.status_code == 403
        assert "csrf" in other.text


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_form_of_another_site_is_refused(site: Site, headers: dict[str, str]) -> None:
    with site.client("cleo") as cleo:
        fields = {"csrf": site.csrf(cleo), "prompt": "a disc"}
        assert cleo.post("/studio", data=fields, headers=headers).status_code == 403


@pytest.mark.parametrize("path", ["/verify", "/sign-in", "/studio", "/static/page.js", "/nothing"])
def test_nothing_may_be_framed_and_only_our_own_files_load(site: Site, path: str) -> None:
    with site.client() as anybody:
        said = anybody.get(path)
    if path == "/nothing":  # the API's
        assert said.status_code in {401, 404}
        return
    assert said.headers["content-security-policy"] == CSP
    assert said.headers["x-frame-options"] == "DENY"
    assert "unsafe" not in CSP
    assert "frame-ancestors 'none'" in CSP


def test_a_reviewer_of_one_tenant_sees_nothing_of_another(site: Site) -> None:
    with site.client("cleo") as cleo, site.client("zoe") as zoe:
        made = cleo.post(
            "/studio", data={"csrf": site.csrf(cleo), "prompt": "a doubtful secretword", "n": "1"}
        )
        record = re.search(r"<dt>record</dt><dd>([0-9a-f]{16})", made.text)
        assert record is not None
        token = site.csrf(zoe)
        path = f"/console/records/{record[1]}"
        assert zoe.get(path).status_code == 404
        assert zoe.get(path, params={"why": "x"}).status_code == 404
        assert zoe.post(f"{path}/unblur", data={"csrf": token, "name": "x"}).status_code == 404
        found = zoe.get("/console/search", params={"all": "1"}).text
        assert record[1] not in found
        assert "0 record" in found
        went = zoe.post("/console/lease", data={"csrf": token, "queue": "review"})
        assert went.headers["location"].endswith("nothing=1")
        assert zoe.get("/console/charts.json").json()["ended"] == 0
        assert zoe.get("/studio").status_code == 403


def test_a_person_who_was_disabled_is_nobody_at_once(site: Site) -> None:
    site.people.add("temp", roles=["creator"], tenant="default")
    with site.client("temp") as temp:
        assert temp.get("/studio").status_code == 200
        site.people.disable("temp")
        assert temp.get("/studio").status_code == 401
