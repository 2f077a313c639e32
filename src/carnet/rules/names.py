"""The names that a condition may use beside the words of `terms.toml`: entities, acts, calls, definitions and
lists. How a condition is read is in `carnet.rules.syntax`."""

from collections.abc import Collection, Mapping

from msgspec import Struct

from carnet.model.errors import CarnetError
from carnet.rules.terms import TermSpec

ENTITIES: Mapping[str, str] = {
    "transaction": "transaction",
    "item": "item",
    "recipient": "party",
    "exporter": "party",
    "end_use": "end_use",
    "act": "act",
}
"""Names that every condition may use, and the kind of entity each is."""

ACT_KINDS = ("export", "reexport", "transfer_in_country", "release", "remote_access")

ACT_TERMS = {
    "kind": TermSpec(path="act.kind", type="enum", cite="design", values=ACT_KINDS),
    "deemed": TermSpec(path="act.deemed", type="bool", cite="design"),
    "destination": TermSpec(path="act.destination", type="country", cite="design"),
}

CALLS = ("any_of", "all_of", "any_party", "all_party", "elapsed", "is_unknown", "most_recent", "date", "list")
"""What a condition may call beside definitions."""

COUNTRIES = "world.countries"
"""The list of the rulebook that says which countries there are."""


class SyntaxProblem(CarnetError):
    """Raised by `parse` for one condition, with the line of its text; the loader adds file and line."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


class Names(Struct, frozen=True):
    """What a condition may call: definitions with the kind of entity they take, lists with the type
    of their members; and the countries that there are. None leaves a kind of name unchecked. `lost` are
    names of blocks that can't be read: whoever speaks of them is not to blame."""

    definitions: Mapping[str, str] | None = None
    lists: Mapping[str, str] | None = None
    red_flag: bool = False
    countries: Collection[str] | None = None
    lost: frozenset[str] = frozenset()

    def is_lost(self, name: str) -> bool:
        """Whether the name is that of a lost block, or of a list that one makes."""
        return is_lost(name, self.lost)


def is_lost(name: str, lost: Collection[str]) -> bool:
    """Whether a name is one of these, a list that one of these makes, or a member of one; `*` is any name."""
    return "*" in lost or name in lost or any(name.startswith((f"{other}.", f"{other}#")) for other in lost)
