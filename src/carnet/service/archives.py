"""The logs of an installation, to read from: that of a node and those of its neighbours, each with what opens
its private parts. Nothing is written here; who may read what is for the callers.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Lock

from carnet.service.node import Node
from carnet.store.keys import Keyring
from carnet.store.laws import Laws
from carnet.store.origins import LOG, VAULT, Named, homes, named
from carnet.store.protocols import Reading, Record
from carnet.store.sqlite.reading import Readers
from carnet.store.vault import Vault

FIRST = 0
"""The number of the log that lies in the data directory itself."""


class Archive:
    """One log. `index` is the key of its pseudonyms and terms."""

    def __init__(self, number: int, home: Path, keyring: Keyring, vault: Vault) -> None:
        self.number, self.vault, self.laws = number, vault, Laws(home)
        self.index = keyring.secret("index")
        self._home, self._keyring = home, keyring

    def name(self) -> Named:
        """What the log is called, and the keys that sign and signed for it."""
        self._keyring.refresh()
        return named(self._home, self._keyring)

    def reading(self) -> AbstractContextManager[Reading]:
        """A consistent state of the log."""
        raise NotImplementedError

    def close(self) -> None:
        """Release what was opened for reading."""


class _Own(Archive):
    def __init__(self, node: Node) -> None:
        super().__init__(node.number or FIRST, node.home, node.own_keys, node.vault)
        self._log = node.log

    def reading(self) -> AbstractContextManager[Reading]:
        return self._log.reading()


class _Neighbour(Archive):
    def __init__(self, number: int, home: Path) -> None:
        keyring = Keyring.open(home)
        vault = Vault.open(home / VAULT, keyring.secret("subjects"))
        super().__init__(number, home, keyring, vault)
        self._readers = Readers(home / LOG, None)

    def reading(self) -> AbstractContextManager[Reading]:
        return self._reading()

    def close(self) -> None:
        self._readers.close()
        self.vault.close()

    @contextmanager
    def _reading(self) -> Iterator[Reading]:
        with self._readers.reading() as reading:
            yield reading


class Archives:
    """Every log of a node's installation. Several threads may use it."""

    def __init__(self, node: Node) -> None:
        self._data = node.data
        own = _Own(node)
        self.own: Archive = own
        self._open: dict[int, Archive] = {own.number: own}
        self._lock = Lock()

    def all(self) -> list[Archive]:
        """The logs by number, those of nodes that began since too.

        Raises `StoreError`, `Unavailable`, `Unverified` or `Damaged` if one can't be opened: what a log says
        is never left out silently.
        """
        with self._lock:
            for home in homes(self._data):
                number = FIRST if home == self._data else int(home.name)
                if number not in self._open:
                    self._open[number] = _Neighbour(number, home)
            return [self._open[number] for number in sorted(self._open)]

    def of_id(self, tenant: str, id_: str) -> tuple[Archive, Record] | None:
        """The record of an id and its log; None if there is none or it is another tenant's. All logs are
        looked at in each case."""
        found = None
        for archive in self.all():
            with archive.reading() as reading:
                record = reading.of_id(tenant, id_)
            if record is not None:
                found = archive, record
        return found

    def close(self) -> None:
        """Release all but the node's own."""
        with self._lock:
            for archive in self._open.values():
                archive.close()
