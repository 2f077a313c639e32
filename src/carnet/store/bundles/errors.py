"""Why something was not taken. Whatever is raised here, the last good bundle is still the one that is kept.

BundleError          (an `Unverified`: exit 5)
├── Unsigned         nobody signed it
├── BelowThreshold   fewer signed than have to
├── SignedTwice      one key signed more than once
├── Foreign          a key signed that the role does not have
├── AlteredMetadata  metadata is not what was signed, or can't be read
├── AlteredBundle    the bytes of a bundle are not those that were signed
├── Unusable         the bundle is signed, but is none, or can't be loaded by this Carnet
├── RolledBack       older than what was taken already
├── Mixed            parts of different publications
├── Expired          past its date: nothing newer is there, or it is held back
├── TooLarge         more bytes or more bundles than there may be
├── Endless          metadata without an end
├── Incomplete       a part is not there (yet)
├── OutOfPlace       a role names what it may not carry
└── OrderRefused     an order that does not fit what was taken
"""

from carnet.model.errors import Unverified


class BundleError(Unverified):
    """The root of what makes a node refuse."""


class Unsigned(BundleError):
    """Raised where no key of a role signed."""


class BelowThreshold(BundleError):
    """Raised where fewer keys signed than the role needs."""


class SignedTwice(BundleError):
    """Raised where one key signs twice."""


class Foreign(BundleError):
    """Raised where a key signed that is none of the role's."""


class AlteredMetadata(BundleError):
    """Raised where metadata can't be read or a signature of a known key is wrong."""


class AlteredBundle(BundleError):
    """Raised where the bytes of a bundle have another digest or length than was signed."""


class Unusable(BundleError):
    """Raised where what was signed is no bundle, or its rulebook or policy can't be loaded."""


class RolledBack(BundleError):
    """Raised where a version or an epoch is lower than one that was taken."""


class Mixed(BundleError):
    """Raised where files that are right by themselves are not of one publication."""


class Expired(BundleError):
    """Raised where metadata is past its date."""


class TooLarge(BundleError):
    """Raised where a bundle, or the number of them, is over the limit."""


class Endless(BundleError):
    """Raised where metadata is over the limit, or new roots never end."""


class Incomplete(BundleError):
    """Raised where a file is not there."""


class OutOfPlace(BundleError):
    """Raised where a role lists what is not under its prefix, or delegates to another."""


class OrderRefused(BundleError):
    """Raised where an order is for another origin, an unknown bundle or an epoch that is over."""
