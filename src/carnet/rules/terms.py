"""The words a condition may use: `terms.toml` as typed data."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

TermType = Literal["bool", "enum", "id", "country", "number", "date", "statuses", "set"]
MemberType = Literal["enum", "id", "country"]
Who = Literal["user", "employer", "operator"]

PARTY_ENTITIES = frozenset({"recipient", "exporter"})
"""Entities that are parties: a term of theirs that is not declared by itself is the `party` one."""


class Presumption(Struct, frozen=True):
    """A value that the law itself supplies while nothing is known, and where it says so."""

    value: str | bool
    cite: str


class TermSpec(Struct, frozen=True, kw_only=True):
    """One word. `path` is as declared (`party.us_status`); `of` is a set's member type; `unit` is the
    exact decimal text of what one stored number stands for; `level` the assurance needed."""

    path: str
    type: TermType
    cite: str
    of: MemberType | None = None
    values: tuple[str, ...] = ()
    unit: str = "1"
    who: Who = "user"
    level: str = "S0"
    presumption: Presumption | None = None
    knowledge: bool = False


class Terms(Struct, frozen=True):
    """All words of a rulebook, by declared path, and the roles that parties may have (none: any)."""

    specs: Mapping[str, TermSpec]
    roles: tuple[str, ...] = ()

    def find(self, entity: str, name: str) -> TermSpec | None:
        """The word for an entity's attribute; `recipient.x` and `exporter.x` fall back to `party.x`."""
        spec = self.specs.get(f"{entity}.{name}")
        if spec is None and entity in PARTY_ENTITIES:
            spec = self.specs.get(f"party.{name}")
        return spec

    def of_path(self, path: str) -> TermSpec | None:
        """The word for a path in a view: `recipient.us_status`, `parties.end_user[0].us_status`."""
        if path.startswith("parties."):
            _, _, name = path.partition("].")
            return self.specs.get(f"party.{name}") if name else None
        entity, _, name = path.partition(".")
        return self.find(entity, name)
