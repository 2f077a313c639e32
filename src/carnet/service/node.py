"""A node: one process with its own log, opened from a data directory and closed again. What it does with a
request is in `carnet.service.determine`.

Several nodes of one installation share its desk. Each has a home below `nodes/` that is a data directory of
its own in all else: a log under its own name and key, a vault, the laws that it enforced.

What its witnesses say is asked before anything else is done: a log that was rolled back is known as such
before something is appended to it.
"""

import datetime as dt
import hashlib
import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from carnet.engine.decide import decide
from carnet.model import leaf as leaves
from carnet.model.time import instant
from carnet.model.transaction import Transaction
from carnet.policy.enforcement import Policy
from carnet.policy.enforcement import digest as policy_digest
from carnet.rules.rulebook import Rulebook
from carnet.service.access import Access
from carnet.service.clock import Clock, utc
from carnet.service.determine import Determiner
from carnet.service.grants import Grants, left_behind
from carnet.service.law import Law
from carnet.service.meeting import Meeting
from carnet.service.noticing import ClockWatch
from carnet.service.recording import Recorder
from carnet.service.rotated import record_rotations
from carnet.service.shredding import resumed
from carnet.service.witnessing import witnessed
from carnet.store import epochs
from carnet.store.api_keys import ApiKeys
from carnet.store.cosign import Ask
from carnet.store.desk import Desk
from carnet.store.handed import Handed
from carnet.store.keys import DIRECTORY, Keyring, new_name
from carnet.store.laws import Laws, build_digest
from carnet.store.origins import LOG, NODES, VAULT, named
from carnet.store.sqlite.log import SqliteLog, open_log
from carnet.store.subjects import SubjectTable
from carnet.store.vault import Vault

_LOG = logging.getLogger("carnet.node")


