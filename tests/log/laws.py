"""Small rulebooks of ours: an operator's own shelf beside no other, and the same with more slices."""

import random

from tests.rules.invented import requirement, shelf

from carnet.store.shelves import loaded

PRODUCTS = tuple(f"maker/model-{number}" for number in range(6))
TERMS = """\
format = 1
roles = ["end_user"]
[transaction.event]
type = "enum"
values = ["remote_access", "ship"]
cite = "invented"
[transaction.sent_to]
type = "country"
cite = "invented"
[party.us_status]
type = "enum"
values = ["citizen", "permanent_resident", "protected", "none"]
cite = "invented"
[party.nationalities]
type = "set"
of = "country"
cite = "invented"
[party.location]
type = "country"
cite = "invented"
[item.product]
type = "id"
cite = "invented"
[item.form]
type = "enum"
values = ["hosted", "weights"]
cite = "invented"
"""
SCOPE = """
```toml scope
id = "us.inv.1"
cite = "Invented Code 1"
from = 2020-01-01
subject = "True"
[[acts]]
kind = "remote_access"
when = "transaction.event == 'remote_access'"
```

```toml coverage
id = "us.inv.2"
cite = "Invented Code 2"
from = 2020-01-01
kinds = ["remote_access"]
stages = [{ name = "first" }]
```
"""
LIST = """
```toml list
id = "us.inv.countries"
cite = "Invented Code 3"
from = 2020-01-01
type = "country"
members = ["KP", "IR", "CU"]
```
"""


def files(seed, slices=0):
    """The files of a generated rulebook, and `slices` more instants at which its law changes."""
    r = random.Random(seed)
    blocks = [LIST]
    asks = ("recipient.us_status == 'none'", "recipient.location in list('us.inv.countries')")
    for number in range(4):
        when = f"item.product == '{r.choice(PRODUCTS)}' and {asks[number % 2]}"
        blocks.append(requirement(when, id=f'"us.inv.r{number}"', cite=f'"Invented Code {10 + number}"'))
    for number in range(slices):
        when = f"item.product == '{PRODUCTS[number % 6]}' and recipient.location == 'FR'"
        day = f"2026-06-13T{13 + number // 6:02d}:{number % 6}0:00Z"
        blocks.append(requirement(when, id=f'"us.inv.later{number}"', from_=day))
    return shelf(*blocks, terms=TERMS, scope=SCOPE)


def rulebook(seed, slices=0):
    """A generated rulebook that knows its files."""
    return loaded((files(seed, slices),))
