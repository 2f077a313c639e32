"""Policy files from the package and from disk. What they mean is in `carnet.policy.enforcement`."""

from importlib import resources
from pathlib import Path

from carnet.model.errors import InputError
from carnet.model.plain import short
from carnet.model.reading import LIMIT
from carnet.policy.enforcement import Policy, load_policy


def default_policy() -> Policy:
    """The careful policy that comes with the package."""
    file = resources.files("carnet") / "policy" / "default.toml"
    return load_policy(file.read_bytes(), file="default.toml")


def read_policy(file: Path | None) -> Policy:
    """The operator's policy, or the default one for None.

    Raises InputError for a file that can't be read and for whatever is wrong in it.
    """
    if file is None:
        return default_policy()
    try:
        with file.open("rb") as opened:
            data = opened.read(LIMIT + 1)
    except OSError as error:
        why = (error.strerror or "no such file").lower()
        raise InputError(f"`{short(str(file), 200)}` can't be read: {why}") from None
    return load_policy(data, file=str(file))
