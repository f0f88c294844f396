"""Signing: what the manifest says, what it costs, and how it fails."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime as dt
import io
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from chopmark.errors import SigningFailed
from chopmark.provenance import (
    Credential,
    ManifestInfo,
    TrustAnchors,
    _native,
    encode_image,
    mark_algorithm,
    sign,
    verify,
)
from chopmark.provenance.manifest import PDQ_ALG, RECORD_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.provenance import Signed
    from tests.unit.provenance.conftest import Maker


def _info(**changes: Any) -> ManifestInfo:
    base = ManifestInfo(
        output_id="a3f09c1122334451",
        record_id="a3f09c1122334450",
        model_id="tiny",
        model_version="1",
        created_at=dt.datetime(2026, 11, 23, 1, 2, 3, tzinfo=dt.UTC),
        generator_version="0.1.0",
        mark_method="lattice",
        mark_payload=bytes.fromhex("a3f09c1122334451"),
        pdq="0f" * 32,
    )
    return dataclasses.replace(base, **changes)


def _assertions(signed: Signed, mime: str = "image/png") -> dict[str, list[Any]]:
    config = _native.settings()
    read = _native.read(signed.data, mime, config)
    found: dict[str, list[Any]] = {}
    for one in read["manifests"][read["active_manifest"]]["assertions"]:
        found.setdefault(one["label"], []).append(one)
    return found


def test_what_the_manifest_says(maker: Maker, photograph: Callable[..., Image.Image]) -> None:
    signed = sign(encode_image(photograph(64, 64), "png"), "png", _info(), maker.credential)
    found = _assertions(signed)
    [actions] = found["c2pa.actions.v2"]
    assert actions["created"] is True
    assert actions["data"]["allActionsIncluded"] is True
    created, bound = actions["data"]["actions"]
    assert created["action"] == "c2pa.created"
    assert created["when"] == "2026-11-23T01:02:03Z"
    assert created["softwareAgent"] == {"name": "tiny", "version": "1"}
    assert bound["action"] == "c2pa.watermarked.bound"
    bindings = {one["data"]["alg"]: one["data"] for one in found["c2pa.soft-binding"]}
    assert set(bindings) == {mark_algorithm("lattice"), PDQ_ALG}
    assert bindings["org.chopmark.lattice.1"]["blocks"][0]["value"] == "a3f09c1122334451"
    assert "unlisted" in bindings["org.chopmark.lattice.1"]["name"]
    [record] = found[RECORD_LABEL]
    assert record["data"]["recordId"] == "a3f09c1122334450"
    [training] = found["cawg.training-mining"]
    assert {one["use"] for one in training["data"]["entries"].values()} == {"notAllowed"}
    assert not [label for label in found if "thumbnail" in label]


def test_the_prompt_stays_out_unless_asked_for(
    maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    picture = encode_image(photograph(64, 64), "png")
    without = sign(picture, "png", _info(), maker.credential)
    assert b"prompt" not in without.data
    with_it = sign(picture, "png", _info(prompt="a red apple"), maker.credential)
    assert _assertions(with_it)[RECORD_LABEL][0]["data"]["prompt"] == "a red apple"


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "avif"])
def test_at_most_five_kilobytes_are_added(
    maker: Maker, photograph: Callable[..., Image.Image], fmt: Any
) -> None:
    picture = encode_image(photograph(128, 128), fmt)
    signed = sign(picture, fmt, _info(pixels_sha256="ab" * 32), maker.credential)
    assert len(signed.data) - len(picture) <= 5_000


def test_the_stored_manifest_is_the_one_in_the_file(made: dict[str, Signed]) -> None:
    assert made["png"].manifest in made["png"].data
    assert made["webp"].manifest in made["webp"].data


def test_a_callback_signer_signs(maker: Maker, photograph: Callable[..., Image.Image]) -> None:
    through = dataclasses.replace(maker.credential, key_pem=None)
    signed = sign(encode_image(photograph(64, 64), "jpeg"), "jpeg", _info(), through)
    report = verify(signed.data, anchors=TrustAnchors.of(maker.credential))
    assert report.credential.own


@pytest.mark.parametrize(
    "error", [SigningFailed("the token is gone", hint="plug it in"), OSError("no route")]
)
def test_what_a_signer_raises_is_what_one_gets(
    maker: Maker, photograph: Callable[..., Image.Image], error: Exception
) -> None:
    class Broken:
        def sign(self, data: bytes, /) -> bytes:
            raise error

    credential = Credential(
        chain_pem=maker.credential.chain_pem, alg=maker.credential.alg, signer=Broken()
    )
    with pytest.raises(SigningFailed, match=r"the token is gone|no route"):
        sign(encode_image(photograph(64, 64), "png"), "png", _info(), credential)


def test_a_signature_that_does_not_fit_never_leaves(
    maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    class Liar:
        def sign(self, data: bytes, /) -> bytes:
            return maker.credential.signer.sign(data + b"!")

    credential = Credential(
        chain_pem=maker.credential.chain_pem, alg=maker.credential.alg, signer=Liar()
    )
    with pytest.raises(SigningFailed):
        sign(encode_image(photograph(64, 64), "png"), "png", _info(), credential)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"record_id": "nope"}, "record id"),
        ({"output_id": ""}, "output id"),
        ({"action": "edited"}, "parent"),
        ({"parent": b"x"}, "parent"),
        ({"references": (b"x",)}, "parent"),
        ({"created_at": dt.datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001
    ],
)
def test_contradictions_are_not_signed(
    maker: Maker, photograph: Callable[..., Image.Image], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SigningFailed, match=words):
        sign(encode_image(photograph(64, 64), "png"), "png", _info(**changes), maker.credential)


def test_the_format_is_told_from_the_bytes(
    maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    with pytest.raises(SigningFailed, match="not jpeg"):
        sign(encode_image(photograph(64, 64), "png"), "jpeg", _info(), maker.credential)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (64, 64)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "avif"])
def test_modes_and_sizes(maker: Maker, mode: str, size: tuple[int, int], fmt: Any) -> None:
    picture = encode_image(Image.new(mode, size, 0), fmt)
    signed = sign(picture, fmt, _info(), maker.credential)
    assert Image.open(io.BytesIO(signed.data)).size == size


def test_nothing_of_the_source_file_comes_along(photograph: Callable[..., Image.Image]) -> None:
    image = photograph(64, 64)
    image.info["parameters"] = "the secret prompt"
    image.info["exif"] = b"Exif\0\0secret"
    image.info["comment"] = b"secret"
    for fmt in ("png", "jpeg", "webp", "avif"):
        assert b"secret" not in encode_image(image, fmt)


def test_threads_share_one_context(maker: Maker, photograph: Callable[..., Image.Image]) -> None:
    picture = encode_image(photograph(128, 128), "png")

    def one(index: int) -> str:
        signed = sign(
            picture, "png", _info(output_id=f"a3f09c11223344{index:02x}"), maker.credential
        )
        report = verify(signed.data, anchors=TrustAnchors.of(maker.credential))
        return f"{report.manifest.state} {report.manifest.output_id}"

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(one, range(24)))
    assert results == [f"intact a3f09c11223344{index:02x}" for index in range(24)]


def test_a_forked_child_makes_its_own_context(
    maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    picture = encode_image(photograph(64, 64), "png")
    sign(picture, "png", _info(), maker.credential)  # the parent has a context now
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        try:
            signed = sign(picture, "png", _info(), maker.credential)
            state = verify(signed.data).manifest.state
            os.write(write, json.dumps(state).encode())
        except BaseException as error:  # noqa: BLE001
            os.write(write, json.dumps(repr(error)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = json.load(pipe)
    os.waitpid(child, 0)
    assert answer == "intact"


@pytest.mark.parametrize("fmt", ["GIF", "TIFF", "PNG", "JPEG", "WEBP", "AVIF"])
def test_parents_of_every_format(
    maker: Maker, photograph: Callable[..., Image.Image], fmt: str
) -> None:
    out = io.BytesIO()
    photograph(48, 48).save(out, fmt)
    info = _info(action="edited", parent=out.getvalue(), parent_mime="image/wrong")
    signed = sign(encode_image(photograph(64, 64), "webp"), "webp", info, maker.credential)
    [ingredient] = verify(signed.data).ingredients
    assert ingredient.manifest == "absent"


def test_a_parent_that_is_no_picture(maker: Maker, photograph: Callable[..., Image.Image]) -> None:
    info = _info(action="edited", parent=b"hello")
    with pytest.raises(SigningFailed, match="no format"):
        sign(encode_image(photograph(64, 64), "png"), "png", info, maker.credential)


def test_a_reference_that_is_no_picture(
    maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    parent = encode_image(photograph(48, 48), "png")
    info = _info(action="edited", parent=parent, references=(parent, b"hello"))
    with pytest.raises(SigningFailed, match="no format"):
        sign(encode_image(photograph(64, 64), "png"), "png", info, maker.credential)


def test_the_same_picture_twice_is_two_ingredients(
    maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    parent = encode_image(photograph(48, 48), "png")
    info = _info(action="edited", parent=parent, references=(parent,))
    signed = sign(encode_image(photograph(64, 64), "png"), "png", info, maker.credential)
    said = [(one.relationship, one.title) for one in verify(signed.data).ingredients]
    assert said == [("parentOf", "Input picture"), ("inputTo", "Reference picture 1")]


def test_a_tampered_reference_is_said_to_be(
    maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    parent = encode_image(photograph(48, 48), "png")
    other = maker.make(photograph(seed=8), output_id="b3f09c1122334481", mark=False).data
    middle = len(other) * 3 // 4
    tampered = other[:middle] + bytes([other[middle] ^ 1]) + other[middle + 1 :]
    info = _info(action="edited", parent=parent, references=(tampered,))
    signed = sign(encode_image(photograph(64, 64), "png"), "png", info, maker.credential)
    first, second = verify(signed.data).ingredients
    assert (first.manifest, second.manifest) == ("absent", "broken")


def test_a_parent_whose_manifest_is_garbage(
    maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    from chopmark.provenance.reattachment import insert

    parent = insert(encode_image(photograph(64, 64), "png"), b"\0\0\0\x10jumb" + b"\xff" * 40)
    signed = sign(
        encode_image(photograph(64, 64), "png"),
        "png",
        _info(action="edited", parent=parent),
        maker.credential,
    )
    assert b"that could not be read" in signed.manifest
    report = verify(signed.data, anchors=TrustAnchors.of(maker.credential))
    assert report.manifest.state == "intact"
    assert report.ingredients[0].manifest == "absent"
