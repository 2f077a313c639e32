"""The words of the generated law: a small vocabulary with small domains, and instants on a small grid, so
that rules and facts meet. The rulebooks made of them are in `tests.property.books`."""

import datetime as dt
from random import Random

from carnet.model.time import Span, Window
from carnet.rules.terms import MemberType, Presumption, Terms, TermSpec, TermType
from carnet.rules.tree import Term

BASE = dt.datetime(2025, 2, 22, tzinfo=dt.UTC)
"""The grid begins here: it holds 1 March after a 29 February and a change to daylight saving time."""
STEPS = 20
DAY = dt.timedelta(days=1)
COUNTRIES = ("CN", "DE", "FR", "IN")
IDS = ("acme", "bolt", "core")
ROLES = ("end_user", "purchaser")
CLASSES = ("license_exception", "carve_out", "authorization")
KINDS = ("export", "reexport", "transfer_in_country", "release", "remote_access")
DATES = ("2025", "2025-03", "2025-03-01", "2025-03-05", "2024-02-29", "2024-03-05", "2024-03", "2024")
NUMBERS = (-1, 0, 1, 2)
ENUM = ("high", "low", "mid")


def spec(
    path: str,
    kind: TermType,
    values: tuple[str, ...] = (),
    of: MemberType | None = None,
    presumed: str | bool | None = None,
) -> TermSpec:
    presumption = None if presumed is None else Presumption(presumed, "Invented Code 3")
    return TermSpec(path=path, type=kind, cite="Invented Code", of=of, values=values, presumption=presumption)


SPECS = (
    spec("transaction.event", "enum", ("ship", "show", "use")),
    spec("transaction.sent_to", "country"),
    spec("transaction.signed", "date"),
    spec("transaction.sealed", "bool"),
    spec("item.product", "id"),
    spec("item.maker", "id"),
    spec("item.operations", "number"),
    spec("item.public", "bool"),
    spec("party.id", "id"),
    spec("party.employer", "id"),
    spec("party.level", "enum", ENUM),
    spec("party.statuses", "statuses"),
    spec("party.nationalities", "set", of="country"),
    spec("party.tags", "set", ENUM, of="enum"),
    spec("party.location", "country"),
    spec("party.hired", "date"),
    spec("party.insider", "bool"),
    spec("party.score", "number"),
    spec("party.informed", "bool", presumed=False),
    spec("recipient.room", "enum", ENUM),
    spec("exporter.id", "id"),
    spec("exporter.knowledge", "enum", ("actual", "none"), presumed="none"),
    spec("exporter.resolved_red_flags", "set", of="id"),
    spec("end_use.military", "bool"),
    spec("end_use.place", "country"),
)
TERMS = Terms({one.path: one for one in SPECS}, ROLES)
ACT_SPECS = (
    spec("act.kind", "enum", KINDS),
    spec("act.deemed", "bool"),
    spec("act.destination", "country"),
)
ENTITIES = ("transaction", "item", "recipient", "exporter", "end_use")
RESOLVED = "exporter.resolved_red_flags"


def words_of(entity: str) -> tuple[TermSpec, ...]:
    """The words that an entity, or a parameter of that kind, may have."""
    if entity == "act":
        return ACT_SPECS
    shared = ("party", entity) if entity in ("recipient", "exporter") else (entity,)
    own = {one.path.partition(".")[2]: one for one in SPECS if one.path.partition(".")[0] in shared}
    return tuple(one for name, one in own.items() if name != "resolved_red_flags")


def named(entity: str, parameter: str = "") -> list[tuple[Term, TermSpec]]:
    return [(Term(parameter or entity, one.path.partition(".")[2]), one) for one in words_of(entity)]


WORDS = {entity: named(entity) for entity in (*ENTITIES, "act")}
PARAMETERS = {kind: named(kind, "x") for kind in ("party", "item", "transaction", "end_use")}
PATHS = tuple((f"{term.entity}.{term.name}", one) for e in ENTITIES for term, one in WORDS[e])
PARTY_WORDS = tuple((term.name, one) for term, one in PARAMETERS["party"])


def domain(one: TermSpec) -> tuple[str, ...]:
    """Texts that rules and facts use for a word of a textual type."""
    kind = one.of if one.type == "set" else one.type
    return one.values if kind == "enum" else COUNTRIES if kind == "country" else IDS


def some(r: Random, values: tuple[str, ...], least: int = 1) -> frozenset[str]:
    return frozenset(r.sample(values, r.randint(least, len(values) - 1)))


def instant(r: Random) -> dt.datetime:
    """A point of the grid."""
    return BASE + DAY * r.randrange(STEPS)


def window(r: Random, exact: float = 0.7) -> Window:
    start = instant(r)
    return Window(start, start if r.random() < exact else start + DAY * r.randint(1, 6))


EARLY = Window(BASE - DAY * 400, BASE - DAY * 400)


def span(r: Random, always: float = 0.65, exact: float = 0.7) -> Span:
    """A span that mostly holds on the whole grid."""
    if r.random() < always:
        return Span(EARLY)
    start = window(r, exact) if r.random() < 0.6 else EARLY
    if start is not EARLY and r.random() < 0.5:
        return Span(start)
    end = window(r, exact)
    if end.latest <= start.earliest:
        return Span(end, start) if start.latest > end.earliest else Span(start)
    return Span(start, end)
