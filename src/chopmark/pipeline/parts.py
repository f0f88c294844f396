"""What the pipeline needs from the four rooms, opened once, when first used.

Opening is lazy because the faces need different things: ``chopmark verify`` must not load a
generator, ``chopmark moderate`` needs no key. ``Rooms.open_all`` opens everything: ``chopmark
serve`` wants no surprise at the first request.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, overload

from chopmark.errors import ConfigurationError, InvalidPolicy
from chopmark.plugins import signing_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.audit import AuditLog
    from chopmark.generation import Generator
    from chopmark.generation.semantic import PromptIndex
    from chopmark.kit.types import Progress
    from chopmark.plugins import Plugins
    from chopmark.provenance import (
        Credential,
        CredentialSource,
        LabelStyle,
        ManifestStore,
        MarkKeys,
        MarkKeySource,
        TimestampAuthority,
        TimestampQueue,
        TrustAnchors,
    )
    from chopmark.safety import ImageGuards, Policy, PromptGuards
    from chopmark.settings import Settings

__all__ = ["Rooms"]

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


class _Current(Generic[T]):
    """A property asked for anew at each look: what it stands for may change while we run.

    What is stored in ``__dict__`` wins here too, for the same tests.
    """

    def __init__(self, ask: Callable[[Rooms], T]) -> None:
        self._ask = ask
        self.__doc__ = ask.__doc__

    @overload
    def __get__(self, rooms: None, owner: type) -> _Current[T]: ...
    @overload
    def __get__(self, rooms: Rooms, owner: type) -> T: ...
    def __get__(self, rooms: Rooms | None, owner: type) -> T | _Current[T]:
        return self if rooms is None else self._ask(rooms)


class Rooms:
    """The opened parts of the four rooms for one home folder."""

    def __init__(self, settings: Settings, *, progress: Progress | None = None) -> None:
        self.settings = settings
        self.progress = progress
        self.lock = threading.RLock()
        self.home: Path = settings.open_home()
        self._announced: tuple[str, str] | None = None
        self._overrides: dict[str, tuple[int, Policy]] = {}

    @_Once
    def policy(self) -> Policy:
        """The safety policy in force; that it is another than before is booked here."""
        from chopmark.safety import load_policy

        policy = load_policy(self.settings.policy)
        self.log.in_force("policy.changed", policy.digest())
        return policy

    def policy_for(self, tenant: str) -> Policy:
        """The policy with a tenant's override; a changed file is in force at the next request.

        Raises:
            InvalidPolicy: The override cannot be used; nothing is judged without it then.
        """
        folder = self.settings.tenant_policies
        # A tenant's name comes with the request: only a plain file name is looked for.
        if folder is None or not tenant or Path(tenant).name != tenant or tenant.startswith("."):
            return self.policy
        from chopmark.safety.policy.override import apply_override, load_override

        file = folder.expanduser() / f"{tenant}.yaml"
        try:
            version = file.stat().st_mtime_ns
        except FileNotFoundError:
            return self.policy
        except (OSError, ValueError) as error:
            raise InvalidPolicy(f"the override of tenant {tenant!r} cannot be read") from error
        with self.lock:
            kept = self._overrides.get(tenant)
            if kept is None or kept[0] != version:
                kept = version, apply_override(self.policy, load_override(file))
                self._overrides[tenant] = kept
            return kept[1]

    @_Once
    def shadow(self) -> Policy | None:
        """The policy that is judged beside the active one and only logged, if one is set."""
        from chopmark.safety import load_policy

        name = self.settings.shadow_policy
        return None if name is None else load_policy(name)

    @_Once
    def plugins(self) -> Plugins:
        """Where generators, guards, signers and stores come from: our own, and installed ones.

        Raises:
            ConfigurationError: A plugin is broken, or nobody offers the chosen watermark.
        """
        from chopmark.plugins.builtin import all_plugins
        from chopmark.provenance.watermark import method_names

        plugins, chosen = all_plugins(others=self.settings.plugins), self.settings.mark_method
        if chosen not in method_names():
            raise ConfigurationError(
                f"setting mark_method: there is no watermark method {chosen!r}",
                hint=f"CHOPMARK_MARK_METHOD is one of {', '.join(method_names())}",
            )
        return plugins

    @_Once
    def prompt_guard(self) -> PromptGuards:
        """Judges prompts."""
        from chopmark.safety import PromptGuards

        # The hook that was registered last answers first; our own guard judges first.
        return PromptGuards(self.plugins.ask("chopmark_prompt_guard", settings=self.settings)[::-1])

    @_Once
    def image_guard(self) -> ImageGuards:
        """Judges pictures."""
        from chopmark.safety import ImageGuards

        return ImageGuards(self.plugins.ask("chopmark_image_guard", settings=self.settings)[::-1])

    @_Once
    def generator(self) -> Generator:
        """Makes pictures."""
        generator: Generator = self.plugins.ask(
            "chopmark_generator", settings=self.settings, progress=self.progress
        )
        return generator

    @_Once
    def prompt_index(self) -> PromptIndex | None:
        """Past prompts by meaning, where the deployer opted in."""
        if not self.settings.prompt_index:
            return None
        from chopmark.generation.semantic import PromptIndex

        return PromptIndex.open(self.home)

    @_Once
    def mark_key_source(self) -> MarkKeySource:
        """Where the watermark's keys are."""
        from chopmark.provenance import MarkKeySource

        return MarkKeySource(self.home)

    @_Current
    def mark_keys(self) -> MarkKeys:
        """Secret keys of the watermark, as they are now."""
        return self.mark_key_source.current()

    @_Once
    def credentials(self) -> Credential | CredentialSource:
        """Where the signing credential is."""
        credentials: Credential | CredentialSource = self.plugins.ask(
            "chopmark_credential", settings=self.settings
        )
        return credentials

    @_Current
    def credential(self) -> Credential:
        """Signs manifests; a changed file is taken up at the next look."""
        return self.credentials.current()

    @_Once
    def authority(self) -> TimestampAuthority | None:
        """Stamps the time of signatures, if one is set."""
        return signing_settings.authority(self.settings)

    @_Once
    def stamps(self) -> TimestampQueue:
        """What was signed and waits for its time stamp."""
        from chopmark.provenance import TimestampQueue

        return TimestampQueue(self.home, self.store)

    @_Once
    def label(self) -> LabelStyle | None:
        """The visible label, if one is set."""
        return signing_settings.label(self.settings)

    @_Once
    def anchors(self) -> TrustAnchors:
        """Certificates that verify trusts: our own, and those of the deployer."""
        from chopmark.provenance import load_anchors

        return load_anchors(
            self.home, cert=self.settings.signing_cert, lists=self.settings.trust_anchors
        )

    @_Once
    def store(self) -> ManifestStore:
        """Manifests by id, by watermark and by fingerprint."""
        store: ManifestStore = self.plugins.ask("chopmark_manifest_store", settings=self.settings)
        return store

    @_Once
    def log(self) -> AuditLog:
        """The tamper-evident log."""
        log: AuditLog = self.plugins.ask("chopmark_log", settings=self.settings)
        return log

    def announce_keys(self) -> None:
        """Book which mark key and certificate are used from now on, where these have changed."""
        keys = (self.credential.fingerprint, self.mark_keys.active.key_id)
        if keys == self._announced:
            return
        for what, name in zip(("signing certificate", "watermark key"), keys, strict=True):
            self.log.in_force("key.rotated", name, what=what)
        self._announced = keys

    def exists(self, part: Literal["log", "mark_keys", "store"]) -> bool:
        """Whether this home ever had this part; asking does not make it."""
        return part in self.__dict__ or (self.home / _FOLDERS[part]).is_dir()

    def open_all(self) -> None:
        """Open every part, the slowest last."""
        for name in ("policy", "shadow", "log", "credential", "mark_keys", "anchors", "store"):
            getattr(self, name)
        for name in ("authority", "label", "prompt_index"):
            getattr(self, name)
        for name in ("prompt_guard", "image_guard", "generator"):
            getattr(self, name)
        # A generator of a plugin, or one that costs money a picture, need not have this.
        warm_up = getattr(self.generator, "warm_up", None)
        if self.settings.warm_up and warm_up is not None:
            warm_up()

    def close(self) -> None:
        """Close what was opened and holds files."""
        for name in ("log", "store", "prompt_index"):
            part = self.__dict__.pop(name, None)
            if part is not None:
                part.close()
