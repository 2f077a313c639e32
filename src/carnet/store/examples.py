"""The example files that come with the package, as bytes. What they mean is in `carnet.service.replay`."""

from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from carnet.model.errors import InputError


def shipped_examples(name: str) -> Mapping[str, bytes]:
    """The TOML files of one example, by file name: from the installed package, or from the tree it is
    developed in. Raises InputError, naming the examples that there are, for an unknown name."""
    roots = [root for root in _roots() if root.is_dir()]
    found = {
        entry.name: entry
        for root in roots
        for entry in root.iterdir()
        if entry.is_dir() and any(file.name.endswith(".toml") for file in entry.iterdir())
    }
    if name not in found:
        known = ", ".join(f"`{one}`" for one in sorted(found)) or "none is installed"
        raise InputError(f"`{name}` is not an example: there is {known}")
    return {
        entry.name: entry.read_bytes()
        for entry in sorted(found[name].iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }


def _roots() -> list[Traversable]:
    package = resources.files("carnet")
    roots: list[Traversable] = [package / "examples"]
    if isinstance(package, Path):
        roots.append(package.parents[1] / "examples")
    return roots
