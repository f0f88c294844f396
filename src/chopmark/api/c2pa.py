"""The C2PA Soft Binding Resolution API (spec 2.4): from a mark or a likeness to a lost manifest.

The routes only translate; :class:`chopmark.provenance.Resolver` answers. Reading takes the scope
``fetch:manifests``, writing ``store:manifests`` or ``store:bindings`` and a setting beside it.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chopmark.errors import ChopmarkError, InvalidRequest, ManifestKept, ManifestNotFound
from chopmark.kit.ids import new_record_id
from chopmark.pipeline.steps import in_thread
from chopmark.service.caller import Binding, Fetching, Storing
from chopmark.service.problems import RESOLVER_RESPONSES
from chopmark.service.service import Serving, attended

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from chopmark.audit import EventKind, Receipt, Record
    from chopmark.pipeline.parts import Parts
    from chopmark.provenance.store import StoredManifest
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["PREFIX", "router"]

PREFIX: Final = "/api/v1/c2pa"
router = APIRouter(responses=RESOLVER_RESPONSES, tags=["soft binding resolution"])

_RECEIPT_ALG: Final = "chopmark.receipt/1"
_PICTURES: Final = ("png", "jpeg", "webp", "avif", "gif", "tiff", "heic")
_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_PICTURE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": _BYTES,
            **{f"image/{kind}": _BYTES for kind in _PICTURES},
        },
    }
}
_JUMBF: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/c2pa": _BYTES, "application/octet-stream": _BYTES},
    }
}

ManifestId = Annotated[str, Path(max_length=1024, description="`urn:c2pa:...`")]
Alg = Annotated[str | None, Query(max_length=200, description="Soft-binding algorithm")]
Hint = Annotated[str | None, Query(max_length=2048)]
MaxResults = Annotated[int, Query(alias="maxResults", ge=1, le=100)]


class ByBinding(BaseModel):
    """The value of a soft binding."""

    model_config = ConfigDict(extra="ignore", strict=True)

    alg: Annotated[str, Field(min_length=1, max_length=200)]
    value: Annotated[str, Field(min_length=1, max_length=65_536, description="base64")]


class ByReference(BaseModel):
    """A picture at a public https address."""

    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)

    url: Annotated[str, Field(alias="referenceUrl", min_length=1, max_length=4096)]
    length: Annotated[int, Field(alias="assetLength", ge=1)]
    media_type: Annotated[str, Field(alias="assetType", max_length=200)] = ""
    region: None = Field(default=None, description="Regions of interest are not supported")


class Bind(BaseModel):
    """A soft-binding value and the manifest that it leads to; ``alg`` is an extra of ours."""

    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)

    value: Annotated[str, Field(alias="bindingValue", min_length=1, max_length=65_536)]
    manifest_id: Annotated[str, Field(alias="manifestId", min_length=1, max_length=1024)]
    alg: Annotated[str, Field(max_length=200)] | None = None


def _the_resolver(service: Serving) -> Any:
    """Return the resolver over the rooms as they are now: a rotated mark key counts at once."""
    from chopmark.provenance import Limits, Resolver

    parts, settings = service.pipeline.parts, service.pipeline.settings
    return Resolver(
        parts.store,
        mark_keys=parts.mark_keys.all,
        mark_methods=(settings.mark_method,),
        limits=Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels),
        prefix=PREFIX,
        writable=settings.resolver_writes,
        by_reference=settings.resolver_by_reference,
    )


Resolving = Annotated[Any, Depends(_the_resolver)]


@router.get(f"{PREFIX}/matches/byBinding")
async def get_by_binding(
    resolver: Resolving,
    _caller: Fetching,
    value: Annotated[str, Query(min_length=1, description="base64")],
    alg: Annotated[str, Query(min_length=1, max_length=200)],
    max_results: MaxResults = 10,
) -> dict[str, Any]:
    """Find manifests by the value of a soft binding, at most 2,048 characters of it."""
    found: dict[str, Any] = await in_thread(
        lambda: resolver.by_binding(alg=alg, value=value, max_results=max_results)
    )
    return found


@router.post(f"{PREFIX}/matches/byBinding")
async def post_by_binding(
    body: ByBinding, resolver: Resolving, _caller: Fetching, max_results: MaxResults = 10
) -> dict[str, Any]:
    """Find manifests by the value of a soft binding."""
    found: dict[str, Any] = await in_thread(
        lambda: resolver.by_binding(
            alg=body.alg, value=body.value, max_results=max_results, in_url=False
        )
    )
    return found


@router.post(f"{PREFIX}/matches/byContent", openapi_extra=_PICTURE)
async def by_content(
    request: Request,
    resolver: Resolving,
    service: Serving,
    caller: Fetching,
    alg: Alg = None,
    hint_alg: Annotated[Alg, Query(alias="hintAlg")] = None,
    hint_value: Annotated[Hint, Query(alias="hintValue")] = None,
    max_results: MaxResults = 10,
) -> dict[str, Any]:
    """Find manifests of a picture, by its watermark and its fingerprint. It is not kept."""
    data = await request.body()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return await _looked(
        service,
        caller,
        request,
        lambda: resolver.by_content(
            data,
            media_type=media_type,
            alg=alg,
            max_results=max_results,
            hint_alg=hint_alg,
            hint_value=hint_value,
        ),
    )


@router.post(f"{PREFIX}/matches/byReference")
async def by_reference(
    body: ByReference,
    request: Request,
    resolver: Resolving,
    service: Serving,
    caller: Fetching,
    alg: Alg = None,
    hint_alg: Annotated[Alg, Query(alias="hintAlg")] = None,
    hint_value: Annotated[Hint, Query(alias="hintValue")] = None,
    max_results: MaxResults = 10,
) -> dict[str, Any]:
    """Fetch a picture from a public https address, then as byContent; off unless set."""
    return await _looked(
        service,
        caller,
        request,
        lambda: resolver.by_reference(
            body.url,
            length=body.length,
            media_type=body.media_type,
            alg=alg,
            max_results=max_results,
            hint_alg=hint_alg,
            hint_value=hint_value,
        ),
    )


@router.get(
    f"{PREFIX}/manifests/{{manifest_id}}",
    response_class=Response,
    responses={200: {"content": {"application/c2pa": {}}}},
)
async def manifest(
    manifest_id: ManifestId,
    resolver: Resolving,
    _caller: Fetching,
    return_active: Annotated[bool, Query(alias="returnActiveManifest")] = False,
) -> Response:
    """Return a manifest store as it was signed, or its active manifest alone."""
    data = await in_thread(lambda: resolver.manifest(manifest_id, return_active=return_active))
    return Response(data, media_type="application/c2pa")


@router.post(f"{PREFIX}/manifests", openapi_extra=_JUMBF)
async def add_manifest(
    request: Request,
    resolver: Resolving,
    service: Serving,
    caller: Storing,
    return_receipt: Annotated[bool, Query(alias="returnReceipt")] = False,
) -> dict[str, Any]:
    """Keep a manifest store; the upload is booked in the log."""
    data, parts, record_id = await request.body(), service.pipeline.parts, new_record_id()

    def work() -> dict[str, Any]:
        name = resolver.add_manifest(
            data,
            record_id=record_id,
            book=lambda name: _book(parts, caller, "manifest.stored", record_id, name),
        )
        body: dict[str, Any] = {"manifestId": name}
        receipt = _receipt(parts, name) if return_receipt else None
        return body if receipt is None else {**body, "receipt": _shown(request, name, receipt)}

    return await in_thread(work)


@router.delete(f"{PREFIX}/manifests/{{manifest_id}}", status_code=204)
async def remove_manifest(
    manifest_id: ManifestId, resolver: Resolving, service: Serving, caller: Storing
) -> None:
    """Forget a manifest that the same tenant uploaded, and its bindings."""
    parts = service.pipeline.parts

    def book(entry: StoredManifest) -> None:
        records = parts.log.records(entry.record_id) if entry.record_id else []
        if any(record.tenant != caller.tenant.name for record in records):
            raise ManifestKept("this manifest was stored by somebody else")
        _book(parts, caller, "manifest.removed", new_record_id(), manifest_id)

    await in_thread(lambda: resolver.remove_manifest(manifest_id, book=book))


@router.post(f"{PREFIX}/bindings", status_code=204)
async def bind(body: Bind, resolver: Resolving, _caller: Binding) -> None:
    """Lead from one more soft-binding value to a kept manifest."""
    await in_thread(lambda: resolver.bind(body.value, body.manifest_id, alg=body.alg))


@router.put(f"{PREFIX}/bindings", status_code=204)
async def rebind(body: Bind, resolver: Resolving, _caller: Binding) -> None:
    """Lead from a soft-binding value to this manifest, and to no other any more."""
    await in_thread(lambda: resolver.bind(body.value, body.manifest_id, alg=body.alg, replace=True))


@router.get(f"{PREFIX}/manifests/{{manifest_id}}/receipts")
async def receipt(
    manifest_id: ManifestId,
    request: Request,
    resolver: Resolving,
    service: Serving,
    _caller: Fetching,
) -> dict[str, Any]:
    """Return the log's receipt for a manifest, checked now."""

    def work() -> dict[str, Any]:
        resolver.manifest(manifest_id)
        found = _receipt(service.pipeline.parts, manifest_id)
        if found is None:
            raise ManifestNotFound("there is no receipt for this manifest")
        return _shown(request, manifest_id, found)

    return await in_thread(work)


