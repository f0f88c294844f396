"""One error body for everybody: RFC 9457 members and OpenAI's ``error`` object at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from chopmark.errors import ChopmarkError, InvalidRequest
from chopmark.released import Refused

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from starlette.responses import Response

    from chopmark.types import JsonValue

__all__ = ["RESPONSES", "install_handlers", "problem_response"]

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    499: "Client Closed Request",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

# What each route may answer besides 200, for the OpenAPI document.
RESPONSES: dict[int | str, dict[str, object]] = {
    status: {"description": _TITLES[status], "content": {"application/problem+json": {}}}
    for status in (400, 404, 413, 415, 500, 503, 504)
}


def problem_response(error: ChopmarkError) -> JSONResponse:
    """Return the answer for an error of ours."""
    headers = {}
    kind = "image_generation_user_error" if error.status < 500 else "server_error"
    openai: dict[str, JsonValue] = {
        "message": error.explain(),
        "type": "invalid_request_error" if isinstance(error, InvalidRequest) else kind,
        "param": None,
        "code": error.code,
    }
    if isinstance(error, Refused):
        openai["moderation_details"] = {
            "moderation_stage": error.stage,
            "categories": list(error.verdict.categories),
        }
        openai["decision_id"] = error.record_id
        openai["evidence"] = error.verdict.to_dict()["evidence"]
        # The same prompt would be refused again: the official client must not retry it.
        headers = {"x-should-retry": "false", "x-record-id": error.record_id}
    elif error.status == 503:
        headers = {"retry-after": "1"}
    return _problem(error.status, error.message, error.code, openai, headers)


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


def install_handlers(app: FastAPI) -> None:
    """Make every error of the application leave in this form."""

    @app.exception_handler(ChopmarkError)
    async def ours(_request: Request, error: ChopmarkError) -> Response:
        return problem_response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "body"
        return problem_response(InvalidRequest(f"{where}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def http(_request: Request, error: HTTPException) -> Response:
        code = "not_found" if error.status_code == 404 else "invalid_request"
        openai: dict[str, JsonValue] = {
            "message": str(error.detail),
            "type": "invalid_request_error",
            "param": None,
            "code": code,
        }
        return _problem(error.status_code, str(error.detail), code, openai)

    @app.exception_handler(Exception)
    async def unknown(_request: Request, error: Exception) -> Response:
        return problem_response(
            ChopmarkError(f"internal error: {type(error).__name__}", hint="see the server's log")
        )
