"""The C2PA Soft Binding Resolution API (spec 2.4): from a mark or a likeness to a lost manifest.

The routes only translate; :class:`chopmark.provenance.Resolver` answers. Reading takes the scope
``fetch:manifests``, writing ``store:manifests`` or ``store:bindings`` and a setting beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Query, Request, Response

from chopmark.api.c2pa.receipts import (
    book,
    check_receipt,
    is_of,
    receipt_body,
    receipt_from,
    receipt_of,
)
from chopmark.api.c2pa.schemas import (
    JUMBF,
    PICTURE,
    Alg,
    Bind,
    ByBinding,
    ByReference,
    Hint,
    ManifestId,
    MaxResults,
)
from chopmark.errors import ChopmarkError, ManifestKept, ManifestNotFound
from chopmark.kit.ids import new_record_id
from chopmark.pipeline.steps import in_thread
from chopmark.pipeline.withdrawals import standing_manifests
from chopmark.provenance import Limits, Resolver
from chopmark.service.caller import BindingWriter, ManifestReader, ManifestWriter
from chopmark.service.deployment import TheService
from chopmark.service.problems import RESOLVER_RESPONSES

if TYPE_CHECKING:
    from chopmark.provenance.store import StoredManifest
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["PREFIX", "router"]

PREFIX: Final = "/api/v1/c2pa"
router = APIRouter(responses=RESOLVER_RESPONSES, tags=["soft binding resolution"])


def _the_resolver(service: TheService) -> Resolver:
    """Return the resolver over the rooms as they are now: a rotated mark key counts at once."""
    parts, settings = service.pipeline.parts, service.pipeline.settings
    return Resolver(
        standing_manifests(parts),
        mark_keys=parts.mark_keys.all,
        mark_methods=(settings.mark_method,),
        limits=Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels),
        prefix=PREFIX,
        writable=settings.resolver_writes,
        by_reference=settings.resolver_by_reference,
        files=parts.files,
        pixels=parts.pixels,
    )


TheResolver = Annotated[Resolver, Depends(_the_resolver)]


@router.get(f"{PREFIX}/matches/byBinding")
async def get_by_binding(
    resolver: TheResolver,
    _caller: ManifestReader,
    value: Annotated[str, Query(min_length=1, description="base64")],
    alg: Annotated[str, Query(min_length=1, max_length=200)],
    max_results: MaxResults = 10,
) -> dict[str, Any]:
    """Find manifests by the value of a soft binding, at most 2,048 characters of it."""
    return await in_thread(
        lambda: resolver.by_binding(alg=alg, value=value, max_results=max_results)
    )


@router.post(f"{PREFIX}/matches/byBinding")
async def post_by_binding(
    body: ByBinding, resolver: TheResolver, _caller: ManifestReader, max_results: MaxResults = 10
) -> dict[str, Any]:
    """Find manifests by the value of a soft binding."""
    return await in_thread(
        lambda: resolver.by_binding(
            alg=body.alg, value=body.value, max_results=max_results, in_url=False
        )
    )


@router.post(f"{PREFIX}/matches/byContent", openapi_extra=PICTURE)
async def by_content(
    request: Request,
    resolver: TheResolver,
    service: TheService,
    caller: ManifestReader,
    alg: Alg = None,
    hint_alg: Annotated[Alg, Query(alias="hintAlg")] = None,
    hint_value: Annotated[Hint, Query(alias="hintValue")] = None,
    max_results: MaxResults = 10,
) -> dict[str, Any]:
    """Find manifests of a picture, by its watermark and its fingerprint. It is not kept."""
    data = await request.body()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return await service.look(
        request,
        caller,
        [data],
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
    resolver: TheResolver,
    service: TheService,
    caller: ManifestReader,
    alg: Alg = None,
    hint_alg: Annotated[Alg, Query(alias="hintAlg")] = None,
    hint_value: Annotated[Hint, Query(alias="hintValue")] = None,
    max_results: MaxResults = 10,
) -> dict[str, Any]:
    """Fetch a picture from a public https address, then as byContent; off unless set."""
    return await service.look(
        request,
        caller,
        None,
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
    resolver: TheResolver,
    _caller: ManifestReader,
    return_active: Annotated[bool, Query(alias="returnActiveManifest")] = False,
) -> Response:
    """Return a manifest store as it was signed, or its active manifest alone."""
    data = await in_thread(lambda: resolver.manifest(manifest_id, return_active=return_active))
    return Response(data, media_type="application/c2pa")


@router.post(f"{PREFIX}/manifests", openapi_extra=JUMBF)
async def add_manifest(
    request: Request,
    resolver: TheResolver,
    service: TheService,
    caller: ManifestWriter,
    return_receipt: Annotated[bool, Query(alias="returnReceipt")] = False,
) -> dict[str, Any]:
    """Keep a manifest store; the upload is logged."""
    data, parts, record_id = await request.body(), service.pipeline.parts, new_record_id()

    def work() -> dict[str, Any]:
        name = resolver.add_manifest(
            data,
            record_id=record_id,
            book=lambda name: book(parts, caller, "manifest.stored", record_id, name),
        )
        body: dict[str, Any] = {"manifestId": name}
        found = receipt_of(parts, name, caller) if return_receipt else None
        if found is None:
            return body
        return {**body, "receipt": receipt_body(found, name, repository=_repository(request))}

    return await in_thread(work)


@router.delete(f"{PREFIX}/manifests/{{manifest_id}}", status_code=204)
async def remove_manifest(
    manifest_id: ManifestId, resolver: TheResolver, service: TheService, caller: ManifestWriter
) -> None:
    """Forget a manifest that the same tenant uploaded, and its bindings."""
    parts = service.pipeline.parts

    def check_and_book(entry: StoredManifest) -> None:
        if not is_of(parts, caller, entry):
            raise ManifestKept("this manifest was stored by somebody else")
        book(parts, caller, "manifest.removed", new_record_id(), manifest_id)

    await in_thread(lambda: resolver.remove_manifest(manifest_id, book=check_and_book))


@router.post(f"{PREFIX}/bindings", status_code=204)
async def bind(
    body: Bind, resolver: TheResolver, service: TheService, caller: BindingWriter
) -> None:
    """Lead from one more soft-binding value to a manifest of the same tenant; it is logged."""
    await _bind(body, resolver, service, caller, replace=False)


@router.put(f"{PREFIX}/bindings", status_code=204)
async def rebind(
    body: Bind, resolver: TheResolver, service: TheService, caller: BindingWriter
) -> None:
    """Lead from a soft-binding value to this manifest, and to no other any more; it is logged."""
    await _bind(body, resolver, service, caller, replace=True)


async def _bind(
    body: Bind, resolver: Resolver, service: Service, caller: Caller, *, replace: bool
) -> None:
    parts = service.pipeline.parts
    await in_thread(
        lambda: resolver.bind(
            body.value,
            body.manifest_id,
            alg=body.alg,
            replace=replace,
            mine=lambda entry: is_of(parts, caller, entry),
            book=lambda: book(
                parts, caller, "manifest.bound", new_record_id(), body.manifest_id,
                public={"replaced": replace}, private={"alg": body.alg, "value": body.value},
            ),
        )
    )  # fmt: skip


@router.get(f"{PREFIX}/manifests/{{manifest_id}}/receipts")
async def receipt(
    manifest_id: ManifestId,
    request: Request,
    resolver: TheResolver,
    service: TheService,
    caller: ManifestReader,
) -> dict[str, Any]:
    """Return the log's receipt for a manifest, checked now."""

    def work() -> dict[str, Any]:
        resolver.manifest(manifest_id)
        found = receipt_of(service.pipeline.parts, manifest_id, caller)
        if found is None:
            raise ManifestNotFound("there is no receipt for this manifest")
        return receipt_body(found, manifest_id, repository=_repository(request))

    return await in_thread(work)


