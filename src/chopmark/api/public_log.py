"""What anybody may fetch to check on us: the log's checkpoint and tiles, and our public keys.

The paths are those of C2SP tlog-tiles (https://c2sp.org/tlog-tiles), below ``/log``. Tiles hold
hashes only. Entry bundles tell of every tenant how much it does and what was refused, so they are
served where the deployer says so, and to auditors of every tenant.
"""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request, Response

from chopmark.errors import RecordNotFound
from chopmark.pipeline.steps import in_thread
from chopmark.service.deployment import TheDeployment, TheService
from chopmark.service.problems import RESPONSES
from chopmark.service.state import state_of

if TYPE_CHECKING:
    from chopmark.audit import AuditLog
    from chopmark.pipeline.parts import Parts

__all__ = ["PublicLog", "router"]

router = APIRouter(responses=RESPONSES, tags=["public"])
_HASH_SIZE: Final = 32
_EVERY_S: Final = 10.0
_NUMBER = r"(?:x[0-9]{3}/){0,6}[0-9]{3}"
_TILE = re.compile(
    rf"(?P<level>[0-9]|[1-5][0-9]|6[0-3]|entries)/(?P<path>{_NUMBER})"
    r"(?:\.p/(?P<width>[1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)
_OCTETS: Final = "application/octet-stream"


class PublicLog:
    """The folder of public files, brought up to date at most every ten seconds."""

    def __init__(self, home: FilePath) -> None:
        self.folder = home / "audit" / "public"
        self._lock = threading.Lock()
        self._at = float("-inf")

    def checkpoint(self, log: AuditLog) -> bytes:
        """Return a checkpoint whose tiles all stand in the folder."""
        with self._lock:
            if time.monotonic() - self._at >= _EVERY_S:
                log.proof.publish(self.folder)
                self._at = time.monotonic()
            return (self.folder / "checkpoint").read_bytes()

    def tile(self, level: str, path: str, width: int | None) -> bytes:
        """Return a tile, or its first ``width`` parts.

        A partial tile goes when the log has grown; whoever still has an older checkpoint gets it
        cut out of the larger one.

        Raises:
            RecordNotFound: The log has not grown so far.
        """
        full = self.folder / "tile" / level / path
        if width is None:
            data = _read(full)
        else:
            partial = full.with_name(f"{full.name}.p")
            wider = sorted(
                int(each.name) for each in partial.glob("[0-9]*") if int(each.name) >= width
            )
            data = _read(partial / str(wider[0])) if wider else _read(full)
        if data is None:
            raise RecordNotFound(f"the log has no tile {level}/{path} yet")
        if width is None:
            return data
        return _first_entries(data, width) if level == "entries" else data[: width * _HASH_SIZE]


def the_public_log(request: Request) -> PublicLog:
    """Return the folder of public files of a request's application."""
    return state_of(request.app, PublicLog)


ThePublicLog = Annotated[PublicLog, Depends(the_public_log)]


@router.get("/log/checkpoint", responses={200: {"content": {"text/plain": {}}}})
async def checkpoint(public: ThePublicLog, service: TheService) -> Response:
    """Return the log's signed checkpoint (https://c2sp.org/tlog-checkpoint)."""
    parts = service.pipeline.parts
    note = await in_thread(lambda: public.checkpoint(parts.log))
    return Response(note, media_type="text/plain", headers={"cache-control": "max-age=5"})


@router.get("/log/tile/{tile:path}", responses={200: {"content": {_OCTETS: {}}}})
async def tile(
    tile: Annotated[str, Path(max_length=60)],
    request: Request,
    public: ThePublicLog,
    deployment: TheDeployment,
) -> Response:
    """Return a tile of hashes, or a bundle of entries (``entries/...``)."""
    match = _TILE.fullmatch(tile)
    if match is None:
        raise RecordNotFound("this is no path of a tile", hint="see c2sp.org/tlog-tiles")
    if match["level"] == "entries" and not deployment.settings.log_entries_public:
        caller = await deployment.callers.of(request.scope)
        caller.must_be("auditor", of_every_tenant=True)
    width = None if match["width"] is None else int(match["width"])
    data = await in_thread(lambda: public.tile(match["level"], match["path"], width))
    return Response(
        data, media_type=_OCTETS, headers={"cache-control": "max-age=604800, immutable"}
    )


@router.get("/api/v1/keys")
async def keys(service: TheService) -> dict[str, Any]:
    """Return the public keys that our receipts, pictures and watermarks are checked with."""
    return await in_thread(lambda: _keys(service.pipeline.parts))


def _keys(parts: Parts) -> dict[str, Any]:
    credential, marks = parts.credential, parts.mark_keys
    return {
        "log": {
            "origin": parts.settings.log_origin,
            "verifier_key": parts.log.public_key,
            # Earlier ones too: what they signed stays good.
            "verifier_keys": parts.log.proof.public_keys.split("\n"),
            "checkpoint": "/log/checkpoint",
        },
        "signing": {
            **credential.describe(),
            "sha256": credential.fingerprint,
            "chain_pem": credential.chain_pem,
        },
        # The keys themselves are secret: who has one can take the mark out.
        "watermark": {
            "method": parts.settings.mark_method,
            "active": marks.active.key_id,
            "key_ids": [key.key_id for key in marks.all],
        },
    }


def _read(path: FilePath) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _first_entries(bundle: bytes, count: int) -> bytes:
    at = 0
    for _ in range(count):
        at += 2 + int.from_bytes(bundle[at : at + 2], "big")
    return bundle[:at]
