"""What was recorded is decided again from the export alone, years later as well; what comes out otherwise, or
was changed, is told."""

import json
import random
import re
import time

import msgspec
import pytest
from tests.ledger.memory import LOG, ORIGIN
from tests.log import laws
from tests.log.conftest import House, elsewhere
from tests.log.test_outside import key_of, members_of, packed_as
from tests.log.test_range import members

from carnet.ledger import checkpoint
from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.export import (
    CHECKPOINT,
    LAWS,
    MANIFEST,
    POLICIES,
    PRIVATE,
    Manifest,
    private_member,
    written,
)
from carnet.ledger.tiles import entry_bundle
from carnet.ledger.tiles import records as records_of
from carnet.ledger.tree import Tree, leaf_hash
from carnet.model import leaf as leaves
from carnet.model.determination import Choices
from carnet.model.errors import Damaged, StoreError
from carnet.model.leaf import Determined, Given
from carnet.policy.enforcement import Policy
from carnet.rules.check import load
from carnet.service import recording
from carnet.store import laws as kept

STATUSES = ("citizen", "permanent_resident", "protected", "none", None)
PLACES = ("US", "FR", "KP", None)


class Small(House):
    """An installation under a generated rulebook."""

    def __init__(self, data, seed=1, slices=0, policy=None):
        super().__init__(data, laws.rulebook(seed, slices), policy)

    def submit(self, node, r):
        """A use by somebody, not waited for."""
        facts = {"us_status": r.choice(STATUSES), "location": r.choice(PLACES)}
        given = {name: value for name, value in facts.items() if value is not None}
        about = {"id": f"subject-{r.randrange(50)}", "location": "US", **given}
        request = self.request(r.choice(laws.PRODUCTS), **about)
        return node.determiner.determine("default", request).receipt

    def fill_many(self, node, count, r):
        receipts = []
        for number in range(count):
            receipts.append(self.submit(node, r))
            if number % 50 == 49:
                self.hands.go(7)
        for receipt in receipts:
            receipt.result(60)


def grown(house, count, later, seed=1):
    """Records under a rulebook, then some under each of ten rulebooks with one slice more."""
    r = random.Random(seed)
    with house.open() as node:
        house.fill_many(node, count, r)
        for slices in range(1, 11):
            node.enter(laws.rulebook(seed, slices), house.policy)
            house.fill_many(node, later, r)


def exported(house, folder, name="all.zip"):
    elsewhere(folder, "log", "export", "--data", house.data, "--out", name, "--with-private")
    return folder / name


def replayed(file, folder, code=0):
    done = elsewhere(folder, "log", "replay", file, "--json", code=code)
    return json.loads(done.stdout)["replay"]


def test_records_come_out_alike_after_the_rulebook_gained_ten_more_slices(tmp_path):
    house = Small(tmp_path / "house")
    grown(house, 200, 10)
    found = replayed(exported(house, tmp_path), tmp_path)
    assert (found["determinations"], found["alike"], found["differing"]) == (300, 300, 0)
    assert len(found["rulebooks"]) == 11
    assert found["same_build"]


@pytest.mark.real
def test_ten_thousand_records_come_out_alike_after_the_rulebook_gained_ten_more_slices(tmp_path):
    house = Small(tmp_path / "house")
    began = time.monotonic()
    grown(house, 9_000, 100)
    recorded = time.monotonic() - began
    file = exported(house, tmp_path)
    began = time.monotonic()
    found = replayed(file, tmp_path)
    print(f"10,000 recorded in {recorded:.0f} s, replayed in {time.monotonic() - began:.0f} s")
    assert (found["determinations"], found["alike"], found["differing"]) == (10_000, 10_000, 0)
    assert len(found["rulebooks"]) == 11


def test_the_shipped_law_comes_out_alike_under_readings_and_assurances(tmp_path):
    policy = Policy(name="chosen", choices=Choices(stale_after_days=400))
    house = House(tmp_path / "house", policy=policy)
    house.fill(1)
    found = replayed(exported(house, tmp_path), tmp_path)
    assert (found["alike"], found["other"]) == (4, 2)


