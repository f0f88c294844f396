"""Plugins: how a generator, a guard, a watermark, a signer or a store of somebody else joins in.

A plugin is a package with an entry point in the group ``chopmark`` that names a module. Whatever of
the hooks (:class:`Hooks`) the module implements is asked; an answer of ``None`` means "not mine"::

    from chopmark.plugins import hookimpl

    @hookimpl
    def chopmark_generator(settings, progress):
        if settings.model == "acme:fast":
            return AcmeGenerator()
        return None

Chopmark's own parts come through the same hooks (:mod:`chopmark.plugins.builtin`), and are asked
last. Guards are the exception to "the first answer wins": every guard judges, and the strictest
verdict holds, so that installing a package can never switch a guard off.

``docs/plugins.md`` has a plugin that runs.
"""

from __future__ import annotations

from chopmark.plugins.hooks import GROUP, Hooks, Plugin, Plugins, hookimpl, load_plugins
from chopmark.plugins.protocols import RequestLog

__all__ = ["GROUP", "Hooks", "Plugin", "Plugins", "RequestLog", "hookimpl", "load_plugins"]
