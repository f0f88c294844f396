"""OpenTelemetry spans, where ``chopmark[otel]`` is installed; nothing at all where it is not.

One span a request over HTTP, one for each stage of the pipeline inside it. Attributes are closed
sets and ids of ours: stage, record, error code; never a prompt, a name or an address.

>>> with span("chopmark.example", stage="mark"):
...     pass
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from chopmark.errors import ChopmarkError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["export_spans", "span"]


@contextmanager
def span(
    name: str, *, headers: Mapping[str, str] | None = None, **attributes: str
) -> Iterator[dict[str, str]]:
    """Run a block as a span; what is put into the dict meanwhile becomes attributes.

    Args:
        name: Of the span; from a closed set.
        headers: Of a request whose ``traceparent`` (W3C Trace Context) is to be gone on with.
        attributes: Without the prefix ``chopmark.``.
    """
    collected: dict[str, str] = dict(attributes)
    api = _api()
    if api is None:
        yield collected
        return
    trace, propagate = api
    parent = propagate.extract(headers) if headers is not None else None
    # Exceptions are told by their code: their messages may quote what they were given.
    with trace.get_tracer("chopmark").start_as_current_span(
        name, context=parent, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield collected
        except BaseException as error:
            code = error.code if isinstance(error, ChopmarkError) else type(error).__name__
            current.set_attribute("error.type", code)
            current.set_status(trace.StatusCode.ERROR)
            raise
        finally:
            for key, value in collected.items():
                current.set_attribute(f"chopmark.{key}", value)


def export_spans(version: str) -> Any:
    """Send spans to where the ``OTEL_EXPORTER_OTLP_*`` variables say; return what to shut down.

    Raises:
        ConfigurationError: ``chopmark[otel]`` is not installed.
    """
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(
            "CHOPMARK_OTEL is set, and OpenTelemetry is not installed",
            hint="pip install 'chopmark[otel]'",
        ) from error
    resource = Resource.create({"service.name": "chopmark", "service.version": version})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


@cache
def _api() -> tuple[Any, Any] | None:
    try:
        from opentelemetry import propagate, trace
    except ImportError:
        return None
    return trace, propagate
