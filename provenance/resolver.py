"""The C2PA Soft Binding Resolution API, spec 2.4, without a web framework.

Each method takes what a request carries and returns an `Answer`; whoever serves HTTP maps paths to
methods with `ROUTES` and asks for the bearer scope that stands there. Nothing about a person goes
in or out: what is found is a manifest by a mark or a likeness.

>>> import tempfile
>>> from pathlib import Path
>>> from chopmark.provenance import ManifestStore
>>> resolver = Resolver(ManifestStore.open(Path(tempfile.mkdtemp())))
>>> resolver.by_binding(alg="org.chopmark.lattice.1", value="o/CcESIzRFE=").body
{'matches': []}
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ChopmarkError
from chopmark.provenance import _jumbf
from chopmark.provenance._fetch import fetch_public
from chopmark.provenance._formats import Limits, check_size, mime_of, open_image
from chopmark.provenance._pdq import MATCH_DISTANCE, MIN_QUALITY, dihedral, fingerprint
from chopmark.provenance.manifest import PDQ_ALG, mark_algorithm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chopmark.provenance.store import ManifestStore
    from chopmark.provenance.watermark import MarkKey

__all__ = ["ROUTES", "Answer", "Resolver", "Route"]

_SPEC: Final = "2.4.0"
_MAX_QUERY_VALUE: Final = 2_048
_MAX_BODY_VALUE: Final = 65_536
_MAX_RESULTS: Final = 100
_MAX_MANIFEST: Final = 4 << 20
_PDQ_BITS: Final = 256
_MARK_ALG: Final = mark_algorithm("lattice")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back over HTTP: JSON in ``body``, or bytes in ``data``."""

    status: int = 200
    body: Any = None
    data: bytes | None = field(default=None, repr=False)
    media_type: str = "application/json"


@dataclass(frozen=True, kw_only=True)
class Route:
    """One endpoint: which method of `Resolver` answers it, and which scope it asks for."""

    verb: str
    path: str
    method: str
    scope: str | None = None
    optional: bool = False


ROUTES: Final = (
    Route(verb="GET", path="/matches/byBinding", method="by_binding", scope="fetch:manifests"),
    Route(verb="POST", path="/matches/byBinding", method="by_binding", scope="fetch:manifests"),
    Route(verb="POST", path="/matches/byContent", method="by_content", scope="fetch:manifests"),
    Route(
        verb="POST",
        path="/matches/byReference",
        method="by_reference",
        scope="fetch:manifests",
        optional=True,
    ),
    Route(verb="GET", path="/manifests/{id}", method="manifest", scope="fetch:manifests"),
    Route(
        verb="POST",
        path="/manifests",
        method="add_manifest",
        scope="store:manifests",
        optional=True,
    ),
    Route(
        verb="DELETE",
        path="/manifests/{id}",
        method="remove_manifest",
        scope="store:manifests",
        optional=True,
    ),
    Route(verb="POST", path="/bindings", method="bind", scope="store:bindings", optional=True),
    Route(verb="PUT", path="/bindings", method="rebind", scope="store:bindings", optional=True),
    Route(verb="GET", path="/manifests/{id}/receipts", method="receipts", scope="fetch:manifests"),
    Route(
        verb="POST",
        path="/manifests/{id}/receipts",
        method="check_receipt",
        scope="fetch:manifests",
    ),
    Route(verb="GET", path="/services/supportedAlgorithms", method="algorithms"),
    Route(verb="GET", path="/services/capabilities", method="capabilities"),
    Route(verb="GET", path="/services/status", method="status"),
    Route(verb="GET", path="/.well-known/c2pa-soft-binding-resolution", method="well_known"),
)
"""All endpoints; ``/.well-known`` stands at the root, the others under the API's prefix.

The scopes of the reading ones may be left unasked: C2PA allows a public resolver.
"""


