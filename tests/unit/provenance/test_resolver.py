"""The Soft Binding Resolution API, endpoint by endpoint, and the guard before its fetcher."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from chopmark.errors import ChopmarkError, ImageTooLarge, InvalidRequest
from chopmark.provenance import Limits, ManifestStore, _jumbf, encode_image, fingerprint
from chopmark.provenance._fetch import check_address, fetch_public, linked_manifest
from chopmark.provenance.manifest import PDQ_ALG, mark_algorithm
from chopmark.provenance.resolver import Resolver
from tests.support.http import Asked, Loopback, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
    return [match["manifestId"] for match in answer["matches"]]


@contextlib.contextmanager
def refused(status: int) -> Iterator[None]:
    """Expects one error of ours with this HTTP status."""
    with pytest.raises(ChopmarkError) as caught:
        yield
    assert caught.value.status == status


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
    assert answer == {"matches": [{"manifestId": made["png"].manifest_id, "similarityScore": 100}]}


def test_by_the_value_of_the_fingerprint(
    resolver: Resolver, maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    signed = maker.make(photograph(seed=70), output_id="a7f09c1122334451", mark=False)
    pdq, _ = fingerprint(photograph(seed=70))
    near = (int(pdq, 16) ^ 0b11111).to_bytes(32, "big")
    [match] = resolver.by_binding(alg=PDQ_ALG, value=_b64(near))["matches"]
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
    if status == 200:
        assert resolver.by_binding(**arguments) == {"matches": []}
        return
    with refused(status):
        resolver.by_binding(**arguments)


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
    with refused(415):
        resolver.by_content(b"hello")
    with refused(415):
        resolver.by_content(data, media_type="image/webp")
    with refused(400):
        resolver.by_content(data, alg="com.example.x")
    with refused(400):
        resolver.by_content(data, hint_value="AAAA")
    small = Resolver(maker.store, limits=Limits(max_bytes=100))
    with refused(413):
        small.by_content(data)


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
    assert resolver.manifest(made["png"].manifest_id) == made["png"].manifest
    with refused(404):
        resolver.manifest("urn:c2pa:unknown")
    with refused(404):
        resolver.manifest("../../etc/passwd")


def test_the_active_manifest_alone(
    resolver: Resolver,
    maker: Maker,
    made: dict[str, Signed],
    photograph: Callable[..., Image.Image],
) -> None:
    child = maker.make(
        photograph(seed=72), output_id="a7f09c1122334461", mark=False, parent=made["png"].data
    )
    whole = resolver.manifest(child.manifest_id)
    alone = resolver.manifest(child.manifest_id, return_active=True)
    assert len(alone) < len(whole)
    assert _jumbf.active_id(alone) == _jumbf.active_id(whole) == child.manifest_id
    assert made["png"].manifest_id.encode() in whole
    assert int.from_bytes(alone[:4], "big") == len(alone)


def test_writing_is_off_by_default(resolver: Resolver, made: dict[str, Signed]) -> None:
    with refused(403):
        resolver.add_manifest(made["png"].manifest)
    with refused(403):
        resolver.remove_manifest(made["png"].manifest_id)
    with refused(403):
        resolver.bind("AAAA", "x")
    assert resolver.capabilities()["supportedCapabilities"] == ["queryByContent"]


def test_store_fetch_bind_delete(writable: Resolver, made: dict[str, Signed]) -> None:
    manifest, name = made["png"].manifest, made["png"].manifest_id
    booked: list[str] = []
    assert writable.add_manifest(manifest, book=booked.append) == name
    assert writable.add_manifest(manifest, book=booked.append) == name
    assert booked == [name]
    assert writable.manifest(name) == manifest
    value = _b64(b"42")
    with refused(404):
        writable.bind(value, name, replace=True)
    writable.bind(value, name, alg="com.example.wm")
    assert _ids(writable.by_binding(alg="com.example.wm", value=value)) == [name]
    assert _ids(writable.by_binding(alg="com.example.other", value=value)) == []
    other = made["jpeg"]
    writable.add_manifest(other.manifest)
    writable.bind(value, other.manifest_id, alg="com.example.wm", replace=True)
    assert _ids(writable.by_binding(alg="com.example.wm", value=value)) == [other.manifest_id]
    # The specification's request names no algorithm: found under any.
    writable.bind(_b64(b"43"), name)
    assert _ids(writable.by_binding(alg="com.example.wm", value=_b64(b"43"))) == [name]
    writable.remove_manifest(other.manifest_id)
    with refused(404):
        writable.manifest(other.manifest_id)
    assert _ids(writable.by_binding(alg="com.example.wm", value=value)) == []
    with refused(404):
        writable.remove_manifest(other.manifest_id)


def test_what_cannot_be_booked_is_not_kept(writable: Resolver, made: dict[str, Signed]) -> None:
    def full(_: str) -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        writable.add_manifest(made["png"].manifest, book=full)
    with refused(404):
        writable.manifest(made["png"].manifest_id)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\0\0\0\x08jumb", b"\0\0\0\x10jumb\0\0\0\x08jumd", b"\xff" * 100]
)
def test_what_is_no_manifest_store_is_not_taken(writable: Resolver, data: bytes) -> None:
    with refused(400):
        writable.add_manifest(data)


def test_nobody_replaces_or_removes_what_was_made_here(
    maker: Maker, made: dict[str, Signed]
) -> None:
    writable = Resolver(maker.store, writable=True)
    name = made["png"].manifest_id
    forged = bytearray(made["png"].manifest)
    forged[-1] ^= 1
    with refused(409):
        writable.add_manifest(bytes(forged))
    with refused(403):
        writable.remove_manifest(name)
    assert writable.manifest(name) == made["png"].manifest


@pytest.mark.parametrize(
    ("value", "name", "status"),
    [("!!", "x", 400), ("", "x", 400), ("A" * 70_000, "x", 400), ("AAAA", "urn:c2pa:none", 404)],
)
def test_bindings_that_are_none(writable: Resolver, value: str, name: str, status: int) -> None:
    with refused(status):
        writable.bind(value, name, alg="a.b")


def test_discovery(resolver: Resolver) -> None:
    assert resolver.status()["status"] == "ok"
    known = resolver.well_known()
    assert known["apiEndpoint"] == "/api/v1/c2pa"
    assert re.fullmatch(r"\d+\.\d+\.\d+", known["c2paSpecificationVersion"])
    algorithms = resolver.algorithms()
    assert algorithms["watermarks"] == [{"alg": LATTICE}]
    assert algorithms["fingerprints"] == [{"alg": PDQ_ALG}]


def test_another_watermark_method(maker: Maker, made: dict[str, Signed]) -> None:
    """The value leads to the manifest whatever method carried it."""
    other = Resolver(maker.store, mark_keys=maker.keys.all, mark_methods=("dwtDct",))
    name = mark_algorithm("dwtDct")
    assert other.algorithms()["watermarks"] == [{"alg": name}]
    output_id = maker.look(made["png"].data).manifest.output_id or ""
    found = other.by_binding(alg=name, value=_b64(bytes.fromhex(output_id)))
    assert _ids(found) == [made["png"].manifest_id]
    with refused(400):
        other.by_content(made["png"].data, alg=LATTICE)
    assert other.by_content(made["png"].data, alg=name) == {"matches": []}


def test_status_is_down_when_the_store_is(tmp_path: Path) -> None:
    store = ManifestStore.open(tmp_path)
    closed = Resolver(store)
    store.close()
    assert closed.status()["status"] == "down"


def test_references_are_off_by_default(resolver: Resolver) -> None:
    with refused(403):
        resolver.by_reference("https://example.org/x.png", length=10)


@pytest.mark.parametrize(
    ("url", "length"),
    [
        ("https://example.org/x.png", -1),
        ("https://example.org/x.png", 1 << 40),
        ("http://example.org/x.png", 10),
        ("https://127.0.0.1/x.png", 10),
    ],
)
def test_references_that_are_refused(maker: Maker, url: str, length: int) -> None:
    with refused(400):
        Resolver(maker.store, by_reference=True).by_reference(url, length=length)


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


class Site(Loopback):
    """An HTTPS server on loopback that stands where a public one would; drips its body slowly."""

    def __init__(self, folder: Path, party: attacks.Outsider) -> None:
        self.status, self.body, self.delay = 200, b"x" * 100, 0.0
        leaf, key = party.issue("pictures.example", _for_a_server)
        pem = leaf.public_bytes(Encoding.PEM).decode()
        (folder / "chain.pem").write_text(
            pem + party.middle.public_bytes(Encoding.PEM).decode() + _pem_of(key)
        )
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(folder / "chain.pem")
        super().__init__(tls=tls)

    def reply(self, asked: Asked) -> Reply:
        headers = {"location": "https://127.0.0.1/elsewhere"}
        return Reply(self.status, self._drops(), headers, length=len(self.body))

    def _drops(self) -> Iterator[bytes]:
        for start in range(0, len(self.body), 10):
            self.closing.wait(self.delay)
            yield self.body[start : start + 10]


def _for_a_server(values: dict[str, Any], _: object) -> None:
    values["eku"] = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    values["names"] = x509.SubjectAlternativeName([x509.DNSName("pictures.example")])


def _pem_of(key: Any) -> str:
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode()


@pytest.fixture
def site(
    tmp_path: Path, outsider: Callable[..., attacks.Outsider], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """Reached through a public address that leads to loopback, with its root trusted."""
    party = outsider()
    made = Site(tmp_path, party)

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        assert address == ("93.184.216.34", 443)
        plain = socket.socket()
        plain.settimeout(timeout)
        plain.connect(("127.0.0.1", made.port))
        return plain

    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))]

    trusting = ssl.create_default_context(cadata=party.root_pem)
    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
    yield made
    made.close()


def test_a_public_picture_is_fetched_and_looked_at(
    site: Site, resolver: Resolver, maker: Maker, made: dict[str, Signed]
) -> None:
    site.body = made["webp"].data
    fetching = Resolver(maker.store, mark_keys=maker.keys.all, by_reference=True)
    found = fetching.by_reference("https://pictures.example/a.webp", length=len(site.body))
    assert _ids(found)[0] == made["webp"].manifest_id


def test_a_fetch_is_bounded_and_follows_nothing(site: Site) -> None:
    url = "https://pictures.example/a.png"
    assert fetch_public(url, max_bytes=100) == site.body
    with pytest.raises(ImageTooLarge):
        fetch_public(url, max_bytes=99)
    site.status = 302
    with pytest.raises(InvalidRequest, match="answered 302"):
        fetch_public(url, max_bytes=100)
    site.status, site.delay = 200, 0.1
    with pytest.raises(InvalidRequest, match=r"in time|does not answer"):
        fetch_public(url, max_bytes=100, timeout_s=0.3)
    # The certificate must be that of the name, whatever address was checked.
    with pytest.raises(InvalidRequest, match="does not answer"):
        fetch_public("https://other.example/a.png", max_bytes=100)


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ('<https://m.example/a.c2pa>; rel="c2pa-manifest"', "https://m.example/a.c2pa"),
        ("<a.c2pa>;rel=c2pa-manifest", "https://p.example/x/a.c2pa"),
        ('</n>; rel=next, </m>; type="x/y"; REL="other C2PA-Manifest"', "https://p.example/m"),
        ('<https://m.example/a>; rel="preload"', None),
        ('<https://m.example/a>; title="c2pa-manifest"', None),
        ("c2pa-manifest", None),
        ("", None),
        ("<" * 9_000, None),
    ],
)
def test_a_link_header_names_a_manifest(header: str, address: str | None) -> None:
    assert linked_manifest(header, "https://p.example/x/p.png") == address


def test_a_linked_manifest_is_named_and_not_visited(
    maker: Maker, photograph: Callable[..., Image.Image]
) -> None:
    plain = encode_image(photograph(64, 64, seed=90), "png")
    report = maker.look(plain, linked="https://m.example/a.c2pa")
    assert report.manifest.state == "remote_only"
    assert report.manifest.address == "https://m.example/a.c2pa"
    assert report.techniques[0].outcome == "not_examined"
    signed = maker.make(photograph(64, 64, seed=91), output_id="c5f09c1122334451", mark=False)
    kept = maker.look(signed.data, linked="https://m.example/a.c2pa")
    assert kept.manifest.state == "intact"
