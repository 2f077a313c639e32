"""The canonical form of a rulebook and its digest. Where a block stands in which file does not count."""

import hashlib

import msgspec

from carnet.rules.blocks import AnyBlock
from carnet.rules.terms import Terms

_ENCODER = msgspec.json.Encoder(order="sorted")


def canonical(blocks: tuple[AnyBlock, ...], terms: Terms) -> bytes:
    """One JSON document: every block by kind and id, every word; sorted, so that the order of files and
    of blocks does not count."""
    plain = []
    for block in blocks:
        data = msgspec.to_builtins(block, order="sorted")
        del data["file"], data["line"]
        plain.append({"block": type(block).__name__, **data})
    plain.sort(key=_ENCODER.encode)
    return _ENCODER.encode(
        {"format": 1, "blocks": plain, "terms": msgspec.to_builtins(terms, order="sorted")}
    )


def digest(blocks: tuple[AnyBlock, ...], terms: Terms) -> str:
    """SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical(blocks, terms)).hexdigest()
