"""What is counted of a gateway, for Prometheus: no name of a caller, and no fact of one."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from carnet.gateway.notices import Notice
from carnet.gateway.turning import Turned

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Counts:
    """The figures of one process."""

    def __init__(self, epoch: Callable[[], int], streams: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "carnet_gateway_answers",
            "Requests by what was done and the item that was asked for.",
            ("action", "item"),
            registry=self._registry,
        )
        self._rules = Counter(
            "carnet_gateway_refusals",
            "Requests that were not served, by each rule that stood against them.",
            ("rule",),
            registry=self._registry,
        )
        self._suspected = Counter(
            "carnet_gateway_possible_upstream_suspension",
            "Answers of upstreams that a model is not offered any more.",
            ("model", "kind"),
            registry=self._registry,
        )
        self._cut = Counter("carnet_gateway_cut", "Open answers that were cut.", registry=self._registry)
        self._turns = Histogram(
            "carnet_gateway_cut_seconds",
            "From a change to the last reader of a cut that was told.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        Gauge("carnet_gateway_epoch", "The epoch that is enforced.", registry=self._registry).set_function(
            epoch
        )
        Gauge("carnet_gateway_open", "Answers that are open.", registry=self._registry).set_function(streams)

    def answered(self, action: str, item: str) -> None:
        """One request was served, or answered by another model."""
        self._answers.labels(action, item).inc()

    def told(self, notice: Notice) -> None:
        """One request was not served."""
        self._answers.labels(notice.code, notice.scope or "").inc()
        for rule in notice.rules:
            self._rules.labels(rule).inc()

    def suspected(self, model: str, kind: str) -> None:
        """An upstream says that a model is not there, or not for this place."""
        self._suspected.labels(model, kind).inc()

    def turned(self, turned: Turned) -> None:
        """Open answers were decided about anew."""
        if turned.cut:
            self._cut.inc(turned.cut)
            self._turns.observe(turned.seconds)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)
