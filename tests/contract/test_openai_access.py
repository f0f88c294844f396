"""Keys, scopes, tenants, rates and quotas, as the official client meets them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from chopmark.tenancy import AccessStore, Tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.tenancy import NewKey


# Each is public on purpose: health, signing in, appeals of who was refused, and what anybody checks
# us with.
PUBLIC_ROUTES = {
    "DELETE /api/v1/session",
    "GET /.well-known/ai-content-detector.json",
    "GET /.well-known/c2pa-soft-binding-resolution",
    "GET /api/v1/appeals/{decision_id}",
    "GET /api/v1/c2pa/services/capabilities",
    "GET /api/v1/c2pa/services/status",
    "GET /api/v1/c2pa/services/supportedAlgorithms",
    "GET /api/v1/keys",
    "GET /api/v1/session",
    "GET /api/v1/session/oidc",
    "GET /api/v1/session/oidc/callback",
    "GET /api/v1/released/{record_id}",  # its address is signed, and expires
    "GET /healthz",
    "GET /log/checkpoint",
    "GET /log/tile/{tile}",
    "GET /readyz",
    "POST /api/v1/appeals",
    "POST /api/v1/session",
}


@pytest.fixture
def store(live: Any) -> Iterator[AccessStore]:
    """The operator's own view of the running server's keys."""
    with AccessStore.open(live.pipeline.parts.home) as store:
        yield store


@pytest.fixture
def make_client(live: Any) -> Iterator[Callable[..., openai.OpenAI]]:
    made: list[openai.OpenAI] = []

    def make(key: NewKey | str, **options: Any) -> openai.OpenAI:
        text = key if isinstance(key, str) else key.text
        client = openai.OpenAI(
            base_url=f"{live.url}/v1", api_key=text, **{"max_retries": 0, **options}
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def test_keys_are_asked_for_as_soon_as_there_is_one(
    live: Any, store: AccessStore, make_client: Any
) -> None:
    assert make_client("anything").models.list().data
    key = store.create_key("default")
    with pytest.raises(openai.AuthenticationError) as caught:
        make_client("anything").images.generate(prompt="a red apple")
    assert caught.value.code == "invalid_api_key"
    assert caught.value.response.headers["www-authenticate"].startswith("Bearer")
    assert make_client(key).images.generate(prompt="a red apple").data
    store.revoke(key.key.key_id)
    with pytest.raises(openai.AuthenticationError):
        make_client(key).images.generate(prompt="a red apple")
    assert live.generator.jobs[1:] == []


#: As the three faces say it: OpenAI's, Gemini's, and Gemini's interactions.
_CLOSED = {"invalid_api_key", 401, "urn:chopmark:error:invalid_api_key"}


def test_every_route_but_the_public_ones_is_closed(live: Any, store: AccessStore) -> None:
    store.create_key("default")
    opened = set()
    for path, methods in live.app.openapi()["paths"].items():
        for method in methods:
            answer = httpx.request(method, f"{live.url}{path}", trust_env=False)
            closed = answer.status_code == 401
            if not closed or answer.json()["error"].get("code") not in _CLOSED:
                opened.add(f"{method.upper()} {path}")
    assert opened == PUBLIC_ROUTES
    for path in (
        "/nowhere",
        "/v1/",
        "//v1/models",
        "/v1/models/",
        "/HEALTHZ",
        "/healthz/../v1/models",
    ):
        assert httpx.get(f"{live.url}{path}", trust_env=False).status_code == 401, path


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Basic Y206Y20="},
        {"authorization": "Bearer"},
        {"authorization": "KEY"},
        {"x-goog-api-key": "cm_nothing"},
        {"cookie": "key=KEY"},
        [("authorization", "Bearer KEY"), ("authorization", "Bearer KEY")],
        [("authorization", "Bearer KEY"), ("x-goog-api-key", "KEY")],
    ],
)
def test_what_is_not_one_key_is_401(live: Any, store: AccessStore, headers: Any) -> None:
    key = store.create_key("default").text
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    sent = [(name, value.replace("KEY", key)) for name, value in pairs]
    answer = httpx.get(f"{live.url}/v1/models", headers=sent, trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert key not in answer.text


def test_a_key_does_only_what_its_scopes_say(store: AccessStore, make_client: Any) -> None:
    client = make_client(store.create_key("default", scopes=("moderate",)))
    assert client.moderations.create(input="a red apple").results
    with pytest.raises(openai.PermissionDeniedError) as caught:
        client.images.generate(prompt="a red apple")
    assert caught.value.code == "missing_scope"
    assert "generate" in caught.value.message
    only = make_client(store.create_key("default", scopes=("generate",)))
    assert only.images.generate(prompt="a red apple").data
    with pytest.raises(openai.PermissionDeniedError):
        only.moderations.create(input="a red apple")


def test_records_of_another_tenant_are_as_if_they_were_not_there(
    live: Any, store: AccessStore, make_client: Any
) -> None:
    for name in ("acme", "globex"):
        store.set_tenant(Tenant(name=name))
    acme, globex = store.create_key("acme"), store.create_key("globex")
    made = make_client(acme).images.generate(prompt="a red apple", user="42")
    record = (made.model_extra or {})["provenance"]["record_id"]
    output = (made.data[0].model_extra or {})["provenance"]["output_id"]
    (first, *_) = live.pipeline.parts.log.records(record)
    assert first.tenant == "acme"

    def get(path: str, key: NewKey) -> httpx.Response:
        return httpx.get(
            f"{live.url}/api/v1/{path}",
            headers={"authorization": f"Bearer {key.text}"},
            trust_env=False,
        )

    for name in (record, output):
        for kind in ("records", "receipts"):
            assert get(f"{kind}/{name}", acme).status_code == 200
            hidden, missing = get(f"{kind}/{name}", globex), get(f"{kind}/{'0' * 16}", globex)
            assert hidden.status_code == missing.status_code == 404
            assert hidden.json()["error"]["code"] == missing.json()["error"]["code"]
            assert "acme" not in hidden.text
    # What anybody may know of a picture they hold: that it was made here, and when.
    looked = httpx.post(
        f"{live.url}/api/v1/verify",
        headers={"authorization": f"Bearer {globex.text}"},
        files={"image": base64.b64decode(made.data[0].b64_json)},
        trust_env=False,
    ).json()
    assert looked["verdict"] == "made_here"
    assert "acme" not in str(looked)


def test_the_same_person_of_two_tenants_is_two_people(live: Any, store: AccessStore) -> None:
    from chopmark.service.caller import Caller

    names = set()
    for name in ("acme", "globex"):
        tenant = store.set_tenant(Tenant(name=name))
        caller = Caller(
            tenant=tenant,
            scopes=frozenset(),
            key_id=None,
            address=None,
            name="key:0",
            roles=frozenset(),
        )
        names.add(caller.subject("42"))
    assert names == {"acme:42", "globex:42"}


def test_a_tenant_is_judged_by_its_own_policy(
    live: Any, store: AccessStore, make_client: Any
) -> None:
    store.set_tenant(Tenant(name="careful", policy="strict"))
    made = make_client(store.create_key("careful")).images.generate(prompt="a red apple")
    ours = make_client(store.create_key("default")).images.generate(prompt="a red apple")
    digests = [
        live.pipeline.parts.log.records((m.model_extra or {})["provenance"]["record_id"])[1].public[
            "policy"
        ]
        for m in (made, ours)
    ]
    assert digests[0] != digests[1] == live.pipeline.parts.policies.active().digest()


def test_a_tenant_whose_policy_is_broken_gets_nothing(
    live: Any, store: AccessStore, make_client: Any, tmp_path: Any
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    store.set_tenant(Tenant(name="broken", policy=str(broken)))
    with pytest.raises(openai.BadRequestError) as caught:
        make_client(store.create_key("broken")).images.generate(prompt="a red apple")
    assert caught.value.code == "invalid_policy"
    assert live.generator.jobs == []


def test_the_rate_is_told_in_both_styles_and_held(store: AccessStore, make_client: Any) -> None:
    store.set_tenant(Tenant(name="slow", requests_per_minute=2))
    key = store.create_key("slow")
    first = make_client(key).models.with_raw_response.list()
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-reset-requests"] == "60s"
    assert first.headers["ratelimit-policy"] == '"default";q=2;w=60'
    assert first.headers["ratelimit"] == '"default";r=1;t=60'
    make_client(key).models.list()
    with pytest.raises(openai.RateLimitError) as caught:
        make_client(key).models.list()
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.type == "requests"
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
    assert make_client(store.create_key("default")).models.list().data


def test_the_client_waits_as_told_and_tries_again(
    store: AccessStore, make_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chopmark.tenancy import rates, shared_state

    for module in (rates, shared_state):
        monkeypatch.setattr(module, "WINDOW_S", 2)
    store.set_tenant(Tenant(name="slow", requests_per_minute=1))
    seen: list[int] = []
    hooks = {"response": [lambda answer: seen.append(answer.status_code)]}
    with httpx.Client(event_hooks=hooks, trust_env=False) as watched:
        client = make_client(store.create_key("slow"), max_retries=3, http_client=watched)
        while 429 not in seen:  # two requests within a window, however busy the machine is
            assert client.models.list().data
    # 429, the time of Retry-After, and the next one went through.
    assert seen[-2:] == [429, 200]


def test_the_quota_of_the_day(live: Any, store: AccessStore, make_client: Any) -> None:
    store.set_tenant(Tenant(name="small", images_per_day=3))
    client = make_client(store.create_key("small"), max_retries=2)
    client.images.generate(prompt="a red apple", n=2)
    with pytest.raises(openai.RateLimitError) as caught:
        client.images.generate(prompt="a red apple", n=2)
    assert caught.value.code == caught.value.type == "insufficient_quota"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(live.generator.jobs) == 1
    with pytest.raises(openai.BadRequestError):
        client.images.generate(prompt="explicit photo of a naked woman having sex")
    client.images.generate(prompt="a red apple")  # what was refused is not counted


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_without_keys_a_foreign_name_is_refused(live: Any, host: str) -> None:
    """DNS rebinding: a web page's own name may lead to 127.0.0.1, but it stays in `Host`."""
    answer = httpx.get(f"{live.url}/v1/models", headers={"host": host}, trust_env=False)
    assert answer.status_code in {400, 403}
    for name in ("127.0.0.1", "localhost:8000", "[::1]:8000"):
        answer = httpx.get(f"{live.url}/v1/models", headers={"host": name}, trust_env=False)
        assert answer.status_code == 200, name
