"""The log's side of its witnesses: the newest checkpoint goes to each of them with the proof from what it saw
last, and its cosignature comes back; again and again while one is down. How many are enough, and how old that
may be, is in `carnet.ledger.quorum`; a log that a witness contradicts is not repaired here.
"""

import hashlib
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Literal, Protocol

from msgspec import Struct

from carnet.ledger import checkpoint, note, tree, witness
from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.note import Note, Signature, Verifier, VerifierKey
from carnet.ledger.quorum import Quorum, Standing, standing
from carnet.ledger.tree import Nodes
from carnet.ledger.witness import Request
from carnet.model.errors import CarnetError, LedgerError, Unavailable
from carnet.model.plain import printable, short
from carnet.store import keyfiles
from carnet.store.exchange import SECONDS, Reply, exchange

LONGEST_PACE = 15.0
"""Seconds between two questions to a witness that answers, at most; a quarter of `within_seconds` if less."""

_TRIES = 4
_FEW = 4
_LOG = logging.getLogger("carnet.cosign")


class Seen(Nodes, Protocol):
    """One state of a log, as far as a witness is concerned."""

    def checkpoint(self) -> bytes: ...


class Source(Protocol):
    """A log that is witnessed. `carnet.store.protocols.Log` is one."""

    def reading(self) -> AbstractContextManager[Seen]: ...


class Cosigned(Struct, frozen=True):
    """The cosignatures of one witness on a checkpoint of the log, verified."""

    name: str
    note: Note
    about: Checkpoint
    signatures: tuple[Signature, ...]


class Ahead(Struct, frozen=True):
    """The witness remembers more records than the log has: the log was rolled back. Nothing may be appended
    until it is continued under a new origin. `proof` is a checkpoint of that size with the log's own
    signature, if the witness gives one; without it there is only the witness's word."""

    name: str
    size: int
    ours: int
    proof: bytes | None = None

    def __str__(self) -> str:
        return (
            f"the witness `{self.name}` has seen {self.size} records and the log has {self.ours}: it was "
            "rolled back, append nothing and continue it under a new origin"
        )


class Forked(Struct, frozen=True):
    """The witness remembers another log of this name: the log was forked or changed. `proof` is its
    checkpoint with the log's own signature and another root than ours at that size, if it gives one."""

    name: str
    size: int
    proof: bytes | None = None

    def __str__(self) -> str:
        return (
            f"the witness `{self.name}` has seen {self.size} records that are not the log's: it was forked "
            "or changed, append nothing and audit it"
        )


class Failed(Struct, frozen=True):
    """No answer that can be used: the witness is asked again later. `declined` says that it was reached and
    does not want to (its status), which mends itself seldom."""

    name: str
    why: str
    declined: int | None = None

    def __str__(self) -> str:
        return f"the witness `{self.name}` did not cosign: {self.why}"


Finding = Ahead | Forked
Answer = Cosigned | Finding | Failed


class Ask(Protocol):
    """How a witness is reached: `exchange`, or what stands in for it."""

    def __call__(self, method: Literal["GET", "POST"], url: str, body: bytes | None = None) -> Reply: ...


def asking(seconds: float, context: ssl.SSLContext | None = None) -> Ask:
    """The usual way: at most so long, and with these certificates, or those that the system trusts."""

    def ask(method: Literal["GET", "POST"], url: str, body: bytes | None = None) -> Reply:
        return exchange(method, url, body, seconds=seconds, context=context)

    return ask


