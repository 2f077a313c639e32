"""What the fault tests count, for whoever runs them and for the nightly report. What is counted is theirs."""

import json
import os

FILE = "CARNET_COUNTS"
"""The variable that names a file to which each count is added as a line of JSON."""


def counted(fault, **numbers):
    """Say what came of a fault: how often it was made, what was acknowledged, lost, altered and accepted."""
    print(f"\n{fault}: {', '.join(f'{number:,} {name}' for name, number in numbers.items())}")
    if file := os.environ.get(FILE):
        line = json.dumps({"fault": fault, **numbers}) + "\n"
        with open(file, "a", encoding="utf-8") as counts:  # noqa: PTH123 -- one write at the end of the file
            counts.write(line)


def read(file):
    """The counts by fault; one that was told more than once is summed up."""
    found = {}
    for line in file.read_text("utf-8").splitlines():
        numbers = json.loads(line)
        of = found.setdefault(numbers.pop("fault"), {})
        for name, number in numbers.items():
            of[name] = of.get(name, 0) + number
    return dict(sorted(found.items()))
