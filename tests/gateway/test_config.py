"""The gateway's configuration: what is found in it, and what is said of a wrong one."""

import pytest

from carnet.gateway.calls import Needs
from carnet.gateway.config import load_config
from carnet.model.errors import InputError

TEXT = """
exporter = "anthropic"
served_from = "US"

[[upstream]]
name = "first"
url = "http://127.0.0.1:9000"

[[model]]
name = "claude-fable-5"
aliases = ["claude-fable-5-20260609"]
item = "anthropic/claude-fable-5"
provider = "anthropic"
upstream = "first"
dialects = ["anthropic"]
tools = true
context_tokens = 1000
output_tokens = 100

[[caller]]
key = "00112233aabb"
subject = "acme"
end_users = "header"
"""


def test_models_are_found_by_name_and_alias_and_by_item():
    directory = load_config(TEXT.encode())
    model = directory.models["claude-fable-5-20260609"]
    assert model is directory.models["claude-fable-5"] is directory.items["anthropic/claude-fable-5"][0]
    assert "Claude-Fable-5" not in directory.models
    assert directory.near("claude-fabel-5") == "; did you mean `claude-fable-5`?"
    assert directory.callers["00112233aabb"].subject == "acme"
    assert model.sent_as == "claude-fable-5"


@pytest.mark.parametrize(
    ("needs", "lacks"),
    [
        (Needs(tools=True, input_bytes=1800, output_tokens=100), None),
        (Needs(images=True), "images"),
        (Needs(json=True), "json"),
        (Needs(output_tokens=101), "output_tokens"),
        (Needs(input_bytes=1802, output_tokens=100), "context_tokens"),
    ],
)
def test_a_model_says_what_it_lacks(needs, lacks):
    assert load_config(TEXT.encode()).models["claude-fable-5"].lacks(needs) == lacks


SAME = TEXT[TEXT.index("[[model]]") : TEXT.index("[[caller]]")]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('upstream = "first"', 'upstream = "frist"', "the upstream `frist` of `claude-fable-5` is missing"),
        ('aliases = ["claude-fable-5-20260609"]', 'alias = ["x"]', "gateway.toml:11: .*alias"),
        ('dialects = ["anthropic"]', "dialects = []", "has no dialect"),
        ('url = "http://127.0.0.1:9000"', 'url = "ftp://x"', "gateway.toml"),
        ('key = "00112233aabb"', 'key = "ck_x"', "twelve signs after `ck_`"),
        ('url = "http://127.0.0.1:9000"', 'url = "http://127.0.0.1:9000/v1/"', "ends in `/v1`"),
        ("[[caller]]", f"{SAME}\n[[caller]]", "the model `claude-fable-5` is there twice"),
        ("[[caller]]", '[[caller]]\nkey = "00112233aabb"\nsubject = "b"\n[[caller]]', "the same caller is"),
        ("[[upstream]]", '[[upstream]]\nname="first"\nurl="http://a"\n[[upstream]]', "the same upstream is"),
        ('served_from = "US"', 'served_from = "Narnia"', "gateway.toml"),
    ],
)
def test_a_wrong_one_is_refused_with_its_place(old, new, said):
    with pytest.raises(InputError, match=said):
        load_config(TEXT.replace(old, new, 1).encode())
