"""What a node counts of itself for Prometheus, and the counts of several nodes put together. No tenant, no
subject, no product is in a label. When something is counted is for the handlers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from carnet.model.errors import LedgerError, StoreError
from carnet.service.node import Node

_ALWAYS = (
    ("log_records", "Records in the log."),
    ("log_trouble", "1 while nothing can be recorded."),
    ("clock_suspect", "1 while the clock is suspect and nothing controlled is served."),
    ("witness_trouble", "1 while nothing controlled is served because of what witnesses say or do not say."),
    ("grants", "Grants that are held."),
    ("epoch", "The epoch that is enforced."),
)
_SHARED = (
    ("copies_behind", "Records that are not known to be in PostgreSQL."),
    ("copies_trouble", "1 while no records go to PostgreSQL, or something can't be forgotten there."),
    ("log_of_logs_leads", "1 while this node keeps the log of logs."),
    ("log_of_logs_trouble", "1 while checkpoints do not go into the log of logs."),
)
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Sample(Struct, frozen=True):
    """One figure of a family."""

    name: str
    labels: dict[str, str]
    value: float


class Family(Struct, frozen=True):
    """The figures of one name."""

    name: str
    about: str
    kind: str
    samples: tuple[Sample, ...]


class Metrics:
    """The figures of one node; `shared` gives those of what it shares in PostgreSQL, if there is one."""

    def __init__(
        self, node: Node, number: int, shared: Callable[[], Mapping[str, float]] | None = None
    ) -> None:
        self._node, self._number, self._shared = node, str(number), shared
        self._registry = CollectorRegistry()
        self.requests = Histogram(
            "carnet_request_seconds",
            "How long requests took, by endpoint and status.",
            ["endpoint", "status"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.determined = Counter(
            "carnet_determinations",
            "What was determined and recorded, by legal outcome and action.",
            ["outcome", "action", "controlled"],
            registry=self._registry,
        )
        self.uses = Counter(
            "carnet_uses",
            "Uses that were answered under a grant that was given before.",
            registry=self._registry,
        )
        self.problems = Counter(
            "carnet_problems", "What was not answered, by type of problem.", ["type"], registry=self._registry
        )
        self._gauges = {
            name: Gauge(f"carnet_{name}", about, registry=self._registry)
            for name, about in (*_ALWAYS, *(_SHARED if shared is not None else ()))
        }

    def families(self) -> tuple[Family, ...]:
        """All figures as they are now. A log that can't be read is in trouble, its size stays as it was."""
        node = self._node
        figures: dict[str, float] = {
            "log_trouble": node.log.trouble is not None,
            "clock_suspect": node.clock.read().suspect,
            "witness_trouble": node.forbids() is not None,
            "grants": len(node.grants),
            "epoch": node.determiner.law.epoch,
        }
        try:
            with node.log.reading() as reading:
                figures["log_records"] = reading.size
            figures |= self._shared() if self._shared is not None else {}
        except (StoreError, LedgerError):
            figures["log_trouble"] = True
        for name, value in figures.items():
            self._gauges[name].set(float(value))
        return tuple(self._collected())

    def _collected(self) -> Iterator[Family]:
        for metric in self._registry.collect():
            samples = tuple(
                Sample(each.name, {**each.labels, "node": self._number}, float(each.value))
                for each in metric.samples
                if not each.name.endswith("_created")
            )
            yield Family(metric.name, metric.documentation, metric.type, samples)


class _Given(Collector):
    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def exposition(families: Iterable[Family]) -> bytes:
    """The figures of one or more nodes as Prometheus reads them."""
    found: dict[str, Metric] = {}
    for family in families:
        metric = found.setdefault(family.name, Metric(family.name, family.about, family.kind))
        for sample in family.samples:
            metric.add_sample(sample.name, sample.labels, sample.value)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(list(found.values())))
    return generate_latest(registry)
