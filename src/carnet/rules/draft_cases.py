"""The cases of a drafted rule file: for each rule one that holds and one that does not, at its instant and a
second before. They say of the rules of the letter what must come out, and no more of other law than a license
that is certainly needed."""

import datetime as dt
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from carnet.rules.draft_text import block, condition, table, toml
from carnet.rules.letters import Ends, Letter, prong

Facts = dict[str, object]

OPEN: Mapping[str, str] = MappingProxyType({})
"""No reading is chosen at all."""

ELSEWHERE, ABROAD = "FR", "DE"
"""A nationality and a place, where the letter names none."""
_BESIDE: Facts = {
    "recipient.employer": "unlisted-firm",
    "recipient.employment": "employee",
    "recipient.engaged_by": ["unlisted-firm"],
    "recipient.affiliate_of": [],
}
"""Somebody who has to do with no list: another letter may let some people in."""
_COMPANY: Facts = {
    "recipient.kind": "company",
    "recipient.id": "unlisted-firm",
    "recipient.incorporated": "US",
    "recipient.organized_in": ["US"],
    "recipient.affiliate_of": [],
}


def cases(letter: Letter, conditions: Mapping[str, str]) -> Iterator[str]:
    """All cases of the letter's file; `conditions` has the condition of each rule that it makes, by prong."""
    made = _Cases(letter, conditions)
    if letter.person is not None:
        yield from made.person()
    if letter.destination is not None:
        yield from made.destination()
    if letter.annex is not None:
        yield from made.annex()
    for ends in (letter.supersedes, letter.lifts):
        if ends is not None:
            yield from made.ended(ends)


