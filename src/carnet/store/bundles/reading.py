"""Metadata of TUF as it is read, and why it was refused: TUF says that something does not verify, this says
what to tell a person. What is trusted is in `carnet.store.bundles.trust`."""

import json
from collections.abc import Callable
from typing import Any, NoReturn, cast

from msgspec import Struct
from securesystemslib.exceptions import Error
from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root, Signed, Targets  # type: ignore[attr-defined] # tuf exports it unsaid

from carnet.model.plain import printable, short
from carnet.store.bundles.errors import (
    AlteredMetadata,
    BelowThreshold,
    BundleError,
    Expired,
    Foreign,
    Mixed,
    RolledBack,
    SignedTwice,
    Unsigned,
)
from carnet.store.bundles.roles import NAME

FAILURES = (exceptions.RepositoryError, Error, ValueError, TypeError, KeyError, RecursionError)
"""What TUF raises for bytes that somebody made up; the last ones where it does not expect them."""


class Expected(Struct, frozen=True):
    """What a file has to be: `role`, verified by each of `delegators`, as `version`; `least` is the version
    that was taken before."""

    name: str
    role: str
    delegators: tuple[Root | Targets, ...]
    version: int | None = None
    least: int = 0


def load(expected: Expected, data: bytes, into: Callable[[bytes], object]) -> None:
    """Let TUF verify `data` with `into`. Raises a `BundleError` that says why it does not, and
    `tuf.api.exceptions.EqualVersionNumberError` as TUF does."""
    try:
        into(data)
    except exceptions.EqualVersionNumberError:
        raise
    except exceptions.ExpiredMetadataError:
        raise Expired(
            f"`{expected.name}` is past its date: nothing newer was published, or it is held back from here; "
            "publish anew, or look at another source"
        ) from None
    except FAILURES as error:
        raise _cause(expected, data, error) from None


def parsed(name: str, data: bytes) -> Metadata[Any]:
    """Metadata, nothing verified. Raises `SignedTwice` or `AlteredMetadata`."""
    try:
        return Metadata[Any].from_bytes(data)
    except FAILURES:
        if _twice(data):
            _refuse(SignedTwice(f"`{name}` has two signatures of one key: each approver signs once"))
        _refuse(AlteredMetadata(f"`{name}` can't be read: it was cut or changed on its way, fetch it again"))


def wrapped(signed: Signed) -> Metadata[Any]:
    """Metadata that nobody signed yet."""
    return Metadata(cast("Any", signed))


def check_signatures(name: str, metadata: Metadata[Any], delegator: Root | Targets, role: str) -> None:
    """Raises what keeps these signatures from being enough: `AlteredMetadata` if one of the role's keys is
    wrong, `Foreign`, `Unsigned`, `BelowThreshold`."""
    result = delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    if result.verified:
        return
    given, ids = metadata.signatures, delegator.get_delegated_role(role).keyids
    for id_ in sorted(set(given) & set(ids) - result.signed.keys()):
        key = delegator.get_key(id_)
        who = short(printable(str(key.unrecognized_fields.get(NAME, id_))))
        raise AlteredMetadata(
            f"the signature of `{who}` on `{name}` is wrong: it was changed after that, fetch it again"
        )
    for id_ in sorted(set(given) - set(ids)):
        raise Foreign(
            f"`{name}` is signed with `{short(printable(id_))}`, which is no key of `{role}`: "
            "have it signed by those that the root names"
        )
    if not result.signed:
        raise Unsigned(f"`{name}` is not signed: have `{result.threshold}` of `{role}` sign it")
    raise BelowThreshold(
        f"`{name}` has `{len(result.signed)}` of `{result.threshold}` signatures: have it signed by another"
    )


def _cause(expected: Expected, data: bytes, error: Exception) -> BundleError:
    name, role = expected.name, expected.role
    try:
        metadata = parsed(name, data)
        for delegator in expected.delegators:
            check_signatures(name, metadata, delegator, role)
    except BundleError as found:
        return found
    except FAILURES:
        return AlteredMetadata(f"`{name}` can't be verified: it was not written by Carnet, fetch it again")
    if metadata.signed.type != ("targets" if role == "stop" else role):
        return AlteredMetadata(
            f"`{name}` is a `{metadata.signed.type}`: fetch it again, or name another file"
        )
    version = metadata.signed.version
    if version < expected.least:
        return RolledBack(
            f"`{name}` is version `{version}`, and `{expected.least}` was taken: it is an old one, look at "
            "another source"
        )
    if expected.version not in (None, version):
        return Mixed(
            f"`{name}` is version `{version}`, and `{expected.version}` belongs here: parts of two "
            "publications are mixed, fetch all of it again"
        )
    if isinstance(error, exceptions.LengthOrHashMismatchError):
        return Mixed(
            f"`{name}` is another version `{version}` than was published with the rest: fetch all of it again"
        )
    if type(error) in {exceptions.BadVersionNumberError, exceptions.RepositoryError}:
        return RolledBack(
            f"`{name}` names something older, or leaves it out, `{short(printable(str(error)))}`: "
            "look at another source"
        )
    return AlteredMetadata(
        f"`{name}` can't be verified, `{short(printable(str(error)))}`: it was not written by Carnet"
    )


def _twice(data: bytes) -> bool:
    """Whether two signatures name one key."""
    try:
        ids = [each["keyid"] for each in json.loads(data)["signatures"]]
        return len(set(ids)) != len(ids)
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def _refuse(error: BundleError) -> NoReturn:
    raise error from None