class Node:
    """Everything that serving takes, open. `clock` is the one that a test sets; `witnesses` are those that
    the data directory names, None if it names none."""

    def __init__(
        self,
        data: Path,
        rulebook: Rulebook,
        policy: Policy,
        clock: Clock | None = None,
        *,
        number: int | None = None,
        ask: Ask | None = None,
    ) -> None:
        """Open a data directory, made with new keys if nothing is there; `number` is that of one of several
        nodes, whose home is below it. `ask` is how witnesses are reached, if not as usual.

        A log that a witness contradicts is opened to be read: it takes nothing, and nothing is done to it.
        Raises `StoreError`, `Unavailable`, `Unverified` or `Damaged` for a directory that can't be used, each
        saying what to do; nothing is repaired.
        """
        with ExitStack() as opened:
            now = utc() if clock is None else clock.read().wall
            self._preparing: list[Callable[[Law], None]] = []
            self.data, self.number = data, number
            self.home = data if number is None else data / NODES / str(number)
            self.keyring = _keyring(data, new_name(), now)
            self.own_keys = (
                self.keyring
                if number is None
                else _keyring(self.home, f"{self.keyring.name}/{NODES}/{number}", now)
            )
            self.desk = opened.enter_context(Desk.open(data))
            self.vault = opened.enter_context(_vault(self.home, self.own_keys))
            self._wrapping = self.own_keys.current("subjects").id
            self.laws = Laws(self.home)
            name = named(self.home, self.own_keys)
            self.log: SqliteLog = opened.enter_context(
                open_log(self.home / LOG, name.origin, name.signers, name.verifiers)
            )
            self.clock = Clock(last=self._last()) if clock is None else clock
            self.witnesses = witnessed(data, self.home, self.log, name, self.clock, ask)
            if self.witnesses is not None:
                opened.callback(self.witnesses.close)
            self.clock.watch(ClockWatch(self.log))
            self.recorder = Recorder(self.vault, self.own_keys.secret("index"))
            self.subjects = SubjectTable(self.desk, self.keyring)
            self.handed = Handed(self.desk)
            self.api_keys = ApiKeys(self.desk, self.keyring)
            self.access = Access(self.api_keys, lambda: self.clock.read().wall, self.desk.version)
            self._caught_up()
            self.grants = Grants(self.log, self.clock)
            self.determiner = Determiner(
                self._law(rulebook, policy),
                self.log,
                self.recorder,
                self.subjects,
                self.clock,
                self.grants,
                self.forbids,
            )
            self.meeting = Meeting(
                lambda: self.determiner.law,
                self.log,
                self.recorder,
                self.subjects,
                self.clock,
                self.grants,
                self.forbids,
            )
            self._opened = opened.pop_all()

    def enter(self, rulebook: Rulebook, policy: Policy) -> int:
        """Enforce another rulebook or policy from now on; the epoch. Grants of the old one are over."""
        law = self._law(rulebook, policy)
        for prepared in self._preparing:
            prepared(law)
        before, self.determiner.law = self.determiner.law.epoch, law
        epoch = law.epoch
        if epoch != before:
            self.grants.enter(epoch)
        return epoch

    def prepares(self, prepared: Callable[[Law], None]) -> None:
        """Have this called with each law before it is in force, to work out beforehand what will be asked."""
        self._preparing.append(prepared)

    def forbids(self) -> str | None:
        """Why nothing controlled may be served, as far as witnesses go; None if it may."""
        return None if self.witnesses is None else self.witnesses.forbid()

    def outdated(self) -> bool:
        """Whether the vault was moved to a key that came after this node's start: then it seals and opens
        nothing until the next. Raises `StoreError` if the keys can't be read."""
        self.own_keys.refresh()
        return self.own_keys.current("subjects").id != self._wrapping

    def close(self) -> None:
        """Record what was counted, finish what was taken, close all files."""
        for receipt in self.grants.stop():
            receipt.exception()
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _caught_up(self) -> None:
        """What is on record and was not done, and what was done and is not on record: unless a witness
        contradicts the log."""
        found = None if self.witnesses is None else self.witnesses.contradiction()
        if found is not None:
            _LOG.error("%s", found)
            return
        now = self.clock.read()
        behind = left_behind(self.log, now)
        if behind is not None:
            behind.exception()  # whoever reads from now on finds it; what can't be recorded waits for a start
        resumed(self.log, self.vault, self.desk, self.keyring, now.wall)
        keyrings = (self.keyring,) if self.number is None else (self.keyring, self.own_keys)
        record_rotations(self.log, keyrings, now)

    def _law(self, rulebook: Rulebook, policy: Policy) -> Law:
        """The law under its epoch, kept for whoever replays, the slice of now compiled, so that the first
        request does not wait."""
        now = self.clock.read().wall
        decide(Transaction(at=now), rulebook, choices=policy.choices)
        self.laws.keep(rulebook, policy)
        whole = "\n".join((rulebook.digest, policy_digest(policy), build_digest()))
        number = epochs.entered(self.desk, hashlib.sha256(whole.encode()).hexdigest(), now)
        return Law(rulebook, policy, number)

    def _last(self) -> dt.datetime | None:
        """When the last record was made."""
        with self.log.reading() as reading:
            size = reading.size
            record = reading.record(size - 1) if size else None
        return None if record is None else instant(leaves.read(record.leaf).at)


def _keyring(data: Path, name: str, now: dt.datetime) -> Keyring:
    """The keys of a data directory; new ones, under this name, if there are none."""
    if (data / DIRECTORY).exists():
        return Keyring.open(data)
    return Keyring.create(data, name, now)


def _vault(data: Path, keyring: Keyring) -> Vault:
    """The vault; a new one only where there is no log yet."""
    wrapping = keyring.secret("subjects")
    new = not (data / VAULT).exists() and not (data / LOG).exists()
    return Vault.create(data / VAULT, wrapping) if new else Vault.open(data / VAULT, wrapping)
