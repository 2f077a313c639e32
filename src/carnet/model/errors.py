"""The exceptions of Carnet.

CarnetError
├── InputError    a transaction, an option or a file from the user is not usable (exit 2)
├── RulesError    one or more rule files can't be loaded (exit 6)
├── LedgerError   something about a log, its records or its proofs
│   ├── Malformed     bytes or a text are not of the form that their specification gives
│   ├── Unverified    a signature or a proof does not hold (exit 5)
│   ├── Damaged       what is stored is not what was written; nothing was signed
│   └── Absent        a record or a size that the log does not have
└── StoreError    something about a database, a key or a file of the installation (exit 1)
    ├── Unavailable   it could not be made durable now: nothing was recorded
    └── Taken         an id or an idempotency key that is there already
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


class LedgerError(CarnetError):
    """The root of every error that the ledger raises on purpose."""


class Malformed(LedgerError):
    """Raised by whatever reads or writes a form: note, checkpoint, tile, proof, key."""


class Unverified(LedgerError):
    """Raised where a signature, an inclusion proof or a consistency proof does not hold."""


class Damaged(LedgerError):
    """Raised where stored leaves or nodes are missing or do not hash to each other."""


class Absent(LedgerError):
    """Raised where a record or a size is asked for that is not in the log."""


class StoreError(CarnetError):
    """The root of every error that the stores raise on purpose."""


class Unavailable(StoreError):
    """Raised where something can't be made durable, or a signer or a database can't be reached. Nothing was
    recorded; the same may be asked again."""


class Taken(StoreError):
    """Raised where something is to be new and is there already."""
