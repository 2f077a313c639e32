"""The outsider's check: an export or the proof of one record against a public key that the outsider has, with
no database, no network and no secret. Where the key comes from is for the outsider to know; how a record
would be decided again is in `carnet.service.redecide`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from carnet.ledger import checkpoint, note, proof
from carnet.ledger.checkpoint import SCHEMES, Opened
from carnet.ledger.export import Export
from carnet.ledger.note import VerifierKey
from carnet.ledger.proof import Proof
from carnet.model import leaf as leaves
from carnet.model.errors import InputError, Malformed, Unverified
from carnet.model.leaf import Continued, Determined, Leaf, Shredded
from carnet.model.plain import printable, short
from carnet.service.exported_law import Book
from carnet.store.keyindex import read_statement
from carnet.store.vault_parts import committed

_STATEMENT = b"carnet key rotation\n"


class Checked(Struct, frozen=True, kw_only=True):
    """What an export was found to be. `kinds` counts its leaves. Of its determinations, `opened` have the
    private part that they commit to, `destroyed` have none since their key was destroyed on record in the
    range, and of `left_out` nothing here says why they have none. `continued` are names that the log had
    before. `cosigned` are the witnesses that were asked for, each with its time in seconds since 1970."""

    origin: str
    first: int
    stop: int
    size: int
    root: str
    signed_by: tuple[str, ...]
    cosigned: Mapping[str, int]
    kinds: Mapping[str, int]
    private: bool
    opened: int
    destroyed: int
    left_out: int
    continued: tuple[str, ...]


class Proved(Struct, frozen=True, kw_only=True):
    """That a record is in a log: the record, its index, and who says so."""

    origin: str
    index: int
    size: int
    signed_by: tuple[str, ...]
    cosigned: Mapping[str, int]
    leaf: Leaf


def checked(
    found: Export,
    keys: Sequence[VerifierKey],
    witnesses: Sequence[VerifierKey] = (),
    need: int | None = None,
    older: bytes | None = None,
) -> Checked:
    """Check an export: the signature, the place of every record, that each can be read, every private part
    against its record, and every law against the digest that it is named by.

    The log has to have the name of one of the keys; the rotations that the export states are followed.
    `need` of the witnesses have to have cosigned, all of them if it is not given. `older` is a checkpoint of
    the log that was kept: the log has to begin with what it signed. Raises `Unverified`, `Absent` if the
    export can't tell, or `Malformed` if something has not its form.
    """
    trusted = keys_after(keys, found.keys.statements)
    for text in found.keys.log:
        checkpoint.verifier_key(text)  # it is trusted for nothing, and yet has to be as it was written
    origin = found.manifest.origin
    about = found.verify(origin, _of(origin, trusted), witnesses)
    cosigned = _enough(about, witnesses, need)
    if older is not None:
        _continues(found, older, _of(origin, trusted))
    kinds, ids = Counter[str](), set[str]()
    missing: dict[tuple[str, str, str], int] = {}
    opened = destroyed = 0
    continued = []
    for (index, data), private in zip(found.leaves(), found.private(), strict=True):
        leaf = leaves.read(data)
        if leaf.id in ids:
            raise Unverified(f"the id of record `{index}` is that of another: trust none of it")
        ids.add(leaf.id)
        kinds[str(type(leaf).__struct_config__.tag)] += 1
        if isinstance(leaf, Determined):
            if private is None:
                whose = (leaf.tenant, leaf.subject, leaf.retention)
                missing[whose] = missing.get(whose, 0) + 1
            else:
                committed(leaf.commitment, private)
                opened += 1
        elif private is not None:
            raise Unverified(f"record `{index}` has a private part and commits to none: trust none of it")
        elif isinstance(leaf, Shredded):
            destroyed += missing.pop((leaf.tenant, leaf.order.subject, leaf.order.retention), 0)
        elif isinstance(leaf, Continued):
            continued.append(leaf.origin)
    Book(found).check()
    at = about.checkpoint
    return Checked(
        origin=at.origin,
        first=found.manifest.first,
        stop=found.manifest.stop,
        size=at.size,
        root=note.encoded(at.root),
        signed_by=_signers(about),
        cosigned=cosigned,
        kinds=dict(sorted(kinds.items())),
        private=found.manifest.private,
        opened=opened,
        destroyed=destroyed,
        left_out=sum(missing.values()),
        continued=tuple(continued),
    )


def proved(
    found: Proof,
    keys: Sequence[VerifierKey],
    witnesses: Sequence[VerifierKey] = (),
    need: int | None = None,
    statements: Iterable[str] = (),
) -> Proved:
    """Check the proof of one record, which carries it. Raises as `checked`."""
    origin = checkpoint.parsed(note.parsed(found.checkpoint).text).origin
    about = proof.verify(found, origin, _of(origin, keys_after(keys, statements)), witnesses)
    cosigned = _enough(about, witnesses, need)
    assert found.extra is not None  # `verify` has read it
    return Proved(
        origin=origin,
        index=found.index,
        size=about.checkpoint.size,
        signed_by=_signers(about),
        cosigned=cosigned,
        leaf=leaves.read(found.extra),
    )


def keys_after(keys: Sequence[VerifierKey], statements: Iterable[str]) -> tuple[VerifierKey, ...]:
    """These keys, and those that took their place by statements which the old and the new key signed.

    Who trusts a key trusts what it said about its successor. Statements about other keys are passed over.
    Raises `InputError` without a key, `Malformed` or `Unverified` for a statement that does not hold.
    """
    if not keys:
        raise InputError("nothing is verified without a public key: give the log's, `name+id+base64`")
    found = list(keys)
    for text in statements:
        said = read_statement(text.encode())
        for key in [key for key in found if key.public == said.old.public]:
            after = VerifierKey(key.name, SCHEMES[0x01], said.new.public)
            if after not in found:
                found.append(after)
    return tuple(found)


def statement_in(data: bytes) -> str:
    """The statement of a rotation in what `carnet keys rotate` printed. Raises `Malformed` if there is
    none."""
    at = data.find(_STATEMENT)
    if at < 0:
        raise Malformed("there is no statement of a rotation: give what `carnet keys rotate` printed")
    try:
        text = data[at:].decode()
    except UnicodeDecodeError:
        raise Malformed("the statement is not UTF-8: copy it again as bytes") from None
    read_statement(text.encode())
    return text


def _of(origin: str, keys: Sequence[VerifierKey]) -> list[VerifierKey]:
    """The keys of the log that the export says it is of. Raises `Unverified` if none of them is."""
    found = [key for key in keys if key.name == origin]
    if not found:
        names = ", ".join(sorted({f"`{key.name}`" for key in keys}))
        raise Unverified(
            f"it is of the log `{short(printable(origin))}` and the key is of {names}: if that log "
            "goes on under another name, get its key from who runs it"
        )
    return found


def _continues(found: Export, older: bytes, keys: Sequence[VerifierKey]) -> None:
    """Raises `Unverified` unless the log begins with what it had at an older checkpoint."""
    before = checkpoint.opened(older, found.manifest.origin, keys).checkpoint
    if found.root_at(before.size) != before.root:
        raise Unverified(
            f"the first `{before.size}` records are not those of the older checkpoint: the log was forked or "
            "changed, keep both files"
        )


def _enough(about: Opened, witnesses: Sequence[VerifierKey], need: int | None) -> dict[str, int]:
    """The witnesses that cosigned, each with its time. Raises `Unverified` if they are not enough."""
    wanted = len(witnesses) if need is None else need
    names = {(key.name, key.key_id) for key in witnesses}
    found = {each.name: each.at for each in about.cosignatures if (each.name, each.key_id) in names}
    if len(found) < wanted:
        missing = ", ".join(f"`{key.name}`" for key in witnesses if key.name not in found) or "others"
        raise Unverified(
            f"`{len(found)}` of the witnesses cosigned and `{wanted}` have to, {missing} did not: ask for an "
            "export under a checkpoint that they have seen"
        )
    return dict(sorted(found.items()))


def _signers(about: Opened) -> tuple[str, ...]:
    return tuple(f"{each.name}+{each.key_id.hex()}" for each in about.signatures)
