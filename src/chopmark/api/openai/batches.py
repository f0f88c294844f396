"""``/v1/batches``: many images or moderations handed over in one file, and fetched in another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field

from chopmark.api.nullable import SentBody
from chopmark.api.openai.files import page
from chopmark.errors import InvalidRequest, MissingScope
from chopmark.pipeline.steps import in_thread
from chopmark.service.absent_caller import absent
from chopmark.service.batch_input import ENDPOINTS
from chopmark.service.batch_runner import BatchRunner
from chopmark.service.caller import Batcher
from chopmark.service.deployment import TheDeployment
from chopmark.service.problems import RESPONSES
from chopmark.service.state import state_of

if TYPE_CHECKING:
    from chopmark.tenancy.batch_rows import Batch
    from chopmark.tenancy.keys import Scope

__all__ = ["router"]

router = APIRouter(prefix="/v1/batches", responses=RESPONSES, tags=["openai"])
BatchId = Annotated[str, Path(min_length=1, max_length=64)]
_WINDOW_S: Final = 24 * 3600
_TIMES: Final = (
    "in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at",
    "cancelled_at",
)  # fmt: skip


class ExpiresAfter(SentBody):
    """When the files of answers go."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


class CreateBatch(SentBody):
    """What to send, and where to."""

    input_file_id: Annotated[str, Field(min_length=1, max_length=64)]
    endpoint: Literal["/v1/images/edits", "/v1/images/generations", "/v1/moderations"]
    completion_window: Literal["24h"]
    metadata: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=64)],
            Annotated[str, Field(max_length=512)],
        ]
        | None,
        Field(max_length=16),
    ] = None
    output_expires_after: ExpiresAfter | None = None


@router.post("")
async def create(
    body: CreateBatch, request: Request, deployment: TheDeployment, caller: Batcher
) -> dict[str, Any]:
    """Take a batch; its lines are looked at first, then sent one by one as their caller would."""
    scope = cast("Scope", ENDPOINTS[body.endpoint])
    if scope not in caller.scopes:
        raise MissingScope(
            f"{body.endpoint} takes the scope {scope}",
            hint="ask the operator for a key that has it",
        )
    keep_s = deployment.settings.files_days * 24 * 3600
    if body.output_expires_after is not None:
        keep_s = body.output_expires_after.seconds

    def take() -> Batch:
        kept = deployment.files.get(caller.tenant.name, body.input_file_id, shown=True)
        if kept.purpose != "batch":
            raise InvalidRequest(
                f"the file's purpose is {kept.purpose}",
                hint="upload the lines with the purpose batch",
                param="input_file_id",
            )
        return deployment.batches.add(
            caller.tenant.name,
            kind="batch",
            caller=absent(caller),
            endpoint=body.endpoint,
            input_file=kept.file_id,
            window_s=_WINDOW_S,
            keep_s=keep_s,
            metadata=body.metadata,
        )

    taken = await in_thread(take)
    state_of(request.app, BatchRunner).wake()
    return _described(taken)


@router.get("")
async def listed(
    deployment: TheDeployment,
    caller: Batcher,
    after: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """List the batches of the caller's tenant, the newest first."""
    found = await in_thread(
        lambda: deployment.batches.listed(caller.tenant.name, after=after, limit=limit + 1)
    )
    return page([_described(one) for one in found], limit)


@router.get("/{batch_id}")
async def retrieve(batch_id: BatchId, deployment: TheDeployment, caller: Batcher) -> dict[str, Any]:
    """Report how far a batch has come."""
    return _described(
        await in_thread(lambda: deployment.batches.get(caller.tenant.name, batch_id, kind="batch"))
    )


@router.post("/{batch_id}/cancel")
async def cancel(batch_id: BatchId, deployment: TheDeployment, caller: Batcher) -> dict[str, Any]:
    """Send no more lines of a batch; those on their way are finished, and their answers kept."""
    return _described(
        await in_thread(
            lambda: deployment.batches.cancel(caller.tenant.name, batch_id, kind="batch")
        )
    )


def _described(batch: Batch) -> dict[str, Any]:
    over = batch.status in {"completed", "expired", "cancelled"}
    problems = {"object": "list", "data": batch.problems} if batch.problems else None
    return {
        "id": batch.batch_id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": problems,
        "input_file_id": batch.input,
        "completion_window": "24h",
        "status": batch.status,
        "output_file_id": batch.output if over and batch.completed else None,
        "error_file_id": batch.errors if over and batch.failed else None,
        "created_at": batch.created,
        "expires_at": batch.expires,
        **{name: batch.times.get(name) for name in _TIMES},
        "request_counts": {
            "total": batch.total,
            "completed": batch.completed,
            "failed": batch.failed,
        },
        "metadata": batch.metadata,
    }
