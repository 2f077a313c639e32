"""The outsider's file: a range of records with all that is needed to check it, from a data directory. Its
form is in `carnet.ledger.export`; how it is checked, with a public key and nothing else, in
`carnet.service.outside`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from carnet.ledger import checkpoint, note, proof
from carnet.ledger.archive import Archive, packed
from carnet.ledger.export import (
    BUILDS,
    CHECKPOINT,
    CHUNK,
    KEYS,
    LAWS,
    MANIFEST,
    NODES,
    POLICIES,
    Export,
    Keys,
    Manifest,
    chunks,
    leaves_name,
    outside,
    private_member,
    private_name,
    written,
)
from carnet.ledger.proof import Proof
from carnet.ledger.tiles import entry_bundle
from carnet.model import leaf as leaves
from carnet.model.errors import Absent, Damaged, InputError, LedgerError
from carnet.model.leaf import Determined
from carnet.model.plain import printable, short
from carnet.service.outside import Checked, checked
from carnet.store import cosign
from carnet.store.exports import mapped, write_new
from carnet.store.laws import Laws
from carnet.store.origins import COSIGNED, Seen, opened_vault
from carnet.store.protocols import Record
from carnet.store.vault import Vault
from carnet.store.vault_parts import committed

Make = Callable[[], bytes]


def export_to(
    out: Path, seen: Seen, first: int = 0, stop: int | None = None, *, private: bool = False
) -> Checked:
    """Write an export, and check it as whoever gets it will; what it was found to be.

    The same range of the same log is always the same bytes. With `private`, every private part that can still
    be opened is in it in the clear, and the laws under which the range was decided: the vault's key is needed
    for that. Raises `InputError` for a range that the log does not have, `Taken` if the file is there,
    `Damaged` if what is stored is not what was recorded; no file is left then.
    """
    signed = signed_for(seen, stop)
    size = _size(signed)
    end = size if stop is None else stop
    if not 0 <= first < end <= size:
        raise InputError(f"`{first}` to `{end}` is no range of a log of `{size}` records: give one within it")
    about = Manifest(origin=seen.name.origin, first=first, stop=end, size=size, private=private)
    write_new(out, packed(_members(seen, about, signed)))
    try:
        with mapped(out) as data:
            return checked(Export(Archive(data)), seen.name.verifiers)
    except LedgerError as error:
        out.unlink()
        raise Damaged(f"the export does not hold, {error}: run `carnet log audit`") from None


def proof_of(seen: Seen, tenant: str, id_: str) -> Proof:
    """The proof of one record, with the record. Raises `Absent` if the tenant has no such record."""
    return proof.made(seen.reading, record_of(seen, tenant, id_).index, signed_for(seen, None))


def record_of(seen: Seen, tenant: str, id_: str) -> Record:
    """The record of an id. Raises `Absent` if the tenant has none."""
    found = seen.reading.of_id(tenant, id_)
    if found is None:
        raise Absent(f"`{short(printable(id_))}` is no record of this tenant: look at the id and `--tenant`")
    return found


def signed_for(seen: Seen, stop: int | None) -> bytes:
    """The checkpoint under which the records up to `stop` are shown: the one that witnesses cosigned last, if
    it covers them, else the log's last."""
    cosigned = cosign.kept(seen.data / COSIGNED)
    if cosigned is not None:
        about = checkpoint.parsed(note.parsed(cosigned).text)
        if about.origin == seen.name.origin and (seen.reading.size if stop is None else stop) <= about.size:
            return cosigned
    return seen.reading.checkpoint()


def private_of(vault: Vault, record: Record, leaf: Determined) -> bytes | None:
    """The private part of a record in the clear; None if it was destroyed. Raises `Unverified` if it is not
    the one that the leaf commits to."""
    if record.sealed is None:
        return None
    try:
        data = vault.opened(record.subject, leaf.retention, record.id, record.sealed)
    except Absent:
        return None
    committed(leaf.commitment, data)
    return data


def _size(signed: bytes) -> int:
    return checkpoint.parsed(note.parsed(signed).text).size


def _members(seen: Seen, about: Manifest, signed: bytes) -> Iterator[tuple[str, bytes]]:
    keys = Keys(
        log=tuple(str(key) for key in seen.name.verifiers),
        statements=tuple(
            each.statement
            for each in seen.keyring.rotations()
            if each.role == "log" and each.statement is not None
        ),
    )
    made: dict[str, Make] = {
        MANIFEST: lambda: written(about),
        KEYS: lambda: written(keys),
        CHECKPOINT: lambda: signed,
        NODES: lambda: _beside(seen, about),
    }
    with ExitStack() as opened:
        if about.private:
            vault = opened.enter_context(opened_vault(seen.data, seen.keyring))
            made |= _laws(seen, about)
        for first in chunks(about.first, about.stop):
            stop = min((first // CHUNK + 1) * CHUNK, about.stop)
            made[leaves_name(first)] = partial(_leaves, seen, first, stop)
            if about.private:
                made[private_name(first)] = partial(_private, seen, vault, first, stop)
        for name in sorted(made):
            yield name, made[name]()


def _leaves(seen: Seen, first: int, stop: int) -> bytes:
    return entry_bundle([record.leaf for record in _records(seen, first, stop)])


def _private(seen: Seen, vault: Vault, first: int, stop: int) -> bytes:
    parts = []
    for record in _records(seen, first, stop):
        leaf = leaves.read(record.leaf)
        parts.append(private_of(vault, record, leaf) if isinstance(leaf, Determined) else None)
    return private_member(parts)


def _records(seen: Seen, first: int, stop: int) -> Iterator[Record]:
    for index in range(first, stop):
        record = seen.reading.record(index)
        if record is None:
            raise Damaged(f"record `{index}` is not stored: run `carnet log audit`")
        yield record


def _beside(seen: Seen, about: Manifest) -> bytes:
    places = outside(about.first, about.stop, about.size)
    found = seen.reading.nodes(places)
    return b"".join(_node(place, node) for place, node in zip(places, found, strict=True))


def _node(place: tuple[int, int], node: bytes | None) -> bytes:
    if node is None:
        raise Damaged(f"node `{place[0]}/{place[1]}` is not stored: run `carnet log audit`")
    return node


def _laws(seen: Seen, about: Manifest) -> dict[str, Make]:
    """Everything that decided in the range: rulebooks and policies by digest, and the builds of this
    installation."""
    rulebooks, policies = set[str](), set[str]()
    for first in chunks(about.first, about.stop):
        for data in seen.reading.leaves(first, min(first + CHUNK, about.stop)):
            leaf = None if data is None else leaves.read(data)
            if isinstance(leaf, Determined):
                rulebooks.add(leaf.determination.rulebook)
                policies.add(leaf.policy)
    laws = Laws(seen.data)
    made: dict[str, Make] = {}
    for digest in rulebooks:
        laws.rulebook(digest)
        for number, shelf in enumerate(laws.shelves(digest)):
            made |= {f"{LAWS}{digest}/{number}/{name}": partial(bytes, data) for name, data in shelf.items()}
    made |= {f"{POLICIES}{each}.json": partial(laws.file, "policies", each) for each in policies}
    made |= {f"{BUILDS}{each}.json": partial(laws.file, "builds", each) for each in laws.digests("builds")}
    return made
