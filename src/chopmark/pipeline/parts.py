"""What the pipeline needs from the four rooms, opened once, when first used.

Opening is lazy because the faces need different things: ``chopmark verify`` must not load a
generator, ``chopmark moderate`` needs no key. ``Parts.open_all`` opens everything: ``chopmark
serve`` wants no surprise at the first request.
"""

from __future__ import annotations

import logging
import threading
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    Literal,
    Self,
    TypeVar,
)

from pydantic import SecretStr

from chopmark.errors import ConfigurationError
from chopmark.kit.redaction import conceal_for_good
from chopmark.pipeline.opened_once import Current, Once
from chopmark.pipeline.policy_book import PolicyBook
from chopmark.plugins import signing_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark.audit import AuditLog
    from chopmark.generation import Generator
    from chopmark.generation.semantic import PromptIndex
    from chopmark.kit.types import Progress
    from chopmark.pipeline.answer_cache import AnswerCache
    from chopmark.pipeline.elsewhere import ImageGuardElsewhere, PromptGuardElsewhere
    from chopmark.pipeline.foreign_files import ForeignFiles
    from chopmark.pipeline.in_flight import InFlight
    from chopmark.pipeline.in_flight_shared import SharedInFlight
    from chopmark.plugins import Plugins, RequestLog
    from chopmark.provenance import (
        Credential,
        CredentialProvider,
        LabelStyle,
        ManifestRepository,
        MarkKeys,
        MarkKeySource,
        TimestampAuthority,
        TimestampQueue,
        TrustAnchors,
    )
    from chopmark.provenance.reading import ReadsPixels
    from chopmark.safety import ImageGuards, PromptGuards
    from chopmark.settings import Settings
    from chopmark.workers import Engine

__all__ = ["Parts"]

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
# Parts that a home need not have yet: where ours keep them, and the hook of those who keep them
# elsewhere.
_LASTING: Final[dict[str, tuple[str, str]]] = {
    "request_log": ("audit", "chopmark_log"),
    "mark_keys": ("keys/watermark", ""),
    "store": ("manifests", "chopmark_manifest_store"),
}


