"""A span of each request for OpenTelemetry, where its standard variables name a collector; else nothing of it
is loaded. What happens to a request is in `carnet.web.app`.

A span tells what `ATTRIBUTES` lists and nothing else: no path with an id in it, no tenant, subject, key or
header, no text of an error. Of the caller's headers `traceparent` alone is read.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Protocol

from carnet.model.errors import InputError
from carnet.model.plain import printable
from carnet.web.routes import Endpoint

VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""One of them has to be set. The others of OTLP over HTTP count too, those of resources do not."""

TRACEPARENT = "traceparent"

ATTRIBUTES = (
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "carnet.outcome",
    "carnet.epoch",
    "carnet.node",
)
"""`carnet.outcome` is the legal outcome of a single determination, or the name of the problem."""

LAST_SECONDS = 3.0
"""How long a node that ends waits for a collector."""

outcome: ContextVar[str | None] = ContextVar("outcome", default=None)
"""What came of the request that is being answered."""


class Trace(Protocol):
    """Takes a request that was answered. `started` is in nanoseconds since 1970."""

    def __call__(self, endpoint: Endpoint, parent: str | None, started: int, status: int, epoch: int) -> None:
        """Never waits and never raises."""


def wanted() -> bool:
    """Whether the variables name a collector. Raises `InputError` if they do and nothing is there that could
    send to it."""
    if not any(os.environ.get(name) for name in VARIABLES):
        return False
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: PLC0415 -- an extra
        import opentelemetry.sdk.trace.export  # noqa: F401, PLC0415 -- as above
    except ImportError:
        raise InputError(
            "`OTEL_EXPORTER_OTLP_ENDPOINT` is set and traces need the extra `otel`: "
            "`pip install 'carnet[otel]'`, or unset it"
        ) from None
    return True


@contextlib.contextmanager
def tracing(node: int) -> Iterator[Trace | None]:
    """What takes the requests of a node, if anything does. Spans wait in a queue; those that it can't hold,
    or that the collector does not take, are lost. Raises as `wanted`."""
    if not wanted():
        yield None
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 -- as above
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 -- as above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 -- as above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 -- as above
    from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415 -- as above
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 -- as above
        TraceContextTextMapPropagator,
    )

    name = os.environ.get("OTEL_SERVICE_NAME") or "carnet"
    try:
        provider = TracerProvider(resource=Resource({"service.name": name}), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except ValueError as error:
        raise InputError(
            f"OpenTelemetry does not take what its variables say: {printable(str(error))}"
        ) from None
    tracer, propagator = provider.get_tracer("carnet"), TraceContextTextMapPropagator()

    def trace(endpoint: Endpoint, parent: str | None, started: int, status: int, epoch: int) -> None:
        came = outcome.get()
        values = (endpoint.method, endpoint.path, status, came, epoch, node)
        span = tracer.start_span(
            f"{endpoint.method} {endpoint.path}",
            context=None if parent is None else propagator.extract({TRACEPARENT: parent}),
            kind=SpanKind.SERVER,
            attributes={
                key: value for key, value in zip(ATTRIBUTES, values, strict=True) if value is not None
            },
            start_time=started,
        )
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(time.time_ns())

    try:
        yield trace
    finally:
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(LAST_SECONDS)
