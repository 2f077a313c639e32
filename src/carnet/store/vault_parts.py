"""The private part of a record in the clear, what the leaf says of it, and the keyed names under which a
record is found. Pure; how a private part is sealed is in `carnet.store.vault`.

The padding hides what a person is: the facts of status of each party get room of their own, so that the
length is the same whichever they are, as long as they fit it.
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, structs

from carnet.model.errors import Malformed, Unverified
from carnet.model.plain import printable, short
from carnet.model.transaction import Party, Transaction, entities

FORMAT = 1
SALT_BYTES = 32

STEP = 512
"""A private part is a multiple of this long."""

ROOM = 1024
"""What the facts of status of one party are padded to, and to a multiple of it if they are longer."""

STATUS = ("us_status", "nationalities", "statuses")
"""The facts that tell a citizen, a permanent resident and a protected person from each other."""

TermKind = Literal["party", "country", "document"]
"""What 15 CFR 762.5 wants records to be found by. A country is a destination or a place, never a
nationality: how often a term occurs can be seen without the key."""

_SUBJECT = b"carnet subject 1"
_TERM = b"carnet term 1"
_SHORT_BYTES = 16


class Private(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
):
    """What was decided on: the transaction with its facts. `salt` (hex) keys the commitment in the leaf,
    `padding` means nothing."""

    format: Literal[1] = 1
    salt: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", max_length=64)]
    transaction: Transaction
    padding: Annotated[str, Meta(pattern=r"^0*$")] = ""


_PRIVATE = msgspec.json.Decoder(Private)


def private_part(salt: bytes, transaction: Transaction) -> bytes:
    """The private part as canonical JSON, padded to a multiple of `STEP`. `salt` is 32 fresh random bytes.

    Raises `Malformed` for another salt, and for a transaction that could not be read again.
    """
    if len(salt) != SALT_BYTES:
        raise Malformed(f"a salt of {len(salt)} bytes is none: give {SALT_BYTES} random ones")
    plain = Private(salt=salt.hex(), transaction=transaction)
    length = len(_encoded(plain))
    rooms = [_status_bytes(entity) for _, entity in entities(transaction) if isinstance(entity, Party)]
    wanted = _up(length - sum(rooms), STEP) + sum(_up(room, ROOM) for room in rooms)
    data = _encoded(structs.replace(plain, padding="0" * (wanted - length)))
    read_private(data)
    return data


def read_private(data: bytes) -> Private:
    """The private part that bytes say. Raises `Malformed` for what is none, or not its own canonical form."""
    try:
        private = _PRIVATE.decode(data)
    except (ValueError, RecursionError) as error:  # of msgspec, or of a text that is not UTF-8
        where = str(error).rpartition(" - at ")[2] if " - at " in str(error) else "not even JSON"
        shown = short(printable(where), 100)
        raise Malformed(f"the private part can't be read ({shown}): it was not written by Carnet") from None
    if _encoded(private) != data:
        raise Malformed("the private part is not in its canonical form: it was not written by Carnet")
    return private


def commitment(salt: bytes, private: bytes) -> str:
    """What a leaf says of a private part: HMAC-SHA256 under its salt, as hex."""
    return hmac.digest(salt, private, hashlib.sha256).hex()


def committed(said: str, private: bytes) -> Private:
    """The private part that a leaf commits to. Raises `Malformed` as `read_private`, `Unverified` if it is
    another one."""
    found = read_private(private)
    if not hmac.compare_digest(commitment(bytes.fromhex(found.salt), private).encode(), said.encode()):
        raise Unverified("the private part is not the one that the leaf commits to: trust none of it")
    return found


def pseudonym(index_key: bytes, tenant: str, subject: str) -> str:
    """What a leaf calls a subject: 16 bytes of HMAC-SHA256 under the installation's `index` key, as hex.
    Two tenants' pseudonyms of one subject have nothing in common."""
    return _keyed(index_key, _SUBJECT, (tenant, subject)).hex()


def term(index_key: bytes, tenant: str, kind: TermKind, value: str) -> bytes:
    """What a record is found by: 16 bytes of HMAC-SHA256 under the installation's `index` key. The value is
    taken as it is: who asks has to write it as who recorded it did."""
    return _keyed(index_key, _TERM, (tenant, kind, value))


def _keyed(key: bytes, label: bytes, parts: Iterable[str]) -> bytes:
    """Each part goes in with its length, so that no two lists of parts are the same bytes."""
    if len(key) != SALT_BYTES:
        raise Malformed(f"an index key of {len(key)} bytes is none: give the {SALT_BYTES} of the keyring")
    coded = [part.encode() for part in parts]
    message = label + b"".join(len(one).to_bytes(4, "big") + one for one in coded)
    return hmac.digest(key, message, hashlib.sha256)[:_SHORT_BYTES]


def _status_bytes(party: Party) -> int:
    """The bytes that the facts of status take within a party."""
    bare = structs.replace(party, **dict.fromkeys(STATUS))
    return len(_encoded(party)) - len(_encoded(bare))


def _up(length: int, step: int) -> int:
    return -(-length // step) * step


def _encoded(value: Struct) -> bytes:
    return msgspec.json.encode(value, order="sorted")
