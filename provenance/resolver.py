"""The C2PA Soft Binding Resolution API, spec 2.4, without a web framework: which manifest was lost?

Each method takes what a request carries and returns what goes back, or raises one error of ours.
Nothing about a person goes in or out: what is found is a manifest, by a mark or a likeness.

>>> import tempfile
>>> from pathlib import Path
>>> from chopmark.provenance import ManifestStore
>>> resolver = Resolver(ManifestStore.open(Path(tempfile.mkdtemp())))
>>> resolver.by_binding(alg="org.chopmark.lattice.1", value="o/CcESIzRFE=")
{'matches': []}
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import (
    ChopmarkError,
    ImageTooSmall,
    InvalidRequest,
    ManifestConflict,
    ManifestKept,
    ManifestNotFound,
    NotOffered,
    UnsupportedImage,
    ValueTooLong,
)
from chopmark.kit.fingerprint import MATCH_DISTANCE, MIN_QUALITY
from chopmark.provenance import _jumbf
from chopmark.provenance._bindings import ANY_ALG, bind_value, bound_to
from chopmark.provenance._fetch import fetch_public
from chopmark.provenance._formats import Limits, check_size, mime_of
from chopmark.provenance._values import from_base64, hex_of
from chopmark.provenance.manifest import PDQ_ALG, mark_algorithm
from chopmark.provenance.reading import FilesHere, PixelsHere

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chopmark.provenance.interface import ManifestRepository
    from chopmark.provenance.reading import ReadsFiles, ReadsPixels
    from chopmark.provenance.store import StoredManifest
    from chopmark.provenance.watermark import MarkKey

__all__ = ["MAX_MANIFEST", "MAX_RESULTS", "Resolver"]

_LOG = logging.getLogger(__name__)
MAX_MANIFEST: Final = 4 << 20
"""Largest manifest store that is taken in, in bytes."""
MAX_RESULTS: Final = 100
"""Most matches of one answer."""
_SPEC: Final = "2.4.0"
_MAX_QUERY_VALUE: Final = 2_048
_PDQ_BITS: Final = 256


class Resolver:
    """Answers which manifest a mark or a picture belongs to.

    Args:
        store: The manifests and their bindings.
        mark_keys: To read watermarks out of uploaded pictures.
        mark_methods: Watermark methods that are struck and looked for.
        limits: How large an upload may be.
        prefix: Where the API is served, for the discovery document.
        writable: Whether manifests and bindings may be put in.
        by_reference: Whether pictures are fetched from addresses that clients name. Off unless
            asked for; private addresses are never visited.
        files: Parses uploads; in this process where none is given.
        pixels: Reads their pixels, likewise. It has the keys then, and ``mark_keys`` says only
            whether there are any.
    """

    def __init__(
        self,
        store: ManifestRepository,
        *,
        mark_keys: Sequence[MarkKey] = (),
        mark_methods: Sequence[str] = ("lattice",),
        limits: Limits | None = None,
        prefix: str = "/api/v1/c2pa",
        writable: bool = False,
        by_reference: bool = False,
        files: ReadsFiles | None = None,
        pixels: ReadsPixels | None = None,
    ) -> None:
        self._store = store
        self._keys = mark_keys
        self._methods = {mark_algorithm(method): method for method in mark_methods}
        self._limits = limits or Limits()
        self._prefix = prefix
        self._writable = writable
        self._by_reference = by_reference
        self._files, self._pixels = files or FilesHere(), pixels or PixelsHere(mark_keys)

    # Queries

    def by_binding(
        self, *, alg: str, value: str, max_results: int = 10, in_url: bool = True
    ) -> dict[str, Any]:
        """Find manifests by the value of a soft binding.

        Args:
            alg: Soft-binding algorithm.
            value: Base64 of its value: for our watermark the 8 bytes or their 16 hex digits, for
                PDQ the 32 bytes or their 64 hex digits.
            max_results: 1 to 100.
            in_url: The value came in a query string, which takes 2,048 characters.

        Raises:
            ValueTooLong: Over 2,048 characters in a query string; send it in a body.
            InvalidRequest: ``alg`` is missing, or the value is no base64 or too long.
        """
        if in_url and len(value) > _MAX_QUERY_VALUE:
            raise ValueTooLong("the value is too long for an address", hint="send it with POST")
        _check_results(max_results)
        raw = from_base64(value)
        if raw is None or not alg:
            raise InvalidRequest("alg is missing, or value is no base64", param="value")
        # What we marked ourselves comes first, whatever somebody has bound.
        found: dict[str, int] = {}
        if alg in self._methods and (payload := hex_of(raw, 8)):
            entry = self._store.by_output(payload)
            if entry is not None:
                found[entry.manifest_id] = 100
        elif alg == PDQ_ALG and (pdq := hex_of(raw, 32)):
            self._near(pdq, found)
        for name in bound_to(self._store, alg, raw):
            found.setdefault(name, 100)
        return _matches(found, max_results)

    def by_content(
        self,
        data: bytes,
        *,
        media_type: str = "",
        alg: str | None = None,
        max_results: int = 10,
        hint_alg: str | None = None,
        hint_value: str | None = None,
    ) -> dict[str, Any]:
        """Find manifests of an uploaded picture, by its watermark and its fingerprint.

        The picture is looked at and forgotten.

        Raises:
            UnsupportedImage: Of no kind that is read here, or not of the kind that was said.
            ImageTooLarge: Over a limit.
            InvalidRequest: An algorithm that is not computed here, or a hint without one.
        """
        _check_results(max_results)
        if alg is not None and alg not in {*self._methods, PDQ_ALG}:
            raise InvalidRequest(
                f"{alg[:100]!r} cannot be computed here",
                hint="services/supportedAlgorithms lists what can",
                param="alg",
            )
        if hint_value is not None and hint_alg is None:
            raise InvalidRequest("hintValue needs hintAlg", param="hintAlg")
        try:
            kind = check_size(data, self._limits)
            if media_type.startswith("image/") and media_type not in {mime_of(kind), "image/*"}:
                raise UnsupportedImage(f"the bytes are {mime_of(kind)}, not {media_type[:100]}")
            found = self._search(data, alg)
        except ChopmarkError as error:
            if error.status != 400:
                raise
            # A picture of no kind that we read is an asset type that we do not support.
            raise UnsupportedImage(error.message, hint=error.hint) from error
        if not found and hint_alg and hint_value:
            return self.by_binding(
                alg=hint_alg, value=hint_value, max_results=max_results, in_url=False
            )
        return _matches(found, max_results)

    def by_reference(
        self,
        url: str,
        *,
        length: int,
        media_type: str = "",
        alg: str | None = None,
        max_results: int = 10,
        hint_alg: str | None = None,
        hint_value: str | None = None,
    ) -> dict[str, Any]:
        """Fetch a picture from a public HTTPS address, then as `by_content`.

        Args:
            url: Its address.
            length: Its size in bytes; no more is read.
            media_type: As in `by_content`, like the rest.
            alg: Likewise.
            max_results: Likewise.
            hint_alg: Likewise.
            hint_value: Likewise.

        Raises:
            NotOffered: Nothing is fetched here.
            InvalidRequest: The address is not one that is visited, or does not answer.
            ImageTooLarge: ``length`` is over the limit, or more came.
        """
        if not self._by_reference:
            raise NotOffered(
                "pictures are not fetched here", hint="send the picture to matches/byContent"
            )
        if not 1 <= length <= self._limits.max_bytes:
            raise InvalidRequest(
                f"assetLength is not in 1..{self._limits.max_bytes}", param="assetLength"
            )
        return self.by_content(
            fetch_public(url, max_bytes=length),
            media_type=media_type,
            alg=alg,
            max_results=max_results,
            hint_alg=hint_alg,
            hint_value=hint_value,
        )

    def manifest(self, manifest_id: str, *, return_active: bool = False) -> bytes:
        """Return a manifest store, or its active manifest alone (``application/c2pa``).

        Raises:
            ManifestNotFound: There is none of this id.
        """
        data = self._store.get(manifest_id)
        if data is None:
            raise _unknown()
        return (_jumbf.active_only(data) or data) if return_active else data

    # Writing

    def add_manifest(
        self, data: bytes, *, record_id: str = "", book: Callable[[str], object] | None = None
    ) -> str:
        """Keep a manifest store that somebody uploads; return the id that it bears.

        Args:
            data: JUMBF.
            record_id: Under which the upload is booked.
            book: Books it: called with the id before anything is kept that was not before.

        Raises:
            NotOffered: Nothing is taken in here.
            InvalidRequest: No C2PA manifest store, or over 4 MiB.
            ManifestConflict: Another manifest of this id is kept already. Otherwise anybody with
                the scope could replace what we signed.
        """
        self._check_writable()
        name = _jumbf.active_id(data) if len(data) <= MAX_MANIFEST else None
        if name is None:
            raise InvalidRequest("the body is no C2PA manifest store", hint="JUMBF, up to 4 MiB")
        kept = self._store.get(name)
        if kept is not None and kept != data:
            raise ManifestConflict("another manifest of this id is kept already")
        if self._store.entry(name) is None:
            if book is not None:
                book(name)
            self._store.put(manifest_id=name, manifest=data, record_id=record_id)
        return name

    def remove_manifest(
        self, manifest_id: str, *, book: Callable[[StoredManifest], object] | None = None
    ) -> None:
        """Forget an uploaded manifest and its bindings.

        Args:
            manifest_id: Of the manifest.
            book: Books it: called before anything is removed.

        Raises:
            NotOffered: Nothing is removed here.
            ManifestNotFound: There is none of this id.
            ManifestKept: It is of a picture that was made here.
        """
        self._check_writable()
        entry = self._store.entry(manifest_id)
        if entry is None:
            raise _unknown()
        if entry.output_id:
            raise ManifestKept("a manifest of a picture that was made here is kept")
        if book is not None:
            book(entry)
        self._store.delete(manifest_id)

    def bind(
        self,
        value: str,
        manifest_id: str,
        *,
        alg: str | None = None,
        replace: bool = False,
        mine: Callable[[StoredManifest], bool] | None = None,
        book: Callable[[], object] | None = None,
    ) -> None:
        """Lead from a binding value to a kept manifest.

        Args:
            value: Base64.
            manifest_id: Of the manifest.
            alg: Soft-binding algorithm; without one the value is found under any.
            replace: To no other manifest any more.
            mine: Tells whether a manifest is of whoever binds. The one that is bound must be, and
                so must all that the value leads to already; unset: whoever binds may do all.
            book: Books it: called before anything is bound.

        Raises:
            NotOffered: Nothing is taken in here.
            InvalidRequest: The value is no base64, or too long.
            ManifestNotFound: No such manifest, or nothing to replace.
            ManifestKept: It is somebody else's manifest, or value; or one of our own marks.
        """
        self._check_writable()
        bind_value(
            self._store, value, manifest_id, alg=alg or ANY_ALG, replace=replace,
            own=frozenset({*self._methods, PDQ_ALG}), mine=mine, book=book,
        )  # fmt: skip

    # Discovery

    def algorithms(self) -> dict[str, Any]:
        """Return which soft-binding algorithms are understood."""
        return {
            "watermarks": [{"alg": name} for name in self._methods],
            "fingerprints": [{"alg": PDQ_ALG}],
        }

    def capabilities(self) -> dict[str, Any]:
        """Return which optional parts of the API are there."""
        found = ["queryByContent"]
        found += ["queryByReference"] if self._by_reference else []
        found += ["storeManifests", "storeBindings"] if self._writable else []
        return {"c2paSpecificationVersion": _SPEC, "supportedCapabilities": found}

    def status(self) -> dict[str, Any]:
        """Return ``ok`` or ``down``, as the store answers."""
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            self._store.count()
        except Exception as error:  # noqa: BLE001 - whatever it is, the store does not answer
            _LOG.warning("the manifest store does not answer", exc_info=error)
            return {"status": "down", "timestamp": now}
        return {"status": "ok", "timestamp": now}

    def well_known(self) -> dict[str, Any]:
        """Return the discovery document (RFC 8615)."""
        return {
            "apiEndpoint": self._prefix,
            "c2paSpecificationVersion": _SPEC,
            "capabilitiesEndpoint": f"{self._prefix}/services/capabilities",
            "statusEndpoint": f"{self._prefix}/services/status",
        }

    def _check_writable(self) -> None:
        if not self._writable:
            raise NotOffered(
                "manifests and bindings are not taken in here",
                hint="the operator can set CHOPMARK_RESOLVER_WRITES",
            )

    def _search(self, data: bytes, alg: str | None) -> dict[str, int]:
        image = self._files.pixels(data, self._limits)
        found: dict[str, int] = {}
        methods = [method for name, method in self._methods.items() if alg in {None, name}]
        if methods and self._keys:
            try:
                mark = self._pixels.mark(image, methods)
            except ImageTooSmall:
                mark = None
            if mark is not None and mark.payload is not None:
                entry = self._store.by_output(mark.payload.hex())
                if entry is not None:
                    found[entry.manifest_id] = 100
        if alg in {None, PDQ_ALG}:
            prints = self._pixels.prints(image)
            for pdq in prints.turned if prints.quality >= MIN_QUALITY else ():
                self._near(pdq, found)
        return found

    def _near(self, pdq: str, found: dict[str, int]) -> None:
        for match in self._store.by_pdq(pdq, max_distance=MATCH_DISTANCE):
            score = round(100 * (1 - match.distance / _PDQ_BITS))
            found.setdefault(match.entry.manifest_id, score)


def _check_results(max_results: int) -> None:
    if not 1 <= max_results <= MAX_RESULTS:
        raise InvalidRequest(f"maxResults is not in 1..{MAX_RESULTS}", param="maxResults")


def _unknown() -> ManifestNotFound:
    return ManifestNotFound("no manifest of this id")


def _matches(found: Mapping[str, int], max_results: int) -> dict[str, Any]:
    best = sorted(found.items(), key=lambda pair: -pair[1])[:max_results]
    return {"matches": [{"manifestId": name, "similarityScore": score} for name, score in best]}
