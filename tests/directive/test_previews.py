"""A preview counts what would change at the door and in the law, and names nobody."""

import datetime as dt
from functools import cache

import msgspec
import pytest
from tests.directive.conftest import SMALL, instant, letter

from carnet.model.errors import InputError
from carnet.model.transaction import Item, Party, Transaction
from carnet.policy.enforcement import Controlled
from carnet.rules.check import load
from carnet.rules.drafts import drafted
from carnet.rules.letters import Destination
from carnet.service.previews import Change, Row, previewed
from carnet.store.policies import default_policy

AT = instant("2026-09-01T12:00:00-04:00")
ATLAS = "northwind/atlas-3"


def use(number, product=ATLAS, **who):
    party = Party(**({"kind": "person", "us_status": "none", "location": "US"} | who))
    return f"u{number}", Transaction(
        id=f"u{number}",
        at=AT - dt.timedelta(days=30),
        event="remote_access",
        served_from="US",
        item=Item(product=product, provider="northwind", form="hosted"),
        exporter=Party(id="northwind"),
        recipient=party,
    )


USES = [
    use(1, nationalities=("CN",), id="zhang-wei"),
    use(2, nationalities=("FR",)),
    use(3, us_status=None),
    use(4, us_status="citizen"),
    use(5, product="northwind/atlas-2", nationalities=("CN",)),
    use(6, nationalities=("IR", "FR")),
    use(7, location="FR"),
    use(8, us_status="citizen", location="FR"),
]


@cache
def law(of=None):
    return load(SMALL if of is None else SMALL | {of.path: drafted(of).encode()})


def preview(uses=USES, at=AT, of=None, policy=None, **more):
    return previewed(law(), law(of or LETTER), uses, at, policy or default_policy(), **more)


LETTER = letter()


def test_the_changes_are_counted_by_action_and_by_legal_answer():
    seen = preview(examples=2)
    assert (seen.total, seen.changed, seen.at, seen.known) == (8, 5, AT, AT)
    assert seen.changes == (
        Change(before="serve", after="refuse", count=4, examples=("u1", "u2")),
        Change(before="serve", after="ask", count=1, examples=("u3",)),
    )
    assert [(each.before, each.after, each.count) for each in seen.answers] == [
        ("no_license_required", "license_required", 4),
        ("no_license_required", "needs_facts", 1),
    ]
    assert (seen.old, seen.new) == (law().digest, law(LETTER).digest)


def test_they_are_counted_by_product_and_by_the_strictest_group_of_countries():
    assert preview().rows == tuple(
        Row(product=ATLAS, group=group, before="serve", after=after, count=count)
        for group, after, count in [
            ("A:5", "refuse", 2),
            ("D:5", "refuse", 1),
            ("E", "refuse", 1),
            ("US", "ask", 1),
        ]
    )


def test_nobody_is_named_and_no_country():
    text = msgspec.json.encode(preview()).decode()
    assert not any(f'"{word}"' in text for word in ("zhang-wei", "CN", "IR", "FR", "northwind"))


def test_without_a_letter_in_force_nothing_changes():
    assert preview(at=instant("2026-09-01T09:29:59-04:00")).changed == 0
    assert previewed(law(), law(), USES, AT, default_policy()).changes == ()


def test_the_legal_answer_may_change_where_the_door_does_not():
    refusing = msgspec.structs.replace(default_policy(), controlled=Controlled(needs_facts="refuse"))
    seen = preview([USES[2], USES[4]], policy=refusing, of=letter(person=None, destination=Destination()))
    assert seen.changes == ()
    seen = preview([USES[7]], of=letter(destination=Destination()))
    assert [(each.before, each.after) for each in seen.answers] == [("no_license_required", "needs_human")]


def test_the_surface_says_what_the_door_can_do():
    seen = preview([USES[2]], surface="stream")
    assert [(each.before, each.after) for each in seen.changes] == [("serve", "cut")]


def test_a_stream_is_read_once_and_no_ids_are_kept_for_none():
    seen = preview(iter(USES), examples=0)
    assert [each.examples for each in seen.changes] == [(), ()]


def test_a_transaction_that_can_not_be_true_is_named_by_its_id():
    with pytest.raises(InputError, match="the transaction `u9`: "):
        preview([use(9, nationalities=("US",))])