class _Cases:
    def __init__(self, letter: Letter, conditions: Mapping[str, str]) -> None:
        self.letter, self.conditions = letter, conditions
        self.first, self.last = letter.start.earliest, letter.start.latest
        self.before = self.first - dt.timedelta(seconds=1)
        made = letter.also and (letter.own or letter.annex)
        self.named = {f"{letter.id}.models": "named"} if made else {}

    def case(
        self,
        note: str,
        at: dt.datetime,
        given: Facts,
        *,
        choices: Mapping[str, str] | None = None,
        **expect: object,
    ) -> str:
        """A case, by default on the reading that the letter names its items alone."""
        choices = {**self.named, **(choices or {})} if choices is not OPEN else {}
        parts = {
            key: f"[{', '.join(map(condition, value))}]"
            if key in ("holds", "fails", "unknown") and isinstance(value, tuple)
            else toml(value)
            for key, value in expect.items()
        }
        text = block("case", note=note, at=at, **({"choices": choices} if choices else {}), given=given)
        return text.removesuffix("```\n") + f"expect = {table(parts)}\n```\n"

    def item(self, product: str | None = None, form: str = "hosted") -> Facts:
        letter = self.letter
        return {
            "item.product": product or letter.items[0],
            "item.provider": letter.binds[0],
            "item.form": form,
            "exporter.id": letter.binds[0],
        }

    def use(self, product: str | None = None, served_from: str = "US") -> Facts:
        return {
            **self.item(product),
            "transaction.event": "remote_access",
            "transaction.served_from": served_from,
        }

    def foreigner(self, country: str, product: str | None = None) -> Facts:
        """A foreign person in the United States who uses a model."""
        return {
            **self.use(product),
            "recipient.kind": "person",
            "recipient.us_status": "none",
            "recipient.nationalities": [country],
            "recipient.location": "US",
            **_BESIDE,
        }

    def citizen(self, location: str = "US", served_from: str = "US", product: str | None = None) -> Facts:
        return {
            **self.use(product, served_from),
            "recipient.kind": "person",
            "recipient.us_status": "citizen",
            "recipient.location": location,
            **_BESIDE,
        }

    def sent(self, to: str, product: str | None = None) -> Facts:
        """Weights that are sent to a US company."""
        return {
            **self.item(product, "weights"),
            "transaction.event": "transmit",
            "transaction.sent_from": "US",
            "transaction.sent_to": to,
            **_COMPANY,
        }

    def reached(self, kind: str, place: str, product: str | None = None) -> Facts:
        """Facts that a prong reaches by itself, for a nationality or a place."""
        match kind:
            case "person":
                return self.foreigner(place, product)
            case "destination":
                return self.sent(place, product)
            case "user-abroad":
                return self.citizen(place, product=product)
            case _:
                return self.citizen(served_from=place, product=product)

    def person(self) -> Iterator[str]:
        letter = self.letter
        assert letter.person is not None
        rule, when = f"{letter.id}.person", self.conditions["person"]
        country = next(iter(letter.person.nationals), ELSEWHERE)
        facts = self.foreigner(country)
        yield self.case(
            "a foreign person needs a license from that instant on",
            self.last,
            facts,
            outcome="license_required",
            open=[rule],
            holds=(when,),
        )
        yield self.case("a second before, this letter asks for none", self.before, facts, not_open=[rule])
        yield self.case(
            "a US citizen is not reached", self.last, self.citizen(), fails=(when,), not_open=[rule]
        )
        other = {**facts, "item.product": f"{letter.binds[0]}/not-named"}
        yield self.case("a model that it does not name", self.last, other, fails=(when,), not_open=[rule])
        asked = {key: value for key, value in facts.items() if key != "recipient.us_status"}
        yield self.case(
            "somebody whose status nobody knows", self.last, asked, unknown=(when,), not_open=[rule]
        )
        other = {**facts, "exporter.id": "another-exporter"}
        yield self.case(
            "for another exporter it decides nothing and raises a flag",
            self.last,
            other,
            outcome="needs_human",
            not_open=[rule],
        )
        if letter.person.nationals:
            firm = (
                self.use()
                | _COMPANY
                | {"recipient.incorporated": country, "recipient.organized_in": [country]}
            )
            yield self.case("an entity incorporated there", self.last, firm, holds=(when,), open=[rule])
            spared = self.foreigner(_outside(letter.person.nationals))
            yield self.case(
                "a national of another country", self.last, spared, fails=(when,), not_open=[rule]
            )
        for product in letter.also:
            maybe = {**facts, "item.product": product}
            yield self.case(
                "a model that it may mean",
                self.last,
                maybe,
                choices=OPEN,
                outcome="needs_human",
                unknown=(when,),
                not_open=[rule],
            )
        if self.first != self.last:
            yield self.case(
                "before it is certain that the letter is there",
                self.first,
                facts,
                outcome="needs_human",
                not_open=[rule],
            )

    def destination(self) -> Iterator[str]:
        letter = self.letter
        assert letter.destination is not None
        there = next(iter(letter.destination.countries), ABROAD)
        away = _outside(letter.destination.countries) if letter.destination.countries else "US"
        scope = {f"{letter.id}.scope": "literal"} if letter.destination.contested else {}
        for name, note in (
            ("destination", "weights that are sent there"),
            ("user-abroad", "a user who is there, if use sends the model"),
            ("hosting", "a model that is served from there"),
        ):
            rule, when = f"{letter.id}.{name}", self.conditions[name]
            choices = scope | ({"us.remote_inference": "sends"} if name == "user-abroad" else {})
            facts, spared = self.reached(name, there), self.reached(name, away)
            yield self.case(
                note,
                self.last,
                facts,
                choices=choices,
                outcome="license_required",
                open=[rule],
                holds=(when,),
            )
            yield self.case(f"{note}: a second before", self.before, facts, choices=choices, not_open=[rule])
            yield self.case(
                f"{note}, for another place",
                self.last,
                spared,
                choices=choices,
                fails=(when,),
                not_open=[rule],
            )

    def annex(self) -> Iterator[str]:
        letter, annex = self.letter, self.letter.annex
        assert annex is not None
        rule, when = next(rule for rule in letter.freed if prong(rule) == "person"), self.conditions["annex"]
        national = next(iter(letter.person.nationals), ELSEWHERE) if letter.person else ELSEWHERE
        listed, unlisted = annex.entities[0], self.foreigner(national)
        at = self.last
        entity = {
            **self.use(),
            **_COMPANY,
            "recipient.id": listed,
            "recipient.incorporated": national,
            "recipient.organized_in": [national],
            "recipient.location": "US",
        }
        yield self.case("a listed entity is let in", at, entity, holds=(when,), not_open=[rule])
        if rule not in letter.own:
            yield self.case("a second before, it was not", self.before, entity, open=[rule])
        yield self.case(
            "who has to do with no listed entity is not",
            at,
            unlisted,
            outcome="license_required",
            fails=(when,),
            open=[rule],
        )
        staff = {**unlisted, "recipient.employer": listed, "recipient.engaged_by": [listed]}
        own = {**unlisted, "recipient.employer": letter.binds[0], "recipient.engaged_by": [letter.binds[0]]}
        if annex.employees:
            yield self.case("an employee of a listed entity is", at, staff, holds=(when,), not_open=[rule])
            yield self.case(
                "an employee abroad: the letter does not say",
                at,
                {**staff, "recipient.location": "GB"},
                not_open=[rule],
            )
        else:
            yield self.case(
                "its employee: the letter does not say", at, staff, fails=(when,), not_open=[rule]
            )
        if annex.own_employees:
            yield self.case("an employee of whom it binds is", at, own, holds=(when,), not_open=[rule])
        yield self.case(
            "a contractor at a listed entity: the letter does not say",
            at,
            {**staff, "recipient.employment": "contractor"},
            fails=(when,),
            not_open=[rule],
        )

    def ended(self, ends: Ends) -> Iterator[str]:
        product = next(iter(ends.products), self.letter.items[0])
        for rule in ends.rules:
            facts = self.reached(prong(rule), ends.reached, product)
            chosen = ends.choices if prong(rule) != "person" else {}
            yield self.case(
                f"{rule}: a second before, it still binds", self.before, facts, choices=chosen, open=[rule]
            )
            yield self.case(
                f"{rule}: from then on, it does not", self.last, facts, choices=chosen, not_open=[rule]
            )
            if ends.kept is not None:
                left = self.reached(prong(rule), ends.reached, ends.kept)
                yield self.case(
                    f"{rule}: for another product it goes on", self.last, left, choices=chosen, open=[rule]
                )


def _outside(countries: tuple[str, ...]) -> str:
    """A country that is not among them, and not the United States."""
    return next(each for each in ("NZ", "CA", "JP", *(_all())) if each not in countries)


def _all() -> Iterator[str]:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return (one + two for one in letters for two in letters if one + two != "US")
