"""Multipart bodies of OpenAI's image routes, read once and within limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from chopmark.errors import InvalidRequest, TooManyImages, UnsupportedImage
from chopmark.service.forms import FORM_LIMITS

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request

__all__ = ["Sent", "form_schema", "read_form"]

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent(Generic[T]):
    """One multipart body.

    Attributes:
        fields: The scalars, checked.
        image: Bytes of ``image``, or of the first ``image[]``.
        references: Of the others.
        mask: Bytes of ``mask``.
    """

    fields: T
    image: bytes
    references: tuple[bytes, ...]
    mask: bytes | None


async def read_form(request: Request, form: type[T], *, several: bool = False) -> Sent[T]:
    """Read a multipart body.

    Args:
        request: The request.
        form: Its scalars.
        several: Whether more than one picture may come. How many is the model's affair.

    Raises:
        RequestValidationError: A scalar is wrong.
        InvalidRequest: No multipart body, too many parts, or no picture.
        TooManyImages: More than one picture where one is taken.
        UnsupportedImage: A drawn overlay (``markup``).
    """
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise InvalidRequest(
            "this route takes multipart/form-data", hint="send the picture as the field image"
        )
    try:
        async with request.form(**FORM_LIMITS) as parts:
            scalars, files = await _sort(parts)
    except MultiPartException as error:
        raise InvalidRequest(f"the multipart body cannot be read: {error.message}") from None
    try:
        fields = form.model_validate(scalars)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from None
    _check(files, several=several)
    first, *others = files["image"]
    mask = next(iter(files["mask"]), None)
    return Sent(fields=fields, image=first, references=tuple(others), mask=mask)


async def _sort(parts: FormData) -> tuple[dict[str, Any], dict[str, list[bytes]]]:
    """Return the scalars and the files; what has an unknown name and is a file is dropped."""
    scalars: dict[str, Any] = {}
    files: dict[str, list[bytes]] = {"image": [], "mask": [], "markup": []}
    for name, value in parts.multi_items():
        plain = name.removesuffix("[]")
        if plain in files:
            if not isinstance(value, UploadFile):
                raise InvalidRequest(f"{plain} is a text, not a file", param=plain)
            files[plain].append(await value.read())
        elif isinstance(value, str):
            if "\0" in value:
                raise InvalidRequest("a text has NUL in it", param=name[:40])
            scalars[name] = value
    return scalars, files


def _check(files: dict[str, list[bytes]], *, several: bool) -> None:
    if not files["image"]:
        raise InvalidRequest("there is no picture", hint="send the field image", param="image")
    if len(files["image"]) > 1 and not several:
        raise TooManyImages(
            f"{len(files['image'])} pictures were sent, and this route takes one",
            hint="/v1/images/edits joins several, where the model can",
            param="image",
        )
    if files["markup"]:
        raise UnsupportedImage("drawn markup is not understood here", param="markup")
    if len(files["mask"]) > 1:
        raise InvalidRequest("more than one mask was sent", param="mask")


def form_schema(form: type[BaseModel], *, mask: bool) -> dict[str, Any]:
    """Return the OpenAPI description of the body, which FastAPI cannot see."""
    schema = form.model_json_schema()
    for name, field in schema["properties"].items():
        # A form has no null: what is not given is not sent.
        kinds = [kind for kind in field.get("anyOf", []) if kind != {"type": "null"}]
        if len(kinds) == 1:
            kept = {key: value for key, value in field.items() if key != "anyOf"}
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