class Parts:
    """The opened parts of the four rooms for one home folder.

    Attributes:
        names: What the parts are called.
        settings: What they are opened by.
        progress: Told about first-use set-up.
        home: The home folder.
        opened: The parts that are open, by name.
        followers: Called whenever content was taken from our log, by erasure or retention.
    """

    names: ClassVar[list[str]] = []

    def __init__(self, settings: Settings, *, progress: Progress | None = None) -> None:
        self.settings = settings
        self.progress = progress
        self.lock = threading.RLock()
        self.home: Path = settings.open_home()
        self.opened: dict[str, object] = {}
        # No line of any log may quote these, whatever fails with them.
        conceal_for_good(
            *(value.get_secret_value() for _, value in settings if isinstance(value, SecretStr))
        )
        self._announced: tuple[str, str] | None = None
        self.followers: list[Callable[[AuditLog], None]] = []

    def use(self, **parts: object) -> Self:
        """Use these parts instead of those that the settings describe; return this object.

        For programs that have opened a part already, and for tests.

        Raises:
            TypeError: There is no part of such a name.
        """
        unknown = sorted(set(parts).difference(self.names))
        if unknown:
            raise TypeError(f"there is no part {unknown[0]!r}; parts are {', '.join(self.names)}")
        with self.lock:
            self.opened.update(parts)
        return self

    @Once
    def policies(self) -> PolicyBook:
        """Which policy judges whose requests."""
        return PolicyBook(
            self.settings.policy,
            log=lambda: self.request_log,
            overrides=self.settings.tenant_policies,
            shadow=self.settings.shadow_policy,
            shadow_file=self.home / "policies" / "shadow.yaml",
        )

    @Once
    def in_flight(self) -> InFlight | SharedInFlight:
        """Which requests are on their way, here or at all servers that share a database.

        Raises:
            ConfigurationError: The address of the database cannot be used.
            DatabaseUnavailable: It does not answer.
            LogUnavailable: The log cannot be opened.
        """
        from chopmark.pipeline.in_flight import InFlight
        from chopmark.pipeline.in_flight_shared import SharedInFlight

        database = self.settings.database
        if not database:
            return InFlight(self.home)
        return SharedInFlight(self.home, database, fence=self.log.fence)

    @Once
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

    @Once
    def engine(self) -> Engine | None:
        """Worker processes, or None where everything is done in this one."""
        if not self.settings.workers:
            return None
        from chopmark.pipeline.workplace import open_engine

        return open_engine(self.settings, self.plugins)

    @Once
    def prompt_guard(self) -> PromptGuards | PromptGuardElsewhere:
        """Judges prompts."""
        if self.engine is not None:
            from chopmark.pipeline.elsewhere import PromptGuardElsewhere
            from chopmark.pipeline.workplace import judges_texts_with_keys

            with_keys = judges_texts_with_keys(self.settings, self.plugins)
            return PromptGuardElsewhere(
                self.engine, self.settings, pool="trusted" if with_keys else "texts"
            )
        from chopmark.safety import PromptGuards

        return PromptGuards(self.plugins.prompt_guards(self.settings))

    @Once
    def image_guard(self) -> ImageGuards | ImageGuardElsewhere:
        """Judges pictures."""
        if self.engine is not None:
            from chopmark.pipeline.elsewhere import ImageGuardElsewhere

            return ImageGuardElsewhere(self.engine, self.settings)
        from chopmark.safety import ImageGuards

        return ImageGuards(self.plugins.image_guards(self.settings))

    @Once
    def files(self) -> ForeignFiles:
        """Parses what strangers send."""
        from chopmark.pipeline.foreign_files import FilesElsewhere, ForeignFilesHere

        if self.engine is not None:
            return FilesElsewhere(self.engine, self.settings)
        return ForeignFilesHere(self.settings)

    @Current
    def pixels(self) -> ReadsPixels:
        """Reads marks and fingerprints, with the keys as they are now."""
        if self.engine is not None:
            from chopmark.pipeline.elsewhere import PixelsElsewhere

            return PixelsElsewhere(self.engine, self.settings)
        from chopmark.provenance.reading import PixelsHere

        # Somebody who only asks about a picture must not come to own keys by it.
        return PixelsHere(self.mark_keys.all if self.exists("mark_keys") else ())

    @Once
    def generator(self) -> Generator:
        """Makes pictures."""
        if self.settings.workers:
            from chopmark.workers.generators import generator_elsewhere

            return generator_elsewhere(
                self.settings, threads=self.settings.generator_threads, progress=self.progress
            )
        return self.plugins.generator(self.settings, self.progress)

    @Once
    def prompt_index(self) -> PromptIndex | None:
        """Past prompts by meaning, where the deployer opted in."""
        if not self.settings.prompt_index:
            return None
        from chopmark.generation.semantic import PromptIndex

        return PromptIndex.open(self.home)

    @Once
    def answer_cache(self) -> AnswerCache:
        """Earlier answers, and what keeps new ones; idle where the deployer did not opt in."""
        from chopmark.pipeline.answer_cache import AnswerCache

        return AnswerCache(close_s=self.settings.guard_timeout_s)

    @Once
    def mark_key_source(self) -> MarkKeySource:
        """Where the watermark's keys are."""
        from chopmark.provenance import MarkKeySource

        return MarkKeySource(self.home)

    @Current
    def mark_keys(self) -> MarkKeys:
        """Secret keys of the watermark, as they are now."""
        return self.mark_key_source.current()

    @Once
    def credentials(self) -> CredentialProvider:
        """Where the signing credential is."""
        return self.plugins.credentials(self.settings)

    @Current
    def credential(self) -> Credential:
        """Signs manifests; a changed file is taken up at the next look."""
        return self.credentials.current()

    @Once
    def authority(self) -> TimestampAuthority | None:
        """Stamps the time of signatures, if one is set."""
        return signing_settings.authority(self.settings)

    @Once
    def stamps(self) -> TimestampQueue:
        """What was signed and waits for its time stamp."""
        from chopmark.provenance import TimestampQueue

        return TimestampQueue(self.home, self.store)

    @Once
    def label(self) -> LabelStyle | None:
        """The visible label, if one is set."""
        return signing_settings.label(self.settings)

    @Once
    def anchors(self) -> TrustAnchors:
        """Certificates that verify trusts: our own, and those of the deployer."""
        from chopmark.provenance import load_anchors

        return load_anchors(
            self.home, cert=self.settings.signing_cert, lists=self.settings.trust_anchors
        )

    @Once
    def store(self) -> ManifestRepository:
        """Manifests by id, by watermark and by fingerprint."""
        return self.plugins.manifest_store(self.settings)

    @Once
    def request_log(self) -> RequestLog:
        """The tamper-evident log: as much of it as it takes to make pictures."""
        from chopmark.audit import AuditLog
        from chopmark.audit.custody.custody import follow

        log = self.plugins.log(self.settings)
        if isinstance(log, AuditLog):
            follow(log.custody, lambda: [work(log) for work in self.followers])
        return log

    @property
    def log(self) -> AuditLog:
        """The same log with its desk, its proofs and its custody, for those who work with it.

        Raises:
            ConfigurationError: It is a plugin's, which need not have these.
        """
        from chopmark.audit import AuditLog

        log = self.request_log
        if not isinstance(log, AuditLog):
            raise ConfigurationError(
                f"the log here is a plugin's ({type(log).__name__}), which has no review, appeals,"
                " search or erasure",
                hint="use that log's own tools; `chopmark doctor` lists the plugins",
            )
        return log

    def announce_keys(self) -> None:
        """Book which mark key and certificate are used from now on, where these have changed."""
        keys = (self.credential.fingerprint, self.mark_keys.active.key_id)
        if keys == self._announced:
            return
        for what, name in zip(("signing certificate", "watermark key"), keys, strict=True):
            self.request_log.in_force("key.rotated", name, what=what)
        self._announced = keys

    def exists(self, part: Literal["request_log", "mark_keys", "store"]) -> bool:
        """Whether this home ever had this part; asking does not make it."""
        folder, hook = _LASTING[part]
        return (
            part in self.opened
            or (self.home / folder).is_dir()
            or any(hook in plugin.hooks for plugin in self.plugins.loaded)
        )

    def open_all(self) -> None:
        """Open every part, the slowest last."""
        self.policies.active()
        self.policies.shadow()
        for name in ("request_log", "credential", "mark_keys", "anchors", "store"):
            getattr(self, name)
        for name in ("authority", "label", "prompt_index", "answer_cache"):
            getattr(self, name)
        for name in ("engine", "prompt_guard", "image_guard", "files", "generator"):
            getattr(self, name)
        _ = self.generator.info
        if self.engine is not None:
            self.engine.ready()
        # A generator of a plugin, or one that costs money a picture, need not have this.
        warm_up = getattr(self.generator, "warm_up", None)
        if self.settings.warm_up and warm_up is not None:
            warm_up()

    def close(self) -> None:
        """Finish what is still to be kept, and close what was opened and holds files."""
        # The cache first: what it keeps goes into the others.
        for name in (
            "answer_cache", "engine", "generator", "request_log", "store", "prompt_index",
            "in_flight",
        ):  # fmt: skip
            part: Any = self.opened.pop(name, None)
            # A generator in this process has nothing to close, and a plugin's need not.
            if part is not None and hasattr(part, "close"):
                part.close()
