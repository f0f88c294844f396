"""The hooks that a plugin can implement, and how plugins are found and asked."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

import pluggy

from chopmark.errors import ChopmarkError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chopmark.generation import Generator
    from chopmark.kit.types import Progress
    from chopmark.plugins.protocols import RequestLog
    from chopmark.provenance import CredentialProvider, ManifestRepository
    from chopmark.provenance.watermark import Watermarker
    from chopmark.safety import JudgesPictures, JudgesText
    from chopmark.settings import Settings

__all__ = ["GROUP", "Hooks", "Plugin", "Plugins", "hookimpl", "load_plugins"]

#: The entry point group, and pluggy's project name.
_LOG = logging.getLogger(__name__)
GROUP: Final = "chopmark"
_spec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Hooks:
    """What can be hooked. An implementation may leave out parameters that it does not need."""

    @_spec(firstresult=True)
    def chopmark_generator(self, settings: Settings, progress: Progress | None) -> Generator | None:
        """Return what makes pictures for ``settings.model``, or ``None``.

        Raises:
            ModelNotFound: The name is yours, and there is no such model here.
        """

    @_spec
    def chopmark_prompt_guard(self, settings: Settings) -> JudgesText | None:
        """Return a guard that judges every prompt beside the others, or ``None``."""

    @_spec
    def chopmark_image_guard(self, settings: Settings) -> JudgesPictures | None:
        """Return a guard that judges every picture beside the others, or ``None``."""

    @_spec
    def chopmark_watermarkers(self) -> Mapping[str, Callable[[], Watermarker]] | None:
        """Return watermark methods by name; each is made when it is first used.

        The name can be ``CHOPMARK_MARK_METHOD``. A name that is taken is an error.
        """

    @_spec(firstresult=True)
    def chopmark_credential(self, settings: Settings) -> CredentialProvider | None:
        """Return what knows the credential that signs manifests, or ``None``.

        The hook is asked once, its answer for each picture: a renewed certificate needs no restart.

        Raises:
            CredentialRefused: Verifiers would refuse what it signs.
        """

    @_spec(firstresult=True)
    def chopmark_manifest_store(self, settings: Settings) -> ManifestRepository | None:
        """Return where manifests are kept, or ``None``."""

    @_spec(firstresult=True)
    def chopmark_log(self, settings: Settings) -> RequestLog | None:
        """Return the log that every request is booked in, or ``None``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A plugin that was loaded.

    Attributes:
        name: Of its entry point.
        distribution: Package and version, as installed.
        hooks: Which hooks it implements, sorted.
    """

    name: str
    distribution: str
    hooks: tuple[str, ...]


class Plugins:
    """Loaded plugins, and what they answer. Made by :func:`load_plugins`.

    Attributes:
        loaded: The plugins of other packages.
    """

    def __init__(self, manager: pluggy.PluginManager, loaded: Sequence[Plugin]) -> None:
        self._hook = manager.hook
        self.loaded = tuple(loaded)

    def generator(self, settings: Settings, progress: Progress | None) -> Generator:
        """Return what makes pictures for ``settings.model``.

        Raises:
            ConfigurationError: As for each hook: a plugin broke (the answer is never taken from
                another then), nobody answered, or an answer lacks a method of its Protocol.
            ChopmarkError: As documented at the hook.
        """
        from chopmark.generation import Generator

        hook = "chopmark_generator"
        generator: Generator = self._first(hook, Generator, settings=settings, progress=progress)
        return generator

    def prompt_guards(self, settings: Settings) -> list[JudgesText]:
        """Return every guard that judges prompts, our own first."""
        from chopmark.safety import JudgesText

        return self._all("chopmark_prompt_guard", JudgesText, settings=settings)

    def image_guards(self, settings: Settings) -> list[JudgesPictures]:
        """Return every guard that judges pictures, our own first."""
        from chopmark.safety import JudgesPictures

        return self._all("chopmark_image_guard", JudgesPictures, settings=settings)

    def watermarkers(self) -> list[tuple[str, Callable[[], Watermarker]]]:
        """Return the watermark methods that plugins offer, each with its name."""
        offers: list[Mapping[str, Callable[[], Watermarker]]] = self._ask("chopmark_watermarkers")
        return [item for offer in offers for item in offer.items()]

    def credentials(self, settings: Settings) -> CredentialProvider:
        """Return what knows the signing credential."""
        from chopmark.provenance import CredentialProvider

        hook = "chopmark_credential"
        credentials: CredentialProvider = self._first(hook, CredentialProvider, settings=settings)
        return credentials

    def manifest_store(self, settings: Settings) -> ManifestRepository:
        """Return where manifests are kept."""
        from chopmark.provenance import ManifestRepository

        hook = "chopmark_manifest_store"
        store: ManifestRepository = self._first(hook, ManifestRepository, settings=settings)
        return store

    def log(self, settings: Settings) -> RequestLog:
        """Return the log that every request is booked in."""
        from chopmark.plugins.protocols import RequestLog

        log: RequestLog = self._first("chopmark_log", RequestLog, settings=settings)
        return log

    def _first(self, hook: str, protocol: type, **given: object) -> Any:
        answer = self._ask(hook, **given)
        if answer is None:
            raise ConfigurationError(f"nothing here answers {hook}", hint=self._hint())
        self._check(hook, answer, protocol)
        return answer

    def _all(self, hook: str, protocol: type, **given: object) -> list[Any]:
        # pluggy asks the last registered first, and ours were registered before all others.
        answers = list(reversed(self._ask(hook, **given)))
        for answer in answers:
            self._check(hook, answer, protocol)
        return answers

    def _ask(self, hook: str, **given: object) -> Any:
        try:
            return getattr(self._hook, hook)(**given)
        except ChopmarkError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"a plugin failed in {hook}: {type(error).__name__}: {error}", hint=self._hint()
            ) from error

    def _check(self, hook: str, answer: object, protocol: type) -> None:
        """Refuse an answer that lacks a method, now rather than in the midst of a request.

        Only methods are looked for: to ask for a property may be to compute it.
        """
        methods = [
            name
            for name, member in vars(protocol).items()
            if isinstance(member, FunctionType) and not name.startswith("_")
        ]
        missing = [name for name in methods if not callable(getattr(answer, name, None))]
        if missing:
            raise ConfigurationError(
                f"{type(answer).__name__}, the answer to {hook}, has no {', '.join(missing)}",
                hint=self._hint(),
            )

    def _hint(self) -> str:
        installed = ", ".join(plugin.distribution for plugin in self.loaded) or "-"
        return f"installed plugins: {installed}; CHOPMARK_PLUGINS=false starts without them"


def load_plugins(*own: object, others: bool = True) -> Plugins:
    """Register ``own`` and then every installed plugin, which is therefore asked first.

    Args:
        own: Objects with implementations, asked last.
        others: Whether packages with an entry point take part.

    Raises:
        ConfigurationError: A plugin does not import, or implements a hook that does not exist. It
            is never skipped: it may be the guard that somebody relies on.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Hooks)
    for one in own:
        manager.register(one)
    loaded = []
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name) if others else ():
        try:
            module = point.load()
            manager.register(module, name=point.name)
            manager.check_pending()
        except Exception as error:
            raise ConfigurationError(
                f"plugin {point.name} of {_distribution(point)} cannot be loaded: {error}",
                hint="uninstall it, or start without plugins: CHOPMARK_PLUGINS=false",
            ) from error
        callers = manager.get_hookcallers(module) or []
        loaded.append(
            Plugin(
                name=point.name,
                distribution=_distribution(point),
                hooks=tuple(sorted(caller.name for caller in callers)),
            )
        )
    for one in loaded:
        _LOG.debug("plugin %s of %s: %s", one.name, one.distribution, " ".join(one.hooks))
    return Plugins(manager, loaded)


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "?"
