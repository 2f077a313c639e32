"""The reference of the gateway names everything that there is."""

import re
from pathlib import Path
from typing import get_args

import pytest

from carnet.gateway import config
from carnet.gateway.notices import STATUS, Code

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "gateway.md").read_text("utf-8")
PARTS = {
    "": config.Config,
    "[denial]": config.Denial,
    "[limits]": config.Limits,
    "[[upstream]]": config.Upstream,
    "[[model]]": config.Model,
    "[[caller]]": config.Caller,
}


@pytest.mark.parametrize("part", PARTS)
def test_every_key_of_the_configuration_is_on_the_page_and_no_other(part):
    section = PAGE.partition("## The configuration")[2].partition("\n## ")[0]
    named = set()
    for line in section.splitlines():
        cell = re.match(
            rf"\| (?:`{re.escape(part)}` )?((?:`[a-z_]+`(?:, )?)+) \|" if part else r"\| (`[a-z_]+`) \|", line
        )
        if cell and (not part or part in line):
            named |= set(re.findall(r"`([a-z_]+)`", cell[1]))
    inner = {"upstream", "model", "caller", "denial", "limits"} if not part else set()
    assert named == set(PARTS[part].__struct_fields__) - inner


def test_every_code_is_on_the_page_with_its_status():
    for code in get_args(Code):
        (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{code}` |"))
        assert f"| {STATUS[code]}" in line
