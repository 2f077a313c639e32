"""One flip anywhere in an export, its container made right again, is reported: in each kind of member, in any
file of the law that decides, in the key."""

import random
import re

import pytest
from tests.faults.counts import counted
from tests.faults.harness import times
from tests.log.test_outside import key_of, members_of, packed_as

from carnet.ledger.export import BUILDS, CHECKPOINT, KEYS, LAWS, LEAVES, MANIFEST, NODES, POLICIES, PRIVATE

KINDS = (MANIFEST, KEYS, CHECKPOINT, NODES, LEAVES, POLICIES, BUILDS, PRIVATE)
BLOCK = re.compile(r"^```(?:toml|csv) (?!case)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAID = re.compile(r"(?m)#.*$|^(note|cite_note|title|text)\s*=.*$")
FLIPS = times(12, 200)


@pytest.fixture
def members(house, carnet, tmp_path):
    """An export of a range with others on both sides, and what is in it."""
    words = ("--out", "all.zip", "--with-private", "--from", 2, "--to", 7)
    done = carnet("log", "export", "--data", house.data, *words)
    assert done.exit_code == 0, done.output
    return members_of(tmp_path / "all.zip")


@pytest.fixture
def told(house, carnet, tmp_path, members):
    """What both checks say of the export with one member changed."""

    def run(name, data, key=None):
        file = packed_as(tmp_path / "changed.zip", members | {name: data})
        words = (file, "--key", key or key_of(house))
        return carnet("log", "verify", *words), carnet("log", "replay", *words)

    return run


def test_with_nothing_changed_there_is_nothing_to_report(told, members):
    assert [done.exit_code for done in told(MANIFEST, members[MANIFEST])] == [0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_in_any_member_is_reported(told, members, kind):
    r, silent = random.Random(kind), []
    names = sorted(name for name in members if name.startswith(kind) and members[name])
    assert names
    for _ in range(FLIPS):
        name = r.choice(names)
        data = bytearray(members[name])
        at = r.randrange(8 * len(data))
        data[at // 8] ^= 1 << at % 8
        if 5 not in {done.exit_code for done in told(name, bytes(data))}:
            silent.append((name, at))
    counted("a bit of an export flipped", flipped=FLIPS, altered_accepted=len(silent))
    assert silent == []


def test_a_sign_changed_in_any_file_of_the_law_that_decided_is_reported(told, members):
    r, silent, count = random.Random(5), [], 0
    names = sorted(name for name in members if name.startswith(LAWS) and name.endswith(".md"))
    for name in names if FLIPS > 100 else r.sample(names, FLIPS):
        text = members[name].decode()
        apart = {at for said in SAID.finditer(text) for at in range(*said.span())}
        inside = {at for block in BLOCK.finditer(text) for at in range(*block.span(1))} - apart
        signs = sorted(at for at in inside if text[at].isalnum())
        for at in r.sample(signs, min(1, len(signs))):
            sign = "2" if text[at] == "1" else "1" if text[at].isdigit() else "q" if text[at] != "q" else "z"
            verified, replayed = told(name, (text[:at] + sign + text[at + 1 :]).encode())
            count += 1
            if 5 not in {verified.exit_code, replayed.exit_code}:
                silent.append((name, text[max(0, at - 40) : at + 40]))
    counted("a rule or a list of an export changed", flipped=count, altered_accepted=len(silent))
    assert silent == []
    assert count > min(FLIPS, len(names)) // 2


def test_a_sign_changed_in_the_key_verifies_nothing(house, told, members):
    key, accepted = key_of(house), []
    for at in range(len(key)):
        other = key[:at] + ("B" if key[at] != "B" else "C") + key[at + 1 :]
        codes = {done.exit_code for done in told(MANIFEST, members[MANIFEST], other)}
        if not codes <= {2, 5}:
            accepted.append(at)
    assert accepted == []
