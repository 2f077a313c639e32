"""A backup put back: audited as a whole before it is in place, and compared with what others have seen of its
log. A log that is behind what they have seen is put back and takes nothing until it goes on under a new name
(`carnet.service.continuing`). The copying is in `carnet.store.installation`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from carnet.ledger import checkpoint, note, tree
from carnet.ledger.quorum import Quorum
from carnet.ledger.tree import HASH_BYTES, Tree
from carnet.model.errors import Damaged, InputError, Unavailable
from carnet.model.plain import printable, short
from carnet.service.audit import audited
from carnet.service.retention import writing
from carnet.service.shredding import finished
from carnet.store.cosign import Ahead, Ask, Cosigned, Forked, Witnessed, asking
from carnet.store.exchange import SECONDS
from carnet.store.installation import put_back
from carnet.store.keys import Keyring
from carnet.store.origins import LOG, Seen, homes, opened_vault, seen
from carnet.store.sqlite.owner import Owner
from carnet.store.sqlite.reading import SqliteReading

_NO_ROOT = bytes(HASH_BYTES)


class Restored(Struct, frozen=True, kw_only=True):
    """A log that was put back: where, its name, its size, and why it takes nothing; None if it goes on."""

    home: Path
    origin: str
    size: int
    behind: str | None


class Elsewhere(Struct, frozen=True, kw_only=True):
    """What others have seen: checkpoints that were kept elsewhere, witnesses that can be asked, or `alone`:
    somebody says that nobody has seen more of the log than the backup has."""

    older: tuple[bytes, ...] = ()
    witnesses: Quorum | None = None
    alone: bool = False


def restored(
    copy: Path, data: Path, elsewhere: Elsewhere, *, keys: Path | None = None, ask: Ask | None = None
) -> list[Restored]:
    """Put a backup in place as the data directory `data`, where nothing may be.

    Raises `InputError` if nothing says what others have seen, `Unavailable` if no witness can be asked,
    `Damaged` if the backup is not whole, and as `put_back`; nothing is in place then.
    """
    if not (elsewhere.older or elsewhere.witnesses or elsewhere.alone):
        raise InputError(
            "nobody says whether the log had more than the backup: give `--witnesses` or `--older`, or "
            "`--alone` if nobody has seen it"
        )
    found: list[tuple[str, str, int, str | None]] = []

    def check(made: Path) -> None:
        for home in homes(made):
            with seen(home) as now:
                report = audited(now, put_back=True)
                if report.findings:
                    raise Damaged(
                        f"the backup is not whole, {report.findings[0]} ({len(report.findings)} findings): "
                        "take another one"
                    )
                more = _more(now, elsewhere, ask or asking(SECONDS))
                origin, size = now.name.origin, now.reading.size
            _tidied(home, made)
            if more is not None:
                _remembered(home, origin, more[0])
            found.append((str(home.relative_to(made)), origin, size, None if more is None else more[1]))

    put_back(copy, data, keys, check)
    return [
        Restored(home=data / home, origin=origin, size=size, behind=behind)
        for home, origin, size, behind in found
    ]


def _more(now: Seen, elsewhere: Elsewhere, ask: Ask) -> tuple[Tree, str] | None:
    """What somebody has seen of the log that it does not have, and who; None if nobody has. Raises if nobody
    says."""
    told = elsewhere.alone
    for signed in elsewhere.older:
        about = checkpoint.parsed(note.parsed(signed).text)
        if about.origin != now.name.origin:
            continue
        about = checkpoint.opened(signed, about.origin, now.name.verifiers).checkpoint
        told = True
        if about.size > now.reading.size:
            why = f"a checkpoint of `{about.size}` records was kept, and the backup has `{now.reading.size}`"
            return Tree(about.size, (about.root,)), why
        if tree.tree_at(now.reading, about.size).root != about.root:
            why = f"a checkpoint of `{about.size}` records was kept, and those of the backup are others"
            return Tree(about.size, (about.root,)), why
    answers = [
        Witnessed(_Now(now), now.name.origin, now.name.verifiers, each.verifier, each.url, ask).submit()
        for each in (elsewhere.witnesses.witness if elsewhere.witnesses is not None else ())
        if each.url is not None
    ]
    for answer in answers:
        if isinstance(answer, Ahead | Forked):
            proof = None if answer.proof is None else note.parsed(answer.proof).text
            root = _NO_ROOT if proof is None else checkpoint.parsed(proof).root
            return Tree(answer.size, (root,)), str(answer)
    if not told and not any(isinstance(each, Cosigned) for each in answers):
        whys = "; ".join(str(answer) for answer in answers) or "no checkpoint given is of this log"
        raise Unavailable(
            f"nobody says what they have seen of `{short(printable(now.name.origin))}`, {whys}: ask again"
        )
    return None


class _Now:
    """One state of a log as what witnesses are shown."""

    def __init__(self, now: Seen) -> None:
        self._now = now

    @contextmanager
    def reading(self) -> Iterator[SqliteReading]:
        yield self._now.reading


def _tidied(home: Path, data: Path) -> None:
    """What was destroyed since the copy was made, or was to be, is gone from what was put back."""
    with writing(home) as (keyring, log), opened_vault(home, keyring) as vault:
        vault.rewrap(keyring.secret("subjects"))  # the copy may be from before a rotation
        finished(log, vault, Keyring.open(data).verifiers("approver"), ())


def _remembered(home: Path, origin: str, more: Tree) -> None:
    """Have the log refuse what comes: it is told that it had more."""
    owner = Owner(home / LOG)
    owner.remember(origin, more)
    noted = owner.remembered()
    owner.release()
    if noted is None or (noted.size, noted.root) != (more.size, more.root):
        raise Unavailable("it can't be noted that the log is behind: look at the disk, then restore again")
