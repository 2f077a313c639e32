"""The whole audit of one log: every record is hashed again, every private part compared with its record,
every term with its transaction, every law with its digest. The tree's own part is in `carnet.ledger.audit`;
nothing is repaired.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import Struct

from carnet.ledger import audit as ledger
from carnet.ledger import checkpoint, note, tree
from carnet.ledger.note import Verifier
from carnet.model import leaf as leaves
from carnet.model.errors import CarnetError, Damaged, LedgerError
from carnet.model.leaf import Continued, Determined, Held, HoldReleased, Leaf, Shredded
from carnet.model.plain import printable, short
from carnet.model.retention import holds, is_held
from carnet.service.export import private_of
from carnet.service.recording import found_by
from carnet.store import cosign
from carnet.store.keys import Keyring
from carnet.store.laws import Laws, lawful_policy
from carnet.store.origins import COSIGNED, Seen, installation_of, opened_vault, terms_of
from carnet.store.sqlite import check
from carnet.store.vault import Vault
from carnet.store.vault_approval import check_approvals
from carnet.store.vault_parts import read_private, term

MOST = 1000
"""So many findings are told; a log that has more is told as such."""


class Audited(Struct, frozen=True, kw_only=True):
    """What an audit found, one sentence each. Of the determinations, `opened` have the private part that they
    commit to and `destroyed` have none since that was ordered on record. `older` says whether the log was
    compared with a checkpoint that was kept elsewhere: without one, a log put back to an old state passes."""

    origin: str
    size: int
    root: str | None
    older: bool
    kinds: dict[str, int]
    opened: int
    destroyed: int
    rulebooks: int
    findings: tuple[str, ...]

    @property
    def sound(self) -> bool:
        return not self.findings


def audited(
    seen: Seen,
    *,
    older: bytes | None = None,
    witnesses: Sequence[Verifier] = (),
    put_back: bool = False,
) -> Audited:
    """Audit a log in all its parts. `older` is a checkpoint of it that was kept elsewhere. In one that was
    just `put_back`, keys may be destroyed by orders that came after the copy was made.

    Raises nothing for what is wrong with it: that is what is found.
    """
    findings: list[str] = []
    report = ledger.audit(
        seen.reading,
        seen.reading.checkpoint(),
        seen.name.origin,
        seen.name.verifiers,
        witnesses,
        older=older if older is None or _origin(older) == seen.name.origin else None,
    )
    findings += [each.message for each in report.findings]
    if older is not None and _origin(older) != seen.name.origin:
        findings += _compared(seen, older, "older", witnesses)
    cosigned = cosign.kept(seen.data / COSIGNED)
    if cosigned is not None:
        findings += _compared(seen, cosigned, "cosigned", witnesses)
    findings += check.problems(seen.reading, seen.name.verifiers)
    records = _Records(seen, put_back=put_back)
    for each in records.problems():
        findings.append(each)
        if len(findings) > MOST:
            findings.append(f"there are over `{MOST}` findings: restore from a backup")
            break
    return Audited(
        origin=seen.name.origin,
        size=report.size,
        root=None if report.root is None else note.encoded(report.root),
        older=older is not None,
        kinds=dict(sorted(records.kinds.items())),
        opened=records.opened,
        destroyed=records.destroyed,
        rulebooks=len(records.rulebooks),
        findings=tuple(findings),
    )


def _origin(signed: bytes) -> str:
    try:
        return checkpoint.parsed(note.parsed(signed).text).origin
    except LedgerError:
        return ""


def _compared(seen: Seen, signed: bytes, what: str, witnesses: Sequence[Verifier]) -> Iterator[str]:
    """What a checkpoint that was kept says of the log, which may have had another name then."""
    origin = _origin(signed)
    names = seen.reading.origins()
    ends = {name: since for (_, name), (since, _) in pairwise(names)} | {names[-1][1]: seen.reading.size}
    if origin not in ends:
        yield f"the {what} checkpoint is of `{short(printable(origin))}`, a name that this log never had"
        return
    try:
        before = checkpoint.opened(signed, origin, seen.name.verifiers, witnesses).checkpoint
        if before.size > ends[origin]:
            yield (
                f"the log had `{before.size}` records as `{origin}` by the {what} checkpoint and has "
                f"`{ends[origin]}` of them: the others were lost when it was put back"
            )
            return
        root = tree.tree_at(seen.reading, before.size).root
    except LedgerError as error:
        yield f"the {what} checkpoint does not hold: {error}"
        return
    if root != before.root:
        yield f"the first `{before.size}` records are not those that the {what} checkpoint signed"


class _Records:
    """What stands beside the leaves, record by record."""

    def __init__(self, seen: Seen, *, put_back: bool) -> None:
        self._seen, self._laws, self._put_back = seen, Laws(seen.data), put_back
        self._index = seen.keyring.secret("index")
        self.kinds = Counter[str]()
        self.opened = self.destroyed = 0
        self.rulebooks, self._policies = set[str](), set[str]()
        self._missing: dict[tuple[str, str, str], list[str]] = {}
        self._shredded: list[Shredded] = []
        self._holds: list[Leaf] = []
        self._remains = Counter[str]()

    def problems(self) -> Iterator[str]:
        try:
            vault = opened_vault(self._seen.data, self._seen.keyring)
        except CarnetError as error:
            yield f"no private part can be looked at: {error}"
            return
        with vault:
            for index in range(self._seen.reading.size):
                try:
                    yield from self._one(index, vault)
                except CarnetError as error:
                    yield f"record `{index}`: {error}"
            yield from self._left(vault)
        yield from self._lawless()

    def _one(self, index: int, vault: Vault) -> Iterator[str]:
        record = self._seen.reading.record(index)
        if record is None:
            raise Damaged("it is not stored: restore from a backup")
        leaf = leaves.read(record.leaf)
        self.kinds[str(type(leaf).__struct_config__.tag)] += 1
        if record.id != leaf.id or record.tenant != getattr(leaf, "tenant", record.tenant):
            yield f"record `{index}` is kept under another id or tenant than its leaf says"
        if isinstance(leaf, Shredded):
            self._shredded.append(leaf)
            whose = (leaf.tenant, leaf.order.subject, leaf.order.retention)
            self.destroyed += len(self._missing.pop(whose, ()))
        elif isinstance(leaf, Held | HoldReleased):
            self._holds.append(leaf)
        elif isinstance(leaf, Continued):
            self._ordered_elsewhere(vault)
        if not isinstance(leaf, Determined):
            if record.sealed is not None:
                yield f"record `{index}` has a private part and its leaf commits to none"
            return
        self.rulebooks.add(leaf.determination.rulebook)
        self._policies.add(leaf.policy)
        if (record.subject, record.retention) != (leaf.subject, leaf.retention):
            yield f"record `{index}` is kept for another subject or class than its leaf says"
        private = private_of(vault, record, leaf)
        if private is None:
            self._missing.setdefault((leaf.tenant, leaf.subject, leaf.retention), []).append(leaf.id)
            if record.sealed is not None or terms_of(self._seen.reading, index):
                self._remains[leaf.subject] += 1
        else:
            self.opened += 1
            transaction = read_private(private).transaction
            wanted = {term(self._index, leaf.tenant, *each) for each in found_by(transaction)}
            if wanted != terms_of(self._seen.reading, index):
                yield f"record `{index}` is found by other terms than its transaction has"

    def _ordered_elsewhere(self, vault: Vault) -> None:
        """What was destroyed before a log was put back, by an order that was lost with its last records: the
        vault still says so."""
        gone = {(entry.subject, entry.retention) for entry in vault.entries() if entry.shredded}
        for whose in [whose for whose in self._missing if whose[1:] in gone]:
            self.destroyed += len(self._missing.pop(whose))

    def _left(self, vault: Vault) -> Iterator[str]:
        """What was to be destroyed and is not, or is gone and was not to be."""
        if self._put_back:
            self._ordered_elsewhere(vault)
            self._remains.clear()
        for (_, subject, retention), ids in sorted(self._missing.items()):
            shown = f"`{short(printable(ids[0]))}`" + (f" and {len(ids) - 1} more" if len(ids) > 1 else "")
            yield f"the private part of {shown} is gone and no record orders it (`{subject}`, `{retention}`)"
        for whose, count in sorted(self._remains.items()):
            yield f"`{count}` records under a key that was destroyed still have traces (`{whose}`): {_AGAIN}"
        held = holds(self._holds)
        living = {entry.key for entry in vault.entries() if not entry.shredded}
        approvers = Keyring.open(installation_of(self._seen.data)).verifiers("approver")
        for leaf in self._shredded:
            try:
                check_approvals(leaf.order, leaf.approvals, approvers)
            except LedgerError as error:
                yield f"the destruction `{short(printable(leaf.id))}` was not approved by two people: {error}"
            ours = leaf.order.vault == vault.id and leaf.order.key in living
            if ours and not is_held(leaf.tenant, leaf.order.subject, held):
                yield f"the key `{leaf.order.key}` was ordered to be destroyed and is still there: {_AGAIN}"

    def _lawless(self) -> Iterator[str]:
        """Laws that decided and are not kept as they were."""
        for digest in sorted(self.rulebooks):
            try:
                self._laws.rulebook(digest)
            except CarnetError as error:
                yield str(error)
        for digest in sorted(self._policies):
            try:
                lawful_policy(digest, self._laws.file("policies", digest))
            except CarnetError as error:
                yield str(error)


_AGAIN = "run `carnet records finish`"
