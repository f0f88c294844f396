"""The C2PA Soft Binding Resolution API over the wire, endpoint by endpoint.

The checks of the open black-box harness of c2pa-soft-binding-server are restated here (discovery,
services, manifests, bindings, receipts, access).
"""

from __future__ import annotations

import base64
import io
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from chopmark.provenance import mark_algorithm
from chopmark.provenance.manifest import PDQ_ALG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LATTICE = mark_algorithm("lattice")
API = "/api/v1/c2pa"


@pytest.fixture
def client(live_server: Callable[..., Any]) -> Iterator[httpx.Client]:
    """A server that takes manifests in, with one picture of its own."""
    with (
        live_server(resolver_writes=True, resolver_by_reference=True) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        yield client


def _made(client: httpx.Client) -> tuple[bytes, dict[str, Any]]:
    answer = client.post("/v1/images/generations", json={"prompt": "a red disc", "seed": 5})
    picture = answer.json()["data"][0]
    return base64.b64decode(picture["b64_json"]), picture["provenance"]


def _stored(client: httpx.Client, **query: Any) -> tuple[str, bytes, dict[str, Any]]:
    """A manifest store of somebody else's picture, uploaded."""
    data = _foreign()
    answer = client.post(
        f"{API}/manifests", content=data, headers={"content-type": "application/c2pa"}, params=query
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["manifestId"], data, answer.json()


def _foreign() -> bytes:
    import datetime as dt
    import tempfile
    import warnings
    from pathlib import Path

    from chopmark.provenance import (
        DevelopmentCredentialWarning,
        ManifestInfo,
        encode_image,
        load_credential,
        sign,
    )

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", DevelopmentCredentialWarning)
        info = ManifestInfo(
            output_id="b3f09c1122334451",
            record_id="b3f09c1122334450",
            model_id="elsewhere",
            model_version="1",
            created_at=dt.datetime.now(dt.UTC),
            generator_version="1",
        )
        picture = encode_image(Image.new("RGB", (64, 64), "teal"), "png")
        return sign(picture, "png", info, load_credential(Path(folder))).manifest


def _ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [match["manifestId"] for match in answer.json()["matches"]]


def test_discovery(client: httpx.Client) -> None:
    known = client.get("/.well-known/c2pa-soft-binding-resolution").json()
    said = client.get(f"{API}/services/capabilities").json()
    assert known["apiEndpoint"] == API
    assert re.fullmatch(r"\d+\.\d+\.\d+", known["c2paSpecificationVersion"])
    assert known["c2paSpecificationVersion"] == said["c2paSpecificationVersion"]
    assert set(said["supportedCapabilities"]) == {
        "queryByContent", "queryByReference", "storeManifests", "storeBindings",
    }  # fmt: skip
    assert client.get(f"{API}/services/status").json()["status"] == "ok"
    algorithms = client.get(f"{API}/services/supportedAlgorithms").json()
    assert algorithms == {"watermarks": [{"alg": LATTICE}], "fingerprints": [{"alg": PDQ_ALG}]}


def test_from_a_mark_and_from_a_stripped_copy_to_the_manifest(client: httpx.Client) -> None:
    data, provenance = _made(client)
    name = provenance["manifest_id"]
    value = base64.b64encode(bytes.fromhex(provenance["output_id"])).decode()
    query = {"alg": LATTICE, "value": value}
    assert _ids(client.get(f"{API}/matches/byBinding", params=query)) == [name]
    assert _ids(client.post(f"{API}/matches/byBinding", json=query)) == [name]
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").save(out, "JPEG", quality=80)
    kind = {"content-type": "image/jpeg"}
    found = client.post(f"{API}/matches/byContent", content=out.getvalue(), headers=kind)
    assert _ids(found)[0] == name
    assert found.json()["matches"][0]["similarityScore"] == 100
    answer = client.get(f"{API}/manifests/{name}")
    assert answer.headers["content-type"] == "application/c2pa"
    assert answer.content in data
    alone = client.get(f"{API}/manifests/{name}", params={"returnActiveManifest": "true"})
    assert alone.content[4:8] == b"jumb"


@pytest.mark.parametrize(
    ("verb", "path", "sent", "status", "code"),
    [
        ("GET", "/matches/byBinding?alg=a&value=%21", {}, 400, "invalid_request"),
        ("GET", "/matches/byBinding?alg=a", {}, 400, "invalid_request"),
        ("GET", f"/matches/byBinding?alg=a&value={'A' * 3000}", {}, 414, "value_too_long"),
        ("GET", "/matches/byBinding?alg=a&value=AA&maxResults=0", {}, 400, "invalid_request"),
        ("POST", "/matches/byBinding", {"json": {"alg": "a"}}, 400, "invalid_request"),
        ("POST", "/matches/byContent", {"content": b"hello"}, 415, "unsupported_image"),
        ("POST", "/matches/byContent?hintValue=AA", {"content": b"x"}, 400, "invalid_request"),
        ("POST", "/matches/byReference", {"json": {"referenceUrl": "x"}}, 400, "invalid_request"),
        (
            "POST",
            "/matches/byReference",
            {"json": {"referenceUrl": "https://127.0.0.1/x.png", "assetLength": 9}},
            400,
            "invalid_request",
        ),
        ("GET", "/manifests/urn:c2pa:none", {}, 404, "manifest_not_found"),
        ("DELETE", "/manifests/urn:c2pa:none", {}, 404, "manifest_not_found"),
        ("GET", "/manifests/urn:c2pa:none/receipts", {}, 404, "manifest_not_found"),
        ("POST", "/manifests/urn:c2pa:none/receipts", {"json": {}}, 404, "manifest_not_found"),
        ("POST", "/manifests", {"content": b"hello"}, 400, "invalid_request"),
        (
            "POST",
            "/bindings",
            {"json": {"bindingValue": "AAAA", "manifestId": "urn:c2pa:none"}},
            404,
            "manifest_not_found",
        ),
        ("PUT", "/bindings", {"json": {}}, 400, "invalid_request"),
    ],
)
def test_each_refusal_has_its_code(
    client: httpx.Client, verb: str, path: str, sent: Any, status: int, code: str
) -> None:
    answer = client.request(verb, API + path, **sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_store_fetch_bind_delete(client: httpx.Client) -> None:
    name, data, _ = _stored(client)
    assert client.get(f"{API}/manifests/{name}").content == data
    other, _, _ = _stored(client)
    value = base64.b64encode(b"a value of somebody's watermark").decode()
    binding = {"bindingValue": value, "manifestId": name}
    assert client.post(f"{API}/bindings", json=binding).status_code == 204
    query = {"alg": "com.example.wm", "value": value}
    assert _ids(client.get(f"{API}/matches/byBinding", params=query)) == [name]
    assert client.put(f"{API}/bindings", json=binding | {"manifestId": other}).status_code == 204
    assert _ids(client.get(f"{API}/matches/byBinding", params=query)) == [other]
    assert client.delete(f"{API}/manifests/{other}").status_code == 204
    assert client.get(f"{API}/manifests/{other}").status_code == 404
    assert _ids(client.get(f"{API}/matches/byBinding", params=query)) == []
    forged = bytearray(data)
    forged[-1] ^= 1
    assert client.post(f"{API}/manifests", content=bytes(forged)).status_code == 409
    _, provenance = _made(client)
    kept = client.delete(f"{API}/manifests/{provenance['manifest_id']}")
    assert kept.json()["error"]["code"] == "manifest_kept"


def test_receipts_lead_into_the_log(client: httpx.Client) -> None:
    _, provenance = _made(client)
    name, _, body = _stored(client, returnReceipt="true")
    uploaded = body["receipt"]
    made = client.get(f"{API}/manifests/{provenance['manifest_id']}/receipts").json()
    for manifest_id, receipt in ((name, uploaded), (provenance["manifest_id"], made)):
        assert receipt["@type"] == "org.c2pa.manifest-receipt"
        assert receipt["repository"]["manifestId"] == manifest_id
        assert receipt["verified"]
        path = f"{API}/manifests/{manifest_id}/receipts"
        assert client.get(path).json()["repository"]["manifestId"] == manifest_id
        assert client.post(path, json=receipt).json()["verified"] is True
    # One that is of something else, changed, or nonsense.
    path = f"{API}/manifests/{name}/receipts"
    assert client.post(path, json=made).json()["verified"] is False
    proof = bytearray(base64.b64decode(uploaded["anchor"]["proof"]["value"]))
    spot = proof.index(b'"proof": ["') + 12
    proof[spot] = ord("A") if proof[spot] != ord("A") else ord("B")
    tampered = base64.b64encode(bytes(proof)).decode()
    changed = uploaded | {"anchor": {"proof": {"alg": "x", "value": tampered}}}
    for wrong in (changed, {}, {"anchor": None}, {"anchor": {"proof": {"value": "!"}}}):
        said = client.post(path, json=wrong).json()
        assert said["verified"] is False
        assert said["error"]


def test_writing_and_fetching_are_off_by_default(live: Any) -> None:
    for verb, path, sent in (
        ("POST", "/manifests", {"content": _foreign()}),
        ("DELETE", "/manifests/urn:c2pa:none", {}),
        ("POST", "/bindings", {"json": {"bindingValue": "AAAA", "manifestId": "x"}}),
        ("PUT", "/bindings", {"json": {"bindingValue": "AAAA", "manifestId": "x"}}),
        (
            "POST",
            "/matches/byReference",
            {"json": {"referenceUrl": "https://example.org/x.png", "assetLength": 9}},
        ),
    ):
        answer = httpx.request(verb, live.url + API + path, **sent)
        assert answer.json()["error"]["code"] == "not_offered", path
        assert answer.status_code == 403
    said = httpx.get(f"{live.url}{API}/services/capabilities").json()
    assert said["supportedCapabilities"] == ["queryByContent"]


def test_each_scope_opens_its_own_routes(live_server: Callable[..., Any]) -> None:
    from chopmark.tenancy import AccessStore

    with live_server(resolver_writes=True) as server:
        with AccessStore.open(server.pipeline.parts.home) as store:
            keys = {
                scope: store.create_key("default", scopes=(scope,)).text
                for scope in ("fetch:manifests", "store:manifests", "store:bindings", "generate")
            }
            store.set_tenant(type(store.tenant("default"))(name="other"))
            keys["other"] = store.create_key("other", scopes=("store:manifests",)).text

        def ask(scope: str | None, verb: str, path: str, **sent: Any) -> httpx.Response:
            headers = {"authorization": f"Bearer {keys[scope]}"} if scope else {}
            return httpx.request(verb, server.url + path, headers=headers, **sent)

        discovery = ("services/status", "services/capabilities", "services/supportedAlgorithms")
        for path in (*(f"{API}/{name}" for name in discovery),
                     "/.well-known/c2pa-soft-binding-resolution"):  # fmt: skip
            assert ask(None, "GET", path).status_code == 200
        query = f"{API}/matches/byBinding?alg=a&value=AAAA"
        assert ask(None, "GET", query).status_code == 401
        assert ask("generate", "GET", query).json()["error"]["code"] == "missing_scope"
        assert ask("fetch:manifests", "GET", query).status_code == 200
        data = _foreign()
        assert ask("fetch:manifests", "POST", f"{API}/manifests", content=data).status_code == 403
        name = ask("store:manifests", "POST", f"{API}/manifests", content=data).json()["manifestId"]
        bind = {"bindingValue": "AAAA", "manifestId": name}
        assert ask("store:manifests", "POST", f"{API}/bindings", json=bind).status_code == 403
        assert ask("store:bindings", "POST", f"{API}/bindings", json=bind).status_code == 204
        # What one tenant stored another does not remove.
        theirs = ask("other", "DELETE", f"{API}/manifests/{name}")
        assert theirs.json()["error"]["code"] == "manifest_kept"
        assert ask("store:manifests", "DELETE", f"{API}/manifests/{name}").status_code == 204
        kinds = [record.kind for record in server.pipeline.parts.log.find()]
        assert sorted(kinds) == ["manifest.bound", "manifest.removed", "manifest.stored"]


def _value(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_no_tenant_puts_its_manifest_under_anothers_mark(live_server: Callable[..., Any]) -> None:
    from chopmark.tenancy import AccessStore, Tenant

    with live_server(resolver_writes=True) as server, ExitStack() as open_clients:
        clients: dict[str, httpx.Client] = {}
        with AccessStore.open(server.pipeline.parts.home) as store:
            for name in ("acme", "bolt"):
                store.set_tenant(Tenant(name=name))
                key = store.create_key(
                    name, scopes=("generate", "fetch:manifests", "store:bindings")
                ).text
                clients[name] = open_clients.enter_context(
                    server.client(headers={"authorization": f"Bearer {key}"})
                )
        acme, bolt = clients.values()
        _, ours = _made(acme)
        _, theirs = _made(bolt)
        log = server.pipeline.parts.log

        def leads_to(alg: str, value: str) -> list[str]:
            query = {"alg": alg, "value": value}
            return _ids(acme.get(f"{API}/matches/byBinding", params=query))

        # A mark or a fingerprint of our own, under its name, under none, under another.
        mark = _value(bytes.fromhex(ours["output_id"]))
        pdq = _value(bytes.fromhex(log.private(_last(log))["pdq"][theirs["output_id"]]))
        for client, mine in ((bolt, theirs), (acme, ours)):
            for value, alg in (
                (mark, LATTICE), (mark, None), (mark, "com.example.wm"), (pdq, PDQ_ALG),
                (_value(ours["output_id"].encode()), LATTICE),
                (_value(ours["output_id"].encode()), None),
            ):  # fmt: skip
                for verb in ("POST", "PUT"):
                    sent = {"bindingValue": value, "manifestId": mine["manifest_id"], "alg": alg}
                    said = client.request(verb, f"{API}/bindings", json=sent)
                    assert said.json()["error"]["code"] == "manifest_kept", (verb, alg)
        assert leads_to(LATTICE, mark) == [ours["manifest_id"]]

        # A value of somebody else's algorithm is of whoever bound it first.
        value, alg = _value(b"ABCDEF"), "com.adobe.trustmark.P"
        first = {"bindingValue": value, "manifestId": ours["manifest_id"], "alg": alg}
        assert acme.post(f"{API}/bindings", json=first).status_code == 204
        for verb in ("POST", "PUT"):
            for sent in (
                {**first, "manifestId": theirs["manifest_id"]},  # taken over
                first,  # somebody else's manifest
                {"bindingValue": value, "manifestId": ours["manifest_id"]},
            ):
                assert bolt.request(verb, f"{API}/bindings", json=sent).status_code in {403, 404}
        assert leads_to(alg, value) == [ours["manifest_id"]]
        assert acme.put(f"{API}/bindings", json=first).status_code == 204
        booked = log.find(kind="manifest.bound")
        assert [record.tenant for record in booked] == ["acme", "acme"]
        assert [record.public["replaced"] for record in booked] == [True, False]
        assert log.private(booked[0].index) == {"alg": alg, "value": value}


def _last(log: Any) -> int:
    return int(log.find(kind="request.completed")[0].index)


def test_a_public_detector_asks_for_no_key_and_keeps_nothing(
    live_server: Callable[..., Any],
) -> None:
    from chopmark.tenancy import AccessStore

    with live_server(public_verify=True, requests_per_minute=2) as server:
        with AccessStore.open(server.pipeline.parts.home) as store:
            store.create_key("default", scopes=("generate",))
        out = io.BytesIO()
        Image.new("RGB", (64, 64), "teal").save(out, "PNG")
        before = {p: p.stat().st_size for p in server.pipeline.parts.home.rglob("*.c2pa")}
        answer = httpx.post(
            f"{server.url}/api/v1/verify", files={"image": ("a.png", out.getvalue())}
        )
        assert answer.json()["verdict"] == "no_signal"
        assert {p: p.stat().st_size for p in server.pipeline.parts.home.rglob("*.c2pa")} == before
        [record] = server.pipeline.parts.log.find(kind="verify.completed")
        assert record.tenant == "anybody"
        assert record.public == {"verdict": "no_signal"}
        for path in ("/v1/models", f"/api/v1/records/{record.record_id}"):
            assert httpx.get(server.url + path).status_code == 401
        wrong = {"authorization": "Bearer cm_wrong"}
        query = f"{server.url}{API}/matches/byBinding?alg=a&value=AAAA"
        assert httpx.get(query, headers=wrong).status_code == 401
        assert httpx.get(query).status_code == 200
        assert httpx.get(query).status_code == 429  # each address has a rate of its own