def leaves_of(value, path=()):
    """Every plain value in a document, with the way to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves_of(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves_of(inner, (*path, index))
    else:
        yield path, value


def changed(document, path, value):
    """The document with another value there, as JSON in its canonical form."""
    copy = msgspec.json.decode(msgspec.json.encode(document))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return msgspec.json.encode(copy, order="sorted")


def other(value):
    """A value of the same kind that is another."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return {"US": "DE", "FR": "DE", "citizen": "none", "none": "citizen"}.get(value, value + "x")
    return value + 1


def parts_of(data):
    found, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def test_flipping_any_one_stored_fact_is_reported(house, carnet, tmp_path):
    carnet("log", "export", "--data", house.data, "--out", "all.zip", "--with-private")
    members = members_of(tmp_path / "all.zip")
    (name,) = [name for name in members if name.startswith(PRIVATE)]
    parts, count, silent = parts_of(members[name]), 0, []
    for number, part in enumerate(parts):
        if not part:
            continue
        document = msgspec.json.decode(part)
        for path, value in leaves_of({"transaction": document["transaction"]}):
            wrong = list(parts)
            wrong[number] = changed(document, path, other(value))
            file = packed_as(tmp_path / "wrong.zip", members | {name: private_member(wrong)})
            count += 1
            if carnet("log", "replay", file).exit_code != 5:
                silent.append((number, path))
    assert silent == []
    assert count > 60


def test_a_private_part_that_is_exchanged_for_another_records_is_reported(house, carnet, tmp_path):
    carnet("log", "export", "--data", house.data, "--out", "all.zip", "--with-private")
    members = members_of(tmp_path / "all.zip")
    (name,) = [name for name in members if name.startswith(PRIVATE)]
    parts = parts_of(members[name])
    parts[0], parts[1] = parts[1], parts[0]
    file = packed_as(tmp_path / "wrong.zip", members | {name: private_member(parts)})
    for command in (["replay", file], ["verify", file, "--key", key_of(house)]):
        done = carnet("log", *command)
        assert done.exit_code == 5
        assert "not the one that the leaf commits to" in done.output


@pytest.fixture
def small(tmp_path, carnet):
    """An installation under a small rulebook, and the members of its export."""
    house = Small(tmp_path / "house", slices=10)
    with house.open() as node:
        house.fill_many(node, 40, random.Random(3))
    carnet("log", "export", "--data", house.data, "--out", "small.zip", "--with-private")
    assert carnet("log", "replay", "small.zip").exit_code == 0
    return members_of(tmp_path / "small.zip")