@router.post(f"{PREFIX}/manifests/{{manifest_id}}/receipts")
async def check_receipt(
    manifest_id: ManifestId,
    resolver: Resolving,
    service: Serving,
    _caller: Fetching,
    body: Annotated[dict[str, Any], Body()],
) -> dict[str, Any]:
    """Tell whether a receipt is one of our log, for this manifest."""

    def work() -> dict[str, Any]:
        resolver.manifest(manifest_id)
        try:
            _check(service.pipeline.parts, manifest_id, _parsed(body))
        except ChopmarkError as error:
            return {**body, "verified": False, "error": error.message}
        return {**body, "verified": True}

    return await in_thread(work)


@router.get(f"{PREFIX}/services/supportedAlgorithms")
async def algorithms(resolver: Resolving) -> dict[str, Any]:
    """Tell which soft-binding algorithms are understood."""
    return dict(resolver.algorithms())


@router.get(f"{PREFIX}/services/capabilities")
async def capabilities(resolver: Resolving) -> dict[str, Any]:
    """Tell which optional parts of the API are there."""
    return dict(resolver.capabilities())


@router.get(f"{PREFIX}/services/status")
async def status(resolver: Resolving) -> dict[str, Any]:
    """Tell whether the store of manifests answers."""
    return dict(await in_thread(resolver.status))


