"""The laws in an export, each loaded once and compared with the digest that the records name. How they are
kept in an installation is in `carnet.store.laws`.
"""

from collections.abc import Mapping

from carnet.ledger.archive import shown
from carnet.ledger.export import BUILDS, LAWS, POLICIES, Export
from carnet.model.errors import Absent, CarnetError, LedgerError, Malformed
from carnet.rules.rulebook import Rulebook
from carnet.service.law import Law
from carnet.store.laws import lawful, lawful_policy, read_build

_SUFFIX = ".json"


class Book:
    """The laws of an export."""

    def __init__(self, found: Export) -> None:
        self._archive = found.archive
        self._laws: dict[tuple[str, str], Law | CarnetError] = {}
        self._rulebooks: dict[str, Rulebook] = {}

    def law(self, rulebook: str, policy: str) -> Law | CarnetError:
        """The law of these digests, or why there is none."""
        key = (rulebook, policy)
        if key not in self._laws:
            try:
                name = f"{POLICIES}{policy}{_SUFFIX}"
                said = lawful_policy(policy, self._archive.read(name))
                self._laws[key] = Law(self.rulebook(rulebook), said, 0)
            except LedgerError as error:
                self._laws[key] = error
        return self._laws[key]

    def rulebook(self, digest: str) -> Rulebook:
        """A rulebook. Raises `Absent` if it is not there, `Damaged` if it is another one."""
        if digest not in self._rulebooks:
            self._rulebooks[digest] = lawful(digest, self._shelves(digest))
        return self._rulebooks[digest]

    def builds(self) -> dict[str, bytes]:
        """The builds, by digest. Raises `Damaged` for one that is another."""
        found = {
            name.removeprefix(BUILDS).removesuffix(_SUFFIX): name for name in self._archive.names(BUILDS)
        }
        read = {digest: self._archive.read(name) for digest, name in found.items()}
        for digest, data in read.items():
            read_build(digest, data)
        return read

    def check(self) -> None:
        """Check everything that is there against the digest that it is named by. Raises `Damaged` or
        `Malformed`."""
        self.builds()
        for name in self._archive.names(POLICIES):
            lawful_policy(name.removeprefix(POLICIES).removesuffix(_SUFFIX), self._archive.read(name))
        for digest in {name.removeprefix(LAWS).partition("/")[0] for name in self._archive.names(LAWS)}:
            self.rulebook(digest)

    def _shelves(self, digest: str) -> list[Mapping[str, bytes]]:
        found: dict[int, dict[str, bytes]] = {}
        prefix = f"{LAWS}{digest}/"
        for name in self._archive.names(prefix):
            number, _, path = name.removeprefix(prefix).partition("/")
            if not number.isascii() or not number.isdigit() or not path:
                raise Malformed(f"`{shown(name)}` is no file of a shelf: export it again")
            found.setdefault(int(number), {})[path] = self._archive.read(name)
        if not found:
            raise Absent(f"the export has no rulebook `{digest}`: export it again")
        return [found[number] for number in sorted(found)]
