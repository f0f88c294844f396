"""Whom we believe, and where that comes from."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from chopmark.errors import ChopmarkError, ConfigurationError
from chopmark.provenance import encode_image, load_anchors, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL import Image

    from tests.unit.provenance.provenance_attacks import Outsider


def test_the_lists_that_come_along(tmp_path: Path) -> None:
    lists = {one.name: one for one in load_anchors(tmp_path).lists}
    assert set(lists) == {"c2pa-trust-list", "c2pa-tsa-trust-list"}
    for name, kind, count in (
        ("c2pa-trust-list", "manifest", 30),
        ("c2pa-tsa-trust-list", "tsa", 22),
    ):
        found = lists[name]
        certificates = x509.load_pem_x509_certificates(found.pem.encode())
        assert (found.kind, len(certificates)) == (kind, count)
        newest = max(one.not_valid_before_utc for one in certificates)
        assert newest.date() == dt.date.fromisoformat(found.date)
        for one in certificates:
            constraints = one.extensions.get_extension_for_class(x509.BasicConstraints).value
            assert constraints.ca


def test_ones_own_list_is_believed_at_once(
    tmp_path: Path, outsider: Callable[..., Outsider], photograph: Callable[..., Image.Image]
) -> None:
    anchors, them = load_anchors(tmp_path), outsider()
    data = them.sign(encode_image(photograph(64, 64), "png"))
    assert verify(data, anchors=anchors).credential.state == "untrusted"
    folder = tmp_path / "anchors" / "manifest"
    folder.mkdir(parents=True)
    (folder / "partners.pem").write_text(them.root_pem)
    report = verify(data, anchors=anchors)
    assert (report.credential.state, report.credential.anchor) == ("trusted", "partners")
    assert not report.credential.own
    assert report.verdict == "authentic_other"


def test_a_list_is_replaced_or_switched_off_by_its_name(
    tmp_path: Path, outsider: Callable[..., Outsider]
) -> None:
    folder = tmp_path / "anchors" / "manifest"
    folder.mkdir(parents=True)
    (folder / "c2pa-trust-list.pem").write_text(outsider().root_pem)
    [one] = [one for one in load_anchors(tmp_path).lists if one.name == "c2pa-trust-list"]
    assert one.date == ""
    (folder / "c2pa-trust-list.pem").write_text("")
    assert [one.name for one in load_anchors(tmp_path).lists] == ["c2pa-tsa-trust-list"]


def test_a_list_that_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "anchors" / "tsa"
    folder.mkdir(parents=True)
    (folder / "x.pem").write_text("-----BEGIN NONSENSE-----")
    with pytest.raises(ChopmarkError):
        load_anchors(tmp_path)


def test_a_list_of_ones_own_has_a_date(tmp_path: Path, outsider: Callable[..., Outsider]) -> None:
    """As the interim list is kept: under a name of its own, beside the official one."""
    folder = tmp_path / "lists"
    (folder / "manifest").mkdir(parents=True)
    interim = folder / "manifest" / "c2pa-interim-trust-list.pem"
    interim.write_text(f"# date: 2026-01-01\n{outsider().root_pem}")
    found = {one.name: one.date for one in load_anchors(tmp_path, lists=folder).lists}
    assert found["c2pa-interim-trust-list"] == "2026-01-01"
    assert found["c2pa-trust-list"] == "2026-07-24"
    # Both are looked at anew, without a restart.
    anchors = load_anchors(tmp_path, lists=folder)
    interim.unlink()
    assert "c2pa-interim-trust-list" not in {one.name for one in anchors.fresh().lists}
    with pytest.raises(ConfigurationError, match="not there"):
        load_anchors(tmp_path, lists=tmp_path / "nowhere")
