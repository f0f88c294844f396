"""Chopmark on Ray Serve: what ``serve deploy`` and KubeRay name.

``chopmark.workers.ray_app:build`` returns an application of three deployments:

``Site``
    the HTTP API and the pages, one on each machine, behind Ray's proxy of that machine. Its state
    is in PostgreSQL and Redis; a site that dies takes nothing with it.
``Guards``
    judges, marks, signs and reads files; one on each machine, which uses that machine's cores
    through the same confined processes as without Ray.
``Generators``
    makes pictures, in batches; on GPUs where ``CHOPMARK_RAY_GPUS`` says so.

>>> from chopmark.workers.ray_app import build
>>> application = build({"ray_nodes": "3", "ray_generators": "2"})  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ConfigurationError
from chopmark.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.settings import Settings

__all__ = ["APPLICATION", "build", "ray_or_error"]

#: The application's name in the cluster.
APPLICATION: Final = "chopmark"
#: The rooms above this one, by name, as a pool names its jobs: workers must not import them.
_ENGINE: Final = "chopmark.pipeline.workplace:engine_of"
_SITE: Final = "chopmark.site:running_site"
#: A machine that is cut off is noticed within seconds, and its replicas are replaced.
_HEALTH: Final = {"health_check_period_s": 2.0, "health_check_timeout_s": 6.0}
#: Jobs that one set of guards works on or has in its line, for each of its processes.
_LINE: Final = 4


def ray_or_error() -> Any:
    """Return the module ``ray``.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        import_module("ray.serve")
        return import_module("ray")
    except ImportError:
        raise ConfigurationError(
            "CHOPMARK_ENGINE=ray needs Ray Serve", hint="pip install 'chopmark[ray]'"
        ) from None


def build(args: Mapping[str, Any] | None = None) -> Any:
    """Return the application.

    Args:
        args: Settings by their names, as in :class:`chopmark.settings.Settings`, that go before
            ``CHOPMARK_*`` of each machine's environment. They stand in the cluster's state and on
            its dashboard: keys and passwords belong in the environment.

    Raises:
        ConfigurationError: Ray is not installed, a setting cannot be used, or several machines
            would have no database to share.
    """
    ray_or_error()
    from ray import serve

    from chopmark.workers.ray_replicas import Generating, Guards
    from chopmark.workers.ray_site import Site

    given = dict(args or {}) | {"engine": "ray"}
    settings = load_settings(**given)
    _must_share(settings)
    # How many there are is no affair of theirs: else a change of it would replace them all.
    options = {name: value for name, value in given.items() if not name.startswith("ray_")}
    calm = {"enable_access_log": False}  # Ray's has paths and queries, which callers write
    # Ray replaces every replica when the application is deployed again: each may end its work.
    leave = {"graceful_shutdown_timeout_s": float(settings.shutdown_s)}
    places = _LINE * (settings.workers or 4)
    guards = serve.deployment(
        Guards,
        name="Guards",
        ray_actor_options={"num_cpus": 1},
        max_replicas_per_node=1,
        max_ongoing_requests=places,
        max_queued_requests=settings.ray_queue,
        logging_config=calm,
        **_replicas(settings.ray_nodes, settings.most_nodes, target=places / 2),
        **leave,
        **_HEALTH,
    )
    generators = serve.deployment(
        Generating,
        name="Generators",
        ray_actor_options=(
            {"num_cpus": 0, "num_gpus": settings.ray_gpus} if settings.ray_gpus else {"num_cpus": 1}
        ),
        # Without a GPU one uses every core; a second would only take the guards' place.
        **({} if settings.ray_gpus else {"max_replicas_per_node": 1}),
        max_ongoing_requests=2 * settings.max_batch,
        max_queued_requests=settings.ray_queue,
        logging_config=calm,
        **_replicas(
            settings.ray_generators, settings.most_generators, target=float(settings.max_batch)
        ),
        **leave,
        **_HEALTH,
    )
    site = serve.deployment(
        serve.ingress()(Site),
        name="Site",
        ray_actor_options={"num_cpus": 0},
        max_replicas_per_node=1,
        max_ongoing_requests=settings.max_connections,
        max_queued_requests=settings.max_queue,
        backpressure_config={"status_code": 503, "retry_after_s": 5},
        logging_config=calm,
        **_replicas(settings.ray_nodes, settings.most_nodes, target=settings.max_connections / 2),
        **leave,
        **_HEALTH,
    )
    return site.bind(
        options,
        _SITE,
        guards.bind(options, _ENGINE, places),
        generators.bind(options, 2 * settings.max_batch),
    )


def _must_share(settings: Settings) -> None:
    if settings.most_nodes > 1 and not settings.database:
        raise ConfigurationError(
            "several machines need a database that they share: each would have a log of its own",
            hint="set CHOPMARK_DATABASE, or CHOPMARK_RAY_NODES=1; see docs/scaling.md",
        )


def _replicas(least: int, most: int, *, target: float) -> dict[str, Any]:
    """Return how many replicas there are: a number, or how it follows the load."""
    if most <= least:
        return {"num_replicas": least}
    return {
        "autoscaling_config": {
            "min_replicas": least,
            "max_replicas": most,
            "target_ongoing_requests": target,
        }
    }
