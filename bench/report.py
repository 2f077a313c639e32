"""What every bench prints: a table, and last one line of JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A title and columns; the first to the left, the others to the right."""
    text = [list(map(str, row)) for row in (head, *rows)]
    widths = [max(len(row[n]) for row in text) for n in range(len(head))]
    print(f"\n{title}")
    for number, row in enumerate(text):
        cells = [
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells))
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


def micro(nanoseconds: float) -> str:
    """A duration in microseconds."""
    return f"{nanoseconds / 1000:,.1f}"


def last_line(bench: str, ratios: Mapping[str, float], figures: Mapping[str, object]) -> None:
    """The line for scripts: how many times faster ours is than each peer, and the figures behind it."""
    where = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    rounded = {peer: round(ratio, 2) for peer, ratio in ratios.items()}
    print(json.dumps({"bench": bench, "ratios": rounded, "figures": {**figures, **where}}))
