"""A directive goes through its states in order; what is out of order or was changed is refused and changes
nothing; what was done is there after a kill."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.directive.conftest import NOW, TEXT, instant, letter

from carnet.model.errors import InputError, RulesError, StoreError, Taken
from carnet.service import directives as service
from carnet.store.desk import Desk
from carnet.store.directives import Directives, Step
from carnet.store.policies import default_policy

ROOT = Path(__file__).parents[2]
ID = "us.directive.2026-09-01-atlas"
DIGEST = letter().digest


def received(directives, **changes):
    return service.receive(directives, letter(**changes), DIGEST, by="alice", now=NOW)


def drafted(directives):
    received(directives)
    return service.draft(directives, ID, by="bob", now=NOW).text.encode()


def check(directives, text, **more):
    return service.check(directives, ID, text, **({"shown": "a.md", "by": "carol", "now": NOW} | more))


def preview(directives, text, uses=()):
    return service.preview(
        directives, ID, text, uses, shown="a.md", policy=default_policy(), by="dan", now=NOW
    )


def states(directives):
    return [(step.state, step.by) for step in directives.read(ID).steps]


@pytest.mark.usefixtures("quick")
def test_each_step_says_who_when_and_what_was_seen(directives):
    text = drafted(directives)
    checked = check(directives, text)
    found, seen = preview(directives, text)
    assert states(directives) == [
        ("received", "alice"),
        ("drafted", "bob"),
        ("checked", "carol"),
        ("previewed", "dan"),
    ]
    assert [step.digest for step in found.steps] == [DIGEST, *[found.steps[1].digest] * 3]
    assert {step.at for step in found.steps} == {NOW}
    assert checked.rulebook == found.steps[2].seen["rulebook"] == seen.new
    assert found.steps[3].seen["law"] == seen.old
    assert set(found.steps[3].seen) == {"law", "policy", "preview", "rulebook"}
    assert found.text.encode() == text
    assert directives.listed() == [found]


@pytest.mark.usefixtures("quick")
def test_an_edited_draft_is_checked_and_only_that_text_is_previewed(directives):
    text = drafted(directives)
    edited = text.replace(b"# The letter of", b"# The invented letter of")
    assert check(directives, edited).edited
    with pytest.raises(StoreError, match=r"`a\.md` was changed since it was checked: check it again"):
        preview(directives, text)
    preview(directives, edited)
    assert not check(directives, text).edited
    assert [state for state, _ in states(directives)] == [
        "received",
        "drafted",
        "checked",
        "previewed",
        "checked",
    ]


@pytest.mark.usefixtures("quick")
def test_a_law_that_changed_since_the_check_is_checked_again(directives, monkeypatch):
    from carnet.rules.check import load

    text = drafted(directives)
    check(directives, text)
    less = {path: data for path, data in service.shipped().items() if "2026-06-30" not in path}
    book = load(less)
    monkeypatch.setattr(service, "shipped", lambda: less)
    monkeypatch.setattr(service, "load_rulebook", lambda *_: book)
    with pytest.raises(StoreError, match="the law was changed since the check"):
        preview(directives, text)


@pytest.mark.usefixtures("quick")
def test_a_draft_with_a_wrong_rule_or_case_is_not_checked(directives):
    text = drafted(directives)
    with pytest.raises(RulesError) as told:
        check(directives, text.replace(b"foreign_person(recipient)", b"foreign_persn(recipient)"))
    assert {problem.file for problem in told.value.problems} == {"a.md"}
    wrong = text.replace(b'outcome = "license_required"', b'outcome = "prohibited"')
    found = check(directives, wrong)
    assert [(case.file, case.note) for case in found.failed] == [
        ("a.md", "a foreign person needs a license from that instant on")
    ]
    for other, said in (
        (text.partition(b"## Cases")[0], "has no case"),
        (text.replace(ID.encode(), b"us.directive.2026-09-01-other"), f"no rule of `{ID}`"),
    ):
        with pytest.raises(InputError, match=said):
            check(directives, other)
    assert states(directives) == [("received", "alice"), ("drafted", "bob")]


def test_a_step_out_of_order_is_refused_and_says_which_is_next(directives):
    received(directives)
    with pytest.raises(StoreError, match="is received and can't be checked now: `carnet directive draft`"):
        check(directives, b"")
    with pytest.raises(StoreError, match="is received and can't be previewed now"):
        preview(directives, b"")
    service.draft(directives, ID, by="bob", now=NOW)
    service.draft(directives, ID, by="bob", now=NOW)
    with pytest.raises(StoreError, match="is drafted and can't be previewed now: `carnet directive check`"):
        preview(directives, b"")
    assert [state for state, _ in states(directives)] == ["received", "drafted", "drafted"]


@pytest.mark.usefixtures("quick")
def test_what_was_checked_is_not_drafted_again(directives):
    check(directives, drafted(directives))
    with pytest.raises(StoreError, match="is checked and can't be drafted now: edit its file"):
        service.draft(directives, ID, by="bob", now=NOW)


def test_an_unknown_id_a_second_receipt_and_another_text_are_refused(directives):
    with pytest.raises(InputError, match=f"`{ID}` is no directive: see `carnet directive status`"):
        service.draft(directives, ID, by="bob", now=NOW)
    with pytest.raises(InputError, match="the text has the digest `0000"):
        service.receive(directives, letter(), "0" * 64, by="alice", now=NOW)
    with pytest.raises(InputError, match="still to come"):
        received(directives, written=instant("2026-12-02T00:00:00+00:00"))
    for name in ("", " ", "al\x1bice"):
        with pytest.raises(InputError, match="is no name of somebody"):
            service.receive(directives, letter(), DIGEST, by=name, now=NOW)
    received(directives)
    with pytest.raises(Taken, match="was received already"):
        received(directives)


def test_two_who_take_a_step_at_once_do_not_both(directives):
    found = received(directives)
    step = Step(state="drafted", by="bob", at=NOW, digest="d")
    directives.advance(found, step, "text")
    with pytest.raises(Taken, match="somebody took a step"):
        directives.advance(found, step, "other")
    assert directives.read(ID).text == "text"


def test_a_step_can_be_neither_changed_nor_taken_back(tmp_path):
    with Desk.open(tmp_path) as desk:
        received(Directives(desk))
        for sql in ("DELETE FROM directive_steps", "UPDATE directive_steps SET by = 'eve'"):
            with pytest.raises(StoreError, match="a step"), desk.writing():
                desk.write(sql)


CHILD = """\
import sys, time
from pathlib import Path
from tests.directive.conftest import NOW
from carnet.store.desk import Desk
from carnet.store.directives import Directives, Step
desk = Desk.open(Path(sys.argv[1]))
held = Directives(desk)
step = Step(state="drafted", by="bob", at=NOW, digest="d")
held.advance(held.read(sys.argv[2]), step, "kept")
with desk.writing():
    held.advance.__self__._write(sys.argv[2], 2, step)
    desk.write("UPDATE directives SET text = 'lost'")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_step_is_whole_or_not_at_all_after_a_kill(tmp_path):
    with Desk.open(tmp_path) as desk:
        received(Directives(desk))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path), ID],
        stdout=subprocess.PIPE,
        env=env,
    ) as child:
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGKILL)
    with Desk.open(tmp_path) as desk:
        found = Directives(desk).read(ID)
    assert found.text == "kept"
    assert [step.state for step in found.steps] == ["received", "drafted"]
    assert TEXT not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
