"""The nearest right word, for the end of an error message."""

import difflib
from collections.abc import Iterable

from carnet.model.plain import listed

FEW = 12
"""So many words can be shown at once."""


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean …?` or nothing."""
    found = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"; did you mean `{found[0]}`?" if found else ""


def one_of(word: str, words: Iterable[str]) -> str:
    """The nearest word or, where none is near, all of them if they are few."""
    known = sorted(words)
    return nearest(word, known) or (f": write one of {listed(known)}" if 0 < len(known) <= FEW else "")