@router.post(f"{PREFIX}/manifests/{{manifest_id}}/receipts")
async def check(
    manifest_id: ManifestId,
    resolver: TheResolver,
    service: TheService,
    _caller: ManifestReader,
    body: Annotated[dict[str, Any], Body()],
) -> dict[str, Any]:
    """Check whether a receipt is one of our log, for this manifest."""

    def work() -> dict[str, Any]:
        resolver.manifest(manifest_id)
        try:
            check_receipt(service.pipeline.parts, manifest_id, receipt_from(body))
        except ChopmarkError as error:
            return {**body, "verified": False, "error": error.message}
        return {**body, "verified": True}

    return await in_thread(work)


@router.get(f"{PREFIX}/services/supportedAlgorithms")
async def algorithms(resolver: TheResolver) -> dict[str, Any]:
    """List the soft-binding algorithms that are understood."""
    return dict(resolver.algorithms())


@router.get(f"{PREFIX}/services/capabilities")
async def capabilities(resolver: TheResolver) -> dict[str, Any]:
    """List the optional parts of the API that are switched on."""
    return dict(resolver.capabilities())


@router.get(f"{PREFIX}/services/status")
async def status(resolver: TheResolver) -> dict[str, Any]:
    """Report whether the store of manifests answers."""
    return dict(await in_thread(resolver.status))


@router.get("/.well-known/c2pa-soft-binding-resolution")
async def well_known(resolver: TheResolver) -> dict[str, Any]:
    """Return where the API is (RFC 8615)."""
    return dict(resolver.well_known())


def _repository(request: Request) -> str:
    return str(request.base_url).rstrip("/") + PREFIX
