"""The small copies that some signers put into the manifest: of what they signed, and of its input.

Chopmark's own manifests have none: a copy in the store would be a picture kept for ever.
"""

from __future__ import annotations

import io
import json
from typing import Any, Final, Literal

from chopmark.provenance import _native
from chopmark.provenance._formats import mime_of, sniff

__all__ = ["signed_copy"]

_MOST_BYTES: Final = 4 * 2**20


def signed_copy(data: bytes, *, of: Literal["signed", "input"] = "signed") -> bytes | None:
    """Return an encoded thumbnail inside a file's active manifest, or ``None``.

    Args:
        data: The file.
        of: What was signed, or the picture that it was made from.

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
            found = store["manifests"][store["active_manifest"]]
            if of == "input":
                found = _parent(found)
            reader.resource_to_stream(found["thumbnail"]["identifier"], out)
    except (c2pa.C2paError, ValueError, TypeError, KeyError, AttributeError):
        return None
    copy = out.getvalue()
    return copy if 0 < len(copy) <= _MOST_BYTES else None


def _parent(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the ingredient that the picture was made from; KeyError where none is named."""
    for one in manifest["ingredients"]:
        if one.get("relationship") == "parentOf":
            found: dict[str, Any] = one
            return found
    raise KeyError("parentOf")
