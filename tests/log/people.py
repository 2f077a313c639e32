"""Three people with keys of their own."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carnet.ledger.note import Ed25519Signer

FIRST = Ed25519Signer("first.example", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
SECOND = Ed25519Signer("second.example", Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
THIRD = Ed25519Signer("third.example", Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34))))
