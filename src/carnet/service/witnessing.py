"""What a node's witnesses say of its log: asked once before anything is appended, and then for as long as the
node runs. While one contradicts the log, it takes nothing; past `stop_seconds` nothing controlled is served.
How a witness is asked is in `carnet.store.cosign`.
"""

import logging
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from carnet.ledger.quorum import Quorum, load_quorum
from carnet.model.errors import InputError, StoreError
from carnet.model.plain import printable
from carnet.service.clock import Clock
from carnet.store import cosign, keyfiles
from carnet.store.cosign import Ahead, Ask, Runner
from carnet.store.keyfiles import why
from carnet.store.origins import COSIGNED, Named
from carnet.store.sqlite.log import SqliteLog

WITNESSES = "witnesses.toml"
"""Below the data directory: which witnesses the logs of an installation have, if any
(`carnet.ledger.quorum`)."""


CONTRADICTED = "contradicted"
"""In the home of a log: what a witness has proved against it. So a start without the witness knows it."""

_LOG = logging.getLogger("carnet.witnesses")


class Contradiction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a witness has found against the log of this origin: that it had more once (`ahead`), or others
    (`forked`). `proof` is a checkpoint with the log's own signature."""

    origin: str
    kind: Literal["ahead", "forked"]
    why: str
    proof: str | None


class Witnesses:
    """The witnesses of one node's log. Several threads may ask."""

    def __init__(
        self, log: SqliteLog, name: Named, quorum: Quorum, home: Path, clock: Clock, ask: Ask | None = None
    ) -> None:
        """Ask each of them once, then go on in a thread until `close`. A witness that can't be reached keeps
        nothing from starting: for how long is up to `stop_seconds`. Raises `StoreError` if what was kept of
        them can't be read."""
        kept = home / COSIGNED
        self._clock, self._origin, self._file = clock, name.origin, home / CONTRADICTED
        self._proved = proved(home, name.origin)
        self._runner = Runner(
            log,
            name.origin,
            name.verifiers,
            quorum,
            ask=ask,
            keep=cosign.keeper(kept),
            last=cosign.kept(kept),
            wall=self._seconds,
        )
        self._judged: tuple[tuple[bytes | None, int], bool] | None = None
        log.guard(self.contradiction)
        self._runner.round()
        self._runner.start()

    @property
    def found(self) -> Contradiction | None:
        """What a witness has found against the log. What is proved stays until the log has another origin;
        what a witness only said goes if that witness cosigns again."""
        if self._proved is not None:
            return self._proved
        for each in self._runner.findings:
            found = Contradiction(
                origin=self._origin,
                kind="ahead" if isinstance(each, Ahead) else "forked",
                why=str(each),
                proof=None if each.proof is None else each.proof.decode(),
            )
            if found.proof is not None:
                self._keep(found)
            return found
        return None

    def contradiction(self) -> str | None:
        """Why nothing may be appended, and what to do; None if no witness contradicts the log."""
        found = self.found
        return None if found is None else found.why

    def stopped(self) -> bool:
        """Whether the log was not witnessed for longer than its operator allows. The signatures are verified
        once a second, not for each use."""
        now = self._runner.cosigned, self._seconds()
        judged = self._judged
        if judged is None or judged[0] != now:
            judged = self._judged = now, not self._runner.standing().allows
        return judged[1]

    def forbid(self) -> str | None:
        """Why nothing controlled may be served; None if it may."""
        found = self.contradiction()
        if found is None and self.stopped():
            return "the log was not witnessed for too long: nothing controlled is served until it is"
        return found

    def close(self) -> None:
        """Ask no more; waits for what is under way."""
        self._runner.stop()

    def _keep(self, found: Contradiction) -> None:
        """Remember it past the end of the process. If it can't be written the next start has to hear it
        again."""
        self._proved = found
        try:
            keyfiles.write(self._file, msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        except StoreError as error:
            _LOG.error("what a witness has proved can't be kept: %s", error)

    def _seconds(self) -> int:
        """The later of the node's two clocks: what is old by one of them is old."""
        return int(self._clock.read().late.timestamp())


def proved(home: Path, origin: str) -> Contradiction | None:
    """What a witness has proved against the log of this origin, if anything. Raises `StoreError` if what was
    kept of it can't be read."""
    file = home / CONTRADICTED
    if not file.exists():
        return None
    try:
        found = msgspec.json.decode(keyfiles.read(file), type=Contradiction)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StoreError(
            f"`{printable(str(file))}` can't be read: audit the log, then remove the file"
        ) from None
    return found if found.origin == origin else None


def witnessed(
    data: Path, home: Path, log: SqliteLog, name: Named, clock: Clock, ask: Ask | None = None
) -> Witnesses | None:
    """The witnesses that a data directory names, asked once; None if it names none, and none has proved
    something against the log before. Raises `InputError` for a list of them that can't be read, and as
    `Witnesses`."""
    file = data / WITNESSES
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        if proved(home, name.origin) is None:
            return None
        return Witnesses(log, name, Quorum(), home, clock, ask)
    except OSError as error:
        raise InputError(f"`{printable(str(file))}` can't be read: {why(error)}") from None
    return Witnesses(log, name, load_quorum(text, file=str(file)), home, clock, ask)
