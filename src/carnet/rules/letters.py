"""A letter as whoever received it puts it down: who wrote it, when it came and what it says, by template. How
a rule file is made of it is in `carnet.rules.drafts`; the states that it goes through are not here."""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from carnet.model.leaves import Path
from carnet.model.plain import hidden, odd_name
from carnet.model.time import Window
from carnet.model.written import Country, Instant

_ID = re.compile(r"us\.directive\.(\d{4}-\d{2}-\d{2})(-[a-z0-9]+(?:-[a-z0-9]+)*)?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RULE = re.compile(r"[a-z][A-Za-z0-9_.\-]*")

PRONGS = ("person", "destination", "user-abroad", "hosting")
"""How the id of a rule ends that a template can end or lift: whom it is about, or where the model goes, where
its user is, where it runs."""


class Person(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The person prong: any foreign person, or the nationals of listed countries among them (for an entity:
    where it is incorporated)."""

    nationals: tuple[Country, ...] = ()


class Destination(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The destination prong: any place outside the United States, or listed countries. `contested`: it can
    also be read as if only persons were reached. `exceptions` are the license exceptions that lift it."""

    countries: tuple[Country, ...] = ()
    contested: bool = False
    exceptions: tuple[str, ...] = ()


class Annex(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Listed entities for which no license is needed, with their employees or without, and the employees of
    those whom the letter binds. `rules` are the requirements that it lifts; none: the letter's own."""

    entities: tuple[str, ...]
    rules: tuple[str, ...] = ()
    employees: bool = True
    own_employees: bool = False


class Ends(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an earlier letter required and this one ends: for `products`, or for all. The rest is for the
    cases: a product that stays under the rules, a country that they reach, and the readings under which they
    do."""

    rules: tuple[str, ...]
    products: tuple[str, ...] = ()
    kept: str | None = None
    reached: Country = "CN"
    choices: dict[str, str] = {}


class Letter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A letter that informs somebody. `digest` is the SHA-256 of its text as received. It came orally, in
    writing, or both, and is in force from the first of them unless it says a later instant (15 CFR
    744.22(b)). `cite` is what it rests on; `also` are products that it may mean besides its `items`;
    `verified` is the day on which somebody held the record against the text."""

    format: Literal[1] = 1
    id: str
    title: str
    issuer: str
    office: str
    dated: dt.date
    digest: str
    confidentiality: str
    cite: str
    binds: tuple[str, ...]
    items: tuple[str, ...]
    also: tuple[str, ...] = ()
    oral: Instant | Window | None = None
    written: Instant | Window | None = None
    effective: Instant | Window | None = None
    deadline: Instant | None = None
    review: tuple[str, ...] = ("none stated",)
    person: Person | None = None
    destination: Destination | None = None
    annex: Annex | None = None
    supersedes: Ends | None = None
    lifts: Ends | None = None
    verified: dt.date | None = None

    @property
    def receipt(self) -> Window:
        """When it was first received."""
        given = [window(each) for each in (self.oral, self.written) if each is not None]
        return min(given, key=lambda each: each.earliest)

    @property
    def start(self) -> Window:
        """From when it is in force."""
        return self.receipt if self.effective is None else window(self.effective)

    @property
    def path(self) -> str:
        """Where its rule file lies on a shelf."""
        return f"us/directives/{self.dated.year}/{self.id.removeprefix('us.directive.')}.md"

    @property
    def own(self) -> tuple[str, ...]:
        """The ids of the requirements that it makes."""
        made = [*(["person"] if self.person else []), *(PRONGS[1:] if self.destination else [])]
        return tuple(f"{self.id}.{prong}" for prong in made)

    @property
    def freed(self) -> tuple[str, ...]:
        """The ids of the requirements that its annex lifts."""
        return () if self.annex is None else self.annex.rules or self.own


def window(given: dt.datetime | Window) -> Window:
    """An instant as a window."""
    return given if isinstance(given, Window) else Window(given, given)


def prong(rule: str) -> str:
    """Which prong a rule is, by how its id ends."""
    return rule.rpartition(".")[2]


def wrong(letter: Letter) -> tuple[Path, str] | None:
    """The first thing that no rule file could be made of, and where it stands in the letter."""
    return next(_problems(letter), None)


def _problems(letter: Letter) -> Iterator[tuple[Path, str]]:
    found = _ID.fullmatch(letter.id)
    if found is None:
        yield (
            ("id",),
            f"`{letter.id}` is no id of a letter: write it like `us.directive.2026-09-01-atlas`",
        )
    elif found[1] != letter.dated.isoformat():
        yield ("id",), f"`{letter.id}` does not have the date of the letter: write `{letter.dated}` in it"
    if not _DIGEST.fullmatch(letter.digest):
        yield (
            ("digest",),
            f"`{letter.digest}` is no SHA-256: write 64 hexadecimal digits, as `sha256sum` does",
        )
    yield from _texts(letter)
    yield from _names(letter)
    yield from _instants(letter)
    yield from _says(letter)


def _texts(letter: Letter) -> Iterator[tuple[Path, str]]:
    texts: list[tuple[Path, str]] = [
        ((key,), getattr(letter, key)) for key in ("title", "issuer", "office", "confidentiality", "cite")
    ]
    texts += [(("review", number), text) for number, text in enumerate(letter.review)]
    for path, text in texts:
        if not text.strip():
            yield path, "nothing is written here: write what the letter says"
        elif (unseen := hidden(text)) is not None:
            yield path, f"the text {unseen}"
        elif "<" in text or "`" in text:
            yield path, f"`<` or a backtick in `{text.replace('`', ' ')}` would not be text: leave it out"
    if not letter.review:
        yield ("review",), 'how an application is reviewed is empty: write `["none stated"]`'


def _names(letter: Letter) -> Iterator[tuple[Path, str]]:
    lists: dict[Path, tuple[str, ...]] = {(key,): getattr(letter, key) for key in ("binds", "items", "also")}
    needed: list[Path] = [("binds",), ("items",), ("annex", "entities")]
    if letter.destination is not None:
        lists["destination", "exceptions"] = letter.destination.exceptions
    if letter.annex is not None:
        lists["annex", "entities"] = letter.annex.entities
    for key, ends in (("supersedes", letter.supersedes), ("lifts", letter.lifts)):
        if ends is not None:
            lists[key, "products"] = ends.products
            lists[key, "kept"] = () if ends.kept is None else (ends.kept,)
    for path, names in lists.items():
        if not names and path in needed:
            yield path, "nobody and nothing is named here: name one"
        for name in names:
            if (odd := odd_name(name)) is not None:
                yield path, f"`{name}` {odd}"
    if set(letter.items) & set(letter.also):
        yield ("also",), "a product stands in `items` and in `also`: leave it out of one"


def _instants(letter: Letter) -> Iterator[tuple[Path, str]]:
    for key in ("oral", "written", "effective"):
        given = getattr(letter, key)
        if not isinstance(given, Window):
            continue
        if given.earliest.tzinfo is None or given.latest.tzinfo is None:
            yield (key,), "an instant has no zone: add `Z` or an offset like `-04:00`"
            return
        if given.earliest > given.latest:
            yield (key,), "`earliest` lies after `latest`: swap them"
    if letter.oral is None and letter.written is None:
        yield (), "nobody received it: write `oral`, `written` or both"
    elif letter.start.earliest < letter.receipt.earliest:
        yield (
            ("effective",),
            "a notice binds from its first receipt (15 CFR 744.22(b)): write no earlier instant",
        )


def _says(letter: Letter) -> Iterator[tuple[Path, str]]:
    """What its parts say of each other."""
    if not (letter.own or letter.annex or letter.lifts):
        yield (), "it requires and lifts nothing: write `person`, `destination`, `annex` or `lifts`"
    for path, countries in (
        (("person", "nationals"), letter.person.nationals if letter.person else ()),
        (("destination", "countries"), letter.destination.countries if letter.destination else ()),
    ):
        if "US" in countries:
            yield path, "`US` is not foreign: leave it out"
    if letter.supersedes is not None and not letter.own:
        yield ("supersedes",), "it puts nothing in the place of what it ends: write `lifts` instead"
    for key, ends in (("supersedes", letter.supersedes), ("lifts", letter.lifts)):
        if ends is None:
            continue
        yield from _rules((key, "rules"), ends.rules, letter.own)
        if ends.kept is not None and (not ends.products or ends.kept in ends.products):
            yield (key, "kept"), f"`{ends.kept}` does not stay under the rules: `products` are what is freed"
    if letter.supersedes is not None and letter.lifts is not None:
        for rule in sorted({*letter.supersedes.rules} & {*letter.lifts.rules}):
            yield ("lifts", "rules"), f"`{rule}` is superseded already: leave it out of one"
    if letter.annex is not None:
        yield from _rules(("annex", "rules"), letter.freed, ())
        if "person" not in map(prong, letter.freed):
            yield ("annex", "rules"), "the template lifts a `.person` rule and others beside it: name one"


def _rules(path: Path, rules: tuple[str, ...], own: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    if not rules:
        yield path, "no rule is named: write the id of one, like `us.directive.2026-09-01-atlas.person`"
    for rule in rules:
        if not _RULE.fullmatch(rule) or prong(rule) not in PRONGS:
            ends = ", ".join(f"`.{each}`" for each in PRONGS)
            yield path, f"`{rule}` does not end in {ends}: write what acts upon it by hand"
        elif rule in own:
            yield path, f"`{rule}` is what the letter itself requires: leave it out"
    if len(set(rules)) < len(rules):
        yield path, "a rule stands twice: keep one"
