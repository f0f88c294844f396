"""The small copy of the signed picture that some signers put into the manifest.

Chopmark's own manifests have none: a copy in the store would be a picture kept for ever.
"""

from __future__ import annotations

import io
import json
from typing import Final

from chopmark.provenance import _native
from chopmark.provenance._formats import mime_of, sniff

__all__ = ["signed_copy"]

_MOST_BYTES: Final = 4 * 2**20


def signed_copy(data: bytes) -> bytes | None:
    """Return the encoded thumbnail inside a file's active manifest, or ``None``.

    It is the claim of a stranger, like the rest of the manifest: decode it as foreign bytes.
    """
    import c2pa

    kind = sniff(data)
    if kind is None:
        return None
    shared = _native.context(_native.settings(max_manifest_bytes=_MOST_BYTES))
    out = io.BytesIO()
    try:
        with c2pa.Reader(mime_of(kind), io.BytesIO(data), context=shared) as reader:
            store = json.loads(reader.json())
            active = store["manifests"][store["active_manifest"]]
            reader.resource_to_stream(active["thumbnail"]["identifier"], out)
    except (c2pa.C2paError, ValueError, TypeError, KeyError, AttributeError):
        return None
    found = out.getvalue()
    return found if 0 < len(found) <= _MOST_BYTES else None
