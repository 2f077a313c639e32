"""The upstreams of a configuration as clients, with their keys from the environment or from files. What the
configuration says is in `carnet.gateway.config`."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from carnet.gateway.config import Config
from carnet.gateway.config import Upstream as Written
from carnet.gateway.upstreams import Reached, Upstream
from carnet.model.errors import InputError
from carnet.model.plain import printable


def clients(config: Config, environ: Mapping[str, str] = os.environ) -> dict[str, Upstream]:
    """A client for each upstream, by its name. Raises InputError for a key that is not there, that others may
    read, or that can't be one; no message has any of it."""
    limits = config.limits
    return {
        one.name: Upstream(
            Reached(
                name=one.name,
                url=one.url,
                key=_key(one, environ),
                key_header=one.key_header,
                connect_seconds=limits.connect_seconds,
                answer_seconds=limits.answer_seconds,
                idle_seconds=limits.idle_seconds,
                check_path=one.check_path,
            )
        )
        for one in config.upstream
    }


def _key(one: Written, environ: Mapping[str, str]) -> str | None:
    if one.key_env is not None and one.key_file is not None:
        raise InputError(f"the upstream `{one.name}` has `key_env` and `key_file`: write one of them")
    if one.key_env is not None:
        if one.key_env not in environ:
            raise InputError(
                f"the variable `{one.key_env}` with the key of the upstream `{one.name}` is not set: set it"
            )
        return environ[one.key_env].strip()
    return None if one.key_file is None else _of_file(one.name, Path(one.key_file))


def _of_file(name: str, path: Path) -> str:
    shown = printable(str(path))
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise InputError(
            f"the key of the upstream `{name}` can't be read from `{shown}`: look there"
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise InputError(f"others may read `{shown}`: run `chmod 600` on it")
    return text
