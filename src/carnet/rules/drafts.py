"""From a letter to the text of a rule file, by template: lists, definitions, requirements for persons and for
destinations, a carve-out for an annex, and overlays on what it ends. The cases of the file are made in
`carnet.rules.draft_cases`; whether the text is right is for those who check, preview and approve it."""

import datetime as dt
import re
from collections.abc import Iterator

from carnet.model.errors import InputError
from carnet.model.reading import shown
from carnet.model.time import Window
from carnet.rules.draft_cases import cases
from carnet.rules.draft_text import block, toml
from carnet.rules.letters import Annex, Destination, Ends, Letter, prong, window, wrong

US = 'list("us.ear.772.1.united-states")'


def drafted(letter: Letter) -> str:
    """The text of the letter's rule file. It loads beside the shipped shelf and its cases pass, as far as the
    rules that it names are there. Raises InputError for a letter of which no rule file can be made."""
    problem = wrong(letter)
    if problem is not None:
        where = f" (at `{shown(problem[0])}`)" if problem[0] else ""
        raise InputError(f"{problem[1]}{where}")
    return _Draft(letter).text()


class _Draft:
    def __init__(self, letter: Letter) -> None:
        self.letter, self.id = letter, letter.id
        self.slug = re.sub(r"\W", "_", letter.id.removeprefix("us.directive."))
        self.first = letter.start.earliest

    def text(self) -> str:
        made = cases(self.letter, self.conditions())
        parts = [
            *self.head(),
            *self.items(),
            *self.person(),
            *self.destination(),
            *self.annex(),
            *self.ends(),
        ]
        return "\n".join([*parts, "## Cases\n", *made])

    def name(self, what: str) -> str:
        """What a definition of this letter is called: none other may be called so."""
        return f"{what}_{self.slug}"

    def cite(self, what: str) -> str:
        return f"letter of {self.letter.dated}, {what}; {self.letter.cite}"

    def list(self, name: str, cite: str, members: tuple[str, ...], of: str = "id") -> str:
        more = {"domain": "world.countries"} if of == "country" else {}
        return block(
            "list",
            id=f"{self.id}.{name}",
            cite=self.cite(cite),
            from_=self.first,
            type=of,
            **more,
            members=members,
        )

    def define(self, name: str, cite: str, parameter: str, of: str, **more: object) -> str:
        return block(
            "definition",
            id=f"{self.id}.{name}",
            cite=self.cite(cite),
            from_=self.first,
            name=self.name(name.replace("-", "_")),
            parameter=parameter,
            of=of,
            **more,
        )

    def head(self) -> Iterator[str]:
        letter = self.letter
        front: dict[str, object] = {
            "format": 1,
            "title": letter.title,
            "source": f"Letter of {letter.issuer} ({letter.office}); SHA-256 of its text {letter.digest}",
            "dated": letter.dated,
        }
        if letter.verified is not None:
            front["verified"] = letter.verified
        yield "\n".join(["+++", *(f"{key} = {toml(value)}" for key, value in front.items()), "+++\n"])
        yield f"# {letter.title}\n"
        yield f"A letter of {letter.issuer} ({letter.office}). {self.received()}"
        yield "\n".join(self.says())
        yield "Drafted by template: what the letter says and no template has is to be added by hand.\n"

    def received(self) -> str:
        letter = self.letter
        given = [("orally", letter.oral), ("in writing", letter.written)]
        came = " and ".join(f"{how} {_when(each)}" for how, each in given if each is not None)
        later = (
            ""
            if letter.effective is None
            else f" It is in force, it says, from an instant {_when(letter.effective)}."
        )
        return f"It was received {came}.{later}"

    def says(self) -> Iterator[str]:
        """What it says, a sentence for each of its parts."""
        letter = self.letter
        if letter.person is not None:
            whom = "nationals of listed countries" if letter.person.nationals else "any foreign person"
            yield f"A license is needed before the models it names are released to {whom}, wherever located."
        if letter.destination is not None:
            where = (
                "listed countries" if letter.destination.countries else "any place outside the United States"
            )
            yield f"A license is needed before they are exported, reexported or transferred to {where}."
            yield "Whether use of a hosted model sends it to its user is contested (`us.remote_inference`)."
            if letter.destination.contested:
                yield f"It can also be read as if only persons were reached (`{self.id}.scope`)."
        if letter.also:
            yield f"Which models it names can be read in two ways (`{self.id}.models`)."
        if letter.annex is not None:
            yield "No license is needed for the entities that it lists."
        if letter.supersedes is not None:
            yield f"It stands in the place of what was required before, {_for(letter.supersedes)}."
        if letter.lifts is not None:
            yield f"It lifts what was required before, {_for(letter.lifts)}."

    def items(self) -> Iterator[str]:
        letter = self.letter
        if not letter.own and letter.annex is None:
            return
        models = f'list("{self.id}.models")'
        yield self.list("models", "the models that it names", letter.items)
        if not letter.also:
            yield self.define(
                "named", "the models that it names", "model", "item", when=f"model.product in {models}"
            )
            return
        yield self.list("family", "the models that it may mean", (*letter.items, *letter.also))
        yield self.define(
            "named",
            "the models that it names (it can be read in two ways)",
            "model",
            "item",
            axis=f"{self.id}.models",
            readings={
                "named": f"model.product in {models}",
                "family": f'model.product in list("{self.id}.family")',
            },
        )

    def person(self) -> Iterator[str]:
        if self.letter.person is None:
            return
        yield "## Persons\n"
        if self.letter.person.nationals:
            of = f'list("{self.id}.nationals")'
            yield self.list("nationals", "person prong", self.letter.person.nationals, "country")
            yield self.define(
                "national",
                "person prong: nationals; an entity is where it is incorporated",
                "who",
                "party",
                when=f'(who.kind == "person" and any_of(who.nationalities, {of}))\n'
                f'or (who.kind != "person" and who.incorporated in {of})',
            )
        yield self.requirement("person", "person prong", self.conditions()["person"])

    def destination(self) -> Iterator[str]:
        there = self.letter.destination
        if there is None:
            return
        if there.countries:
            yield self.list("countries", "destination prong", there.countries, "country")
        yield self.define(
            "goes",
            "destination prong",
            "sending",
            "transaction",
            when='(sending.event in {"ship", "transmit", "transfer_in_country"}'
            f" and {self.reached('sending.sent_to')})\n"
            f'or (sending.event == "store" and {self.reached("sending.stored_in")})\n'
            f'or (sending.event == "show" and {self.reached("sending.release_place")})',
        )
        yield block(
            "definition",
            id=f"{self.id}.use-sends",
            cite=self.cite("15 CFR 734.13(a)(1) (contested for the use of hosted software)"),
            from_=self.first,
            name=self.name("use_sends"),
            parameter="use",
            of="transaction",
            axis="us.remote_inference",
            readings={"sends": 'use.event == "remote_access"', "does_not_send": "False"},
        )
        for name, head in (
            ("destination", "## Destinations: the model itself goes there"),
            ("user-abroad", "## Destinations: its user is there, if use sends the model"),
            ("hosting", "## Destinations: it is served from there"),
        ):
            yield f"{head}\n"
            yield self.requirement(name, f"destination prong ({name})", self.conditions()[name], there)

    def reached(self, place: str) -> str:
        """Whether a place is one that the destination prong reaches."""
        countries = self.letter.destination.countries if self.letter.destination else ()
        return f'{place} in list("{self.id}.countries")' if countries else f"{place} not in {US}"

    def conditions(self) -> dict[str, str]:
        """The condition of each rule of the file, by prong."""
        letter, named = self.letter, f"{self.name('named')}(item)"
        found = {}
        if letter.person is not None:
            national = f" and {self.name('national')}(recipient)" if letter.person.nationals else ""
            found["person"] = f"{named} and foreign_person(recipient){national}"
        if letter.destination is not None:
            remote = f'transaction.event == "remote_access" and {self.reached("transaction.served_from")}'
            sends = f"{self.name('use_sends')}(transaction) and {self.reached('recipient.location')}"
            found["destination"] = f"{named} and {self.name('goes')}(transaction)"
            found["user-abroad"] = f"{named} and {sends}"
            found["hosting"] = f"{named} and {remote}"
        if letter.annex is not None:
            listed, employee = self.name("listed_entity"), self.name("listed_employee")
            found["annex"] = f"{named} and ({listed}(recipient) or {employee}(recipient))"
        return found

    def requirement(self, name: str, cite: str, when: str, there: Destination | None = None) -> str:
        letter = self.letter
        keys: dict[str, object] = {"gate": "own", "binds": letter.binds}
        if letter.start == letter.receipt:
            given = (("received_oral", letter.oral), ("received_written", letter.written))
            keys |= {key: each for key, each in given if each is not None}
        else:
            keys["known"] = letter.receipt.earliest
        keys["reasons"] = ("notice",)
        keys["lifted_by"] = ("authorization", "carve_out", *(there.exceptions if there else ()))
        keys["review"] = tuple({"policy": policy} for policy in letter.review)
        keys["confidentiality"] = letter.confidentiality
        if letter.deadline is not None:
            keys["deadline"] = letter.deadline
        if there is not None and there.contested:
            keys |= {"axis": f"{self.id}.scope", "readings": {"literal": when, "person_only": "False"}}
        else:
            keys["when"] = when
        start = letter.start
        return block("requirement", id=f"{self.id}.{name}", cite=self.cite(cite), from_=start, **keys)

    def annex(self) -> Iterator[str]:
        annex, letter = self.letter.annex, self.letter
        if annex is None:
            return
        yield "## The annex\n"
        yield self.list("annex", "annex", annex.entities)
        if annex.own_employees:
            yield self.list("own", "the employees of whom it binds", letter.binds)
        listed, employee, beside = map(self.name, ("listed_entity", "listed_employee", "beside_the_annex"))
        held = f'list("{self.id}.annex")'
        yield self.define(
            "listed-entity",
            "annex: the listed entities",
            "entity",
            "party",
            when=f'entity.kind != "person" and entity.id in {held}',
        )
        yield self.define("listed-employee", "annex: employees", "person", "party", when=self.employed(annex))
        named = f"{self.name('named')}(item)"
        yield (
            "Contractors, affiliates, an employee abroad and a model that is served from abroad: where the\n"
            "letter is silent, a human decides.\n"
        )
        engaged = [f"any_of(other.engaged_by, {held})"]
        engaged += [f'any_of(other.engaged_by, list("{self.id}.own"))'] if annex.own_employees else []
        yield self.define(
            "beside-the-annex",
            "annex (silent on contractors and affiliates)",
            "other",
            "party",
            when=f"not {listed}(other) and not {employee}(other)\n"
            f'and ((other.kind == "person" and ({" or ".join(engaged)}))\n'
            f"or any_of(other.affiliate_of, {held}))",
        )
        away = f'transaction.event == "remote_access" and transaction.served_from not in {US}'
        yield block(
            "exception",
            id=f"{self.id}.carve-out",
            cite=self.cite("annex"),
            from_=letter.start,
            class_="carve_out",
            lifts=tuple({"requirement": rule} for rule in letter.freed),
            when=self.conditions()["annex"],
            unclear_when=f"{named} and ({beside}(recipient)\n"
            f"or ({employee}(recipient) and recipient.location not in {US})\n"
            f"or (({employee}(recipient) or {listed}(recipient)) and {away}))",
        )

    def employed(self, annex: Annex) -> str:
        """Who is an employee that the annex lets in."""
        of = [f'person.employer in list("{self.id}.annex")'] if annex.employees else []
        of += [f'person.employer in list("{self.id}.own")'] if annex.own_employees else []
        return (
            f'person.kind == "person" and person.employment == "employee" and ({" or ".join(of) or "False"})'
        )

    def ends(self) -> Iterator[str]:
        for ends, word in ((self.letter.supersedes, "superseded"), (self.letter.lifts, "lifted")):
            if ends is None:
                continue
            yield f"## What is {word}\n"
            for rule in ends.rules:
                yield block(
                    "overlay",
                    id=f"{self.id}.{word}.{rule.removeprefix('us.directive.')}",
                    cite=self.cite(f"{prong(rule)} prong of what was required before"),
                    from_=self.letter.start,
                    kind="supersession",
                    target=rule,
                    **({"products": ends.products} if ends.products else {}),
                )


def _when(given: dt.datetime | Window) -> str:
    whole = window(given)
    first, last = whole.earliest.isoformat(), whole.latest.isoformat()
    return f"on {first}" if first == last else f"between {first} and {last}"


def _for(ends: Ends) -> str:
    return "for the products that it names" if ends.products else "for all of it"
