"""The record of a letter: what no rule file can be made of is said, with where it stands."""

import datetime as dt

import pytest
from tests.directive.conftest import FIRST, instant, letter

from carnet.model.errors import InputError
from carnet.model.reading import decode
from carnet.model.time import Window
from carnet.rules.drafts import drafted
from carnet.rules.letters import Annex, Destination, Ends, Letter, Person, wrong

NAIVE = dt.datetime(2026, 9, 1)  # noqa: DTZ001 -- what is refused
RECORD = """\
id = "us.directive.2026-09-01-atlas"
title = "The letter of 1 September 2026 on Atlas 3"
issuer = "an invented official"
office = "Invented Office"
dated = 2026-09-01
digest = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
confidentiality = "a letter to one company"
cite = "15 CFR 744.22(b)"
binds = ["northwind"]
items = ["northwind/atlas-3"]
oral = 2026-09-01T09:30:00-04:00
written = { earliest = 2026-09-02T09:30:00-04:00, latest = 2026-09-02T10:30:00-04:00 }

[person]
nationals = ["CN", "RU"]
"""


def read(text):
    return decode(text.encode(), Letter, file="letter.toml", check=wrong)


def test_a_record_is_read_with_its_instants_and_windows():
    found = read(RECORD)
    assert found.start == Window(instant("2026-09-01T09:30:00-04:00"), instant("2026-09-01T09:30:00-04:00"))
    assert found.written.latest == instant("2026-09-02T10:30:00-04:00")
    assert found.path == "us/directives/2026/2026-09-01-atlas.md"
    assert found.own == ("us.directive.2026-09-01-atlas.person",)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2026-09-01-atlas", "2026-09-02-atlas", "letter.toml:1: .* write `2026-09-01` in it"),
        ("us.directive.2026", "us.letter.2026", "letter.toml:1: .* `us.directive.2026-09-01-atlas`"),
        ("aaaaaaaa", "AAAAAAAA", "letter.toml:6: .* is no SHA-256"),
        ('["northwind"]', "[]", "letter.toml:9: nobody and nothing is named"),
        ('"northwind/', '"northwind /', None),
        ('["northwind/atlas-3"]', '[" northwind/atlas-3"]', "letter.toml:10: .* begins or ends with a space"),
        ("an invented official", "an <!-- official", "letter.toml:3: .*leave it out"),
        ("an invented official", "an `invented` official", "letter.toml:3: .*leave it out"),
        ("Invented Office", "Invented\\nOffice", "letter.toml:4: .* a sign that nobody sees"),
        ("Invented Office", "", "letter.toml:4: nothing is written here"),
        ("[person]", "[peson]", "letter.toml:14: unknown field `peson`; did you mean `person`?"),
        ("T09:30:00-04:00\nwritten", "T09:30:00\nwritten", "letter.toml:11: .* has no zone"),
        ("earliest = 2026-09-02", "earliest = 2026-09-03", "letter.toml:12: `earliest` lies after `latest`"),
        ('"CN"', '"China"', "letter.toml:15: .* is not a country"),
    ],
)
def test_what_is_wrong_in_a_record_is_said_with_its_line(old, new, said):
    assert old in RECORD
    if said is None:
        assert read(RECORD.replace(old, new)).items == ("northwind /atlas-3",)
        return
    with pytest.raises(InputError, match=said):
        read(RECORD.replace(old, new))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"written": None}, "nobody received it"),
        ({"effective": instant("2026-09-01T09:29:59-04:00")}, r"first receipt \(15 CFR 744.22\(b\)\)"),
        ({"written": Window(NAIVE, NAIVE)}, "no zone"),
        ({"person": None}, "requires and lifts nothing"),
        ({"also": ("northwind/atlas-3",)}, "in `items` and in `also`"),
        ({"review": ()}, "is empty"),
        ({"person": Person(nationals=("CN", "US"))}, "`US` is not foreign"),
        ({"destination": Destination(countries=("US",))}, "`US` is not foreign"),
        ({"person": None, "supersedes": Ends(rules=FIRST)}, "requires and lifts nothing"),
        ({"person": None, "lifts": Ends(rules=()), "annex": None}, "no rule is named"),
        (
            {"person": None, "lifts": Ends(rules=FIRST), "supersedes": Ends(rules=FIRST)},
            "write `lifts` instead",
        ),
        ({"lifts": Ends(rules=FIRST), "supersedes": Ends(rules=FIRST)}, "is superseded already"),
        ({"lifts": Ends(rules=("us.ear.744.6",))}, "does not end in `.person`"),
        ({"lifts": Ends(rules=(FIRST[0], FIRST[0]))}, "a rule stands twice"),
        (
            {"supersedes": Ends(rules=("us.directive.2026-09-01-atlas.person",))},
            "what the letter itself requires",
        ),
        ({"lifts": Ends(rules=FIRST, kept="northwind/x")}, "does not stay under the rules"),
        ({"annex": Annex(entities=("a",), rules=(FIRST[1],))}, "name one"),
        ({"annex": Annex(entities=())}, "nobody and nothing is named"),
        ({"person": None, "destination": Destination(exceptions=(" ",))}, "is empty"),
    ],
)
def test_a_letter_of_which_nothing_can_be_made_is_refused(changes, said):
    with pytest.raises(InputError, match=said):
        drafted(letter(**changes))


def test_a_letter_that_binds_later_than_it_came_is_known_from_its_receipt():
    later = letter(effective=instant("2026-10-01T00:00:00-04:00"), person=Person(nationals=("CN",)))
    text = drafted(later)
    assert "from = 2026-10-01T00:00:00-04:00" in text
    assert "known = 2026-09-01T09:30:00-04:00" in text
    assert "received_written" not in text
