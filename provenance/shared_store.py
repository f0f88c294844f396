"""Manifests in a bucket that several machines share, with this machine's own store behind it.

The bucket decides what there is: a manifest that another machine put there is found here by its id,
by what the watermark carries and by a binding, and one that was removed anywhere is gone
everywhere. What this machine signs is durable in its own store first and goes to the bucket at
once; where the bucket is away it is kept in mind, and goes there later. A bucket that does not
answer is never "no such manifest".

Fingerprints are compared with those of this machine's own pictures only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import DatabaseUnavailable
from chopmark.provenance.store import ManifestStore, StoredManifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chopmark.kit.objects import Objects
    from chopmark.provenance.store import ManifestMatch

__all__ = ["SharedManifests"]

_LOG = logging.getLogger(__name__)
_MOST_TRIES: Final = 10
_MOST_BOUND: Final = 100


class SharedManifests:
    """A :class:`~chopmark.provenance.interface.ManifestRepository`. Use it from any thread.

    Args:
        own: This machine's store.
        objects: The bucket; everything is below ``manifests/`` there.

    Methods that look or remove raise ``DatabaseUnavailable`` where the bucket does not answer.
    """

    def __init__(self, own: ManifestStore, objects: Objects) -> None:
        self._own, self._objects = own, objects

    def close(self) -> None:
        """Close this machine's store. Idempotent."""
        self._own.close()

    def put(
        self,
        *,
        manifest_id: str,
        manifest: bytes,
        output_id: str = "",
        record_id: str = "",
        pdq: str = "",
        signed_sha256: str = "",
    ) -> None:
        """Keep a manifest; durable here when this returns, and in the bucket if that is there.

        Raises:
            ConfigurationError: The disk does not take it; nothing may leave then.
        """
        self._own.note_sent(manifest_id, sent=False)
        self._own.put(
            manifest_id=manifest_id,
            manifest=manifest,
            output_id=output_id,
            record_id=record_id,
            pdq=pdq,
            signed_sha256=signed_sha256,
        )
        try:
            self._send(manifest_id)
        except DatabaseUnavailable as error:
            _LOG.warning("a manifest waits for the bucket: %s", error.message)

    def send_unsent(self, *, most: int = 1000) -> int:
        """Bring to the bucket what it has not got yet; return how many.

        Raises:
            DatabaseUnavailable: It does not answer.
        """
        waiting = self._own.unsent(most)
        for manifest_id in waiting:
            self._send(manifest_id)
        return len(waiting)

    def put_update(self, manifest_id: str, update_id: str, manifest: bytes) -> None:
        """Keep a later manifest store beside the one that it updates."""
        with self._asked():
            self._objects.put(_path("store", update_id), manifest)
            self._change(
                _path("entry", manifest_id),
                lambda known: None if known is None else {**known, "updated_by": update_id},
            )
        self._own.put_update(manifest_id, update_id, manifest)

    def delete(self, manifest_id: str) -> None:
        """Forget a manifest, what updates it and what leads to it, everywhere."""
        entry = self.entry(manifest_id)
        with self._asked():
            # What leads to it first: what nobody finds nobody is offered.
            self._objects.delete(_path("entry", manifest_id))
            for name in (manifest_id, entry.updated_by if entry else ""):
                if name:
                    self._objects.delete(_path("store", name))
            if entry is not None and entry.output_id:
                output = _path("output", entry.output_id)
                if self._read(output) == {"manifest_id": manifest_id}:
                    self._objects.delete(output)
        self._own.delete(manifest_id)
        self._own.note_sent(manifest_id, sent=False)

    def bind(self, alg: str, value: str, manifest_id: str, *, replace: bool = False) -> None:
        """Lead from a soft-binding value (base64) to a manifest; with ``replace`` to no other."""

        def bound(known: dict[str, Any] | None) -> dict[str, Any]:
            others = [] if known is None or replace else list(known["manifest_ids"])
            return {"manifest_ids": list(dict.fromkeys([*others, manifest_id]))[-_MOST_BOUND:]}

        with self._asked():
            self._change(_path("binding", f"{alg}\n{value}"), bound)

    def by_binding(self, alg: str, value: str) -> Sequence[str]:
        """Return the manifest ids that a soft-binding value (base64) was bound to."""
        with self._asked():
            known = self._read(_path("binding", f"{alg}\n{value}"))
            names = [str(name) for name in known["manifest_ids"]] if known else []
        return [name for name in names if self.entry(name) is not None]

    def get(self, manifest_id: str) -> bytes | None:
        """Return a manifest store's bytes (JUMBF), or None."""
        if self._own.is_unsent(manifest_id):
            return self._own.get(manifest_id)
        with self._asked():
            found = self._objects.read(_path("store", manifest_id))
        return None if found is None else found[0]

    def entry(self, manifest_id: str) -> StoredManifest | None:
        """Return what is known of a manifest, or None."""
        if self._own.is_unsent(manifest_id):
            return self._own.entry(manifest_id)
        with self._asked():
            known = self._read(_path("entry", manifest_id))
            return None if known is None else StoredManifest(**known)

    def by_output(self, output_id: str) -> StoredManifest | None:
        """Return the newest manifest of an output id, or None."""
        own = self._own.by_output(output_id)
        if own is not None and self._own.is_unsent(own.manifest_id):
            return own
        if not output_id:
            return None
        with self._asked():
            known = self._read(_path("output", output_id))
            name = None if known is None else str(known["manifest_id"])
        return None if name is None else self.entry(name)

    def by_pdq(self, pdq: str, *, max_distance: int = 31) -> list[ManifestMatch]:
        """Return this machine's manifests whose fingerprints are near and that still stand."""
        near = self._own.by_pdq(pdq, max_distance=max_distance)
        return [match for match in near if self.entry(match.entry.manifest_id) is not None]

    def count(self) -> int:
        """Return how many manifests this machine has."""
        return self._own.count()

    def output_ids(self) -> list[str]:
        """Return every output id of this machine once."""
        return self._own.output_ids()

    def record_ids(self) -> list[str]:
        """Return every record id of this machine once."""
        return self._own.record_ids()

    def _send(self, manifest_id: str) -> None:
        entry, manifest = self._own.entry(manifest_id), self._own.get(manifest_id)
        if entry is not None and manifest is not None:
            with self._asked():
                # The bytes first, what leads to them last.
                self._objects.put(_path("store", manifest_id), manifest)
                self._objects.put(_path("entry", manifest_id), _json(dataclasses.asdict(entry)))
                if entry.output_id:
                    leads = _json({"manifest_id": manifest_id})
                    self._objects.put(_path("output", entry.output_id), leads)
        self._own.note_sent(manifest_id)

    def _read(self, path: str) -> dict[str, Any] | None:
        found = self._objects.read(path)
        return None if found is None else dict(json.loads(found[0]))

    def _change(
        self, path: str, change: Callable[[dict[str, Any] | None], dict[str, Any] | None]
    ) -> None:
        """Change an object from the very one that was read; None leaves it as it is."""
        for _ in range(_MOST_TRIES):
            found = self._objects.read(path)
            new = change(None if found is None else json.loads(found[0]))
            if new is None:
                return
            if found is None:
                if self._objects.create(path, _json(new)):
                    return
            elif self._objects.replace(path, _json(new), found[1]):
                return
        raise DatabaseUnavailable("CHOPMARK_OBJECTS: a binding was changed by others all the time")

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except (OSError, self._objects.exceptions.BaseError) as error:
            text = (str(error).splitlines() or [type(error).__name__])[0]
            raise DatabaseUnavailable(
                f"CHOPMARK_OBJECTS: {text[:300]}", hint="is the bucket there?"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise DatabaseUnavailable(
                "CHOPMARK_OBJECTS: what stands below manifests/ is not ours"
            ) from error


def _path(kind: str, name: str) -> str:
    # Hashed: an id comes from a stranger's file, and the bucket shows nobody what leads where.
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"manifests/{kind}/{digest}"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
