"""One error body for everybody: RFC 9457 members and OpenAI's ``error`` object at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from chopmark import errors
from chopmark.kit.disk_full import named_by_disk
from chopmark.pipeline.released import Refused

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from starlette.responses import Response

    from chopmark.errors import ChopmarkError
    from chopmark.kit.types import JsonValue

__all__ = [
    "GOOGLE_RESPONSES",
    "RESOLVER_RESPONSES",
    "RESPONSES",
    "STREAMED",
    "error_headers",
    "google_error",
    "install_handlers",
    "openai_error",
    "problem_response",
]

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    499: "Client Closed Request",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_GOOGLE = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    410: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_GOOGLE_VERBS = (":generateContent", "GenerateContent", ":predict", ":countTokens")
_GOOGLE_ROOTS = ("/v1beta/", "/v1beta1/", "/v1/interactions", "/upload/")
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}

# What each route may answer besides 200, for the OpenAPI document.
_STATUSES = (400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 429, 431, 499, 500, 503, 504)


def _described(media_type: str, schema: str, *more: int) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {
        status: {"description": _TITLES[status], "content": content}
        for status in (*_STATUSES, *more)
    }


# Beside JSON, what a route answers that can stream.
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"description": "Successful Response", "content": {"text/event-stream": {}}}
}
RESPONSES = _described("application/problem+json", "Problem")
RESOLVER_RESPONSES = _described("application/problem+json", "Problem", 414)
GOOGLE_RESPONSES = _described("application/json", "GoogleError")


def problem_response(error: ChopmarkError, *, path: str = "", appeal_url: str = "") -> JSONResponse:
    """Return the answer for an error of ours.

    Args:
        error: What went wrong.
        path: The request's; Gemini's routes get Google's ``error`` object.
        appeal_url: Where a refusal can be appealed; ``{decision_id}`` in it is filled in.
    """
    error = named_by_disk(error)
    if _is_google(path):
        # Nothing beside `error`: Google's client takes a `status` at the top for its own.
        return JSONResponse(
            {"error": google_error(error, path=path)}, error.status, headers=error_headers(error)
        )
    body = openai_error(error, appeal_url=appeal_url)
    return _problem(error.status, error.message, error.code, body, error_headers(error))


def _is_google(path: str) -> bool:
    return path.startswith(_GOOGLE_ROOTS) or path.endswith(_GOOGLE_VERBS)


def google_error(error: ChopmarkError, *, path: str = "") -> dict[str, JsonValue]:
    """Return Google's error object (google.rpc.Status as JSON, AIP-193).

    That of interactions has a URI as its ``code`` (google-genai 3.4), all others the HTTP status.
    """
    error = named_by_disk(error)
    details: list[JsonValue] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": error.code.upper(),
            "domain": "chopmark",
        }
    ]
    if isinstance(error, errors.RateLimited | errors.Busy):
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": f"{max(1, math.ceil(error.retry_after_s))}s",
            }
        )
    return {
        "code": _google_code(error.code, error.status, path),
        "message": error.explain(),
        "status": _GOOGLE.get(error.status, "UNKNOWN"),
        "details": details,
    }


def _google_code(code: str, status: int, path: str) -> int | str:
    return f"urn:chopmark:error:{code}" if "/interactions" in path else status


def openai_error(error: ChopmarkError, *, appeal_url: str = "") -> dict[str, JsonValue]:
    """Return the ``error`` object that OpenAI's client reads."""
    error = named_by_disk(error)
    message = error.explain()
    if isinstance(error, Refused):
        # LiteLLM tells a refusal from a mistake by these words (1.110, exception mapping).
        message = f"Your request was rejected as a result of the safety system: {message}"
    body: dict[str, JsonValue] = {
        "message": message,
        "type": _kind(error),
        "param": error.param if isinstance(error, errors.InvalidRequest) else None,
        "code": error.code,
    }
    if isinstance(error, errors.AccessError) and error.record_id:
        body["decision_id"] = error.record_id
    if isinstance(error, Refused):
        body["moderation_details"] = {
            "moderation_stage": error.stage,
            "categories": list(error.categories),
        }
        body["decision_id"] = error.record_id
        # How Azure OpenAI tells a refusal, for clients that look there.
        body["innererror"] = {"code": "ResponsibleAIPolicyViolation"}
        body["policy"] = error.verdict.policy
        body["appeal_url"] = appeal_url.replace("{decision_id}", quote(error.record_id)) or None
        body["evidence"] = error.evidence
    return body


def _kind(error: ChopmarkError) -> str:
    match error:
        case Refused():
            return "image_generation_user_error"
        case errors.QuotaExhausted():
            return "insufficient_quota"
        case errors.RateLimited():
            return "requests"
        case errors.MissingScope():
            return "permission_error"
        case _:
            return "invalid_request_error" if error.status < 500 else "server_error"