@router.get("/.well-known/c2pa-soft-binding-resolution")
async def well_known(resolver: Resolving) -> dict[str, Any]:
    """Tell where the API is (RFC 8615)."""
    return dict(resolver.well_known())


async def _looked(
    service: Service, caller: Caller, request: Request, look: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Look at a picture when it is the caller's turn, as long as the client is there."""

    async def work() -> dict[str, Any]:
        async with service.judging.turn(caller.counted_as):
            return await in_thread(look)

    waiting: Coroutine[Any, Any, dict[str, Any]] = work()
    return await attended(request, waiting)


def _book(parts: Parts, caller: Caller, kind: EventKind, record_id: str, manifest_id: str) -> None:
    from chopmark.audit import Event

    parts.log.append(
        Event(
            kind=kind,
            record_id=record_id,
            tenant=caller.tenant.name,
            public={"manifest_id": manifest_id},
        )
    )


def _receipt(parts: Parts, manifest_id: str) -> Receipt | None:
    """Return the log's receipt for what booked this manifest, if it was booked."""
    entry = parts.store.entry(manifest_id)
    if entry is None or not entry.record_id:
        return None
    try:
        found = parts.log.receipt(entry.record_id)
    except ChopmarkError:
        return None
    return found if _covers(found.record, manifest_id) else None


def _covers(record: Record, manifest_id: str) -> bool:
    """Whether a record of the log names this manifest."""
    outputs = record.public.get("outputs")
    named = [record.public.get("manifest_id")]
    if record.kind == "request.completed" and isinstance(outputs, list):
        named = [one.get("manifest_id") for one in outputs if isinstance(one, dict)]
    return manifest_id in named


def _shown(request: Request, manifest_id: str, found: Receipt) -> dict[str, Any]:
    proof = base64.b64encode(json.dumps(found.to_dict()).encode()).decode()
    return {
        "@type": "org.c2pa.manifest-receipt",
        "repository": {
            "uri": str(request.base_url).rstrip("/") + PREFIX,
            "manifestId": manifest_id,
        },
        "anchor": {
            # The first line of the checkpoint is the log's name (C2SP tlog-checkpoint).
            "uri": found.checkpoint.partition("\n")[0],
            "proof": {"alg": _RECEIPT_ALG, "value": proof},
        },
        "verified": not found.verify(),
    }


def _parsed(body: dict[str, Any]) -> Receipt:
    from chopmark.audit import Receipt

    try:
        text = base64.b64decode(body["anchor"]["proof"]["value"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise InvalidRequest("anchor.proof.value is no base64") from None
    return Receipt.from_json(text)


def _check(parts: Parts, manifest_id: str, shown: Receipt) -> None:
    """Check a receipt against our own key and this manifest.

    Raises:
        InvalidRequest: What is wrong with it.
    """
    problems = shown.verify(parts.log.public_key)
    if problems:
        raise InvalidRequest(f"the receipt does not hold: {problems[0].detail}")
    if not _covers(shown.record, manifest_id):
        raise InvalidRequest("the receipt is of something else")
