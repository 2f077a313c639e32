"""Questions at an edge that generated ones rarely hit, for the test profile of mutants."""

import datetime as dt

from msgspec import structs
from tests.property.changes import base, exception, prohibition, requirement
from tests.property.views import Question
from tests.property.words import BASE, EARLY, TERMS

from carnet.model.determination import Choices
from carnet.model.facts import Known, Unknown
from carnet.model.time import Days, Span
from carnet.rules import blocks, tree
from carnet.rules.rulebook import Rulebook


def asked(
    *found: blocks.AnyBlock, at: dt.datetime = BASE, **values: Known
) -> tuple[Rulebook, list[Question]]:
    """A rulebook of these blocks, and a question with these facts (`recipient__hired`: `recipient.hired`)."""
    book = Rulebook(blocks=tuple(sorted(found, key=lambda block: block.id)), terms=TERMS)
    facts = {path.replace("__", "."): value for path, value in values.items()}
    return book, [Question(facts, at, BASE, Choices(), {})]


def flag(name: str, when: tree.Tree, defeats: str = "exporter.knowledge") -> blocks.RedFlag:
    return blocks.RedFlag(**base(name), defeats=frozenset({defeats}), when=when)


def read_as(wanted: str) -> tree.Reading:
    """A text that holds under one of two readings."""
    values = tuple((name, tree.TRUE if name == wanted else tree.FALSE) for name in ("a", "b"))
    return tree.Reading("axis", values)


HIRED, PLACE = tree.Term("recipient", "hired"), tree.Term("recipient", "location")
INSIDER, INFORMED = (
    tree.Holds(tree.Term("recipient", "insider")),
    tree.Holds(tree.Term("exporter", "informed")),
)
KNOWS = tree.Term("exporter", "knowledge")
A_YEAR, TEN_YEARS = tree.Elapsed(HIRED, 1), tree.Elapsed(HIRED, 10)
KNOWING = prohibition("inv.p", tree.Equals(KNOWS, "actual"))
LISTED = blocks.List(
    **base("inv.l"),
    type="country",
    members=(blocks.Member("FR", Span(EARLY), BASE),),
    domain=None,
    content=Span(EARLY),
    prevails=None,
)


def dates() -> list[tuple[Rulebook, list[Question]]]:
    """At the instant when a year has passed, and on the days around it when ten have."""
    forbidden, later = prohibition("inv.p", A_YEAR), prohibition("inv.p", TEN_YEARS)
    last = dt.datetime(2025, 1, 15, 5, tzinfo=dt.UTC)
    day, decade = dt.date(2024, 1, 15).toordinal(), dt.date(2015, 1, 15).toordinal()
    around = [asked(later, at=last, recipient__hired=Days(decade + n, decade + n)) for n in range(-9, 10)]
    return [
        asked(forbidden, at=last, recipient__hired=Days(day, day + 5)),
        asked(forbidden, at=last, recipient__hired=Days(day, day)),
        asked(forbidden, at=last, recipient__hired=Days(day - 5, day)),
        *around,
    ]


def presumptions() -> list[tuple[Rulebook, list[Question]]]:
    """Flags on a presumed term: on what is unknown, under one reading, on another presumed term, wrong."""
    on_unknown = flag("inv.f", tree.IsUnknown(INSIDER))
    informed = prohibition("inv.p", INFORMED)
    insiders = tree.Parties("any", ("end_user",), "nobody", if_empty=False)
    unclear = tree.Or((tree.Not(INSIDER), tree.Equals(KNOWS, "actual")))
    return [
        asked(KNOWING, on_unknown, exporter__knowledge=Unknown("conflict")),
        asked(KNOWING, on_unknown),
        asked(KNOWING, on_unknown, exporter__knowledge=Unknown("red_flag")),
        asked(KNOWING, on_unknown, recipient__insider=True),
        asked(KNOWING, on_unknown, flag("inv.g", INSIDER), recipient__insider=True),
        asked(KNOWING, flag("inv.f", INSIDER), recipient__insider=True),
        asked(KNOWING, flag("inv.f", INSIDER), flag("inv.g", tree.FALSE), recipient__insider=True),
        asked(KNOWING, flag("inv.f", read_as("a"))),
        asked(informed, flag("inv.f", tree.Equals(KNOWS, "none"), "party.informed")),
        asked(informed, flag("inv.f", tree.Equals(KNOWS, "actual"), "party.informed")),
        asked(prohibition("inv.p", tree.Open("unclear")), flag("inv.f", A_YEAR), recipient__hired="wrong"),
        asked(prohibition("inv.p", tree.And((tree.Open("unclear"), unclear))), flag("inv.f", INSIDER)),
        asked(KNOWING, flag("inv.f", A_YEAR), recipient__hired=Days(739_000, 739_000)),
        asked(prohibition("inv.p", insiders), flag("inv.f", INSIDER), parties__end_user=Unknown("red_flag")),
    ]


def thresholds() -> list[tuple[Rulebook, list[Question]]]:
    """Dates that are known to the day, or to five, around a month."""
    signed, march = tree.Term("transaction", "signed"), dt.date(2025, 3, 1).toordinal()
    days = [march + n for n in (-2, -1, 0, 1, 29, 30, 31, 32)]
    spans = [Days(day, day + more) for day in days for more in (0, 5)]
    ops: tuple[tree.Op, ...] = ("<", "<=", ">", ">=")
    return [
        asked(prohibition("inv.p", tree.Compare(signed, op, "2025-03")), transaction__signed=span)
        for op in ops
        for span in spans
    ]


def stale() -> tuple[Rulebook, list[Question]]:
    """At the very instant when a provision has gone unverified for as long as it may."""
    rule = structs.replace(KNOWING, when=tree.FALSE, verified=BASE - dt.timedelta(days=9))
    book, (question,) = asked(rule)
    return book, [structs.replace(question, choices=Choices(stale_after_days=9))]


def circular() -> tuple[Rulebook, list[Question]]:
    """Flags on two presumed terms that read each other's."""
    one = flag("inv.f", tree.Equals(KNOWS, "actual"), "party.informed")
    return asked(KNOWING, one, flag("inv.g", INFORMED))


def edges() -> list[tuple[Rulebook, list[Question]]]:
    """All of them."""
    carved = structs.replace(
        exception("inv.e", blocks.Lift("inv.r", None)), class_="carve_out", path="carve_out"
    )
    strict = structs.replace(requirement("inv.r"), lifted_by=frozenset({"authorization"}))
    return [
        *dates(),
        *presumptions(),
        *thresholds(),
        stale(),
        asked(prohibition("inv.p", tree.In(PLACE, tree.ListRef("inv.l"))), LISTED, recipient__location="FR"),
        asked(strict, carved),
        asked(prohibition("inv.p", read_as("a")), requirement("inv.r", read_as("b"))),
    ]
