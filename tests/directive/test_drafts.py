"""Drafts: they load, their cases pass and notice errors, and those of June 2026 decide as the shelf does."""

import re
from functools import cache

import msgspec
import pytest
from tests.directive.conftest import FABLE, FIRST, JUNE, LITERAL, MYTHOS, SHELF, SMALL, instant, letter

from carnet.engine import cases
from carnet.engine.cases import run_case, stated_of, values_of
from carnet.engine.compiled import compiled
from carnet.engine.decide import decide
from carnet.engine.findings import Report
from carnet.model.determination import Choices
from carnet.model.time import Window
from carnet.model.view import View
from carnet.rules import blocks
from carnet.rules.check import load
from carnet.rules.drafts import drafted
from carnet.rules.letters import Annex, Destination, Ends, Person
from carnet.rules.slices import slice_at
from carnet.service.story import read_story
from carnet.store.examples import shipped_examples
from carnet.store.shelves import shipped

CASES = [case for scene in read_story(shipped_examples("june-2026")).scenes for case in scene.cases]
WINDOW = Window(instant("2026-09-01T09:00:00-04:00"), instant("2026-09-01T10:00:00-04:00"))
FROM = "from = 2026-09-01T09:30:00-04:00\ngate"
AT_JUNE = {
    "id": "us.directive.2026-06-15",
    "dated": JUNE[0].dated.replace(day=15),
    "written": instant("2026-06-15T12:00:00-04:00"),
    "binds": ("anthropic",),
    "items": (MYTHOS,),
}
LETTERS = {
    "any foreign person": letter(),
    "nationals": letter(person=Person(nationals=("CN", "RU"))),
    "any place abroad": letter(person=None, destination=Destination()),
    "listed countries": letter(person=None, destination=Destination(countries=("CN", "FR"), contested=True)),
    "both prongs, in a window, of a family": letter(
        written=WINDOW, destination=Destination(), also=("northwind/atlas-2",)
    ),
    "both prongs with an annex of its own": letter(
        destination=Destination(), annex=Annex(entities=("alder-bank",)), person=Person(nationals=("CN",))
    ),
    "an annex without employees": letter(
        annex=Annex(entities=("alder-bank",), employees=False), also=("northwind/atlas-2",)
    ),
    "told orally, in force later": letter(
        oral=instant("2026-08-30T09:00:00-04:00"), effective=instant("2026-10-01T00:00:00-04:00")
    ),
    "superseding for one product": letter(
        **AT_JUNE, supersedes=Ends(rules=FIRST[:2], products=(MYTHOS,), kept=FABLE, choices=LITERAL),
        person=Person(nationals=("RU",)),
    ),
    "lifting all": letter(**AT_JUNE, person=None, lifts=Ends(rules=FIRST[::3], choices=LITERAL)),
    "lifting one product": letter(
        **AT_JUNE, person=None, lifts=Ends(rules=FIRST[:3:2], products=(MYTHOS,), kept=FABLE, choices=LITERAL)
    ),
    **{each.id: each for each in JUNE},
}  # fmt: skip
BOTH = ("any foreign person", "nationals", "listed countries", "lifting one product")
"""The letters whose cases both engines decide."""

NAMES = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in LETTERS]
"""What is made of a letter is made once, by one worker."""


def shelf(law, *letters):
    """A law in which drafts stand in the place of the shelf's own files, and those."""
    drafts = {each.path: drafted(each).encode() for each in letters}
    gone = {SHELF.get(each.id) for each in letters}
    if any(each.id == AT_JUNE["id"] for each in letters):
        gone |= {SHELF["us.directive.2026-06-26"], SHELF["us.directive.2026-06-30"]}
    left = {path: data for path, data in law.items() if path not in gone}
    return left | drafts


@cache
def small(name=None):
    law = SMALL if name is None else shelf(SMALL, LETTERS[name])
    return load(law)


def own(book, of):
    return [case for case in book.cases if case.file == of.path]


