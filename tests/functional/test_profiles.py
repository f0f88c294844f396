"""Profiles: what the table says is what the settings are, and the detector's limit holds."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from chopmark.errors import ConfigurationError
from chopmark.settings import Settings, load_settings
from chopmark.settings.profile_rows import ROWS
from chopmark.settings.profiles import PROFILES, defaults_of, deviations
from chopmark.site import create_site
from chopmark.tenancy import AccessStore
from tests.support.generator import StandIn
from tests.support.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_sets_its_rows_and_nothing_else(profile: Any, home: Path) -> None:
    plain, chosen = Settings(home=home), Settings(home=home, profile=profile)
    wanted = defaults_of(profile)
    assert wanted
    for name in Settings.model_fields:
        if name != "profile":
            expected = wanted.get(name, getattr(plain, name))
            assert getattr(chosen, name) == expected, name
    assert deviations(chosen, profile) == []


@pytest.mark.parametrize("profile", PROFILES)
def test_each_row_names_rule_source_and_what_is_there(profile: str) -> None:
    for row in ROWS[profile]:
        assert row.asks, row
        assert row.rule, row
        assert row.source, row
        assert row.does, row
        assert not row.since or re.fullmatch(r"20\d\d-\d\d-\d\d", row.since), row
        assert (row.setting in Settings.model_fields) == (row.kind in {"default", "needed"}), row
        assert row.tests or row.kind in {"deployer", "default"}, row
        for named in row.tests:
            path, _, test = named.partition("::")
            source = (ROOT / path).read_text(encoding="utf-8")
            assert not test or re.search(rf"^(?:async )?def {test}\(", source, re.MULTILINE), named
    assert len(defaults_of(profile)) == len([row for row in ROWS[profile] if row.kind == "default"])  # type: ignore[arg-type]


def test_what_is_set_explicitly_wins_and_is_a_deviation(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOPMARK_PROFILE", "india")
    monkeypatch.setenv("CHOPMARK_TAKEDOWN_HOURS", "1.5")
    settings = load_settings(label="off")
    assert (settings.label, settings.takedown_hours) == ("off", 1.5)
    assert settings.takedown_intimate_hours == 2.0
    found = {one.row.setting: one.configured for one in deviations(settings, "india")}
    assert found == {"label": "off", "takedown_hours": 1.5}


def test_a_longer_least_time_is_no_deviation(home: Path) -> None:
    longer = Settings(home=home, profile="china", retention_days=400)
    assert deviations(longer, "china") == []
    shorter = Settings(home=home, profile="china", retention_days=30)
    assert [one.row.setting for one in deviations(shorter, "china")] == ["retention_days"]


def test_a_jurisdiction_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOPMARK_PROFILE", "atlantis")
    with pytest.raises(ConfigurationError, match="profile") as caught:
        load_settings()
    assert "CHOPMARK_PROFILE" in caught.value.hint


def test_the_label_of_a_profile_is_drawn(open_pipeline: Callable[..., Any]) -> None:
    from chopmark.provenance import LABEL_PROFILES

    for profile in PROFILES:
        style = open_pipeline(profile=profile).parts.label
        assert style == LABEL_PROFILES[str(defaults_of(profile)["label"])]


def test_the_detectors_limit_is_one_for_page_and_api(
    open_pipeline: Callable[..., Any],
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(out, "PNG")
    files = {"image": ("a.png", out.getvalue())}
    pipeline = open_pipeline(generator=StandIn(), profile="california", public_verify_per_minute=2)
    with AccessStore.open(pipeline.parts.home) as store:
        key = store.create_key("default", scopes=("verify",)).text
    with serve(pipeline, create_site) as live:
        assert httpx.get(f"{live.url}/verify").status_code == 200
        page = httpx.post(f"{live.url}/verify", files=files)
        assert page.status_code == 200
        assert "watermark" in page.text.lower()
        assert httpx.post(f"{live.url}/api/v1/verify", files=files).status_code == 200
        for path in ("/verify", "/api/v1/verify"):
            late = httpx.post(live.url + path, files=files)
            assert late.status_code == 429, path
            assert int(late.headers["retry-after"]) <= 60
        # Looking at the empty form costs nothing, and a key has a rate of its own.
        assert httpx.get(f"{live.url}/verify").status_code == 200
        known = {"authorization": f"Bearer {key}"}
        answer = httpx.post(f"{live.url}/api/v1/verify", files=files, headers=known)
        assert answer.status_code == 200
        for path in ("/studio", "/console"):
            assert httpx.get(live.url + path).status_code in {303, 401}
