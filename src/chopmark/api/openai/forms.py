"""Bodies of OpenAI's image routes that hold pictures: multipart, or JSON with their URLs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from chopmark.api.pictures import from_file, from_url
from chopmark.errors import InvalidRequest, TooManyImages, UnsupportedImage
from chopmark.service.forms import FORM_LIMITS

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request

    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["Sent", "form_schema", "read_form"]

T = TypeVar("T", bound=BaseModel)
# Clients that send several name them `image[]`, `image[0]`, `image_0` or, rarely, `images`.
_NAMES: Final = re.compile(
    r"(image|mask|markup)(?:\[(\d{0,3})\]|_(\d{1,3}))?|(images)(?:\[(\d{0,3})\])?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent(Generic[T]):
    """One body with pictures.

    Attributes:
        fields: The scalars, checked.
        image: Bytes of the first picture.
        references: Of the others.
        mask: Bytes of ``mask``.
    """

    fields: T
    image: bytes
    references: tuple[bytes, ...]
    mask: bytes | None


@dataclass(slots=True)
class _Files:
    """The files of a body, by what they are: place and bytes."""

    image: list[tuple[int, bytes]] = field(default_factory=list)
    mask: list[tuple[int, bytes]] = field(default_factory=list)
    markup: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, kind: str, place: int | None, data: bytes) -> None:
        found: list[tuple[int, bytes]] = getattr(self, kind)
        found.append((len(found) if place is None else place, data))

    def pictures(self) -> list[bytes]:
        return [data for _, data in sorted(self.image, key=lambda one: one[0])]


async def read_form(
    request: Request,
    form: type[T],
    caller: Caller,
    service: Service,
    *,
    several: bool = False,
) -> Sent[T]:
    """Read a body with pictures.

    Args:
        request: The request.
        form: Its scalars.
        caller: Who asks.
        service: Fetches what is named by its address, if at all.
        several: Whether more than one picture may come, and whether it may come in JSON. How many
            is the model's affair.

    Raises:
        RequestValidationError: A scalar is wrong.
        InvalidRequest: No body of a kind that is read, too many parts, a file in a field that is
            not known, or no picture.
        TooManyImages: More than one picture where one is taken.
        UnsupportedImage: A drawn overlay (``markup``).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    files = _Files()
    if kind == "multipart/form-data":
        try:
            async with request.form(**FORM_LIMITS) as parts:
                scalars = await _sort(parts, files, request, caller, service)
        except MultiPartException as error:
            raise InvalidRequest(f"the multipart body cannot be read: {error.message}") from None
    elif several and kind == "application/json":
        scalars = await _from_json(files, request, caller, service)
    else:
        raise InvalidRequest(
            "this route takes multipart/form-data", hint="send the picture as the field image"
        )
    try:
        fields = form.model_validate(scalars)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from None
    _check(files, several=several)
    first, *others = files.pictures()
    mask = files.mask[0][1] if files.mask else None
    return Sent(fields=fields, image=first, references=tuple(others), mask=mask)


async def _sort(
    parts: FormData, files: _Files, request: Request, caller: Caller, service: Service
) -> dict[str, Any]:
    """Return the scalars, and put the files where they belong."""
    scalars: dict[str, Any] = {}
    for name, value in parts.multi_items():
        match = _NAMES.fullmatch(name)
        if isinstance(value, UploadFile):
            data = await value.read()
            if match is not None:
                # A browser sends an empty part where no file was chosen.
                if data or match[1] != "mask":
                    files.add(*_place(match), data)
            elif data:
                # Whatever it was meant for, the answer would be another one without it.
                raise InvalidRequest(
                    f"there is a file in the field {name[:40]!r}, which this route does not know",
                    hint="pictures are image or image[], a mask is mask",
                    param=name[:40],
                )
            continue
        if "\0" in value:
            raise InvalidRequest("a text has NUL in it", param=name[:40])
        if match is None:
            scalars[name] = value
        elif value.strip():
            kind, place = _place(match)
            if not value.lower().startswith(("data:", "https:")):
                raise InvalidRequest(f"{kind} is a text, not a file", param=kind)
            found = await from_url(value, request, caller, service, param=name[:40])
            files.add(kind, place, found)
    return scalars


def _place(match: re.Match[str]) -> tuple[str, int | None]:
    digits = next((match[n] for n in (2, 3, 5) if match[n]), None)
    return match[1] or "image", None if digits is None else int(digits)


async def _from_json(
    files: _Files, request: Request, caller: Caller, service: Service
) -> dict[str, Any]:
    """Return the scalars of a JSON body, and put its pictures where they belong."""
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidRequest("the body is not a JSON object")
    scalars = {name: value for name, value in body.items() if _NAMES.fullmatch(name) is None}
    named = body.get("images", body.get("image"))
    rows = named if isinstance(named, list) else [] if named is None else [named]
    for number, row in enumerate(rows):
        where = f"images[{number}]"
        files.add("image", None, await _named(row, where, request, caller, service))
    if body.get("mask") is not None:
        files.add("mask", None, await _named(body["mask"], "mask", request, caller, service))
    return scalars


async def _named(row: Any, where: str, request: Request, caller: Caller, service: Service) -> bytes:
    url = row
    if isinstance(row, dict):
        if row.get("image_url") is None and isinstance(row.get("file_id"), str):
            return await from_file(row["file_id"], request, caller, param=f"{where}.file_id")
        where, url = f"{where}.image_url", row.get("image_url")
        if isinstance(url, dict):
            url = url.get("url")
    if not isinstance(url, str):
        raise InvalidRequest(
            f"{where}: no picture",
            hint='{"image_url": "data:image/png;base64,..."} or {"file_id": "file-..."}',
            param=where,
        )
    return await from_url(url, request, caller, service, param=where)


def _check(files: _Files, *, several: bool) -> None:
    if not files.image:
        raise InvalidRequest("there is no picture", hint="send the field image", param="image")
    if len(files.image) > 1 and not several:
        raise TooManyImages(
            f"{len(files.image)} pictures were sent, and this route takes one",
            hint="/v1/images/edits joins several, where the model can",
            param="image",
        )
    if files.markup:
        raise UnsupportedImage("drawn markup is not understood here", param="markup")
    if len(files.mask) > 1:
        raise InvalidRequest("more than one mask was sent", param="mask")


def form_schema(form: type[BaseModel], *, mask: bool) -> dict[str, Any]:
    """Return the OpenAPI description of the body, which FastAPI cannot see."""
    schema = form.model_json_schema()
    for name, member in schema["properties"].items():
        # A form has no null: what is not given is not sent.
        kinds = [kind for kind in member.get("anyOf", []) if kind != {"type": "null"}]
        if len(kinds) == 1:
            kept = {key: value for key, value in member.items() if key != "anyOf"}
            schema["properties"][name] = {**kept, **kinds[0]}
            if kept.get("default", ...) is None:
                del schema["properties"][name]["default"]
    picture = {"type": "string", "format": "binary"}
    schema["properties"]["image"] = {
        **picture,
        "description": "The picture; clients that send a list name it `image[]`",
    }
    if mask:
        schema["properties"]["image"]["description"] += (
            ", of which the first is changed and the others are drawn on"
        )
        schema["properties"]["mask"] = {**picture, "description": "Alpha 0 is repainted"}
    schema["required"] = [*schema.get("required", []), "image"]
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }
