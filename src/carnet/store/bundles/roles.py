"""Who may do what in a feed, as a root says it: whose keys sign, how many have to, who may order a bundle to
be enforced. What they signed is not here.

The activators and the signers of stops stand in the root itself, in a field of ours that TUF signs with the
rest: so the holders of the root's keys alone name them, they change only with the root, and an order can be
checked with a root and nothing else. A file listed by `targets` would let the approvers of rules name them.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct
from securesystemslib.signer import Key, SSlibKey  # type: ignore[attr-defined] # tuf exports it unsaid
from tuf.api.metadata import DelegatedRole, Delegations, Root, Targets  # type: ignore[attr-defined] # tuf exports it unsaid

from carnet.ledger import note
from carnet.ledger.note import SCHEMES, VerifierKey
from carnet.model.errors import InputError, Malformed
from carnet.model.plain import printable, short
from carnet.store.bundles.errors import AlteredMetadata, Foreign, OutOfPlace

STOP = "stop"
STOPS = "stop/"
BUNDLES = "bundles/"
"""What the paths of stops, and of all other bundles, begin with."""

FIELD = "x-carnet"
NAME = "x-carnet-name"
"""Our field of a root, and that of a key."""

ONLINE = ("snapshot", "timestamp")


class Feed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a root says beyond TUF: keys as `name+id+base64`."""

    format: Literal[1] = 1
    origin: str
    activators: tuple[str, ...]
    stop: tuple[str, ...]


class Roles(Struct, frozen=True, kw_only=True):
    """Who may do what. `online` is the one key that a server has; all others are people's."""

    origin: str
    root: tuple[VerifierKey, ...]
    root_threshold: int = 2
    approvers: tuple[VerifierKey, ...]
    threshold: int = 2
    stop: tuple[VerifierKey, ...]
    online: VerifierKey
    activators: tuple[VerifierKey, ...]

    def checked(self) -> "Roles":
        """These roles. Raises `InputError` if they can't be: a threshold that nobody reaches, a key that is
        there twice, the online key in the hands of a person, a name that can't be one."""
        note.check_name(self.origin)
        groups = {
            "root": (self.root, self.root_threshold),
            "approvers": (self.approvers, self.threshold),
            "stop": (self.stop, 1),
            "activators": (self.activators, 1),
        }
        for group, (keys, threshold) in groups.items():
            if not 1 <= threshold <= len(keys):
                raise InputError(
                    f"`{group}` has `{len(keys)}` keys and needs `{threshold}` signatures: name more keys"
                )
            if len({key.public for key in keys}) != len(keys):
                raise InputError(f"`{group}` has one key twice: each person has a key of their own")
            if self.online.public in {key.public for key in keys}:
                raise InputError(
                    f"the online key is one of `{group}`: a server has a key of its own and no person's"
                )
            if any(key.scheme.number != 1 for key in keys):
                raise InputError(f"`{group}` has a key that is not Ed25519: make one with Carnet")
        return self

    @property
    def feed(self) -> Feed:
        return Feed(
            origin=self.origin,
            activators=tuple(str(key) for key in self.activators),
            stop=tuple(str(key) for key in self.stop),
        )


def tuf_key(verifier: VerifierKey) -> SSlibKey:
    """A public key as TUF writes it, with our name of it."""
    key = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(verifier.public))
    key.unrecognized_fields[NAME] = verifier.name
    return key


def verifier_of(key: Key) -> VerifierKey:
    """A public key from TUF. Raises `AlteredMetadata` for one that Carnet does not make."""
    try:
        name = key.unrecognized_fields[NAME]
        verifier = VerifierKey(name, SCHEMES[1], bytes.fromhex(key.keyval["public"]))
        right = tuf_key(verifier) == key
    except (KeyError, TypeError, ValueError, AttributeError, Malformed):
        right = False
    if not right:
        raise AlteredMetadata(
            f"the key `{short(printable(key.keyid))}` is not under its own id: make the root again"
        )
    return verifier


def keys_of(delegator: Root | Targets, role: str) -> tuple[VerifierKey, ...]:
    """The keys of a role. Raises `AlteredMetadata` for a key or a role that is not as Carnet makes it: so for
    one key under two ids, which would count as two."""
    try:
        return tuple(verifier_of(delegator.get_key(id_)) for id_ in delegator.get_delegated_role(role).keyids)
    except ValueError:
        raise AlteredMetadata(f"`{role}` names a key that is not there: make the root again") from None


def feed_of(root: Root) -> Feed:
    """What a root says beyond TUF, its keys looked at. Raises `AlteredMetadata` if it does not."""
    try:
        feed = msgspec.convert(root.unrecognized_fields.get(FIELD), Feed)
        note.check_name(feed.origin)
        for each in (*feed.activators, *feed.stop):
            note.verifier_key(each)
    except (msgspec.ValidationError, Malformed) as error:
        raise AlteredMetadata(
            f"the root does not name who stops and activates, `{short(printable(str(error)))}`: make it again"
        ) from None
    for role in ("root", "targets", *ONLINE):
        keys_of(root, role)
    return feed


def delegations(stop: Iterable[VerifierKey]) -> Delegations:
    """The one delegation that there is: to `stop`, one signature, nothing outside its prefix."""
    keys: dict[str, Key] = {key.keyid: key for key in map(tuf_key, stop)}
    role = DelegatedRole(STOP, list(keys), 1, terminating=True, paths=[f"{STOPS}*"])
    return Delegations(keys, {STOP: role})


def check_delegations(targets: Targets, feed: Feed) -> None:
    """Raises `OutOfPlace` if `targets` delegates anything but stops, `Foreign` if to others than the root
    names."""
    found = targets.delegations
    role = found.roles.get(STOP) if found is not None and found.roles is not None else None
    if (
        found is None
        or role is None
        or len(found.roles or ()) != 1
        or found.succinct_roles is not None
        or role.paths != [f"{STOPS}*"]
        or role.path_hash_prefixes is not None
        or role.threshold != 1
    ):
        raise OutOfPlace(
            f"`targets` has to delegate `{STOPS}*` to `{STOP}` and nothing else: prepare the bundle again"
        )
    if {str(key) for key in keys_of(targets, STOP)} != set(feed.stop):
        raise Foreign(f"`targets` gives `{STOP}` to other keys than the root names: prepare the bundle again")
