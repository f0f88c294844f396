"""Input pictures are read away from the key; what is signed from plain values is the same."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import pickle
from typing import TYPE_CHECKING, Any

import c2pa
import pytest

from chopmark.errors import SigningFailed
from chopmark.provenance import (
    InputIngredient,
    ManifestInfo,
    TrustAnchors,
    _native,
    encode_image,
    read_ingredient,
    sign,
    verify,
)
from chopmark.provenance._c2pa_signer import make_signer
from chopmark.provenance.manifest import definition

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from tests.unit.provenance.conftest import Maker

OUTPUT = "c3f09c1122334451"


def _info(*shown: InputIngredient | bytes) -> ManifestInfo:
    return ManifestInfo(
        output_id=OUTPUT,
        record_id=OUTPUT[:-1] + "0",
        model_id="tiny",
        model_version="1",
        created_at=dt.datetime(2026, 11, 30, tzinfo=dt.UTC),
        generator_version="0.1.0",
        action="edited" if shown else "created",
        parent=shown[0] if shown else None,
        references=shown[1:],
    )


def _named(data: bytes, maker: Maker) -> list[dict[str, Any]]:
    """The ingredients of a file's active manifest, as the library tells them."""
    config = _native.settings(*TrustAnchors.of(maker.credential).native())
    store = _native.read(data, "image/png", config)
    found: list[dict[str, Any]] = store["manifests"][store["active_manifest"]]["ingredients"]
    return found


def _by_the_library(picture: bytes, parent: bytes, maker: Maker) -> bytes:
    """An edit whose parent's file went into the signing itself, thumbnails and all."""
    config = _native.settings(*TrustAnchors.of(maker.credential).native())
    config["builder"]["thumbnail"] = {"enabled": True}
    # It may take the picture in now; the definition is the one of an edit all the same.
    edit = definition(_info(b"not looked at"))
    out = io.BytesIO()
    with c2pa.Builder(edit, context=_native.context(config)) as builder:
        entry = {
            "title": "Input picture",
            "relationship": "parentOf",
            "label": "parent",
            "instance_id": f"xmp:iid:chopmark-{OUTPUT}-parent",
        }
        builder.add_ingredient(entry, "image/png", io.BytesIO(parent))
        signer = make_signer(maker.credential, [])
        builder.sign(signer, "image/png", io.BytesIO(picture), out)
    return out.getvalue()


def _broken(data: bytes) -> bytes:
    place = len(data) * 3 // 4
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.fixture
def picture(photograph: Callable[..., Image.Image]) -> bytes:
    return encode_image(photograph(64, 64), "png")


@pytest.mark.parametrize("kind", ["signed", "tampered", "edited twice", "with a thumbnail"])
def test_the_ingredient_is_the_one_that_the_library_makes_of_the_file(
    maker: Maker, picture: bytes, photograph: Callable[..., Image.Image], kind: str
) -> None:
    parent = maker.make(photograph(96, 96), output_id="a8f09c1122334451", mark=False).data
    if kind == "tampered":
        parent = _broken(parent)
    elif kind == "edited twice":
        for seed in (2, 3):
            middle = encode_image(photograph(64, 64, seed=seed), "png")
            parent = sign(middle, "png", _info(parent), maker.credential).data
    elif kind == "with a thumbnail":
        parent = _by_the_library(picture, parent, maker)
    read = read_ingredient(parent, TrustAnchors.of(maker.credential))
    signed = sign(picture, "png", _info(read), maker.credential)
    [ours], [theirs] = (
        _named(signed.data, maker),
        _named(_by_the_library(picture, parent, maker), maker),
    )
    if kind != "with a thumbnail":
        theirs.pop("thumbnail", None)  # made of the picture, which our own settings forbid
    assert ours == theirs
    assert (ours.get("thumbnail") is not None) == (kind == "with a thumbnail")
    assert verify(signed.data).manifest.state == "intact"


def test_a_file_is_signed_as_its_values_are(maker: Maker, picture: bytes) -> None:
    parent = sign(picture, "png", _info(), maker.credential).data
    read = read_ingredient(parent, TrustAnchors.of(maker.credential))
    one = sign(picture, "png", _info(read, read), maker.credential)
    other = sign(picture, "png", _info(parent, parent), maker.credential)
    assert _named(one.data, maker) == _named(other.data, maker)
    assert len(_named(one.data, maker)) == 2


def test_it_can_be_handed_to_another_process(maker: Maker, picture: bytes) -> None:
    read = read_ingredient(
        sign(picture, "png", _info(), maker.credential).data, TrustAnchors.of(maker.credential)
    )
    assert pickle.loads(pickle.dumps(read)) == read  # noqa: S301  our own
    assert {type(value) for value in vars(read).values()} == {str, bytes}


def test_a_process_that_was_taken_over_cannot_say_what_is_ours_to_say(
    maker: Maker, picture: bytes
) -> None:
    said = {"title": "Made here", "relationship": "componentOf", "label": "x", "thumbnail": {}}
    forged = InputIngredient(found=json.dumps({"format": "image/png", **said, "data": {}}))
    [shown] = _named(sign(picture, "png", _info(forged), maker.credential).data, maker)
    assert (shown["title"], shown["relationship"]) == ("Input picture", "parentOf")
    assert "thumbnail" not in shown
    assert "data" not in shown


@pytest.mark.parametrize(
    "changes",
    [{"found": "no JSON"}, {"manifest": b"\0\0\0\x10jumb" + bytes(40)}, {"manifest": b""}],
    ids=["found", "manifest", "empty manifest"],
)
def test_what_was_not_read_by_us_is_not_signed(
    maker: Maker, picture: bytes, changes: dict[str, Any]
) -> None:
    read = read_ingredient(
        sign(picture, "png", _info(), maker.credential).data, TrustAnchors.of(maker.credential)
    )
    forged = dataclasses.replace(read, **changes)
    with pytest.raises(SigningFailed):
        sign(picture, "png", _info(forged), maker.credential)
