"""Every package says what is in it, and no module grows past its size."""

import ast
from pathlib import Path

import pytest

MODULES = sorted((Path(__file__).parents[2] / "src").rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: "/".join(module.parts[-2:]))
def test_a_module_says_what_it_holds_and_stays_short(module):
    text = module.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 400
