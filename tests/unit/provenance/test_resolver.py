"""The Soft Binding Resolution API, endpoint by endpoint, and the guard before its fetcher."""

from __future__ import annotations

import base64
import inspect
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.errors import InvalidRequest
from chopmark.provenance import Limits, ManifestStore, _jumbf, encode_image, fingerprint
from chopmark.provenance._fetch import check_address, fetch_public
from chopmark.provenance.manifest import PDQ_ALG, mark_algorithm
from chopmark.provenance.resolver import ROUTES, Resolver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL import Image

    from chopmark.provenance import Signed
    from tests.unit.provenance import provenance_attacks as attacks
    from tests.unit.provenance.conftest import Maker
else:
    import provenance_attacks as attacks

LATTICE = mark_algorithm("lattice")


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.fixture
def resolver(maker: Maker) -> Resolver:
    return Resolver(maker.store, mark_keys=maker.keys.all)


@pytest.fixture
def writable(tmp_path: Path) -> Resolver:
    return Resolver(ManifestStore.open(tmp_path), writable=True)


def _ids(answer: Any) -> list[str]:
    assert answer.status == 200
    return [match["manifestId"] for match in answer.body["matches"]]


@pytest.mark.parametrize("form", ["bytes", "hex", "url-safe"])
def test_by_the_value_of_the_watermark(
    resolver: Resolver, maker: Maker, made: dict[str, Signed], form: str
) -> None:
    output_id = maker.look(made["png"].data).manifest.output_id
    assert output_id is not None
    raw = bytes.fromhex(output_id)
    value = {
        "bytes": _b64(raw),
        "hex": _b64(output_id.encode()),
        "url-safe": base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }[form]
    answer = resolver.by_binding(alg=LATTICE, value=value)
    assert answer.body == {
        "matches": [{"manifestId": made["png"].manifest_id, "similarityScore": 100}]
    }


def test_by_the_value_of_the_fingerprint(
    resolver: Resolver, maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    signed = maker.make(photograph(seed=70), output_id="a7f09c1122334451", mark=False)
    pdq, _ = fingerprint(photograph(seed=70))
    near = (int(pdq, 16) ^ 0b11111).to_bytes(32, "big")
    [match] = resolver.by_binding(alg=PDQ_ALG, value=_b64(near)).body["matches"]
    assert match == {"manifestId": signed.manifest_id, "similarityScore": 98}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ({"alg": "", "value": "AAAA"}, 400),
        ({"alg": LATTICE, "value": "not base64!"}, 400),
        ({"alg": LATTICE, "value": ""}, 400),
        ({"alg": LATTICE, "value": "A" * 3000}, 414),
        ({"alg": LATTICE, "value": "A" * 70_000, "in_url": False}, 400),
        ({"alg": LATTICE, "value": "AAAA", "max_results": 0}, 400),
        ({"alg": LATTICE, "value": "AAAA", "max_results": 1000}, 400),
        ({"alg": "com.example.other", "value": "AAAA"}, 200),
        ({"alg": PDQ_ALG, "value": "AAAA"}, 200),
    ],
)
def test_by_binding_answers(resolver: Resolver, arguments: Any, status: int) -> None:
    answer = resolver.by_binding(**arguments)
    assert answer.status == status
    if status == 200:
        assert answer.body == {"matches": []}


def test_by_content_after_the_manifest_was_stripped(
    resolver: Resolver, made: dict[str, Signed]
) -> None:
    data = attacks.re_encoded(made["webp"].data)
    answer = resolver.by_content(data, media_type="image/jpeg")
    assert _ids(answer)[0] == made["webp"].manifest_id
    assert _ids(resolver.by_content(data, alg=PDQ_ALG))
    assert _ids(resolver.by_content(data, alg=LATTICE)) == [made["webp"].manifest_id]


def test_by_content_answers(resolver: Resolver, made: dict[str, Signed], maker: Maker) -> None:
    data = made["png"].data
    assert resolver.by_content(b"hello").status == 415
    assert resolver.by_content(data, media_type="image/webp").status == 415
    assert resolver.by_content(data, alg="com.example.x").status == 400
    assert resolver.by_content(data, hint_value="AAAA").status == 400
    small = Resolver(maker.store, limits=Limits(max_bytes=100))
    assert small.by_content(data).status == 413


