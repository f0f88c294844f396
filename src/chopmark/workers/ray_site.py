"""One site of a cluster: the API and the pages in a replica of Ray Serve."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Any

from chopmark.settings import load_settings
from chopmark.workers.ray_engine import RayEngine
from chopmark.workers.ray_generator import RayGenerator

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Site"]


class Site:
    """Holds the site that the proxy of its machine sends requests to.

    Args:
        options: Settings that go before those of the machine.
        opener: ``module:function`` that runs a site for the time of a ``with`` block.
        guards: Ray's handle of the guards.
        generators: Ray's handle of the generators.
    """

    async def __init__(  # type: ignore[misc]
        self, options: Mapping[str, Any], opener: str, guards: Any, generators: Any
    ) -> None:
        self._open = ExitStack()
        # Opening waits for the others: not in the loop, in which Ray lets nobody wait.
        self._site = await asyncio.to_thread(self._opened, options, opener, guards, generators)

    def _opened(self, options: Mapping[str, Any], opener: str, guards: Any, generators: Any) -> Any:
        settings = load_settings(**options)
        for handle in (guards, generators):
            # Replicas of this machine first: what a machine can do alone it still can when another
            # one, or the one with Ray's own state, does not answer. Ray 2.60 has no public name.
            handle._init(_prefer_local_routing=True)  # noqa: SLF001
        module, _, function = opener.partition(":")
        running = getattr(import_module(module), function)
        return self._open.enter_context(
            running(
                settings,
                engine=RayEngine(guards),
                generator=RayGenerator(generators, limit_s=settings.generate_timeout_s),
            )
        )

    def __serve_build_asgi_app__(self) -> Any:
        """Return the application, as Ray asks for it."""
        return self._site

    def __del__(self) -> None:
        """Close what was opened."""
        self._open.close()
