"""Values of a request that cannot be used."""

from __future__ import annotations

from chopmark.errors.base import ChopmarkError

__all__ = [
    "AlreadyMarked",
    "AnswerErased",
    "BatchNotFound",
    "FileNotKept",
    "FilesFull",
    "HeadersTooLarge",
    "IdempotencyInFlight",
    "IdempotencyMismatch",
    "ImageTooComplex",
    "ImageTooLarge",
    "ImageTooSmall",
    "InvalidRequest",
    "PictureNotFound",
    "RequestTimeout",
    "RequestTooLarge",
    "TextTooLong",
    "TooManyImages",
    "UnreadableImage",
    "UnsupportedImage",
    "UploadNotFound",
    "ValueTooLong",
]


class InvalidRequest(ChopmarkError):
    """A value that the caller gave cannot be used.

    Args:
        message: As in the base.
        hint: As in the base.
        param: The field of the request that holds the value, where there is one.
    """

    code = "invalid_request"
    status = 400

    def __init__(self, message: str, *, hint: str = "", param: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.param = param


class IdempotencyInFlight(InvalidRequest):
    """The first request with this Idempotency-Key still runs."""

    code = "idempotency_in_flight"
    status = 409


class IdempotencyMismatch(InvalidRequest):
    """The Idempotency-Key was used before with another request."""

    code = "idempotency_mismatch"
    status = 422


class UnreadableImage(InvalidRequest):
    """The bytes are not a picture that we can decode."""

    code = "unreadable_image"


class UnsupportedImage(InvalidRequest):
    """A picture, but of a kind that we do not handle (animated, unknown format)."""

    code = "unsupported_image"
    status = 415


class AnswerErased(InvalidRequest):
    """What an Idempotency-Key led to, or the studio kept, was erased; it is not given again."""

    code = "answer_erased"
    status = 410


class TooManyImages(InvalidRequest):
    """More pictures for one edit than the model takes, or than the settings allow."""

    code = "too_many_images"


class AlreadyMarked(InvalidRequest):
    """A picture to seal carries our mark already, and no manifest that tells its history."""

    code = "already_marked"


class ImageTooSmall(InvalidRequest):
    """The picture has fewer pixels than the operation needs."""

    code = "image_too_small"


class ImageTooLarge(InvalidRequest):
    """The picture or its file is over a limit (bytes or pixels)."""

    code = "image_too_large"
    status = 413


class ImageTooComplex(InvalidRequest):
    """The picture's file has more parts (chunks, segments, boxes, frames) than is looked at."""

    code = "image_too_complex"
    status = 413


class PictureNotFound(InvalidRequest):
    """No picture is at an address that was given out, or not any more."""

    code = "picture_not_found"
    status = 404


class FileNotKept(InvalidRequest):
    """No file of this name is kept for the tenant, or not any more."""

    code = "file_not_found"
    status = 404


class FilesFull(InvalidRequest):
    """As many bytes of files are kept as one tenant may have."""

    code = "files_full"
    status = 413


class UploadNotFound(InvalidRequest):
    """No upload of this name is the tenant's, or its hour is over."""

    code = "upload_not_found"
    status = 404


class BatchNotFound(InvalidRequest):
    """No batch or job of this name is the tenant's."""

    code = "batch_not_found"
    status = 404


class RequestTooLarge(InvalidRequest):
    """A body is over the limit of a route that takes no picture."""

    code = "request_too_large"
    status = 413


class HeadersTooLarge(InvalidRequest):
    """The headers of a request are over the limit."""

    code = "headers_too_large"
    status = 431


class RequestTimeout(InvalidRequest):
    """A request did not arrive in time."""

    code = "request_timeout"
    status = 408


class TextTooLong(InvalidRequest):
    """A text is longer than what is judged of one; it is never cut."""

    code = "text_too_long"


class ValueTooLong(InvalidRequest):
    """A value in an address is too long; in a body it would not be."""

    code = "value_too_long"
    status = 414
