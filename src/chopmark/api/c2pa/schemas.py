"""What clients of the Soft Binding Resolution API send: its parameters and bodies."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "JUMBF",
    "PICTURE",
    "Alg",
    "Bind",
    "ByBinding",
    "ByReference",
    "Hint",
    "ManifestId",
    "MaxResults",
]

_PICTURES: Final = ("png", "jpeg", "webp", "avif", "gif", "tiff", "heic")
_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
PICTURE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": _BYTES,
            **{f"image/{kind}": _BYTES for kind in _PICTURES},
        },
    }
}
JUMBF: Final[dict[str, Any]] = {
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