class Resolver:
    """Answers which manifest a mark or a picture belongs to.

    Args:
        store: The manifests and their bindings.
        mark_keys: To read watermarks out of uploaded pictures.
        limits: How large an upload may be.
        prefix: Where the API is served, for the discovery document.
        writable: Whether manifests and bindings may be put in over HTTP.
        by_reference: Whether pictures are fetched from addresses that clients name. Off unless
            asked for; private addresses are never visited.
        receipt_of: Returns our log's receipt for a manifest id, or None.
        receipt_holds: Tells whether a receipt that somebody shows is of our log.
    """

    def __init__(
        self,
        store: ManifestStore,
        *,
        mark_keys: Sequence[MarkKey] = (),
        limits: Limits | None = None,
        prefix: str = "/api/v1/c2pa",
        writable: bool = False,
        by_reference: bool = False,
        receipt_of: Callable[[str], Mapping[str, Any] | None] | None = None,
        receipt_holds: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> None:
        self._store = store
        self._keys = mark_keys
        self._limits = limits or Limits()
        self._prefix = prefix
        self._writable = writable
        self._by_reference = by_reference
        self._receipt_of = receipt_of
        self._receipt_holds = receipt_holds

    # Queries

    def by_binding(
        self, *, alg: str, value: str, max_results: int = 10, in_url: bool = True
    ) -> Answer:
        """Find manifests by the value of a soft binding.

        Args:
            alg: Soft-binding algorithm.
            value: Base64 of its value: for our watermark the 8 bytes or their 16 hex digits, for
                PDQ the 32 bytes or their 64 hex digits.
            max_results: 1 to 100.
            in_url: The value came in a query string: over 2,048 characters is then 414.
        """
        if len(value) > (_MAX_QUERY_VALUE if in_url else _MAX_BODY_VALUE):
            return _problem(414 if in_url else 400, "the value is too long", "use POST")
        if not 1 <= max_results <= _MAX_RESULTS:
            return _problem(400, f"maxResults is not in 1..{_MAX_RESULTS}")
        raw = _from_base64(value)
        if raw is None or not alg:
            return _problem(400, "alg is missing or value is not base64")
        found = self._stored(alg, raw)
        if alg == _MARK_ALG and (payload := _hex(raw, 8)):
            entry = self._store.by_output(payload)
            if entry is not None:
                found.setdefault(entry.manifest_id, 100)
        elif alg == PDQ_ALG and (pdq := _hex(raw, 32)):
            self._near(pdq, found)
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
    ) -> Answer:
        """Find manifests of an uploaded picture, by its watermark and its fingerprint.

        The picture is looked at and forgotten.
        """
        if not 1 <= max_results <= _MAX_RESULTS:
            return _problem(400, f"maxResults is not in 1..{_MAX_RESULTS}")
        if alg is not None and alg not in {_MARK_ALG, PDQ_ALG}:
            return _problem(400, f"{alg!r} cannot be computed here", "see supportedAlgorithms")
        if hint_value is not None and hint_alg is None:
            return _problem(400, "hintValue needs hintAlg")
        try:
            kind = check_size(data, self._limits)
            if media_type.startswith("image/") and media_type not in {mime_of(kind), "image/*"}:
                return _problem(415, f"the bytes are {mime_of(kind)}, not {media_type}")
            found = self._search(data, alg)
        except ChopmarkError as error:
            # A picture of no kind that we read is an asset type that we do not support.
            return _problem(415 if error.status == 400 else error.status, error.message)
        if not found and hint_alg and hint_value:
            return self.by_binding(
                alg=hint_alg, value=hint_value, max_results=max_results, in_url=False
            )
        return _matches(found, max_results)

    def by_reference(
        self, request: Mapping[str, Any], *, alg: str | None = None, max_results: int = 10
    ) -> Answer:
        """Fetch a picture from a public HTTPS address, then as `by_content`."""
        if not self._by_reference:
            return _problem(501, "pictures are not fetched here", "send it to byContent")
        url, length = request.get("referenceUrl"), request.get("assetLength")
        kind = request.get("assetType", "")
        if (
            not isinstance(url, str)
            or not isinstance(kind, str)
            or not isinstance(length, int)
            or isinstance(length, bool)
            or length < 1
        ):
            return _problem(400, "referenceUrl and assetLength are needed")
        if request.get("region") is not None:
            return _problem(400, "a region of interest is not supported")
        if length > self._limits.max_bytes:
            return _problem(400, f"assetLength is over {self._limits.max_bytes}")
        try:
            data = fetch_public(url, max_bytes=length)
        except ChopmarkError as error:
            return _problem(400, error.message, error.hint)
        return self.by_content(data, media_type=kind, alg=alg, max_results=max_results)

    def manifest(self, manifest_id: str, *, return_active: bool = False) -> Answer:
        """Return a manifest store, or its active manifest alone, as ``application/c2pa``."""
        data = self._store.get(manifest_id)
        if data is None:
            return _problem(404, "no manifest of this id")
        if return_active:
            data = _jumbf.active_only(data) or data
        return Answer(data=data, media_type="application/c2pa")

    # Writing

    def add_manifest(self, data: bytes, *, return_receipt: bool = False) -> Answer:
        """Keep a manifest store that somebody uploads; its id is the one that it bears."""
        if not self._writable:
            return _problem(501, "manifests are not taken in here")
        name = _jumbf.active_id(data) if len(data) <= _MAX_MANIFEST else None
        if name is None:
            return _problem(400, "the body is no C2PA manifest store")
        if self._store.get(name) not in {None, data}:
            # Otherwise anybody with the scope could replace what we signed.
            return _problem(409, "another manifest of this id is kept already")
        entry = self._store.entry(name)
        if entry is None:
            self._store.put(manifest_id=name, manifest=data)
        body: dict[str, Any] = {"manifestId": name}
        receipt = self._receipt_of(name) if return_receipt and self._receipt_of else None
        if receipt is not None:
            body["receipt"] = dict(receipt)
        return Answer(body=body)

    def remove_manifest(self, manifest_id: str) -> Answer:
        """Forget an uploaded manifest and its bindings. What was made here is not removed."""
        if not self._writable:
            return _problem(501, "manifests are not removed here")
        entry = self._store.entry(manifest_id)
        if entry is None:
            return _problem(404, "no manifest of this id")
        if entry.record_id:
            return _problem(403, "a manifest of a picture that was made here is kept")
        self._store.delete(manifest_id)
        return Answer(status=204)

    def bind(self, request: Mapping[str, Any]) -> Answer:
        """Lead from one more binding value to a kept manifest."""
        return self._bind(request, replace=False)

    def rebind(self, request: Mapping[str, Any]) -> Answer:
        """Lead from a binding value to this manifest, and to no other any more."""
        return self._bind(request, replace=True)

    # Receipts

    def receipts(self, manifest_id: str) -> Answer:
        """Return the log's receipts for a manifest."""
        if self._store.get(manifest_id) is None:
            return _problem(404, "no manifest of this id")
        receipt = self._receipt_of(manifest_id) if self._receipt_of else None
        if receipt is None:
            return _problem(404, "no receipt for this manifest")
        return Answer(body=dict(receipt))

    def check_receipt(self, manifest_id: str, receipt: Mapping[str, Any]) -> Answer:
        """Tell whether a receipt is one of our log, for this manifest."""
        if self._store.get(manifest_id) is None:
            return _problem(404, "no manifest of this id")
        if self._receipt_holds is None:
            return _problem(501, "receipts are not checked here")
        try:
            holds = self._receipt_holds(receipt)
        except ChopmarkError:
            holds = False
        return Answer(body={"verified": holds})

    # Discovery

    def algorithms(self) -> Answer:
        """Return which soft-binding algorithms are understood."""
        return Answer(body={"watermarks": [{"alg": _MARK_ALG}], "fingerprints": [{"alg": PDQ_ALG}]})

    def capabilities(self) -> Answer:
        """Return which optional parts of the API are there."""
        found = ["queryByContent"]
        found += ["queryByReference"] if self._by_reference else []
        found += ["storeManifests", "storeBindings"] if self._writable else []
        return Answer(body={"c2paSpecificationVersion": _SPEC, "supportedCapabilities": found})

    def status(self) -> Answer:
        """Return ``ok`` or ``down``, as the store answers."""
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            self._store.count()
        except Exception:  # noqa: BLE001 - whatever it is, the store does not answer
            return Answer(body={"status": "down", "timestamp": now})
        return Answer(body={"status": "ok", "timestamp": now})

    def well_known(self) -> Answer:
        """Return the discovery document (RFC 8615)."""
        return Answer(
            body={
                "apiEndpoint": self._prefix,
                "c2paSpecificationVersion": _SPEC,
                "capabilitiesEndpoint": f"{self._prefix}/services/capabilities",
                "statusEndpoint": f"{self._prefix}/services/status",
            }
        )

    def _search(self, data: bytes, alg: str | None) -> dict[str, int]:
        image = open_image(data, self._limits)
        found: dict[str, int] = {}
        if alg in {None, _MARK_ALG} and self._keys:
            from chopmark.errors import ImageTooSmall
            from chopmark.provenance.watermark import detect_mark

            try:
                mark = detect_mark(image, keys=self._keys)
            except ImageTooSmall:
                mark = None
            if mark is not None and mark.payload is not None:
                entry = self._store.by_output(mark.payload.hex())
                if entry is not None:
                    found[entry.manifest_id] = 100
        if alg in {None, PDQ_ALG} and fingerprint(image)[1] >= MIN_QUALITY:
            for pdq in dihedral(image):
                self._near(pdq, found)
        return found

    def _near(self, pdq: str, found: dict[str, int]) -> None:
        for match in self._store.by_pdq(pdq, max_distance=MATCH_DISTANCE):
            score = round(100 * (1 - match.distance / _PDQ_BITS))
            found.setdefault(match.entry.manifest_id, score)

    def _stored(self, alg: str, raw: bytes) -> dict[str, int]:
        names = self._store.by_binding(alg, base64.b64encode(raw).decode())
        return dict.fromkeys(names, 100)

    def _bind(self, request: Mapping[str, Any], *, replace: bool) -> Answer:
        if not self._writable:
            return _problem(501, "bindings are not taken in here")
        binding = request.get("bindingValue")
        alg = request.get("alg")
        # The value comes alone with `alg` beside it, or as an object that holds both.
        if isinstance(binding, dict):
            alg, binding = binding.get("alg", alg), binding.get("value")
        name = request.get("manifestId")
        raw = _from_base64(binding) if isinstance(binding, str) else None
        if raw is None or not isinstance(name, str) or not isinstance(alg, str) or not alg:
            return _problem(400, "alg, bindingValue (base64) and manifestId are needed")
        if len(raw) > _MAX_BODY_VALUE:
            return _problem(400, "the value is too long")
        if self._store.entry(name) is None:
            return _problem(404, "no manifest of this id")
        self._store.bind(alg, base64.b64encode(raw).decode(), name, replace=replace)
        return Answer(status=204)


def _matches(found: Mapping[str, int], max_results: int) -> Answer:
    best = sorted(found.items(), key=lambda pair: -pair[1])[:max_results]
    return Answer(
        body={"matches": [{"manifestId": name, "similarityScore": score} for name, score in best]}
    )


def _problem(status: int, message: str, hint: str = "") -> Answer:
    body = {"error": message} | ({"hint": hint} if hint else {})
    return Answer(status=status, body=body)


def _from_base64(value: str) -> bytes | None:
    """Return the bytes of base64 in either alphabet, padded or not."""
    text = value.strip().replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw or None


def _hex(raw: bytes, size: int) -> str | None:
    """Return a value as hex digits, be it given as bytes or as the text of its hex digits."""
    if len(raw) == size:
        return raw.hex()
    if len(raw) == 2 * size:
        try:
            return bytes.fromhex(raw.decode("ascii")).hex()
        except ValueError:
            return None
    return None
