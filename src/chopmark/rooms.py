"""What the pipeline needs from the four rooms, opened once, when first used.

Opening is lazy because the faces need different things: ``chopmark verify`` must not load a
generator, ``chopmark moderate`` needs no key. ``Rooms.open_all`` opens everything: ``chopmark
serve`` wants no surprise at the first request.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark.audit import AuditLog
    from chopmark.generation import Generator
    from chopmark.provenance import Credential, ManifestStore, TrustAnchors
    from chopmark.provenance.watermark import MarkKeys
    from chopmark.safety import ImageGuard, Policy, PromptGuard
    from chopmark.settings import Settings
    from chopmark.types import Progress

__all__ = ["Rooms", "unpacking"]

T = TypeVar("T")
_FOLDERS = {"log": "audit", "mark_keys": "keys/watermark", "store": "manifests"}


class _Once(Generic[T]):
    """A property computed once, also when two threads ask at the same time.

    ``functools.cached_property`` gives no such promise since Python 3.12, and a second generator
    would cost its memory twice.
    """

    def __init__(self, make: Callable[[Rooms], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, rooms: None, owner: type) -> _Once[T]: ...
    @overload
    def __get__(self, rooms: Rooms, owner: type) -> T: ...
    def __get__(self, rooms: Rooms | None, owner: type) -> T | _Once[T]:
        if rooms is None:
            return self
        with rooms.lock:
            # A non-data descriptor: what is stored in __dict__ wins from now on. Tests put their
            # own (broken) parts there through the constructor of the pipeline's fixture.
            if self._name not in rooms.__dict__:
                rooms.__dict__[self._name] = self._make(rooms)
            value: T = rooms.__dict__[self._name]
            return value


class Rooms:
    """The opened parts of the four rooms for one home folder."""

    def __init__(self, settings: Settings, *, progress: Progress | None = None) -> None:
        self.settings = settings
        self.progress = progress
        self.lock = threading.RLock()
        self.home: Path = settings.open_home()

    @_Once
    def policy(self) -> Policy:
        """The safety policy in force."""
        from chopmark.safety import load_policy

        return load_policy(self.settings.policy)

    @_Once
    def prompt_guard(self) -> PromptGuard:
        """Judges prompts."""
        from chopmark.safety import PromptGuard

        return PromptGuard.load()

    @_Once
    def image_guard(self) -> ImageGuard:
        """Judges pictures."""
        from chopmark.safety import ImageGuard

        return ImageGuard.load(hash_lists=self.settings.hash_lists)

    @_Once
    def generator(self) -> Generator:
        """Makes pictures."""
        from chopmark.generation import load_generator

        return load_generator(
            self.settings.model,
            home=self.home,
            quantization=self.settings.quantization,
            progress=unpacking(self.progress),
        )

    @_Once
    def mark_keys(self) -> MarkKeys:
        """Secret keys of the watermark."""
        from chopmark.provenance import load_mark_keys

        return load_mark_keys(self.home)

    @_Once
    def credential(self) -> Credential:
        """Signs manifests."""
        from chopmark.provenance import load_credential

        return load_credential(
            self.home, cert=self.settings.signing_cert, key=self.settings.signing_key
        )

    @_Once
    def anchors(self) -> TrustAnchors:
        """Certificates that verify trusts: our own, and those of the deployer."""
        from chopmark.provenance import load_anchors

        return load_anchors(self.home, cert=self.settings.signing_cert)

    @_Once
    def store(self) -> ManifestStore:
        """Manifests by id, by watermark and by fingerprint."""
        from chopmark.provenance import ManifestStore

        return ManifestStore.open(self.home)

    @_Once
    def log(self) -> AuditLog:
        """The tamper-evident log."""
        from chopmark.audit import AuditLog

        return AuditLog.open(self.home, origin=self.settings.log_origin)

    def exists(self, part: Literal["log", "mark_keys", "store"]) -> bool:
        """Whether this home ever had this part; asking does not make it."""
        return part in self.__dict__ or (self.home / _FOLDERS[part]).is_dir()

    def open_all(self) -> None:
        """Open every part, the slowest last."""
        for name in ("policy", "log", "credential", "mark_keys", "store"):
            getattr(self, name)
        for name in ("prompt_guard", "image_guard", "generator"):
            getattr(self, name)

    def close(self) -> None:
        """Close what was opened and holds files."""
        for name in ("log", "store"):
            part = self.__dict__.pop(name, None)
            if part is not None:
                part.close()


def unpacking(progress: Progress | None) -> Callable[[int, int], None] | None:
    """Return ``progress`` in the form that the generation room tells, with the words for it."""
    if progress is None:
        return None
    return lambda done, total: progress(done, total, "unpacking the model")
