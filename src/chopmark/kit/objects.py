"""An S3-compatible object store through obstore: opened, and tried for what we rely on.

Two servers that write at once are told apart by conditions (``If-None-Match``, ``If-Match``). A
store that takes no notice of them would let one undo the other, so it is tried at the start.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from importlib import import_module
from typing import Any, Final

from chopmark.errors import ConfigurationError

__all__ = ["Objects", "checked", "open_objects"]

_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_ANSWERS_WITHIN: Final = "10s"


class Objects:
    """Objects below one prefix of one bucket. Use it from any thread; made by :func:`open_objects`.

    Attributes:
        exceptions: obstore's; all of its errors are ``exceptions.BaseError``.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._obstore = import_module("obstore")
        self.exceptions: Any = import_module("obstore.exceptions")

    def create(self, path: str, data: bytes) -> bool:
        """Write an object that is not there; tell whether it was not."""
        try:
            self._obstore.put(self._store, path, data, mode="create", use_multipart=False)
        except self.exceptions.AlreadyExistsError:
            return False
        return True

    def put(self, path: str, data: bytes) -> None:
        """Write an object, whatever was there."""
        self._obstore.put(self._store, path, data, use_multipart=False)

    def replace(self, path: str, data: bytes, tag: str) -> bool:
        """Write over an object, and tell whether it was still the one that has an e-tag."""
        mode = {"e_tag": tag}
        try:
            self._obstore.put(self._store, path, data, mode=mode, use_multipart=False)
        except (self.exceptions.PreconditionError, self.exceptions.NotFoundError):
            return False
        return True

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Return an object with its e-tag, or None where there is none."""
        try:
            found = self._obstore.get(self._store, path)
            return bytes(found.bytes()), str(found.meta["e_tag"])
        except (FileNotFoundError, self.exceptions.NotFoundError):
            return None

    def delete(self, path: str) -> None:
        """Take an object away, if it is there."""
        with contextlib.suppress(FileNotFoundError, self.exceptions.NotFoundError):
            self._obstore.delete(self._store, path)


def open_objects(url: str) -> Objects:
    """Open a bucket; keys and endpoint come from the usual ``AWS_*`` variables.

    Args:
        url: ``s3://bucket/prefix``.

    Raises:
        ConfigurationError: obstore is not installed, the address is none, nobody answers there or
            lets us in, or the store takes no notice of conditions.
    """
    try:
        stores = import_module("obstore.store")
    except ImportError:
        raise ConfigurationError(
            "CHOPMARK_OBJECTS needs obstore", hint="pip install 'chopmark[objects]'"
        ) from None
    if not url.startswith("s3://"):
        raise ConfigurationError(
            "CHOPMARK_OBJECTS is not the address of a bucket", hint="s3://bucket/prefix"
        )
    plain = any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS)
    try:
        store = stores.from_url(
            url,
            client_options={"allow_http": plain, "timeout": _ANSWERS_WITHIN},
            retry_config={"max_retries": 2},
        )
    except (ValueError, import_module("obstore.exceptions").BaseError) as error:
        raise _unusable(error) from None
    return checked(store)


def checked(store: Any) -> Objects:
    """Return a store of obstore's once it has shown what we rely on.

    Raises:
        ConfigurationError: It cannot be written to, or takes no notice of conditions.
    """
    objects = Objects(store)
    try:
        _try(objects)
    except (OSError, NotImplementedError, objects.exceptions.BaseError) as error:
        raise _unusable(error) from None
    return objects


def _unusable(error: BaseException) -> ConfigurationError:
    text = (str(error).splitlines() or [type(error).__name__])[0]
    return ConfigurationError(
        f"CHOPMARK_OBJECTS: {text[:300]}",
        hint="is the bucket there, and are AWS_ENDPOINT_URL, AWS_REGION and the keys right?",
    )


def _try(objects: Objects) -> None:
    path = f"tried/{secrets.token_hex(8)}"
    first = objects.create(path, b"1")
    again = objects.create(path, b"2")
    found = objects.read(path)
    replaced = found is not None and objects.replace(path, b"3", found[1])
    late = found is not None and objects.replace(path, b"4", found[1])
    objects.delete(path)
    if not first or again or not replaced or late:
        raise ConfigurationError(
            "CHOPMARK_OBJECTS: the store takes no notice of conditions (If-None-Match, If-Match)",
            hint="use one that does: AWS S3, or MinIO, Ceph or Garage in a version that does",
        )
