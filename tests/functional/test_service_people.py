"""People: sign-in by password, link, OIDC; what their tokens and cookies open, and what not.

The OIDC provider is a small one of ours on loopback, with real keys and real signatures.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from joserfc import jwk, jwt
from pydantic import SecretStr

from chopmark import Pipeline, Settings
from chopmark.api.signin import safe_path
from chopmark.errors import ConfigurationError, IdentityUnavailable, InvalidToken
from chopmark.service.logging import make_logger
from chopmark.tenancy import AccessStore, People, Tenant, passwords
from chopmark.tenancy.oidc import Provider
from chopmark.tenancy.signin import Attempt, SignIn
from tests.support.generator import StandIn
from tests.support.http import Asked, Loopback, Reply
from tests.support.server import serve

Start = Callable[..., httpx.Client]

PASSWORD = "four short plain words"


class Idp(Loopback):
    """An OIDC provider: discovery, keys, authorization (always as ``person``), token."""

    def __init__(self) -> None:
        self.keys = [jwk.ECKey.generate_key("P-256", {"kid": "one", "use": "sig"}, private=True)]
        self.published = list(self.keys)
        self.person: dict[str, Any] = {"sub": "eve", "roles": ["reviewer"], "tenant": "acme"}
        self.codes: dict[str, dict[str, str]] = {}
        self.document: dict[str, Any] = {}
        self.nonce: str | None = None
        self.broken = False
        super().__init__()

    @property
    def issuer(self) -> str:
        return self.url

    def token(self, *, key: Any = None, alg: str = "ES256", header: Any = None, **more: Any) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "api", "iat": now, "exp": now + 300, **self.person}
        claims = {name: value for name, value in {**claims, **more}.items() if value is not None}
        key = key or self.keys[-1]
        head = {"alg": alg, "kid": key.kid, **(header or {})}
        return jwt.encode(head, claims, key, algorithms=[alg])

    def reply(self, asked: Asked) -> Reply:
        parts = urlsplit(asked.path)
        if self.broken:
            return _json(500, {})
        if parts.path == "/.well-known/openid-configuration":
            document = {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/keys",
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
            }
            return _json(200, {**document, **self.document})
        if parts.path == "/keys":
            return _json(200, {"keys": [k.as_dict(private=False) for k in self.published]})
        if parts.path == "/authorize":
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            code = base64.urlsafe_b64encode(query["state"].encode()).decode()
            self.codes[code] = query
            back = f"{query['redirect_uri']}?code={code}&state={query['state']}&iss={self.issuer}"
            return Reply(302, b"", {"location": back})
        return self._redeem(asked)

    def _redeem(self, asked: Asked) -> Reply:
        form = {n: v[0] for n, v in parse_qs(asked.body.decode()).items()}
        begun = self.codes.pop(form.get("code", ""), None)
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        expected = base64.b64encode(b"chopmark:hush").decode()
        if (
            begun is None
            or asked.headers["authorization"] != f"Basic {expected}"
            or begun["code_challenge_method"] != "S256"
            or base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() != begun["code_challenge"]
            or form["redirect_uri"] != begun["redirect_uri"]
        ):
            return _json(400, {"error": "invalid_grant"})
        token = self.token(aud="chopmark", nonce=self.nonce or begun["nonce"])
        return _json(200, {"access_token": "x", "token_type": "Bearer", "id_token": token})


def _json(status: int, body: Any) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"content-type": "application/json"})


@pytest.fixture
def idp() -> Iterator[Idp]:
    with Idp() as provider:
        yield provider


@pytest.fixture
def start(open_pipeline: Callable[..., Pipeline]) -> Iterator[Start]:
    """Starts servers; returns a function from settings to a client."""
    with ExitStack() as running:

        def start(**settings: Any) -> httpx.Client:
            live = running.enter_context(serve(open_pipeline(generator=StandIn(), **settings)))
            return running.enter_context(live.client())

        yield start


def _people(home: Path) -> People:
    AccessStore.open(home).close()
    return People.open(home)


def _code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


# Local people over HTTP


def test_a_password_opens_a_session_and_signing_out_ends_it(start: Start, home: Path) -> None:
    with _people(home) as people:
        people.add("ada", roles=["reader"], tenant="default", password=PASSWORD)
    client = start()
    assert _code(client.get("/v1/models")) == "invalid_api_key"
    assert _code(client.get("/api/v1/session")) == "not_signed_in"
    wrong = client.post("/api/v1/session", json={"name": "ada", "password": "no" * 10})
    assert (wrong.status_code, _code(wrong)) == (401, "sign_in_failed")
    said = client.post("/api/v1/session", json={"name": "ada", "password": PASSWORD})
    assert said.json()["roles"] == ["reader"]
    cookie = said.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert client.get("/v1/models").status_code == 200
    assert client.get("/api/v1/session").json()["name"] == "ada"
    token = client.cookies["chopmark_session"]
    csrf = said.json()["csrf_token"]
    assert _code(client.delete("/api/v1/session")) == "csrf_mismatch"
    assert client.delete("/api/v1/session", headers={"x-csrf-token": csrf}).status_code == 200
    client.cookies.set("chopmark_session", token)
    assert _code(client.get("/v1/models")) == "not_signed_in"


def test_a_cookie_alone_changes_nothing(start: Start, home: Path) -> None:
    with _people(home) as people:
        people.add("ada", roles=["creator"], tenant="default", password=PASSWORD)
    client = start()
    said = client.post("/api/v1/session", json={"name": "ada", "password": PASSWORD}).json()
    body = {"input": "a red apple"}
    for headers in ({}, {"x-csrf-token": ""}, {"x-csrf-token": said["csrf_token"][:-1]}):
        answer = client.post("/v1/moderations", json=body, headers=headers)
        assert (answer.status_code, _code(answer)) == (403, "csrf_mismatch")
    headers = {"x-csrf-token": said["csrf_token"]}
    assert client.post("/v1/moderations", json=body, headers=headers).status_code == 200


def test_a_role_opens_its_own_routes_only(start: Start, home: Path) -> None:
    with _people(home) as people:
        people.add("ada", roles=["auditor"], tenant="default")
        link = people.link("ada")
    client = start()
    csrf = client.post("/api/v1/session", json={"link": link}).json()["csrf_token"]
    for route in ("/v1/moderations", "/v1/images/generations"):
        body = {"input": "a", "prompt": "a"}
        answer = client.post(route, json=body, headers={"x-csrf-token": csrf})
        assert (answer.status_code, _code(answer)) == (403, "missing_scope")
    assert client.get("/metrics").status_code == 403
    assert _code(client.get("/api/v1/records/0123456789abcde0")) == "record_not_found"
    assert _code(client.post("/api/v1/session", json={"link": link})) == "sign_in_failed"


def test_two_session_cookies_are_none(start: Start, home: Path) -> None:
    with _people(home) as people:
        people.add("ada", roles=["reader"], tenant="default", password=PASSWORD)
        token = people.sign_in("ada", PASSWORD).token
    client = start()
    one = {"cookie": f"chopmark_session={token}"}
    two = {"cookie": f"chopmark_session=x; chopmark_session={token}"}
    assert client.get("/v1/models", headers=one).status_code == 200
    assert client.get("/v1/models", headers=two).status_code == 401


def test_guessing_a_password_is_slowed_down(
    start: Start, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Eleven guesses without 64 MiB for each.
    cheap = PasswordHasher.from_parameters(CHEAPEST)
    monkeypatch.setattr(passwords, "_hasher", lambda: cheap)
    with _people(home) as people:
        people.add("ada", roles=["reader"], tenant="default", password=PASSWORD)
    client = start()
    codes = [
        _code(client.post("/api/v1/session", json={"name": "ada", "password": "x" * 15}))
        for _ in range(11)
    ]
    assert codes == ["sign_in_failed"] * 10 + ["rate_limit_exceeded"]


def test_with_https_the_cookie_is_for_https_alone(start: Start, home: Path) -> None:
    with _people(home) as people:
        people.add("ada", roles=["reader"], tenant="default", password=PASSWORD)
    client = start(public_url="https://pictures.example")
    said = client.post("/api/v1/session", json={"name": "ada", "password": PASSWORD})
    assert "; secure" in said.headers["set-cookie"].lower()


# Bearer tokens


@pytest.fixture
def oidc(idp: Idp) -> dict[str, Any]:
    return {"oidc_issuer": idp.issuer, "oidc_audience": "api"}


def test_a_bearer_token_is_a_person(start: Start, home: Path, idp: Idp, oidc: Any) -> None:
    with AccessStore.open(home) as store:
        store.set_tenant(Tenant(name="acme"))
        key = store.create_key("acme").text
    client = start(**oidc)
    assert client.get("/v1/models", headers=_bearer(idp.token())).status_code == 200
    assert client.get("/v1/models", headers=_bearer(key)).status_code == 200
    assert _code(client.get("/v1/models")) == "invalid_api_key"
    unknown = client.get("/v1/models", headers=_bearer(idp.token(tenant="globex")))
    assert (unknown.status_code, _code(unknown)) == (403, "access_denied")
    assert [asked.path for asked in idp.asked].count("/keys") == 1


def test_what_is_wrong_with_a_token_is_401(start: Start, home: Path, idp: Idp, oidc: Any) -> None:
    AccessStore.open(home).close()
    client = start(**oidc)
    other = jwk.ECKey.generate_key("P-256", {"kid": "one"}, private=True)
    secret = jwk.OctKey.import_key(json.dumps(idp.keys[0].as_dict(private=False)).encode())
    secret = jwk.OctKey.import_key({**secret.as_dict(), "kid": "one"})
    good, now = idp.token(), int(time.time())
    head, body, mark = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    jku = {"jku": f"{idp.issuer}/evil", "jwk": other.as_dict(private=False)}
    tokens = {
        "expired": idp.token(exp=now - 120),
        "not yet": idp.token(nbf=now + 3600),
        "no end": idp.token(exp=None),
        "another audience": idp.token(aud="elsewhere"),
        "no audience": idp.token(aud=None),
        "another issuer": idp.token(iss="https://accounts.example"),
        "another key": idp.token(key=other),
        "its own key": idp.token(key=other, header=jku),
        "an unknown key": idp.token(header={"kid": "two"}),
        "no algorithm": f"{none}.{body}.",
        "the public key as a secret": idp.token(key=secret, alg="HS256"),
        "another algorithm": idp.token(
            key=jwk.ECKey.generate_key("P-384", {"kid": "one"}, private=True), alg="ES384"
        ),
        "another body": f"{head}.{body[:-2]}AA.{mark}",
        "another type": idp.token(header={"typ": "logout+jwt"}),
        "an odd end": idp.token(exp="never"),
        "no name": idp.token(sub=None),
        "a name with a line break": idp.token(sub="a\nb"),
        "five parts": "a.b.c.d.e",
        "nonsense": "no-token-at-all",
        "too long": "a" * 20_000,
    }
    for name, token in tokens.items():
        answer = client.get("/v1/models", headers=_bearer(token))
        assert (answer.status_code, _code(answer)) == (401, "invalid_token"), name
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert "/evil" not in [asked.path for asked in idp.asked]
    assert [asked.path for asked in idp.asked].count(
        "/keys"
    ) <= 2  # the unknown key asked once more at most


def test_a_token_without_a_role_or_a_tenant_is_403(
    start: Start, home: Path, idp: Idp, oidc: Any
) -> None:
    AccessStore.open(home).close()
    client = start(**oidc)
    wrong: list[dict[str, Any]] = [{"roles": []}, {"roles": None}, {"roles": ["boss"]}]
    for more in [*wrong, {"tenant": None}]:
        answer = client.get("/v1/models", headers=_bearer(idp.token(**more)))
        assert (answer.status_code, _code(answer)) == (403, "access_denied"), more


def test_claims_are_mapped_as_the_deployer_says(idp: Idp, home: Path) -> None:
    said = SignIn(
        Settings(
            home=home,
            oidc_issuer=idp.issuer,
            oidc_audience="api",
            oidc_name_claim="email",
            oidc_roles_claim="realm_access.roles",
            oidc_roles="trust and safety=reviewer, trust and safety=investigator,audit=auditor",
            oidc_tenant_claim="https://example.org/tenant",
            oidc_tenant="default",
        )
    )
    person = said.person(
        idp.token(
            email="eve@example.org",
            realm_access={"roles": ["trust and safety", "reader"]},
            **{"https://example.org/tenant": "*"},
        )
    )
    assert person.name == "oidc:eve@example.org"
    assert person.roles == {"reviewer", "investigator"}
    assert person.tenant is None
    person = said.person(idp.token(email="bob", realm_access={"roles": ["audit"]}))
    assert person.roles == {"auditor"}
    assert person.tenant == "default"


def test_keys_rotate_and_an_outage_is_borne(idp: Idp) -> None:
    class Clock:
        now = time.time()

        def __call__(self) -> float:
            return self.now

    clock = Clock()
    provider = Provider(idp.issuer, clock=clock)
    provider.claims(idp.token(), audience="api")
    idp.keys.append(jwk.ECKey.generate_key("P-256", {"kid": "two", "use": "sig"}, private=True))
    idp.published = idp.keys[-1:]
    with pytest.raises(InvalidToken, match="key that the provider does not have"):
        provider.claims(idp.token(), audience="api")  # asked a moment ago: not again
    clock.now += 31
    provider.claims(idp.token(), audience="api")
    with pytest.raises(InvalidToken):
        provider.claims(idp.token(key=idp.keys[0]), audience="api")
    idp.broken = True
    clock.now += 3601
    provider.claims(idp.token(exp=int(clock.now) + 60), audience="api")
    clock.now += 25 * 3600
    with pytest.raises(IdentityUnavailable):
        provider.claims(idp.token(exp=int(clock.now) + 60), audience="api")


def test_a_provider_that_does_not_answer_is_503(start: Start, home: Path, idp: Idp) -> None:
    AccessStore.open(home).close()
    token = idp.token()
    idp.broken = True
    client = start(oidc_issuer=idp.issuer, oidc_audience="api")
    answer = client.get("/v1/models", headers=_bearer(token))
    assert (answer.status_code, _code(answer)) == (503, "identity_unavailable")
    assert answer.headers["retry-after"]
    client.get("/v1/models", headers=_bearer(token))
    assert len(idp.asked) == 1  # not asked again at each request


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://accounts.example"},
        {"jwks_uri": "http://169.254.169.254/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
        {"jwks_uri": "http://[::1"},
    ],
)
def test_an_odd_document_is_not_followed(idp: Idp, document: dict[str, Any]) -> None:
    idp.document = document
    with pytest.raises(IdentityUnavailable):
        Provider(idp.issuer).claims(idp.token(), audience="api")
    assert [asked.path for asked in idp.asked] == ["/.well-known/openid-configuration"]


def test_shared_secrets_among_the_keys_are_not_used(idp: Idp) -> None:
    idp.published = [jwk.OctKey.generate_key(256, {"kid": "one"})]  # type: ignore[list-item]
    with pytest.raises(IdentityUnavailable, match="no signing keys"):
        Provider(idp.issuer).claims(idp.token(), audience="api")


@pytest.mark.parametrize(
    "settings",
    [
        {"oidc_issuer": "http://accounts.example", "oidc_audience": "api"},
        {"oidc_issuer": "accounts", "oidc_audience": "api"},
        {"oidc_issuer": "https://accounts.example"},
        {"oidc_issuer": "https://a.example", "oidc_audience": "a", "oidc_algorithms": "HS256"},
        {"oidc_issuer": "https://a.example", "oidc_audience": "a", "oidc_algorithms": "none"},
        {"oidc_issuer": "https://a.example", "oidc_audience": "a", "oidc_algorithms": ""},
        {"oidc_issuer": "https://a.example", "oidc_audience": "a", "oidc_roles": "a=root"},
        {"oidc_issuer": "https://a.example", "oidc_audience": "a", "oidc_roles": "reader"},
    ],
)
def test_odd_settings_are_refused_at_the_start(home: Path, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        SignIn(Settings(home=home, **settings))  # type: ignore[arg-type]


# Sign-in at the pages


@pytest.fixture
def pages(start: Start, home: Path, idp: Idp) -> httpx.Client:
    with AccessStore.open(home) as store:
        store.set_tenant(Tenant(name="acme"))
    return start(
        oidc_issuer=idp.issuer,
        oidc_client_id="chopmark",
        oidc_client_secret=SecretStr("hush"),
        public_url="http://pictures.test",
    )


def _to_the_provider(pages: httpx.Client, then: str = "/console") -> str:
    away = pages.get("/api/v1/session/oidc", params={"then": then})
    assert away.status_code == 303
    back = httpx.get(away.headers["location"], trust_env=False).headers["location"]
    assert back.startswith("http://pictures.test/api/v1/session/oidc/callback?")
    return str(back.removeprefix("http://pictures.test"))


def test_signing_in_at_the_provider(pages: httpx.Client) -> None:
    back = pages.get(_to_the_provider(pages, "/console?queue=a"))
    assert (back.status_code, back.headers["location"]) == (303, "/console?queue=a")
    said = pages.get("/api/v1/session").json()
    assert (said["name"], said["tenant"], said["roles"]) == ("oidc:eve", "acme", ["reviewer"])
    assert pages.get("/v1/models").status_code == 200
    # No bearer tokens are taken where no audience is set.
    pages.cookies.clear()
    answer = pages.get("/v1/models", headers=_bearer("a.b.c"))
    assert _code(answer) == "invalid_token"


def test_an_answer_is_good_once_and_in_its_own_browser(pages: httpx.Client) -> None:
    mine = _to_the_provider(pages)
    attempt = pages.cookies["chopmark_sign_in"]
    pages.cookies.clear()
    assert _code(pages.get(mine)) == "sign_in_failed"  # another browser
    _to_the_provider(pages)
    assert _code(pages.get(mine)) == "sign_in_failed"  # another attempt of the same one
    pages.cookies.clear()
    pages.cookies.set("chopmark_sign_in", attempt)
    assert pages.get(mine).status_code == 303
    pages.cookies.clear()
    pages.cookies.set("chopmark_sign_in", attempt)
    assert _code(pages.get(mine)) == "sign_in_failed"  # the code was used
    assert "chopmark_session" not in pages.cookies


def test_an_id_token_of_another_sign_in_is_refused(pages: httpx.Client, idp: Idp) -> None:
    idp.nonce = "another"
    assert _code(pages.get(_to_the_provider(pages))) == "invalid_token"


@pytest.mark.parametrize(
    "query",
    ["", "?state=x", "?state=&code=a", "?error=access_denied", "?code=a&iss=https://e.example"],
)
def test_odd_answers_are_refused(pages: httpx.Client, query: str) -> None:
    pages.get("/api/v1/session/oidc")
    answer = pages.get(f"/api/v1/session/oidc/callback{query}")
    assert (answer.status_code, _code(answer)) == (401, "sign_in_failed")


@pytest.mark.parametrize("cookie", ["x", "bnVsbA==", "WzEsMiwzLDRd", "W10=", "é", "W" * 4000])
def test_odd_attempts_are_refused(pages: httpx.Client, cookie: str) -> None:
    answer = pages.get(
        "/api/v1/session/oidc/callback?code=a&state=b",
        headers=[(b"cookie", f"chopmark_sign_in={cookie}".encode())],
    )
    assert (answer.status_code, _code(answer)) == (401, "sign_in_failed")


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil", "javascript:x", ""],
)
def test_nobody_is_sent_to_another_site(path: str) -> None:
    assert safe_path(path) == "/"


def test_a_repr_of_an_attempt_tells_no_secret() -> None:
    attempt = Attempt.new("/console")
    for secret in (attempt.state, attempt.nonce, attempt.verifier):
        assert secret not in repr(attempt)


def test_without_a_provider_there_is_nowhere_to_go(start: Start) -> None:
    assert _code(start().get("/api/v1/session/oidc")) == "invalid_request"


def test_the_page_to_sign_in_leads_to_the_provider_and_back(
    open_pipeline: Callable[..., Pipeline], home: Path, idp: Idp
) -> None:
    from starlette.testclient import TestClient

    from chopmark.site import create_site

    with AccessStore.open(home) as store:
        store.set_tenant(Tenant(name="acme"))
    pipeline = open_pipeline(
        generator=StandIn(),
        oidc_issuer=idp.issuer,
        oidc_client_id="chopmark",
        oidc_client_secret=SecretStr("hush"),
        public_url="http://testserver",
    )
    site = create_site(pipeline, logger=make_logger(io.StringIO()))
    with TestClient(site, follow_redirects=False) as browser:
        shown = browser.get("/sign-in").text
        where = re.search(r'href="(/[^"]+oidc[^"]*)"', shown)
        assert where is not None
        away = browser.get(where[1])
        back = httpx.get(away.headers["location"], trust_env=False).headers["location"]
        landed = browser.get(back.removeprefix("http://testserver"))
        assert (landed.status_code, landed.headers["location"]) == (303, "/studio")
        assert browser.get("/api/v1/session").json()["name"] == "oidc:eve"
        # The pages know the session that the API began.
        assert "oidc:eve" in browser.get("/console").text
