"""Soft-binding values that lead to manifests: whose they are, and that nobody takes them over.

A value is its first binder's. What our own marks and fingerprints lead to says itself which picture
it belongs to, so nobody binds it by hand.
"""

from __future__ import annotations

import base64
import threading
from typing import TYPE_CHECKING, Final

from chopmark.errors import InvalidRequest, ManifestKept, ManifestNotFound
from chopmark.provenance._values import from_base64, hex_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.provenance.interface import ManifestRepository
    from chopmark.provenance.store import StoredManifest

__all__ = ["ANY_ALG", "bind_value", "bound_to"]

#: The specification's binding requests name no algorithm: such a value is found under any.
ANY_ALG: Final = ""
# Between the look at whose a value is and the binding nobody else binds it.
_BINDING: Final = threading.Lock()


def bound_to(store: ManifestRepository, alg: str, raw: bytes) -> list[str]:
    """Return the manifest ids that a value was bound to, those of this very algorithm first."""
    text = base64.b64encode(raw).decode()
    return [*store.by_binding(alg, text), *store.by_binding(ANY_ALG, text)]


def bind_value(
    store: ManifestRepository,
    value: str,
    manifest_id: str,
    *,
    alg: str,
    replace: bool,
    own: frozenset[str],
    mine: Callable[[StoredManifest], bool] | None,
    book: Callable[[], object] | None,
) -> None:
    """Lead from a value to a manifest; arguments and errors are those of ``Resolver.bind``.

    Args:
        store: With the manifest.
        value: Base64.
        manifest_id: Of the manifest.
        alg: Soft-binding algorithm, or ``ANY_ALG``.
        replace: To no other manifest any more.
        own: Algorithms whose values our pictures carry.
        mine: Whether a manifest is of whoever binds.
        book: Called before anything is bound.
    """
    raw = from_base64(value)
    if raw is None:
        raise InvalidRequest("bindingValue is no base64", param="bindingValue")
    text = base64.b64encode(raw).decode()
    with _BINDING:
        entry = store.entry(manifest_id)
        if entry is None:
            raise ManifestNotFound("no manifest of this id")
        payload = hex_of(raw, 8)
        if alg in own or (payload and store.by_output(payload) is not None):
            raise ManifestKept(
                "what our own marks and fingerprints lead to is not bound by hand",
                hint="other algorithms' values are",
            )
        if replace and not store.by_binding(alg, text):
            raise ManifestNotFound("this value leads to no manifest", hint="POST makes a binding")
        if mine is not None:
            if not mine(entry):
                raise ManifestKept("this manifest was stored by somebody else")
            others = (store.entry(each) for each in bound_to(store, alg, raw))
            if not all(mine(each) for each in others if each is not None):
                raise ManifestKept("this value was bound by somebody else")
        if book is not None:
            book()
        store.bind(alg, text, manifest_id, replace=replace)
