"""A module loaded anew from changed source, with all that import it, and nothing else touched."""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType


@cache
def path_of(module: str) -> Path:
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin)


@cache
def imports(module: str) -> frozenset[str]:
    """The modules of Carnet that a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path_of(module).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("carnet"):
            found.add(node.module)
            found.update(f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            found.update(name.name for name in node.names if name.name.startswith("carnet"))
    return frozenset(found)


def depending(target: str, entry: str) -> list[str]:
    """The modules between the entry and the target, that must be loaded anew."""
    known = [
        name for name in sys.modules if name.startswith("carnet.") and hasattr(sys.modules[name], "__file__")
    ]
    affected, grown = {target}, True
    while grown:
        more = {name for name in known if name not in affected and imports(name) & affected}
        affected |= more
        grown = bool(more)
    assert entry in affected, f"{entry} does not use {target}"
    return sorted(affected)


@contextmanager
def changed(target: str, source: str, entry: str) -> Iterator[ModuleType]:
    """The entry module as it is when `target` has that source. Raises whatever loading it raises."""
    importlib.import_module(entry)
    names = depending(target, entry)
    saved = {name: sys.modules[name] for name in names if name in sys.modules}
    try:
        for name in names:
            sys.modules.pop(name, None)
        module = ModuleType(target)
        module.__file__ = str(path_of(target))
        sys.modules[target] = module
        package, _, attribute = target.rpartition(".")
        setattr(sys.modules[package], attribute, module)
        exec(compile(source, f"<mutant of {target}>", "exec"), module.__dict__)
        yield importlib.import_module(entry)
    finally:
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(saved)
        for name, kept in saved.items():
            package, _, attribute = name.rpartition(".")
            setattr(sys.modules[package], attribute, kept)
