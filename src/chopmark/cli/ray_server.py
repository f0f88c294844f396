"""``chopmark serve --engine ray``: the application of a cluster, run until it is interrupted."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

import typer

from chopmark.errors import ConfigurationError
from chopmark.workers.ray_proxy import NAMED

if TYPE_CHECKING:
    from chopmark.settings import Settings

__all__ = ["serve_on_ray"]

#: What every process of Ray that we start is told.
_QUIET: Final = {
    # Ray tells its makers of each cluster otherwise.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Its own helper needs longer than its 15 seconds to start on a machine that is busy.
    "RAY_agent_register_timeout_ms": "120000",
    # Read by Ray where its proxies start.
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": NAMED,
}


def serve_on_ray(settings: Settings) -> None:
    """Run the application on the cluster until this process is told to end.

    Raises:
        ConfigurationError: Ray is not installed, there is no cluster at the address, or the
            application does not start: what a replica said.
    """
    from chopmark.workers.ray_app import APPLICATION, build, ray_or_error

    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    ray = ray_or_error()
    from ray import serve

    application = build(_given(settings))
    _join(ray, settings)
    try:
        serve.start(
            proxy_location="EveryNode",
            http_options={"host": settings.host, "port": settings.port},
            logging_config={"enable_access_log": False},
        )
        _run(serve, application, APPLICATION)
        typer.echo(f"serving on http://{settings.host}:{settings.port} of every node", err=True)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        ended.wait()
        serve.delete(APPLICATION)
    finally:
        if not settings.ray_address:
            serve.shutdown()
        ray.shutdown()


def _given(settings: Settings) -> dict[str, Any]:
    """Return what of the settings the replicas are told; the rest is their own machines'."""
    told = {name: getattr(settings, name) for name in settings.model_fields_set & _TOLD}
    return told | {"engine": "ray"}


#: What a deployment is planned by, and what options of the command line say.
_TOLD: Final = frozenset({
    "workers", "ray_nodes", "ray_nodes_most", "ray_generators", "ray_generators_most", "ray_gpus",
    "ray_queue",
})  # fmt: skip


def _join(ray: Any, settings: Settings) -> None:
    options: dict[str, Any] = {"include_dashboard": False, "configure_logging": False}
    if settings.ray_address:
        options = {"address": settings.ray_address, "configure_logging": False}
    else:
        # Places, not cores: a site, guards and generators find room on a small machine as well.
        options["num_cpus"] = 1 + settings.most_generators
        # Pictures that are not booked yet would be written to disk when its memory is full.
        options["_system_config"] = {"automatic_object_spilling_enabled": False}
    try:
        ray.init(log_to_driver=not settings.ray_address, **options)
    except Exception as error:  # Ray raises it bare where its processes do not start in time
        where = settings.ray_address or "on this machine"
        raise ConfigurationError(
            f"there is no cluster of Ray {where}: {(str(error).splitlines() or [''])[0]}",
            hint="run `ray start` first; CHOPMARK_RAY_ADDRESS is HOST:6379, auto, or empty",
        ) from error


def _run(serve: Any, application: Any, name: str) -> None:
    try:
        serve.run(application, name=name, route_prefix="/")
    except RuntimeError as error:
        said = [line for line in str(error).splitlines() if "chopmark.errors" in line]
        reason = said[-1].strip() if said else str(error)[-600:]
        raise ConfigurationError(
            f"the application does not start on the cluster: {reason}",
            hint="the log of that replica has the rest: `serve status`, or its file below"
            " /tmp/ray/session_latest/logs/serve",
        ) from error