def error_headers(error: ChopmarkError) -> dict[str, str]:
    """Return what the official clients decide by whether to try again."""
    if isinstance(error, Refused):
        # The same prompt would be refused again: the official client must not retry it.
        return {"x-should-retry": "false", "x-record-id": error.record_id}
    if isinstance(error, errors.RateLimited):
        retry = {"retry-after": str(max(1, math.ceil(error.retry_after_s)))}
        if isinstance(error, errors.QuotaExhausted | errors.CoolingDown):
            retry["x-should-retry"] = "false"
        if isinstance(error, errors.AccessError) and error.record_id:
            retry["x-record-id"] = error.record_id
        return retry
    if isinstance(error, errors.Busy):
        return {"retry-after": str(max(1, math.ceil(error.retry_after_s)))}
    if isinstance(error, errors.InvalidKey | errors.NotSignedIn):
        # RFC 6750 section 3.1 has a word for a token that does not hold, and none for no token.
        why = ', error="invalid_token"' if isinstance(error, errors.InvalidToken) else ""
        return {"www-authenticate": f'Bearer realm="chopmark"{why}'}
    if error.status in {409, 503} and not isinstance(error, errors.AuditError):
        return {"retry-after": "1"}
    return {"retry-after": "5"} if error.status == 503 else {}


def _problem(
    status: int,
    detail: str,
    code: str,
    openai: dict[str, JsonValue],
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    return JSONResponse(
        {
            "type": f"urn:chopmark:error:{code}",
            "title": _TITLES.get(status, "Error"),
            "status": status,
            "detail": detail,
            "error": openai,
        },
        status_code=status,
        media_type="application/problem+json",
        headers=headers,
    )


def install_handlers(app: FastAPI, *, appeal_url: str) -> None:
    """Make every error of every route one body."""

    @app.exception_handler(errors.ChopmarkError)
    async def ours(request: Request, error: ChopmarkError) -> Response:
        request.state.error = error  # for the log line
        if error.status >= 500 and error.__cause__ is not None:
            where = f"the operator's log has the cause of {request.state.request_id}"
            error.hint = f"{error.hint}; {where}" if error.hint else where
        return problem_response(error, path=request.url.path, appeal_url=appeal_url)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return await ours(request, _first_of(error))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        detail, status_code = str(error.detail), error.status_code
        taken = _methods(request) if status_code == 405 else []
        if detail in {_TITLES[404], _TITLES[405]}:
            # Of what a vendor's client can call much is not there: say so, and where to look.
            if status_code == 405 and ":" in request.url.path.rpartition("/")[2]:
                # The route that shows a model fits Google's methods of one, too: each is a POST, or
                # not there.
                taken = [name for name in taken if name == "POST"]
                status_code = 405 if taken else 404
            hint = "/openapi.json lists what is"
            hint = f"it takes {', '.join(taken)}" if status_code == 405 else hint
            detail = f"{request.method} {request.url.path[:200]} is not served here\n  hint: {hint}"
        headers = dict(error.headers or {})
        headers.pop("Allow", None)  # the framework names the first route's alone
        if status_code == 405:
            headers["Allow"] = ", ".join(taken)
        if _is_google(request.url.path):
            status = _GOOGLE.get(status_code, "INVALID_ARGUMENT")
            return JSONResponse(
                {
                    "error": {
                        "code": _google_code(
                            _HTTP_CODES.get(status_code, "invalid_request"),
                            status_code,
                            request.url.path,
                        ),
                        "message": detail,
                        "status": status,
                    }
                },
                status_code,
                headers=headers,
            )
        code = _HTTP_CODES.get(status_code, "invalid_request")
        openai: dict[str, JsonValue] = {
            "message": detail,
            "type": "invalid_request_error",
            "param": None,
            "code": code,
        }
        return _problem(status_code, detail, code, openai, headers)


def _first_of(error: RequestValidationError) -> errors.InvalidRequest:
    """Return the first thing that is wrong, its place written as in ``contents[0].parts``."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        # Where it broke off is a number of a character, and no field.
        why, at = first.get("ctx", {}).get("error", first["msg"]), first["loc"][-1]
        return errors.InvalidRequest(
            f"the body is not JSON: {why}, at character {at}",
            hint="content-type application/json promises it",
        )
    where = ""
    for part in first["loc"]:
        if isinstance(part, int):
            where += f"[{part}]"
        elif part != "body":
            where += f".{part}" if where else str(part)
    return errors.InvalidRequest(f"{where or 'the body'}: {first['msg']}", param=where or None)


def _methods(request: Request) -> list[str]:
    """Return every method of the path: the framework names those of its first route only."""
    return [
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
