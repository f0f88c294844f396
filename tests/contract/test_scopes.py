"""No route is reached by who may not: each route, a key of each scope, a person of each role."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from chopmark.tenancy import ROLES, SCOPES, AccessStore, People, Scope

IDEMPOTENT = {"idempotency-key": "one"}

# What each route asks for; a route that is new and not here fails the test.
BY_SCOPE: dict[Scope, set[str]] = {
    "erase": {"POST /api/v1/erasures"},
    "hold": {
        "GET /api/v1/holds",
        "POST /api/v1/holds",
        "POST /api/v1/holds/{index}/release",
    },
    "seal": {
        "POST /api/v1/records/{record_id}/cybertip",
        "POST /api/v1/records/{record_id}/seal",
        "POST /api/v1/records/{record_id}/unseal",
    },
    "fetch:manifests": {
        "GET /api/v1/c2pa/manifests/{manifest_id}",
        "GET /api/v1/c2pa/manifests/{manifest_id}/receipts",
        "GET /api/v1/c2pa/matches/byBinding",
        "POST /api/v1/c2pa/manifests/{manifest_id}/receipts",
        "POST /api/v1/c2pa/matches/byBinding",
        "POST /api/v1/c2pa/matches/byContent",
        "POST /api/v1/c2pa/matches/byReference",
    },
    "generate": {
        "POST /v1/images/edits",
        "POST /v1/images/generations",
        "POST /v1/images/variations",
        "POST /api/v1/seal",
        "POST /v1/chat/completions",
        "POST /v1/responses",
        "GET /v1/responses/{response_id}",
        "DELETE /v1/responses/{response_id}",
        "POST /v1/responses/{response_id}/cancel",
        *(
            asked
            for version in ("v1", "v1beta")
            for asked in (
                f"POST /{version}/interactions",
                f"GET /{version}/interactions/{{interaction_id}}",
                f"DELETE /{version}/interactions/{{interaction_id}}",
                f"POST /{version}/interactions/{{interaction_id}}/cancel",
            )
        ),
        "POST /v1/models/{model}:generateContent",
        "POST /v1/models/{model}:streamGenerateContent",
        "POST /v1/models/{model}:countTokens",
        "POST /v1/models/{model}:predict",
        "POST /v1beta/models/{model}:countTokens",
        "POST /v1beta/models/{model}:generateContent",
        "POST /v1beta/models/{model}:predict",
        "POST /v1beta/models/{model}:streamGenerateContent",
    },
    "metrics": {"GET /metrics"},
    "moderate": {
        "POST /api/v1/hashes/match",
        "POST /beta/litellm_basic_guardrail_api",
        "POST /v1/moderations",
    },
    "read": {
        "GET /api/v1/people",
        "GET /api/v1/people/{person}",
        "GET /api/v1/policies/active",
        "GET /api/v1/receipts/{record_id}",
        "GET /api/v1/records/{record_id}",
        "GET /api/v1/report",
        "GET /api/v1/review/agreement",
        "GET /api/v1/review/exceptions",
        "GET /api/v1/review/appeals",
        "GET /api/v1/review/tasks",
        "POST /api/v1/policies/diff",
        "POST /api/v1/policies/try",
        "POST /api/v1/search",
        "POST /api/v1/search/by-image",
    },
    "review": {
        "DELETE /api/v1/webhooks/{hook_id}",
        "GET /api/v1/webhooks",
        "POST /api/v1/webhooks",
        "POST /api/v1/webhooks/{hook_id}/retry",
        "DELETE /v1/webhook_endpoints/{endpoint_id}",
        "GET /v1/webhook_endpoints",
        "GET /v1/webhook_endpoints/{endpoint_id}",
        "POST /v1/webhook_endpoints",
        "POST /v1/webhook_endpoints/{endpoint_id}",
        "POST /v1/webhook_endpoints/{endpoint_id}/rotate_secret",
        "POST /v1/webhook_endpoints/{endpoint_id}/test",
        "POST /api/v1/coop/actions",
        "POST /api/v1/people/{person}/actions",
        "POST /api/v1/records/{record_id}/actions",
        "POST /api/v1/records/{record_id}/comments",
        "POST /api/v1/review/bulk",
        "POST /api/v1/review/takedowns",
        "POST /api/v1/review/exceptions/{index}/revoke",
        "POST /api/v1/review/{record_id}/skip",
        "POST /api/v1/review/appeals/lease",
        "POST /api/v1/review/appeals/{decision_id}/decide",
        "POST /api/v1/review/lease",
        "POST /api/v1/review/{record_id}/decide",
        "POST /api/v1/review/{record_id}/release",
        "POST /api/v1/review/{record_id}/renew",
    },
    "store:bindings": {"POST /api/v1/c2pa/bindings", "PUT /api/v1/c2pa/bindings"},
    "store:manifests": {
        "DELETE /api/v1/c2pa/manifests/{manifest_id}",
        "POST /api/v1/c2pa/manifests",
    },
    "verify": {"POST /api/v1/verify", "POST /v1/content_provenance_checks"},
}
ANY_KEY = {
    "GET /v1/webhook_event_types",
    "GET /v1/models",
    "GET /v1/models/{model}",
    "GET /v1beta/models",
    "GET /v1beta/models/{model}",
}
# What one of two scopes opens: whoever may send a line of a batch may see to batches.
BATCHES = {
    "DELETE /v1/files/{file_id}",
    "GET /api/v1/jobs/{job_id}",
    "GET /v1/batches",
    "GET /v1/batches/{batch_id}",
    "GET /v1/files",
    "GET /v1/files/{file_id}",
    "GET /v1/files/{file_id}/content",
    "POST /api/v1/jobs/{job_id}/cancel",
    "POST /v1/batches",
    "POST /v1/batches/{batch_id}/cancel",
    "POST /v1/files",
    "POST /v1/uploads",
    "POST /v1/uploads/{upload_id}/cancel",
    "POST /v1/uploads/{upload_id}/complete",
    "POST /v1/uploads/{upload_id}/parts",
}
BY_SCOPE["generate"] |= BATCHES
BY_SCOPE["moderate"] |= BATCHES
# No key opens these, whatever its scopes.
PEOPLE_ONLY = {
    "GET /api/v1/custody": {"eraser", "investigator"},
    "POST /api/v1/custody/{request_id}/agree": {"eraser", "investigator"},
    "GET /api/v1/exports": {"exporter"},
    "GET /api/v1/exports/{export_id}/files/{name}": {"exporter"},
    "GET /api/v1/hashes": {"operator"},
    "GET /api/v1/records/{record_id}/cybertip": {"investigator"},
    "POST /api/v1/exports": {"exporter"},
    "POST /api/v1/exports/{export_id}/agree": {"exporter"},
    "POST /api/v1/hashes/{name}": {"operator"},
    "POST /api/v1/hashes/{name}/entries": {"operator"},
    "POST /api/v1/hashes/{name}/entries/remove": {"operator"},
    "GET /api/v1/policies/golden": {"investigator"},
    "GET /api/v1/policies/proposals": {"investigator", "operator"},
    "POST /api/v1/policies/proposals": {"investigator", "operator"},
    "POST /api/v1/policies/proposals/{proposal_id}/agree": {"investigator", "operator"},
    "POST /api/v1/policies/golden": {"investigator"},
    "POST /api/v1/policies/golden/remove": {"investigator"},
    "POST /api/v1/policies/shadow": {"investigator"},
    "PUT /api/v1/policies/shadow": {"operator"},
}
PUBLIC = {
    "DELETE /api/v1/session",
    "GET /.well-known/ai-content-detector.json",
    "GET /.well-known/c2pa-soft-binding-resolution",
    "GET /api/v1/appeals/{decision_id}",
    "GET /api/v1/c2pa/services/capabilities",
    "GET /api/v1/c2pa/services/status",
    "GET /api/v1/c2pa/services/supportedAlgorithms",
    "GET /api/v1/keys",
    "GET /api/v1/released/{record_id}",
    "GET /api/v1/session",
    "GET /api/v1/session/oidc",
    "GET /api/v1/session/oidc/callback",
    "GET /healthz",
    "GET /log/checkpoint",
    "GET /log/tile/{tile}",
    "GET /readyz",
    "POST /api/v1/appeals",
    "POST /api/v1/session",
}
IDS = {
    "{record_id}": "0123456789abcde0",
    "{decision_id}": "0123456789abcde0",
    "{export_id}": "0" * 32,
    "{request_id}": "0" * 32,
    "{index}": "1",
    "{manifest_id}": "urn:c2pa:00000000-0000-4000-8000-000000000000",
    "{model}": "drawing",
    "{name}": "manifest.json",
    "{tile}": "0/000",
    "{person}": "default:u-7",
    "{hook_id}": "0" * 24,
    "{endpoint_id}": "0" * 24,
    "{upload_id}": "upload_0",
    "{interaction_id}": "int_0",
    "{response_id}": "resp_0",
    "{proposal_id}": "0" * 32,
    "{file_id}": "file-0",
    "{batch_id}": "batch_0",
    "{job_id}": "job_0",
}
BODIES: dict[str, dict[str, Any]] = {
    "POST /api/v1/erasures": {"json": {"subject": "default:1", "reason": "x"}},
    "POST /api/v1/holds": {"json": {"subject": "default:1", "basis": "x"}},
    "POST /api/v1/holds/{index}/release": {"json": {"reason": "x"}},
    "POST /api/v1/records/{record_id}/seal": {"json": {"reason": "x"}},
    "POST /api/v1/records/{record_id}/unseal": {"json": {"reason": "x"}},
    "GET /api/v1/records/{record_id}/cybertip": {"params": {"purpose": "x"}},
    "POST /api/v1/records/{record_id}/cybertip": {"json": {"reason": "x"}},
    "POST /api/v1/search": {"json": {}},
    "POST /api/v1/people/{person}/actions": {"json": {"action": "warn", "rationale": "x"}},
    "POST /api/v1/records/{record_id}/actions": {"json": {"action": "restore", "rationale": "x"}},
    "POST /api/v1/policies/diff": {"json": {"yaml": "x"}},
    "POST /api/v1/policies/try": {"json": {"yaml": "x"}},
    "PUT /api/v1/policies/shadow": {"json": {"reason": "x"}},
    "POST /api/v1/policies/proposals": {"json": {"yaml": "x", "reason": "x"}},
    "POST /api/v1/policies/golden": {
        "json": {"record_id": "0" * 16, "action": "allow", "rationale": "x"}
    },
    "POST /api/v1/policies/shadow": {"json": {"yaml": "x"}, "params": {"purpose": "x"}},
    "POST /api/v1/review/lease": {"json": {"queue": "q"}},
    "POST /api/v1/review/{record_id}/decide": {"json": {"decision": "confirmed", "rationale": "x"}},
    "POST /api/v1/review/appeals/{decision_id}/decide": {
        "json": {"outcome": "upheld", "rationale": "x"}
    },
    "POST /api/v1/exports": {"json": {"purpose": "x"}},
    "POST /api/v1/webhooks": {"json": {"url": "https://127.0.0.1/", "events": ["*"]}},
    "POST /v1/webhook_endpoints": {
        "json": {"url": "https://127.0.0.1/", "name": "x", "event_types": ["*"]}
    },
    "POST /v1/webhook_endpoints/{endpoint_id}": {"json": {"name": "x"}},
    "POST /v1/webhook_endpoints/{endpoint_id}/test": {"json": {"event_type": "batch.completed"}},
    "POST /api/v1/coop/actions": {
        "json": {"item": {"id": "0" * 16, "typeId": "x"}, "action": {"id": "x"}}
    },
    "POST /api/v1/search/by-image": {"files": {"image": b"x"}},
    "POST /api/v1/records/{record_id}/comments": {"json": {"text": "x"}},
    "POST /api/v1/review/{record_id}/skip": {"json": {"reason": "x"}},
    "POST /api/v1/review/bulk": {
        "json": {"records": ["0" * 16], "decision": "confirmed", "rationale": "x"}
    },
    "POST /api/v1/review/takedowns": {
        "json": {"record_id": "0" * 16, "demand": "order", "reference": "x"}
    },
    "POST /api/v1/hashes/{name}/entries": {"files": {"image": b"x"}},
    "POST /api/v1/hashes/{name}/entries/remove": {"files": {"image": b"x"}},
    "POST /api/v1/policies/golden/remove": {"json": {"record_id": "0" * 16, "rationale": "x"}},
    "POST /api/v1/review/exceptions/{index}/revoke": {"json": {"rationale": "x"}},
    "POST /api/v1/hashes/match": {"files": {"image": b"x"}},
    "POST /api/v1/hashes/{name}": {"files": {"file": b"x"}},
    "POST /api/v1/verify": {"files": {"image": b"x"}},
    "POST /v1/content_provenance_checks": {"files": {"file": b"x"}},
    "POST /api/v1/seal": {"files": {"image": b"x"}, "data": {"model": "m"}},
    "POST /api/v1/c2pa/matches/byContent": {
        "content": b"x",
        "headers": {"content-type": "image/png"},
    },
}


def _routes(live: Any) -> list[str]:
    return [
        f"{method.upper()} {path}"
        for path, methods in live.app.openapi()["paths"].items()
        for method in methods
    ]


def _ask(live: Any, client: httpx.Client, route: str) -> httpx.Response:
    method, path = route.split(" ", 1)
    path = path.replace("/hashes/{name}", "/hashes/mine")
    for mark, value in IDS.items():
        path = path.replace(mark, value)
    return client.request(method, f"{live.url}{path}", **BODIES.get(route, {}))


def _refused(answer: httpx.Response) -> bool:
    """Tell whether the caller lacks a scope or a role; any other answer came from the route."""
    if answer.status_code != 403:
        return False
    error = answer.json()["error"]
    if "is not on lease" in error["message"]:
        return False  # a reviewer is told so, of a record that they do not hold
    reasons = [each.get("reason", "") for each in error.get("details", ())]
    return error.get("code") in {"missing_scope", "not_permitted"} or "MISSING_SCOPE" in reasons


def test_every_route_is_in_the_table(live: Any) -> None:
    known = PUBLIC | ANY_KEY | set(PEOPLE_ONLY) | set().union(*BY_SCOPE.values())
    assert set(_routes(live)) == known
    assert set(BY_SCOPE) == set(SCOPES)


def test_a_key_opens_the_routes_of_its_scope_and_no_other(forgiving: Any) -> None:
    with AccessStore.open(forgiving.pipeline.parts.home) as store:
        texts = {scope: store.create_key("default", scopes=[scope]).text for scope in SCOPES}
    for scope, text in texts.items():
        head = {"authorization": f"Bearer {text}"}
        with httpx.Client(headers=head, trust_env=False, timeout=60) as client:
            for route in _routes(forgiving):
                if route in PUBLIC:
                    continue
                opened = not _refused(_ask(forgiving, client, route))
                assert opened == (route in BY_SCOPE[scope] | ANY_KEY), (scope, route)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_what_no_key_does(forgiving: Any, role: str) -> None:
    with People.open(forgiving.pipeline.parts.home) as people:
        people.add("ada", roles=[role], tenant=None)
        begun = people.redeem(people.link("ada"))
    head = {
        "cookie": f"chopmark_session={begun.token}",
        "x-csrf-token": begun.session.csrf,
    }
    with httpx.Client(headers=head, trust_env=False, timeout=60) as client:
        for route, roles in PEOPLE_ONLY.items():
            opened = not _refused(_ask(forgiving, client, route))
            assert opened == (role in roles), route


def test_a_replay_is_for_who_asked_first_alone(live: Any) -> None:
    """Otherwise a key without the scope would get the kept pictures of one that has it."""
    with AccessStore.open(live.pipeline.parts.home) as store:
        maker = store.create_key("default", scopes=["generate"]).text
        reader = store.create_key("default", scopes=["read"]).text
    answers = [
        httpx.post(
            f"{live.url}/v1/images/generations",
            json={"prompt": "a red apple"},
            headers={"authorization": f"Bearer {text}", **IDEMPOTENT},
            trust_env=False,
            timeout=60,
        )
        for text in (maker, reader, maker)
    ]
    made, refused, again = answers
    assert refused.status_code == 403
    assert made.content == again.content
    assert len(live.generator.jobs) == 1