def test_flipping_any_one_rule_or_list_is_reported(small, carnet, tmp_path):
    """Every sign within a block, exchanged for another: ids, citations, conditions, dates, members."""
    (name,) = [name for name in small if name.startswith(LAWS) and name.endswith("/us/inv/9.md")]
    text, r, silent, count = small[name].decode(), random.Random(5), [], 0
    blocks = re.finditer(r"^```toml \w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    inside = [at for block in blocks for at in range(*block.span(1))]
    signs = [at for at in inside if text[at].isalnum()]
    for at in r.sample(signs, 120):
        sign = "2" if text[at] == "1" else "1" if text[at].isdigit() else "q" if text[at] != "q" else "z"
        wrong = text[:at] + sign + text[at + 1 :]
        file = packed_as(tmp_path / "wrong.zip", small | {name: wrong.encode()})
        count += 1
        if carnet("log", "replay", file).exit_code != 5:
            silent.append((at, text[max(0, at - 30) : at + 30]))
    assert silent == []
    assert count == 120


@pytest.mark.parametrize("what", [POLICIES, "builds/", LAWS])
def test_a_law_that_is_changed_or_left_out_is_reported(small, carnet, tmp_path, what):
    names = [name for name in small if name.startswith(what)]
    assert names
    for name in names:
        wrong = small[name]
        for old, new in ((b'"careful"', b'"careless"'), (b'"carnet"', b'"other"'), (b"'none'", b"'citizen'")):
            wrong = wrong.replace(old, new)
        if wrong != small[name]:
            done = carnet("log", "replay", packed_as(tmp_path / "wrong.zip", small | {name: wrong}))
            assert done.exit_code == 5, (name, done.output)
    if what != "builds/":
        rest = {name: data for name, data in small.items() if not name.startswith(what)}
        done = carnet("log", "replay", packed_as(tmp_path / "wrong.zip", rest))
        assert done.exit_code == 5
        assert "40 of 40 records come out otherwise" in done.output


def test_a_changed_rule_is_found_without_a_replay_too(house, carnet, tmp_path):
    carnet("log", "export", "--data", house.data, "--out", "all.zip", "--with-private")
    found = members_of(tmp_path / "all.zip")
    (name,) = [name for name in found if name.endswith("2026-06-12-fable-mythos.md")]
    wrong = found[name].replace(b"claude-fable-5", b"claude-fable-6")
    assert wrong != found[name]
    file = packed_as(tmp_path / "wrong.zip", found | {name: wrong})
    done = carnet("log", "verify", file, "--key", key_of(house))
    assert done.exit_code == 5
    assert "is another one now" in done.output


def test_prose_beside_the_rules_is_no_part_of_them(small, carnet, tmp_path):
    (name,) = [name for name in small if name.startswith(LAWS) and name.endswith("/us/inv/9.md")]
    wrong = small[name].replace(b"An invented provision", b"Another title")
    assert wrong != small[name]
    file = packed_as(tmp_path / "prose.zip", small | {name: wrong})
    assert carnet("log", "replay", file).exit_code == 0


def test_an_installation_that_records_another_answer_than_the_laws_is_told_on(tmp_path, carnet, monkeypatch):
    """All is signed and sealed as it should be; only the answer is not what the law says."""
    honest = recording.recorded

    def lying(determination):
        return msgspec.structs.replace(honest(determination), outcome="no_license_required", open_rules=())

    house = Small(tmp_path / "house")
    with house.open() as node:
        house.record(node, laws.PRODUCTS[0], id="a", us_status="citizen")
        with monkeypatch.context() as patch:
            patch.setattr(recording, "recorded", lying)
            for product in laws.PRODUCTS:
                house.record(node, product, id="b", us_status="none", location="KP")
    file = exported(house, tmp_path)
    found = replayed(file, tmp_path, code=5)
    assert found["differing"] >= 1
    assert found["alike"] + found["differing"] == 7
    assert {"outcome", "open_rules"} <= {each["what"] for each in found["differences"]}
    assert carnet("log", "verify", file, "--key", key_of(house)).exit_code == 0


def without_private(small, leaf):
    """An export of one leaf and the laws, signed by somebody, in which the private part was destroyed."""
    tree = Tree(1, (leaf_hash(leaf),))
    law = {name: data for name, data in small.items() if name.startswith((LAWS, POLICIES, "builds/"))}
    own = {
        MANIFEST: written(Manifest(origin=ORIGIN, first=0, stop=1, size=1, private=True)),
        CHECKPOINT: checkpoint.signed(Checkpoint(ORIGIN, 1, tree.root), [LOG]).data,
        "leaves/000000000000": entry_bundle([leaf]),
        "private/000000000000": private_member([None]),
    }
    return members(1, 0, 1) | law | own


def refused_leaf(small):
    """The leaf of somebody who was refused, under the small law."""
    data = records_of(small["leaves/000000000000"], 41)
    made = (leaf for leaf in map(leaves.read, data) if isinstance(leaf, Determined))
    return next(leaf for leaf in made if leaf.determination.open_rules and leaf.lists)


def answer(leaf, **changed):
    return {"determination": msgspec.structs.replace(leaf.determination, **changed)}


CHANGES = {
    "a rule that is none": lambda leaf: answer(leaf, open_rules=("us.inv.none",)),
    "a rule that came later": lambda leaf: answer(leaf, open_rules=("us.inv.later9",)),
    "an exception that is none": lambda leaf: answer(leaf, lifted_by=("us.inv.none",)),
    "a list that was another": lambda leaf: {"lists": dict.fromkeys(leaf.lists, "0" * 64)},
    "a list that is none": lambda leaf: {"lists": {"us.inv.none": "0" * 64}},
    "another action": lambda leaf: {"action": "serve"},
    "another reason": lambda leaf: {"reason": "permitted"},
    "another answer than the action is of": lambda leaf: answer(leaf, outcome="no_license_required"),
    "another class": lambda leaf: {"retention": "ofac"},
    "other choices": lambda leaf: answer(leaf, choices="0" * 64),
    "another policy": lambda leaf: {"policy": "0" * 64},
    "another rulebook": lambda leaf: answer(leaf, rulebook="0" * 64),
    "another surface": lambda leaf: {"surface": "window"},
    "another build": lambda leaf: {"build": "0" * 64},
    "another product instead": lambda leaf: {"fallback": "maker/none"},
    "a task done that was not due": lambda leaf: {"done": ("sign",)},
}


def test_what_a_leaf_alone_tells_agrees_with_the_law_of_its_day(small, carnet, tmp_path):
    leaf = leaves.canonical(refused_leaf(small))
    file = packed_as(tmp_path / "bare.zip", without_private(small, leaf))
    said = json.loads(carnet("log", "replay", file, "--json").output)["replay"]
    assert (said["on_class_facts"], said["alike"], said["differing"]) == (1, 0, 0)


@pytest.mark.parametrize("what", CHANGES)
def test_a_leaf_that_says_what_the_law_of_its_day_does_not_is_told_on(small, carnet, tmp_path, what):
    right = refused_leaf(small)
    leaf = leaves.canonical(msgspec.structs.replace(right, **CHANGES[what](right)))
    done = carnet("log", "replay", packed_as(tmp_path / "bare.zip", without_private(small, leaf)))
    assert done.exit_code == 5, done.output
    assert "1 of 1 records come out otherwise" in done.output


@pytest.mark.parametrize("until", ["no grant", None, "2036-06-13T14:00:00Z"])
def test_a_grant_that_the_law_of_its_day_does_not_give_is_told_on(small, carnet, tmp_path, until):
    data = records_of(small["leaves/000000000000"], 41)
    right = next(leaf for leaf in map(leaves.read, data) if getattr(leaf, "grant", None))
    for wrong, code in ((right.grant, 0), (None if until == "no grant" else Given(until), 5)):
        leaf = leaves.canonical(msgspec.structs.replace(right, grant=wrong))
        file = packed_as(tmp_path / f"{code}.zip", without_private(small, leaf))
        done = carnet("log", "replay", file)
        assert done.exit_code == code, done.output
    assert "grant" in done.output


def test_who_replays_says_whether_it_is_the_program_that_decided(tmp_path, monkeypatch):
    house = Small(tmp_path / "house")
    build = kept.this_build().replace(b'"carnet":"', b'"carnet":"9.')
    with monkeypatch.context() as patch:
        patch.setattr(kept, "this_build", lambda: build)
        with house.open() as node:
            house.record(node, laws.PRODUCTS[0], id="a")
    done = elsewhere(tmp_path, "log", "replay", exported(house, tmp_path))
    assert "by another build" in done.stdout
    assert "1 decided again alike" in done.stdout


def test_an_export_without_private_parts_can_not_be_decided_again(house, carnet):
    carnet("log", "export", "--data", house.data, "--out", "open.zip")
    done = carnet("log", "replay", "open.zip")
    assert done.exit_code == 5
    assert "add `--with-private`" in done.output


def test_a_rulebook_that_does_not_know_its_files_is_not_enforced(tmp_path):
    house = House(tmp_path / "house", rulebook=load(laws.files(1)))
    with pytest.raises(StoreError, match="does not know its files"):
        house.open()


def test_a_law_that_was_enforced_is_kept_before_anything_is_decided(tmp_path):
    house = Small(tmp_path / "house")
    with house.open() as node:
        assert node.laws.rulebooks() == [house.rulebook.digest]
        node.enter(laws.rulebook(1, 3), house.policy)
        assert node.laws.rulebook(laws.rulebook(1, 3).digest).digest == laws.rulebook(1, 3).digest
        assert len(node.laws.rulebooks()) == 2
        assert len(node.laws.digests("policies")) == len(node.laws.digests("builds")) == 1


def test_a_law_that_was_changed_on_the_disk_stops_the_node(tmp_path):
    house = Small(tmp_path / "house")
    house.open().close()
    (file,) = (tmp_path / "house" / "laws").rglob("9.md")
    file.write_bytes(file.read_bytes().replace(b"== 'none'", b"== 'citizen'").replace(b"KP", b"FR"))
    with pytest.raises(Damaged, match=r"another one now|can't be loaded"):
        house.open()
