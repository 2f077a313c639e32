"""Carnet: who may use which AI model under export-control law, with the citation for each answer.

Not legal advice. The public names below are looked up when they are first used, so that `import carnet`
costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carnet.engine.decide import Decision, decide
    from carnet.model.citation import Citation
    from carnet.model.determination import Choices, Determination, RecordedDetermination
    from carnet.model.errors import CarnetError, InputError, RulesError
    from carnet.model.transaction import Item, Party, Transaction
    from carnet.model.written import Fact
    from carnet.rules.rulebook import Rulebook

__all__ = [
    "CarnetError",
    "Choices",
    "Citation",
    "Decision",
    "Determination",
    "Fact",
    "InputError",
    "Item",
    "Party",
    "RecordedDetermination",
    "Rulebook",
    "RulesError",
    "Transaction",
    "decide",
]

_HOMES = {
    "carnet.engine.decide": ("Decision", "decide"),
    "carnet.model.citation": ("Citation",),
    "carnet.model.determination": ("Choices", "Determination", "RecordedDetermination"),
    "carnet.model.errors": ("CarnetError", "InputError", "RulesError"),
    "carnet.model.transaction": ("Item", "Party", "Transaction"),
    "carnet.model.written": ("Fact",),
    "carnet.rules.rulebook": ("Rulebook",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module `carnet` has no `{name}`: its names are {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