def test_by_content_falls_back_to_the_hint(
    maker: Maker, made: dict[str, Signed], photograph: Callable[..., Image.Image]
) -> None:
    blind = Resolver(maker.store)
    other = encode_image(photograph(seed=71), "png")
    output_id = maker.look(made["png"].data).manifest.output_id or ""
    answer = blind.by_content(
        other, alg=LATTICE, hint_alg=LATTICE, hint_value=_b64(bytes.fromhex(output_id))
    )
    assert _ids(answer) == [made["png"].manifest_id]


def test_manifests_come_back(resolver: Resolver, maker: Maker, made: dict[str, Signed]) -> None:
    answer = resolver.manifest(made["png"].manifest_id)
    assert (answer.status, answer.media_type) == (200, "application/c2pa")
    assert answer.data == made["png"].manifest
    assert resolver.manifest("urn:c2pa:unknown").status == 404
    assert resolver.manifest("../../etc/passwd").status == 404


def test_the_active_manifest_alone(
    resolver: Resolver,
    maker: Maker,
    made: dict[str, Signed],
    photograph: Callable[..., Image.Image],
) -> None:
    child = maker.make(
        photograph(seed=72), output_id="a7f09c1122334461", mark=False, parent=made["png"].data
    )
    whole = resolver.manifest(child.manifest_id).data or b""
    alone = resolver.manifest(child.manifest_id, return_active=True).data or b""
    assert len(alone) < len(whole)
    assert _jumbf.active_id(alone) == _jumbf.active_id(whole) == child.manifest_id
    assert made["png"].manifest_id.encode() in whole
    assert int.from_bytes(alone[:4], "big") == len(alone)


def test_writing_is_off_by_default(resolver: Resolver, made: dict[str, Signed]) -> None:
    assert resolver.add_manifest(made["png"].manifest).status == 501
    assert resolver.remove_manifest(made["png"].manifest_id).status == 501
    assert resolver.bind({}).status == 501
    assert resolver.capabilities().body["supportedCapabilities"] == ["queryByContent"]


def test_store_fetch_bind_delete(writable: Resolver, made: dict[str, Signed]) -> None:
    manifest, name = made["png"].manifest, made["png"].manifest_id
    assert writable.add_manifest(manifest).body == {"manifestId": name}
    assert writable.add_manifest(manifest).status == 200
    assert writable.manifest(name).data == manifest
    request = {"alg": "com.example.wm", "bindingValue": _b64(b"42"), "manifestId": name}
    assert writable.bind(request).status == 204
    assert _ids(writable.by_binding(alg="com.example.wm", value=_b64(b"42"))) == [name]
    other = made["jpeg"]
    assert writable.add_manifest(other.manifest).status == 200
    nested = {
        "bindingValue": {"alg": "com.example.wm", "value": _b64(b"42")},
        "manifestId": other.manifest_id,
    }
    assert writable.rebind(nested).status == 204
    found = _ids(writable.by_binding(alg="com.example.wm", value=_b64(b"42")))
    assert found == [other.manifest_id]
    assert writable.remove_manifest(other.manifest_id).status == 204
    assert writable.manifest(other.manifest_id).status == 404
    assert _ids(writable.by_binding(alg="com.example.wm", value=_b64(b"42"))) == []
    assert writable.remove_manifest(other.manifest_id).status == 404


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\0\0\0\x08jumb", b"\0\0\0\x10jumb\0\0\0\x08jumd", b"\xff" * 100]
)
def test_what_is_no_manifest_store_is_not_taken(writable: Resolver, data: bytes) -> None:
    assert writable.add_manifest(data).status == 400


def test_nobody_replaces_or_removes_what_was_made_here(
    maker: Maker, made: dict[str, Signed]
) -> None:
    writable = Resolver(maker.store, writable=True)
    name = made["png"].manifest_id
    forged = bytearray(made["png"].manifest)
    forged[-1] ^= 1
    assert writable.add_manifest(bytes(forged)).status == 409
    assert writable.remove_manifest(name).status == 403
    assert writable.manifest(name).data == made["png"].manifest


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({}, 400),
        ({"alg": "a.b", "bindingValue": "!!", "manifestId": "x"}, 400),
        ({"alg": 1, "bindingValue": "AAAA", "manifestId": "x"}, 400),
        ({"alg": "a.b", "bindingValue": "AAAA", "manifestId": "urn:c2pa:unknown"}, 404),
        ({"alg": "a.b", "bindingValue": ["AAAA"], "manifestId": "x"}, 400),
    ],
)
def test_bindings_that_are_none(writable: Resolver, request_: Any, status: int) -> None:
    assert writable.bind(request_).status == status