@pytest.mark.parametrize("name", NAMES)
def test_the_draft_loads_and_its_cases_pass(name, monkeypatch):
    if name not in BOTH:
        monkeypatch.setattr(cases, "ENGINES", cases.ENGINES[1:])  # the specification takes long
    book = small(name)
    mine = own(book, LETTERS[name])
    assert mine
    assert [(case.note, found) for case in mine if (found := run_case(book, case))] == []


@pytest.mark.parametrize("name", NAMES)
def test_each_rule_and_exception_holds_in_a_case_and_fails_in_one(name):
    book, of = small(name), LETTERS[name]
    truths = {}
    for case in own(book, of):
        choices = Choices(readings=case.choices)
        values, stated = values_of(case.given, book.terms), stated_of(case.given, book.terms)
        seen = View(values=values, stated=stated, held={}, until=None, edges={})
        engine = compiled(slice_at(book, case.at, case.known, choices))
        for finding in Report(engine, seen, case.at, case.known, choices).determination().findings:
            truths.setdefault(finding.id, set()).add(finding.truth)
    made = [
        block.id
        for kind in (blocks.Rule, blocks.Exception_)
        for block in book.of(kind)
        if block.file == of.path
    ]
    for id_ in made:
        assert {"true", "false"} <= truths[id_], id_
    for overlay in (block for block in book.of(blocks.Overlay) if block.file == of.path):
        if not overlay.target.endswith("#bound"):
            assert {"true", "false"} <= truths[overlay.target], overlay.id


@pytest.mark.parametrize("name", NAMES)
def test_every_provision_of_a_draft_is_cited_with_the_letter(name):
    of = LETTERS[name]
    cites = re.findall(r'^cite = "(.*)"$', drafted(of), re.M)
    assert cites
    assert all(
        cite.startswith(f"letter of {of.dated}, ") and cite.endswith("; 15 CFR 744.22(b)") for cite in cites
    )


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("any foreign person", "09:30:00", "09:29:59"),
        ("any foreign person", FROM, FROM.replace("09:30:00", "09:30:01")),
        ("any foreign person", " and foreign_person(recipient)'", "'"),
        ("any foreign person", "binds = [", 'binds = ["another-exporter", '),
        ("nationals", " and national_2026_09_01_atlas(recipient)'", "'"),
        ("nationals", 'members = ["CN", "RU"]', 'members = ["RU"]'),
        ("listed countries", '"transmit", ', ""),
        ("any place abroad", "transaction.served_from not in", "recipient.location not in"),
        ("lifting one product", 'products = ["anthropic/claude-mythos-5"]\n', ""),
        ("lifting one product", '["anthropic/claude-mythos-5"]', '["anthropic/claude-fable-5"]'),
        ("us.directive.2026-06-26", '"harborlight-grid", "meridian', '"meridian'),
        ("us.directive.2026-06-26", ' and person.employment == "employee"', ""),
    ],
)  # fmt: skip
def test_the_cases_of_a_draft_notice_what_is_changed_in_a_rule(name, old, new, monkeypatch):
    monkeypatch.setattr(cases, "ENGINES", cases.ENGINES[1:])
    of = LETTERS[name]
    head, mark, rest = drafted(of).partition("## Cases")
    assert old in head
    changed = head.replace(old, new)
    changed = re.sub("received_written = .*\n", "", changed)
    law = shelf(SMALL, of) | {of.path: f"{changed}{mark}{rest}".encode()}
    book = load(law)
    assert any(run_case(book, case) for case in own(book, of))


def plain(determination):
    """A determination without what two texts of one law differ in: the digest, and the words of citations."""
    findings = tuple(msgspec.structs.replace(finding, cite="") for finding in determination.findings)
    return msgspec.structs.replace(determination, rulebook="", findings=findings)


