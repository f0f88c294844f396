"""The one place that talks to the native C2PA library, with settings that are fit for strangers.

What its defaults would do and these do not: fetch a remote manifest from any address that a file
names (a request forged by a stranger), accept e-mail certificates only, make thumbnails.
A Context does not survive ``fork()``, so each process makes its own, on first use.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from chopmark.errors import SigningFailed
from chopmark.provenance._ancestors import broken_ancestors
from chopmark.provenance._leaf import leaf_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import c2pa

__all__ = [
    "EKU_LIST",
    "Anchors",
    "NativeRefusal",
    "NoManifest",
    "RemoteOnly",
    "context",
    "native_signer",
    "read",
    "readable",
    "settings",
]

# Extended key usages that a claim signer may hold (C2PA 2.4, section 14.5.1): e-mail protection,
# document signing, C2PA claim signing; then time stamping and OCSP for the services beside it.
EKU_LIST: Final = """1.3.6.1.5.5.7.3.4
1.3.6.1.5.5.7.3.36
1.3.6.1.4.1.62558.2.1
1.3.6.1.5.5.7.3.8
1.3.6.1.5.5.7.3.9
"""
_MAX_CONTEXTS: Final = 16


class NoManifest(Exception):
    """The file carries no manifest."""


class RemoteOnly(Exception):
    """The manifest is elsewhere, at an address that we do not visit."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


class NativeRefusal(Exception):
    """The library could not make sense of the manifest."""


_lock = threading.Lock()
_contexts: dict[str, c2pa.Context] = {}
_signers: dict[str, c2pa.Signer] = {}


def _forget() -> None:
    # In a child: the parent's native contexts are dead; the lock may have been held by a thread
    # that does not exist here.
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    _contexts.clear()
    _signers.clear()


os.register_at_fork(after_in_child=_forget)


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """One named set of roots, as the library takes it.

    ``kind`` is ``manifest`` for roots of claim signers, ``tsa`` for time stamping ones, ``cawg``
    for those of identity assertions. The library (0.91) lets any of them vouch for a claim signer,
    so whoever asks must look at *which* set vouched, not only whether one did.
    """

    name: str
    pem: str
    kind: Literal["manifest", "tsa", "cawg"]


def settings(
    *anchors: Anchors, max_manifest_bytes: int = 32 << 20, hosts: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the library's settings for these anchors. The first set that fits is the one named.

    ``hosts`` may be visited: a time-stamping authority while signing, and nothing while reading.
    """
    # Claim signers' roots first: a root that stands in both kinds must be named as one of theirs.
    ordered = sorted(anchors, key=lambda one: one.kind != "manifest")
    return {
        "version": 1,
        "trust": {
            "trust_config": EKU_LIST,
            "anchors": [
                {
                    "trust_anchors": one.pem,
                    "trust_uri": one.name,
                    "trust_kind": one.kind,
                    "trust_config": EKU_LIST,
                }
                for one in ordered
            ],
        },
        "core": {
            # Without hosts none may be visited, whatever else is set.
            "allowed_network_hosts": list(hosts),
            "allow_redirects": False,
            "max_decompressed_manifest_size_in_mb": max(1, max_manifest_bytes >> 20),
            # An identity assertion (CAWG) is somebody else's statement: its failure must not
            # turn an intact manifest into a broken one.
            "decode_identity_assertions": False,
        },
        "verify": {
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
            "verify_after_reading": True,
            # `sign` reads the result back itself, asset hash included, which this would not.
            "verify_after_sign": False,
            "verify_trust": True,
        },
        "builder": {
            "thumbnail": {"enabled": False},
            # Else anybody may append a `free` box of any size to an AVIF, unseen by every verifier.
            "bmff_hash_exclude_free_and_skip_boxes": False,
        },
    }


def context(config: Mapping[str, Any]) -> c2pa.Context:
    """Return this process's shared context for these settings.

    Raises:
        SigningFailed: The library refuses the settings, such as an anchor that is no certificate.
    """
    import c2pa

    key = json.dumps(config, sort_keys=True)
    with _lock:
        found = _contexts.get(key)
        if found is None:
            try:
                found = c2pa.Context.from_json(key)
            except c2pa.C2paError as error:
                raise SigningFailed(
                    f"the C2PA library refuses the settings: {error}",
                    hint="anchors must be PEM certificates",
                ) from error
            while len(_contexts) >= _MAX_CONTEXTS:
                _contexts.pop(next(iter(_contexts)))
            _contexts[key] = found
        return found


def read(
    data: bytes, mime: str, config: Mapping[str, Any], *, manifest: bytes | None = None
) -> dict[str, Any]:
    """Read and validate a file's manifest store; the library's own JSON comes back.

    With ``manifest`` the store is taken from there instead of from the file.

    Raises:
        NoManifest: There is none.
        RemoteOnly: It is at an address.
        Refused: It cannot be parsed.
    """
    import c2pa

    if mime not in readable():
        raise NoManifest  # a format that has no place for one
    shared = context(config)
    try:
        with c2pa.Reader(mime, io.BytesIO(data), manifest, context=shared) as reader:
            result: dict[str, Any] = json.loads(reader.json())
            result["chopmark:embedded"] = reader.is_embedded()
            result["chopmark:remote_url"] = reader.get_remote_url()
            active = str(result.get("active_manifest") or "")
            store = _store(reader, active)
            result["chopmark:leaf"] = leaf_of(store, active)
            several = len(result.get("manifests") or ()) > 1
            result["chopmark:broken_ancestors"] = broken_ancestors(store) if several else {}
            return result
    except c2pa.C2paError as error:
        text = str(error)
        name = type(error).__name__
        if "ManifestNotFound" in name:
            raise NoManifest from error
        if "RemoteManifest" in name or text.startswith("Remote"):
            raise RemoteOnly(text.rpartition(" ")[2]) from error
        if b"jumb" not in data and manifest is None:
            # A broken file without a trace of a manifest is a broken file, no broken manifest.
            raise NoManifest from error
        raise NativeRefusal(text) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NativeRefusal(f"{type(error).__name__}: {error}") from error


def _store(reader: c2pa.Reader, active: str) -> bytes:
    """Return the manifest store (JUMBF); empty where the library does not hand it out."""
    import c2pa

    store = io.BytesIO()
    try:
        # Any address within the store leads the library to hand out all of it.
        reader.resource_to_stream(f"self#jumbf=/c2pa/{active}/c2pa.signature", store)
    except c2pa.C2paError:
        return b""
    return store.getvalue()


@functools.cache
def readable() -> frozenset[str]:
    """Return the media types that the library can look for a manifest in."""
    import c2pa

    return frozenset(c2pa.Reader.get_supported_mime_types())


def native_signer(
    alg: str, chain_pem: str, key_pem: bytes, tsa_url: str | None = None
) -> c2pa.Signer:
    """Return this process's shared signer for a key in memory, stamping times if it has a URL.

    The library's own signer reserves 2 kB for the signature; one through a callback reserves
    11 kB, all of which ends up in the picture.
    """
    import c2pa

    key = hashlib.sha256(f"{chain_pem}\0{tsa_url}\0".encode() + key_pem).hexdigest()
    with _lock:
        found = _signers.get(key)
        if found is None:
            info = c2pa.C2paSignerInfo(alg, chain_pem.encode(), key_pem, tsa_url)
            found = c2pa.Signer.from_info(info)
            while len(_signers) >= _MAX_CONTEXTS:
                _signers.pop(next(iter(_signers)))
            _signers[key] = found
        return found
