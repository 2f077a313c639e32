"""The complete nodes of a tree in one sequence that only grows at its end: in the order in which they were
completed. A store that keeps them so appends what a batch completes, and reads it back in one piece.

With `m` leaves a tree has `2 m - ones(m)` complete nodes, and leaf number `m` completes the node of level 0
and then those above it that end there. So each node has a place in the sequence, whatever comes later.
"""

from carnet.ledger.tree import Place


def count(size: int) -> int:
    """How many complete nodes a tree of `size` leaves has."""
    return 2 * size - size.bit_count()


def place(level: int, index: int) -> int:
    """Where the node is in the sequence."""
    last = ((index + 1) << level) - 1
    return 2 * last - last.bit_count() + level


def between(level: int, start: int, stop: int) -> list[int]:
    """Where the nodes (level, start) up to (level, stop), exclusive, are in the sequence."""
    lasts = range(((start + 1) << level) - 1, stop << level, 1 << level)
    return [2 * last - last.bit_count() + level for last in lasts]


def places(start: int, stop: int) -> list[Place]:
    """The nodes that the leaves from `start` up to `stop` complete, in the order of the sequence."""
    found = list[Place]()
    for leaf in range(start, stop):
        level, index = 0, leaf
        found.append((0, leaf))
        while index & 1:
            level, index = level + 1, index >> 1
            found.append((level, index))
    return found