def decided(book, case):
    """The whole determination of a ground truth, the answer of another case: that is quicker."""
    choices = Choices(readings=case.choices)
    found = decide(case.transaction, book, at=case.at, known=case.known, choices=choices)
    return plain(found.determination) if case.id.startswith("GT") else found.answer


TRUTHS = [case for case in CASES if case.id.startswith("GT")]
as_shipped = cache(lambda number: decided(small(), CASES[number]))


@pytest.mark.xdist_group("june")
@pytest.mark.parametrize("of", JUNE, ids=lambda of: of.id)
def test_the_draft_of_a_june_letter_decides_the_ground_truths_as_the_shelf_does(of):
    assert len(TRUTHS) >= 15
    drafts = small(of.id)
    differ = [case.id for case in TRUTHS if as_shipped(CASES.index(case)) != decided(drafts, case)]
    assert differ == []


@pytest.mark.xdist_group("june")
def test_the_three_drafts_together_decide_every_case_of_the_story_as_the_shelf_does():
    drafts = load(shelf(SMALL, *JUNE))
    found = [(as_shipped(number), decided(drafts, case)) for number, case in enumerate(CASES)]
    assert [case.id for case, (one, other) in zip(CASES, found, strict=True) if one != other] == []
    assert {other.outcome for _, other in found} >= {"license_required", "needs_human", "needs_facts"}


def test_under_the_whole_law_the_drafts_give_the_ground_truths_and_pass_their_cases(monkeypatch):
    drafts = load(shelf(shipped(), *JUNE))
    for case in (case for case in TRUTHS if case.id in ("GT2", "GT4", "GT11", "GT12", "GT15", "GT20")):
        assert decided(drafts, case).outcome == case.expected.outcome, case.id
    monkeypatch.setattr(cases, "ENGINES", cases.ENGINES[1:])
    at = max(case.at for case in own(drafts, JUNE[1]))
    found = [case for case in own(drafts, JUNE[1]) if case.at == at]
    assert len(found) >= 6
    assert [case.note for case in found if run_case(drafts, case)] == []


def test_the_text_of_a_simple_draft_is_this():
    text, _, rest = drafted(letter()).partition("## Cases")
    assert text == SIMPLE.replace("DIGEST", letter().digest)
    assert rest.count("```toml case") == 6


SIMPLE = """\
+++
format = 1
title = "The letter of 1 September 2026 on Atlas 3"
source = "Letter of an invented official (Invented Office); SHA-256 of its text DIGEST"
dated = 2026-09-01
+++

# The letter of 1 September 2026 on Atlas 3

A letter of an invented official (Invented Office). It was received in writing on 2026-09-01T09:30:00-04:00.
A license is needed before the models it names are released to any foreign person, wherever located.
Drafted by template: what the letter says and no template has is to be added by hand.

```toml list
id = "us.directive.2026-09-01-atlas.models"
cite = "letter of 2026-09-01, the models that it names; 15 CFR 744.22(b)"
from = 2026-09-01T09:30:00-04:00
type = "id"
members = ["northwind/atlas-3"]
```

```toml definition
id = "us.directive.2026-09-01-atlas.named"
cite = "letter of 2026-09-01, the models that it names; 15 CFR 744.22(b)"
from = 2026-09-01T09:30:00-04:00
name = "named_2026_09_01_atlas"
parameter = "model"
of = "item"
when = 'model.product in list("us.directive.2026-09-01-atlas.models")'
```

## Persons

```toml requirement
id = "us.directive.2026-09-01-atlas.person"
cite = "letter of 2026-09-01, person prong; 15 CFR 744.22(b)"
from = 2026-09-01T09:30:00-04:00
gate = "own"
binds = ["northwind"]
received_written = 2026-09-01T09:30:00-04:00
reasons = ["notice"]
lifted_by = ["authorization", "carve_out"]
review = [{ policy = "none stated" }]
confidentiality = "a letter to one company"
when = 'named_2026_09_01_atlas(item) and foreign_person(recipient)'
```

"""