class Witnessed:
    """One log before one witness. `size` is what the witness is thought to remember; after a start that is 0,
    and the witness says better."""

    def __init__(
        self, source: Source, origin: str, log: Sequence[Verifier], key: VerifierKey, url: str, ask: Ask
    ) -> None:
        self.key = key
        self.size = 0
        self._most = 0
        self._source = source
        self._origin = origin
        self._log = tuple(log)
        self._url = url.rstrip("/")
        self._ask = ask

    def submit(self) -> Answer:
        """Have the newest checkpoint cosigned.

        Raises nothing that a witness could cause; `LedgerError` or `StoreError` if the log itself can't be
        read or proved.
        """
        for _ in range(_TRIES):
            with self._source.reading() as seen:
                data = seen.checkpoint()
                about = checkpoint.opened(data, self._origin, self._log).checkpoint
                if self.size > about.size:
                    return self._ahead(about.size)
                path = _proof(seen, self.size, about)
            try:
                body = Request(self.size, path, data).data
                reply = self._ask("POST", f"{self._url}/add-checkpoint", body)
                answer = self._read(reply, note.parsed(data), about)
            except (Unavailable, LedgerError) as error:
                return Failed(self.key.name, str(error))
            if answer is not None:
                return answer
        return Failed(self.key.name, "it says another size each time")

    def _read(self, reply: Reply, sent: Note, about: Checkpoint) -> Answer | None:
        """What an answer comes to; None if it is to be asked again from the size that it said."""
        if reply.status == 200:
            made = witness.cosignatures(reply.body, sent.text, (self.key,))
            self.size = self._most = about.size
            return Cosigned(self.key.name, sent, about, made)
        if reply.status == 409 and reply.type == witness.SIZE_TYPE:
            self.size = witness.size_of(reply.body)
            if self.size < self._most:
                _LOG.warning(
                    "the witness `%s` remembers %s records and had cosigned %s: it forgot, replace it",
                    self.key.name,
                    self.size,
                    self._most,
                )
            return None
        if reply.status in (
            409,
            422,
        ):  # 409 without a size: another root at this size, by tlog-witness v1.0.0
            return self._contradicted()
        said = short(printable(reply.body[:400].decode(errors="replace")), 200)
        why = f"status {reply.status}, {said}" if said else f"status {reply.status}"
        return Failed(self.key.name, why, None if reply.status >= 500 else reply.status)

    def _ahead(self, ours: int) -> Answer:
        size, self.size = self.size, 0  # what is only said is asked again next time
        proof = self._last()
        if proof is not None and proof[1].size > ours:
            return Ahead(self.key.name, proof[1].size, ours, proof[0])
        return Ahead(self.key.name, size, ours)

    def _contradicted(self) -> Answer:
        """The witness says that our proof, which holds for what we have, does not hold for what it has."""
        size = self.size
        proof = self._last()
        if proof is None:
            return Forked(self.key.name, size)
        data, theirs = proof
        with self._source.reading() as seen:
            ours = checkpoint.parsed(note.parsed(seen.checkpoint()).text).size
            if theirs.size > ours:
                return Ahead(self.key.name, theirs.size, ours, data)
            if tree.tree_at(seen, theirs.size).root != theirs.root:
                return Forked(self.key.name, theirs.size, data)
        return Failed(self.key.name, "it refuses a proof that holds for the checkpoint it shows", 422)

    def _last(self) -> tuple[bytes, Checkpoint] | None:
        """The checkpoint that the witness shows to monitors, if the log signed it."""
        digest = hashlib.sha256(self._origin.encode()).hexdigest()
        try:
            reply = self._ask("GET", f"{self._url}/{digest}/checkpoint")
            if reply.status != 200:
                return None
            found = checkpoint.opened(reply.body, self._origin, self._log, (self.key,))
        except (Unavailable, LedgerError):
            return None
        return reply.body, found.checkpoint


def _proof(seen: Seen, size: int, about: Checkpoint) -> tuple[bytes, ...]:
    """The consistency proof, checked: if it does not hold here, the log is damaged, whatever others say."""
    path = tree.consistency_proof(seen, size, about.size)
    tree.verify_consistency(size, about.size, tree.tree_at(seen, size).root, about.root, path)
    return path


