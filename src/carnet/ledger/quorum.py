"""Which witnesses have to cosign a log's checkpoints, how many of them, and how old that may be: the
operator's choice, and how a checkpoint stands by it. Nobody is asked here, and the time is told.

A quorum is a group with a threshold of C2SP tlog-policy (not tagged; its editor's copy of 2026 is followed):
`tlog_policy` writes it as such for others. Groups of groups, which that form also has, are not used.
"""

from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from carnet.ledger import checkpoint
from carnet.ledger.note import Verifier, VerifierKey
from carnet.ledger.witness import TIMED
from carnet.model.errors import InputError, Malformed
from carnet.model.leaves import Path
from carnet.model.plain import printable, short
from carnet.model.reading import decode

AHEAD = 60
"""Seconds that a witness's clock may be ahead of ours; a cosignature from further on counts for nothing."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")

Kind = Literal["unwitnessed", "fresh", "late", "alarm", "stopped"]


class Witness(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A witness: its public key (`name+id+base64`), and the URL before `/add-checkpoint` if it is to be asked
    from here."""

    key: str
    url: str | None = None

    @property
    def verifier(self) -> VerifierKey:
        """Raises `Malformed`."""
        return checkpoint.verifier_key(self.key)


class Quorum(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`need` of the witnesses have to have cosigned a checkpoint. Its age is that of the newest cosignatures
    that are enough: up to `within_seconds` it is fresh, over `alarm_seconds` somebody is told, and over
    `stop_seconds`, if given, no controlled item is served."""

    format: Literal[1] = 1
    need: int = 0
    within_seconds: int = 60
    alarm_seconds: int = 300
    stop_seconds: int | None = None
    witness: tuple[Witness, ...] = ()


class Standing(Struct, frozen=True):
    """How a log stands: `have` of the `need` cosignatures are there, `at` (seconds since 1970) is when there
    were enough, `age` how many seconds ago. `missing` are the witnesses without one that counts."""

    kind: Kind
    need: int
    have: int
    size: int | None = None
    at: int | None = None
    age: int | None = None
    missing: tuple[str, ...] = ()

    @property
    def allows(self) -> bool:
        """Whether controlled items may be served as far as witnesses go."""
        return self.kind != "stopped"

    @property
    def alarms(self) -> bool:
        """Whether somebody has to be told."""
        return self.kind in ("alarm", "stopped")


def load_quorum(text: str | bytes, *, file: str = "witnesses.toml") -> Quorum:
    """The quorum that TOML says; `file` is its name in messages.

    Raises InputError with file, line and the nearest right word for an unknown key, and for what can't be.
    """
    if not file.endswith(".toml"):
        raise InputError(f"`{file}` is no list of witnesses: its name ends in `.toml`")
    return decode(text.encode() if isinstance(text, str) else text, Quorum, file=file, check=_problem)


def standing(data: bytes | None, origin: str, log: Sequence[Verifier], quorum: Quorum, now: int) -> Standing:
    """How the log stands by its last checkpoint that was cosigned (a note), None if there is none; `now` is
    in seconds since 1970.

    Raises `Malformed` or `Unverified` if the note is not the log's, or a known signature in it is wrong.
    """
    keys = [each.verifier for each in quorum.witness]
    names = tuple(key.name for key in keys)
    if data is None:
        return _judged(quorum, (), None, names, now)
    own = {key.public for key in log if isinstance(key, VerifierKey)}
    keys = [key for key in keys if key.public not in own]  # a log is no witness of itself
    found = checkpoint.opened(data, origin, log, keys)
    newest: dict[str, int] = {}
    for each in found.cosignatures:
        if (each.name, each.key_id) in {
            (key.name, key.key_id) for key in keys
        } and 0 < each.at <= now + AHEAD:
            newest[each.name] = max(each.at, newest.get(each.name, 0))
    missing = tuple(name for name in names if name not in newest)
    return _judged(quorum, sorted(newest.values(), reverse=True), found.checkpoint.size, missing, now)


def tlog_policy(quorum: Quorum, logs: Sequence[VerifierKey]) -> str:
    """The same as a policy file of C2SP tlog-policy, for whoever verifies with other programs. Ages are not
    part of that form."""
    rows = [f"log {key}" for key in logs]
    names = [f"w{number}" for number in range(1, len(quorum.witness) + 1)]
    for name, each in zip(names, quorum.witness, strict=True):
        rows.append(f"witness {name} {each.key}" + (f" {each.url}" if each.url else ""))
    if quorum.need:
        rows += [f"group enough {quorum.need} {' '.join(names)}", "quorum enough"]
    else:
        rows.append("quorum none")
    return "".join(f"{row}\n" for row in rows)


def url_problem(url: str) -> str | None:
    """Why a witness is not asked at this URL, and what to do; None if it is."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    shown = short(printable(url))
    if not host or port == 0 or parts.query or parts.fragment or "@" in parts.netloc or not _plain(url):
        return f"`{shown}` is no URL of a witness: write it like `https://witness.example`"
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        return f"`{shown}` is not `https`: only a witness on this machine is asked without TLS"
    return None


def _judged(
    quorum: Quorum, times: Sequence[int], size: int | None, missing: tuple[str, ...], now: int
) -> Standing:
    """`times` are those of the cosignatures that count, one for each witness, the newest first."""
    if not quorum.need:
        return Standing("unwitnessed", 0, len(times), size, None, None, missing)
    at = times[quorum.need - 1] if 0 < quorum.need <= len(times) else None
    age = None if at is None else max(now - at, 0)
    kind: Kind
    if quorum.stop_seconds is not None and (age is None or age > quorum.stop_seconds):
        kind = "stopped"
    elif age is None or age > quorum.alarm_seconds:
        kind = "alarm"
    else:
        kind = "fresh" if age <= quorum.within_seconds else "late"
    return Standing(kind, quorum.need, len(times), size, at, age, missing)


def _problem(quorum: Quorum) -> tuple[Path, str] | None:
    """Where a quorum says what can't be, and what to do."""
    count = len(quorum.witness)
    publics: set[bytes] = set()
    names: set[str] = set()
    for index, each in enumerate(quorum.witness):
        where: Path = ("witness", index, "key")
        try:
            key = each.verifier
        except Malformed as error:
            return where, str(error)
        if key.scheme.number not in TIMED:
            return where, f"`{key.name}` has a key that says no time: give its key for cosignatures"
        if key.public in publics:
            return where, f"the key of `{key.name}` is there twice: name each witness once"
        if key.name in names:
            return where, f"`{key.name}` is there twice: a witness with two keys would count for two"
        publics.add(key.public)
        names.add(key.name)
        problem = None if each.url is None else url_problem(each.url)
        if problem is not None:
            return ("witness", index, "url"), problem
    if not (1 <= quorum.need <= count or quorum.need == count == 0):
        say = f"how many of the {count} have to cosign, 1 to {count}" if count else "0, or name the witnesses"
        return ("need",), f"`need = {quorum.need}` with {count} witnesses: write {say}"
    if quorum.within_seconds < 1:
        return ("within_seconds",), f"`within_seconds = {quorum.within_seconds}`: write 1 or more"
    if quorum.alarm_seconds < quorum.within_seconds:
        return ("alarm_seconds",), (
            f"`alarm_seconds = {quorum.alarm_seconds}` is under `within_seconds`: write "
            f"{quorum.within_seconds} or more"
        )
    if quorum.stop_seconds is not None and quorum.stop_seconds < quorum.alarm_seconds:
        return ("stop_seconds",), (
            f"`stop_seconds = {quorum.stop_seconds}` is under `alarm_seconds`: write "
            f"{quorum.alarm_seconds} or more, or leave it out for never"
        )
    return None


def _plain(url: str) -> bool:
    """Whether it can stand in a request line: no spaces, no signs that nobody sees."""
    return url.isascii() and url.isprintable() and " " not in url
