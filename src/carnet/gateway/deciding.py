"""From a caller and a model to a verdict, and to the model that may answer instead. How the law comes to one
is behind `carnet.service.api`; what is told is in `carnet.gateway.telling`."""

import datetime as dt
import logging
from collections.abc import Callable, Mapping

from msgspec import Struct

from carnet.gateway.callers import Who
from carnet.gateway.calls import Dialect, Needs
from carnet.gateway.config import Directory, Model
from carnet.gateway.telling import Told, told, unavailable
from carnet.gateway.upstreams import Client
from carnet.model.errors import CarnetError, InputError
from carnet.model.transaction import Exporter, Item, Parties, Party, Transaction
from carnet.service.api import Api, Request, Verdict
from carnet.words.catalogue import ENGLISH

MOST_STEPS = 4
"""How far the policy's map is followed from one model to another."""

_LOG = logging.getLogger("carnet.gateway")


class Instead(Struct, frozen=True):
    """The model that may answer instead, and its own verdict; or why there is none."""

    model: Model | None
    verdict: Verdict | None
    why_not: str | None = None


class Deciding:
    """Decides for one configuration. `now` is the wall clock."""

    def __init__(
        self,
        api: Api,
        directory: Directory,
        clients: Mapping[str, Client],
        now: Callable[[], dt.datetime],
    ) -> None:
        self._api, self._directory, self._clients, self._now = api, directory, clients, now
        self._waited = 0

    def request(self, who: Who, model: Model, *, batch: bool = False) -> Request:
        """The use of a model by somebody, as of now. Who holds the key buys, who stands between passes it on
        (15 CFR 748.5(c) and (d))."""
        config, through = self._directory.config, who.through
        between = tuple(Party(id=one) for one in through[1:])
        parties = Parties(
            purchaser=(Party(id=through[0]),) if through else None, intermediate_consignee=between or None
        )
        transaction = Transaction(
            at=self._now(),
            event="remote_access",
            served_from=model.served_from or config.served_from,
            item=Item(product=model.item, provider=model.provider, form="hosted"),
            exporter=Exporter(id=config.exporter),
            recipient=Party(id=who.subject),
            parties=parties,
        )
        return Request(transaction=transaction, surface="batch" if batch else "api")

    async def verdict(self, tenant: str, request: Request, model: Model, request_id: str) -> Verdict:
        """What a use comes to, recorded. Raises Told where that can't be found out now."""
        try:
            if (found := self._api.met(tenant, request)) is not None:
                return found
            if self._waited >= self._directory.config.limits.determinations:
                raise Told(unavailable(request_id, model.name))
            self._waited += 1
            try:
                return await self._api.verdict(tenant, request)
            finally:
                self._waited -= 1
        except InputError:
            raise told(
                "not_permitted",
                "what is on record of you can't all be true: ask whoever runs this gateway to look at it",
                request_id,
                model.name,
            ) from None
        except CarnetError as error:
            _LOG.error("%s", type(error).__name__)
            raise Told(unavailable(request_id, model.name)) from None

    async def instead(
        self,
        who: Who,
        model: Model,
        dialect: Dialect,
        needs: Needs,
        request_id: str,
        *,
        recorded: bool = True,
    ) -> Instead:
        """The permitted model that can answer instead of one, by the policy's map. Each is a decision of its
        own; where nobody is to be handed over, from memory and not `recorded`: nothing was used."""
        say, seen, product = ENGLISH.say, {model.item}, self._api.offered(model.item)
        why = say("door.no_other")
        for _ in range(MOST_STEPS):
            if product is None or product in seen:
                break
            seen.add(product)
            for other in self._directory.items.get(product, ()):
                unable = self._unable(other, dialect, needs)
                if unable is not None:
                    why = unable
                    continue
                request = self.request(who, other)
                if recorded:
                    found: Verdict | None = await self.verdict(who.tenant, request, other, request_id)
                else:
                    (found,) = await self._api.under_way(who.tenant, [request])
                if found is not None and found.action == "serve":
                    return Instead(other, found)
                why = say("door.other_refused", model=other.name)
            product = self._api.offered(product)
        return Instead(None, None, why)

    def _unable(self, model: Model, dialect: Dialect, needs: Needs) -> str | None:
        say = ENGLISH.say
        if dialect not in model.dialects:
            return say("door.other_api", model=model.name)
        if (lacks := model.lacks(needs)) is not None:
            return say("door.other_lacks", model=model.name, ability=f"`{lacks}`")
        if not self._clients[model.upstream].healthy():
            return say("door.other_away", model=model.name)
        return None
