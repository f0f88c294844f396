"""Jobs: an image request that is answered at once with where its answer will be (RFC 7240).

``Prefer: respond-async`` asks for it. A job is a batch of one line, and the same engine sends it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers

from chopmark.errors import ChopmarkError, FileNotKept, InvalidRequest, OutputWithdrawn
from chopmark.pipeline.steps import in_thread
from chopmark.pipeline.withdrawals import refuse_withdrawn
from chopmark.service.absent_caller import absent
from chopmark.service.caller import Batcher
from chopmark.service.deployment import TheDeployment
from chopmark.service.json_body import again, read_body
from chopmark.service.problems import RESPONSES, problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from chopmark.service.batch_runner import BatchRunner
    from chopmark.service.caller import Caller
    from chopmark.service.deployment import Deployment
    from chopmark.tenancy.batch_rows import Batch

__all__ = ["RespondAsync", "router"]

router = APIRouter(prefix="/api/v1/jobs", responses=RESPONSES, tags=["jobs"])
JobId = Annotated[str, Path(min_length=1, max_length=64)]
_PATHS: Final = frozenset({"/v1/images/generations", "/v1/images/edits", "/v1/images/variations"})
_WINDOW_S: Final = 24 * 3600


class RespondAsync:
    """ASGI middleware; stands behind ``Idempotency``, so that a repeated request finds its job.

    Args:
        app: What answers whoever waits.
        deployment: Keeps the jobs.
        runner: Sends them.
    """

    def __init__(self, app: ASGIApp, *, deployment: Deployment, runner: BatchRunner) -> None:
        self.app, self.deployment, self.runner = app, deployment, runner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request as a job, or pass it on."""
        caller: Caller | None = scope.get("state", {}).get("caller")
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or scope["path"] not in _PATHS
            or caller is None
            or "generate" not in caller.scopes
            or not _prefers(Headers(scope=scope))
        ):
            await self.app(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            return  # the client went away while it was sending
        kind = Headers(scope=scope).get("content-type", "")
        if not kind.lower().startswith(("application/json", "multipart/form-data")):
            await self.app(scope, again(body, receive), send)  # it says what is wrong with that
            return
        try:
            _check_no_stream(kind, body)
            job = await in_thread(lambda: self._take(caller, scope["path"], kind, body))
        except ChopmarkError as error:
            scope["state"]["error"] = error
            await problem_response(error, path=scope["path"])(scope, receive, send)
            return
        self.runner.wake()
        root = self.deployment.settings.public_url.rstrip("/")
        answer = JSONResponse(
            _described(job, None),
            202,
            headers={
                "location": f"{root}/api/v1/jobs/{job.batch_id}",
                "preference-applied": "respond-async",
                "retry-after": "1",
            },
        )
        await answer(scope, receive, send)

    def _take(self, caller: Caller, path: str, kind: str, body: bytes) -> Batch:
        settings, tenant = self.deployment.settings, caller.tenant.name
        kept = self.deployment.files.add(
            tenant,
            body,
            purpose="job_input",
            filename="",
            mime="application/octet-stream",
            keep_s=2 * _WINDOW_S,
            most_bytes=settings.files_mb * 2**20,
        )
        return self.deployment.batches.add(
            tenant,
            kind="job",
            caller=absent(caller),
            endpoint=path,
            input_file=kept.file_id,
            window_s=_WINDOW_S,
            keep_s=_WINDOW_S,
            content_type=kind,
        )


@router.get("/{job_id}")
async def retrieve(job_id: JobId, deployment: TheDeployment, caller: Batcher) -> JSONResponse:
    """Report how far a job has come; `response` is what the request would have been answered."""

    def look() -> dict[str, Any]:
        job = deployment.batches.get(caller.tenant.name, job_id, kind="job")
        return _described(job, _answer(deployment, job))

    said = await in_thread(look)
    waiting = said["status"] in {"in_progress", "cancelling"}
    return JSONResponse(said, headers={"retry-after": "1"} if waiting else {})


@router.post("/{job_id}/cancel")
async def cancel(job_id: JobId, deployment: TheDeployment, caller: Batcher) -> dict[str, Any]:
    """Give up a job that has not begun; one that has is finished."""
    job = await in_thread(lambda: deployment.batches.cancel(caller.tenant.name, job_id, kind="job"))
    return _described(job, None)


def _prefers(headers: Headers) -> bool:
    """Tell whether ``Prefer`` asks for it (RFC 7240, section 4.1)."""
    wishes = ",".join(headers.getlist("prefer")).split(",")
    return any(one.partition(";")[0].strip().lower() == "respond-async" for one in wishes)


def _check_no_stream(kind: str, body: bytes) -> None:
    """Refuse a job that wants to show what it does meanwhile: nobody is there to see it."""
    streams = b'name="stream"' in body
    if kind.lower().startswith("application/json"):
        try:
            sent = json.loads(body)
        except ValueError:
            sent = None
        if not isinstance(sent, dict):
            raise InvalidRequest("the body is no JSON object")
        streams = bool(sent.get("stream"))
    if streams:
        raise InvalidRequest(
            "a job cannot stream", hint="leave out stream, or Prefer", param="stream"
        )


def _answer(deployment: Deployment, job: Batch) -> dict[str, Any] | None:
    """Return the line that a job was answered with; None while it was not, and when it is gone."""
    name = job.output if job.completed else job.errors
    try:
        kept = deployment.files.get(job.tenant, name)
        for record in deployment.files.piece_records(name):
            refuse_withdrawn(deployment.service.pipeline.parts, record)
        line: dict[str, Any] = json.loads(deployment.files.data(kept.file_id))
    except OutputWithdrawn as error:
        return {"error": {"code": error.code, "message": error.message}}
    except FileNotKept:
        if not job.completed and not job.failed:
            return None
        return {"error": {"code": "file_not_found", "message": "the answer is not kept any more"}}
    return line


def _described(job: Batch, line: dict[str, Any] | None) -> dict[str, Any]:
    answer = line or {}
    return {
        "id": job.batch_id,
        "object": "job",
        "status": job.status,
        "endpoint": job.endpoint,
        "created_at": job.created,
        "expires_at": job.expires,
        **{name: job.times.get(name) for name in ("completed_at", "expired_at", "cancelled_at")},
        "response": answer.get("response"),
        "error": answer.get("error"),
    }