class Runner:
    """Keeps a log witnessed, in a thread of its own: `start`, later `stop`.

    Every few seconds each witness is asked, all at once, and one that fails is asked again sooner, then at
    most twice as seldom. `keep` gets each note that has enough cosignatures, before it counts; `last` is the
    one that was kept before. `clock` counts seconds, `wall` gives them since 1970.
    """

    def __init__(
        self,
        source: Source,
        origin: str,
        log: Sequence[Verifier],
        quorum: Quorum,
        *,
        ask: Ask | None = None,
        keep: Callable[[bytes], None] = lambda _: None,
        last: bytes | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        self._origin, self._log, self._quorum = origin, tuple(log), quorum
        self._keep, self._clock, self._wall = keep, clock, wall
        self._pace = max(1.0, min(LONGEST_PACE, quorum.within_seconds / 4))
        asked = ask or asking(SECONDS)
        self._turns = [
            _Turn(Witnessed(source, origin, log, each.verifier, each.url, asked), clock())
            for each in quorum.witness
            if each.url is not None
        ]
        self._lock = Lock()
        self._gathered: dict[str, tuple[Note, dict[str, tuple[Signature, ...]]]] = {}
        self._findings: dict[str, Finding] = {}
        self._failed: dict[str, Failed] = {}
        self._kept = last if self._enough(last) is not None else None
        self._stop = Event()
        self._thread: Thread | None = None

    @property
    def cosigned(self) -> bytes | None:
        """The last note of the log that has enough cosignatures."""
        return self._kept

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What witnesses have found against the log; if there is anything, nothing may be appended.

        What is proved stays; what a witness only said goes if that witness cosigns again.
        """
        with self._lock:
            return tuple(self._findings.values())

    @property
    def failures(self) -> tuple[Failed, ...]:
        """The witnesses that did not cosign when they were asked last, and why."""
        with self._lock:
            return tuple(self._failed.values())

    def standing(self) -> Standing:
        """How the log stands now."""
        return standing(self._kept, self._origin, self._log, self._quorum, self._wall())

    def round(self) -> tuple[Answer, ...]:
        """Ask each witness whose turn it is. Raises nothing: what went wrong is in the answers."""
        due = [turn for turn in self._turns if turn.next <= self._clock()]
        if not due:
            return ()
        with ThreadPoolExecutor(len(due), thread_name_prefix="carnet-cosign") as pool:
            answers = tuple(pool.map(_asked, (turn.witnessed for turn in due)))
        now = self._clock()
        for turn, answer in zip(due, answers, strict=True):
            turn.failures = 0 if isinstance(answer, Cosigned) else turn.failures + 1
            soon = 2.0 ** min(turn.failures - 1, 10)
            turn.next = now + (min(soon, 2 * self._pace) if turn.failures else self._pace)
            self._take(answer)
        self._settle()
        return answers

    def start(self) -> None:
        """Begin to ask, if there is a witness to be asked."""
        if self._turns and self._thread is None:
            self._stop.clear()
            self._thread = Thread(target=self._run, name="carnet-cosign", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ask no more; waits for what is under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._stop.is_set():
            self.round()
            wait = min(turn.next for turn in self._turns) - self._clock()
            self._stop.wait(min(max(wait, 0.05), 2 * self._pace))

    def _take(self, answer: Answer) -> None:
        before = self._findings.get(answer.name) or self._failed.get(answer.name)
        with self._lock:
            self._failed.pop(answer.name, None)
            if isinstance(answer, Failed):
                self._failed[answer.name] = answer
            elif not isinstance(answer, Cosigned):
                self._findings[answer.name] = answer
            else:
                found = self._findings.get(answer.name)
                if found is not None and found.proof is None:
                    del self._findings[answer.name]
                sent, made = self._gathered.pop(answer.note.text, (answer.note, {}))
                made[answer.name] = answer.signatures
                self._gathered[answer.note.text] = (sent, made)
                for old in list(self._gathered)[:-_FEW]:
                    del self._gathered[old]
        if not isinstance(answer, Cosigned) and type(answer) is not type(before):
            _LOG.warning("%s", answer)

    def _settle(self) -> None:
        """Of the notes that have enough cosignatures, keep the one that had them last."""
        for sent, made in self._gathered.values():
            signatures = [each for name in sorted(made) for each in made[name]]
            data = note.joined(sent, signatures).data
            rank, best = self._enough(data), self._enough(self._kept)
            if rank is None or (best is not None and rank <= best):
                continue
            try:
                self._keep(data)
            except (CarnetError, OSError) as error:
                _LOG.warning("the cosigned checkpoint can't be kept and does not count: %s", error)
                continue
            self._kept = data

    def _enough(self, data: bytes | None) -> tuple[int, int] | None:
        """When a note had enough cosignatures, and its size; None if it has not, or is none of the log."""
        try:
            found = standing(data, self._origin, self._log, self._quorum, self._wall())
        except LedgerError:
            return None
        return None if found.at is None or found.size is None else (found.at, found.size)


class _Turn:
    """When a witness is asked next, and how often it has failed since it last did not."""

    def __init__(self, witnessed: Witnessed, now: float) -> None:
        self.witnessed = witnessed
        self.next = now
        self.failures = 0


def _asked(witnessed: Witnessed) -> Answer:
    try:
        return witnessed.submit()
    except CarnetError as error:
        return Failed(witnessed.key.name, f"the log can't be read or proved, {error}")
    except Exception as error:  # noqa: BLE001 -- the thread has to live on; that nothing is cosigned is told
        return Failed(witnessed.key.name, f"unexpected error `{type(error).__name__}`")


def kept(file: Path) -> bytes | None:
    """The note that `keeper` wrote last, None if there is none. Raises `StoreError` if it can't be read."""
    return keyfiles.read(file) if file.exists() else None


def keeper(file: Path) -> Callable[[bytes], None]:
    """Keeps the cosigned note in a file, so that a start knows how long ago the log was witnessed."""
    return partial(keyfiles.write, file)
