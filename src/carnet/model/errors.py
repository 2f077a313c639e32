"""The exceptions of Carnet.

CarnetError
├── InputError    a transaction, an option or a file from the user is not usable (exit 2)
└── RulesError    one or more rule files can't be loaded (exit 6)
"""

from msgspec import Struct

from carnet.model.plain import printable


class CarnetError(Exception):
    """The root of every error that Carnet raises on purpose. The message says what to do next."""


class InputError(CarnetError):
    """Raised by whatever reads what the user gave: `carnet.model`, `carnet.cli`, `carnet.store`."""


class Problem(Struct, frozen=True, order=True):
    """One load error: `file` and `line` are where to look, `message` what to do."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return printable(f"{self.file}:{self.line}: {self.message}")


class RulesError(CarnetError):
    """Raised by `carnet.rules` with every problem found, in order of file and line."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))
