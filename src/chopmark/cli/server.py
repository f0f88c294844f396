"""``chopmark serve`` and ``doctor``."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from chopmark.cli import debug_log
from chopmark.cli.output import emit, progress_bar
from chopmark.cli.ray_server import serve_on_ray
from chopmark.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.settings import Settings

__all__ = ["doctor", "serve"]

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address; loopback until there are keys.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes of each kind that judge, mark, sign and read files; by cores and "
            "memory if not given. 0: everything in this process.",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="Who does the work: local, this machine; ray, a cluster of Ray Serve."),
    ] = None,
) -> None:
    """Serve the HTTP API and the pages (verify, studio, console)."""
    import uvicorn

    from chopmark import Pipeline
    from chopmark.pipeline.lost import close_lost
    from chopmark.service.connection import server_options
    from chopmark.settings import load_settings
    from chopmark.site import serving
    from chopmark.workers import usual_number

    settings = load_settings(host=host, port=port, workers=workers, engine=engine)
    if settings.engine == "ray":
        _may_listen(settings)
        serve_on_ray(settings)
        return
    if settings.workers is None:
        settings = settings.model_copy(update={"workers": usual_number()})
    _may_listen(settings)
    with (
        progress_bar(quiet=not sys.stderr.isatty()) as progress,
        Pipeline.from_settings(settings, progress=progress) as pipeline,
    ):
        if progress is not None:
            progress(0, 0, "opening model, log and keys")
        pipeline.parts.open_all()
        # Those of a process that is still there may still be on their way.
        lost = close_lost(pipeline.parts)
        if lost:
            typer.echo(f"closed {len(lost)} requests that an earlier run left open", err=True)
        if debug_log.is_shown():
            # From here on the server's own log has these lines, and hides prompts.
            debug_log.stop(level=logging.DEBUG)
        with serving(pipeline) as site, _tracing(settings):
            uvicorn.run(
                site,
                host=settings.host,
                port=settings.port,
                log_level="info",
                access_log=False,  # ours has no paths and no queries: callers write those
                server_header=False,
                # Whoever stops the server waits so long; the rest is cancelled and booked.
                timeout_graceful_shutdown=settings.shutdown_s,
                **server_options(settings),
            )


@contextmanager
def _tracing(settings: Settings) -> Iterator[None]:
    if not settings.otel:
        yield
        return
    from chopmark import __version__
    from chopmark.kit.tracing import export_spans

    provider = export_spans(__version__)
    try:
        yield
    finally:
        provider.shutdown()  # sends what is left


def _may_listen(settings: Settings) -> None:
    """Refuse an address that others reach while nobody needs a key."""
    from chopmark.service.access import is_loopback
    from chopmark.service.identity import Identity
    from chopmark.tenancy import AccessStore, People

    home = settings.open_home()
    with (
        AccessStore.open(home, database=settings.database) as store,
        People.open(home, database=settings.database) as people,
    ):
        if Identity(settings, store, people).guarded():
            return
        known_as = urlsplit(settings.public_url).hostname or ""
        if known_as and not is_loopback(known_as):
            raise ConfigurationError(
                f"will not serve as {known_as}: there are no API keys and no people yet, so whoever"
                " comes through the proxy could generate",
                hint="make a key with `chopmark access create`, or unset CHOPMARK_PUBLIC_URL",
            )
        if not is_loopback(settings.host):
            raise ConfigurationError(
                f"will not serve on {settings.host}: there are no API keys and no people yet, so"
                " anybody who reaches the address could generate",
                hint="make a key with `chopmark access create`, or bind to 127.0.0.1",
            )


def doctor(as_json: Json = False) -> None:
    """Open every part, strike and read a mark, sign and verify, and say what does not work."""
    from chopmark.doctor import diagnose
    from chopmark.settings import load_settings

    settings = load_settings()
    with progress_bar(quiet=as_json) as progress:
        findings = diagnose(settings, progress=progress)
    if as_json:
        emit({"ok": all(f.ok for f in findings), "findings": [f.to_dict() for f in findings]})
    else:
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.ok else 'FAIL'} {finding.part:<12} {finding.detail}")
            if finding.hint:
                typer.echo(f"     hint: {finding.hint}")
            if finding.fix:
                typer.echo(f"     run:  {finding.fix}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