def test_receipts(maker: Maker, made: dict[str, Signed]) -> None:
    name = made["png"].manifest_id
    receipt = {"repository": "https://example.org", "anchor": {"root": "00"}}
    logged = Resolver(
        maker.store,
        receipt_of={name: receipt}.get,
        receipt_holds=lambda shown: shown == receipt,
    )
    assert logged.receipts(name).body == receipt
    assert logged.check_receipt(name, receipt).body == {"verified": True}
    assert logged.check_receipt(name, receipt | {"anchor": {}}).body == {"verified": False}
    assert logged.receipts("urn:c2pa:unknown").status == 404
    assert Resolver(maker.store).receipts(name).status == 404
    assert Resolver(maker.store).check_receipt(name, receipt).status == 501


def test_discovery(resolver: Resolver) -> None:
    assert resolver.status().body["status"] == "ok"
    known = resolver.well_known().body
    assert known["apiEndpoint"] == "/api/v1/c2pa"
    assert re.fullmatch(r"\d+\.\d+\.\d+", known["c2paSpecificationVersion"])
    algorithms = resolver.algorithms().body
    assert algorithms["watermarks"] == [{"alg": LATTICE}]
    assert algorithms["fingerprints"] == [{"alg": PDQ_ALG}]


def test_status_is_down_when_the_store_is(tmp_path: Path) -> None:
    store = ManifestStore.open(tmp_path)
    closed = Resolver(store)
    store.close()
    assert closed.status().body["status"] == "down"


def test_every_route_has_its_method_and_writing_asks_for_a_scope() -> None:
    for route in ROUTES:
        assert inspect.isfunction(getattr(Resolver, route.method))
        if route.verb in {"PUT", "DELETE"} or route.path in {"/manifests", "/bindings"}:
            assert route.scope is not None
            assert route.scope.startswith("store:")


def test_references_are_off_by_default(resolver: Resolver) -> None:
    request = {"referenceUrl": "https://example.org/x.png", "assetLength": 10}
    assert resolver.by_reference(request).status == 501


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"referenceUrl": "https://example.org/x.png"},
        {"referenceUrl": "https://example.org/x.png", "assetLength": True},
        {"referenceUrl": "https://example.org/x.png", "assetLength": -1},
        {"referenceUrl": "https://example.org/x.png", "assetLength": 1 << 40},
        {"referenceUrl": "http://example.org/x.png", "assetLength": 10},
        {"referenceUrl": "https://127.0.0.1/x.png", "assetLength": 10},
        {"referenceUrl": "https://example.org/x.png", "assetLength": 10, "region": []},
    ],
)
def test_references_that_are_refused(maker: Maker, request_: Any) -> None:
    assert Resolver(maker.store, by_reference=True).by_reference(request_).status == 400


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "file:///etc/passwd", "https://", "https://user@example.org/",
        "https://example.org:8443/", "https://example.org/a b", "https://example.org/\r\nx: y",
        "https://[::1", "https://example.org:99999/", "https://example.org/" + "x" * 5000,
        "https://example.org/\u00e9", "gopher://example.org/", "",
    ],
)  # fmt: skip
def test_addresses_that_are_not_visited(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_address(url)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.1",
        "100.64.0.1", "224.0.0.1", "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "2002:7f00:1::", "64:ff9b::7f00:1", "198.18.0.1",
    ],
)  # fmt: skip
def test_private_addresses_are_never_connected_to(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Whatever name leads there, and even beside a public address."""

    def resolve(*_: Any, **__: Any) -> list[Any]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))
        return [public, (family, socket.SOCK_STREAM, 6, "", (address, 443))]

    def connect(*_: Any, **__: Any) -> Any:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(InvalidRequest, match="not a public address"):
        fetch_public("https://innocent.example/x.png", max_bytes=10)
