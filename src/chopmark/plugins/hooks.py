"""The hooks that a plugin can implement, and how plugins are found and asked."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pluggy

from chopmark.errors import ChopmarkError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chopmark.audit import AuditLog
    from chopmark.generation import Generator
    from chopmark.kit.types import Progress
    from chopmark.provenance import Credential, CredentialSource, ManifestStore
    from chopmark.provenance.watermark import Watermarker
    from chopmark.safety import JudgesPictures, JudgesText
    from chopmark.settings import Settings

__all__ = ["GROUP", "Hooks", "Plugin", "Plugins", "hookimpl", "load_plugins"]

#: The entry point group, and pluggy's project name.
_LOG = logging.getLogger(__name__)
GROUP: Final = "chopmark"
_spec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)

T = TypeVar("T")


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
    def chopmark_credential(self, settings: Settings) -> Credential | CredentialSource | None:
        """Return what signs manifests, or ``None``.

        Asked once; a :class:`chopmark.provenance.CredentialSource` is looked at for each picture.

        Raises:
            CredentialRefused: Verifiers would refuse what it signs.
        """

    @_spec(firstresult=True)
    def chopmark_manifest_store(self, settings: Settings) -> ManifestStore | None:
        """Return where manifests are kept, or ``None``."""

    @_spec(firstresult=True)
    def chopmark_log(self, settings: Settings) -> AuditLog | None:
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

    def ask(self, hook: str, **given: object) -> Any:
        """Return what a hook answers: one value, or for a guard hook the list of all.

        Raises:
            ConfigurationError: A plugin broke; the first answer is never taken from another then.
            ChopmarkError: As documented at the hook.
        """
        try:
            return getattr(self._hook, hook)(**given)
        except ChopmarkError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"a plugin failed in {hook}: {type(error).__name__}: {error}",
                hint=f"installed plugins: {', '.join(p.distribution for p in self.loaded) or '-'}; "
                "CHOPMARK_PLUGINS=false starts without them",
            ) from error


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
