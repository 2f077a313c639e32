"""What every request is answered with: the interface of the service, the configuration, the upstreams, the
open answers."""

import datetime as dt
from collections.abc import Callable, Mapping

from carnet.gateway.config import Directory, Model
from carnet.gateway.counting import Counts
from carnet.gateway.deciding import Deciding
from carnet.gateway.telling import Told, told
from carnet.gateway.turning import RECORD_SECONDS, Turning
from carnet.gateway.upstreams import Client
from carnet.service.api import Api, Buckets


class Parts:
    """All of them, for one configuration. `now` is the wall clock; within `record_seconds` an open answer
    that goes on under another epoch is on record, or cut."""

    def __init__(
        self,
        api: Api,
        directory: Directory,
        clients: Mapping[str, Client],
        now: Callable[[], dt.datetime],
        *,
        record_seconds: float = RECORD_SECONDS,
    ) -> None:
        self.api, self.directory, self.clients = api, directory, clients
        self.counts = Counts(lambda: api.epoch, lambda: len(self.turning.streams))
        limits = directory.config.limits
        self.buckets = Buckets(limits.rate, limits.burst)
        self.deciding = Deciding(api, directory, clients, now)
        self.turning = Turning(api, directory, now, self.counts.turned, record_seconds)

    def model(self, name: str, request_id: str) -> Model:
        """The model of this very name. Raises Told for any other."""
        model = self.directory.models.get(name)
        if model is None:
            raise self.unknown(name, request_id)
        return model

    def unknown(self, name: str, request_id: str) -> Told:
        """What is told of a name that no model has."""
        return told(
            "unknown_model",
            f"`{name}` is no model's name here{self.directory.near(name)}: ask for the list of models",
            request_id,
            name,
        )
