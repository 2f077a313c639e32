"""A small invented law, as the text of a shelf. Not law."""

from collections.abc import Mapping

TERMS = """\
format = 1
roles = ["end_user", "purchaser"]
[transaction.event]
type = "enum"
values = ["use", "ship", "show"]
cite = "invented"
who = "operator"
[transaction.sent_to]
type = "country"
cite = "invented"
[transaction.signed]
type = "date"
cite = "invented"
[party.us_status]
type = "enum"
values = ["citizen", "none"]
cite = "invented"
[party.statuses]
type = "statuses"
cite = "invented"
[party.nationalities]
type = "set"
of = "country"
cite = "invented"
[party.hired]
type = "date"
cite = "invented"
[exporter.id]
type = "id"
cite = "invented"
[exporter.insider]
type = "bool"
cite = "invented"
[exporter.knowledge]
type = "enum"
values = ["none", "actual"]
cite = "invented"
presumption = { value = "none", cite = "invented" }
[item.provider]
type = "id"
cite = "invented"
[item.product]
type = "id"
cite = "invented"
[item.operations]
type = "number"
unit = "1e18"
cite = "invented"
"""

FRONT = (
    '+++\nformat = 1\ntitle = "An invented provision"\nsource = "Invented Code"\ndated = 2026-01-01\n+++\n'
)

SCOPE = """
```toml scope
id = "us.inv.1"
cite = "Invented Code 1"
from = 2020-01-01
subject = "True"
[[acts]]
kind = "export"
when = "transaction.event == 'ship'"
destination = "transaction.sent_to"
[[acts]]
kind = "remote_access"
when = "transaction.event == 'use'"
```

```toml coverage
id = "us.inv.2"
cite = "Invented Code 2"
from = 2020-01-01
kinds = ["export"]
stages = [{ name = "first" }]
```

```toml coverage
id = "us.inv.2.remote"
cite = "Invented Code 2"
from = 2020-01-01
kinds = ["remote_access"]
stages = [{ name = "first", no_rule = "Invented Code 2(b)" }]
```
"""


def block(kind: str, /, **keys: str) -> str:
    """A fenced block: every key with its TOML text; `id`, `cite` and `from` are filled in."""
    given = {"id": '"us.inv.x"', "cite": '"Invented Code 9"', "from_": "2020-01-01"} | keys
    lines = [f"{key.rstrip('_')} = {text}" for key, text in given.items() if text]
    return "\n".join([f"```toml {kind}", *lines, "```", ""])


def requirement(when: str, /, **keys: str) -> str:
    return block(
        "requirement",
        **({"reasons": '["NS"]', "stage": '"first"', "when": repr(when) if when else ""} | keys),
    )


def definition(name: str, when: str, **keys: str) -> str:
    """A definition about a party `p`, unless the keys say otherwise."""
    given = {"id": f'"us.inv.d.{name}"', "name": f'"{name}"', "parameter": '"p"', "of": '"party"'}
    return block("definition", **(given | {"when": repr(when)} | keys))


def shelf(*blocks: str, terms: str = TERMS, scope: str = SCOPE) -> Mapping[str, bytes]:
    """A shelf with the invented scope and the blocks, in `us/inv/9.md`."""
    return {
        "terms.toml": terms.encode(),
        "us/inv/1.md": (FRONT + scope).encode(),
        "us/inv/9.md": (FRONT + "\n".join(blocks)).encode(),
    }
