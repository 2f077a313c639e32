"""What is over, kept, running or held is worked out from the log alone, and destroyed only with two
people."""

import datetime as dt
import hashlib
import json

import msgspec
import pytest
from tests.log.conftest import OPUS, House

from carnet.model.errors import InputError
from carnet.model.time import ZONES, instant
from carnet.service.grants import Selector
from carnet.service.retention import every, held, released, surveyed, writing
from carnet.store.policies import default_policy

DAY = dt.timedelta(days=1)
YEARS = dt.timedelta(days=5 * 366 + 2)


@pytest.fixture
def data(tmp_path):
    return House(tmp_path / "house")


def survey(node, at):
    with node.log.reading() as reading:
        return surveyed(reading, node.vault, at)


def states(node, at):
    return [due.standing.state for due in survey(node, at)]


def test_a_grant_runs_until_its_recorded_end_and_five_years_from_there(data):
    with data.open() as node:
        found = data.record(node, id="zoe.example", us_status="citizen")
        until = instant(found.until)
        assert states(node, data.hands.at) == ["running"]
        data.hands.go(3600)
        node.grants.revoke("default", Selector())
        node.grants.flush()
        data.record(node, OPUS, id="other")  # durable after what ended
        (due, _) = survey(node, data.hands.at)
        assert due.standing.state == "kept"
        assert due.standing.until.date() == dt.date(2031, 6, 14)
        assert states(node, due.standing.until) == ["over", "over"]
        assert until > data.hands.at


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_grant_is_over_with_its_node_and_its_time_runs_from_there(data, how):
    with data.open() as node:
        data.record(node, id="zoe.example", us_status="citizen")
        assert states(node, data.hands.at) == ["running"]
        if how == "killed":
            node.grants.stop = list
    ended = data.hands.at
    data.hands.go(86_400)
    with data.open() as node:
        (due,) = survey(node, data.hands.at)
        assert due.standing.state == "kept"
        day = (ended if how == "stopped" else data.hands.at).astimezone(ZONES["us"]).date()
        assert due.standing.until.date() == day.replace(year=day.year + 5) + dt.timedelta(days=1)


def test_a_grant_of_a_node_that_was_killed_is_over_once_somebody_else_has_its_log(data):
    with data.open() as node:
        data.record(node, id="zoe.example", us_status="citizen")
        node.grants.stop = list
    for _ in range(2):
        with writing(data.data) as (_, log), log.reading() as reading:
            assert [type(leaf).__name__ for _, leaf in every(reading)] == ["Determined", "AllEnded"]


def test_a_new_epoch_ends_a_grant_and_its_time_runs_from_there(data):
    policy = msgspec.structs.replace(default_policy(), name="other")
    with data.open() as node:
        data.record(node, id="zoe.example", us_status="citizen")
        data.hands.go(3600)
        node.enter(node.determiner.law.rulebook, policy)
        data.record(node, OPUS, id="dee.example")
        assert states(node, data.hands.at)[0] == "kept"


def test_an_answer_about_an_item_that_is_not_controlled_is_over_at_once(data):
    with data.open() as node:
        data.record(node, OPUS, id="dee.example")
        (due,) = survey(node, data.hands.at)
        assert due.standing.state == "kept"
        assert due.standing.until.date() == dt.date(2031, 6, 14)


def test_a_hold_beats_everything_and_its_release_is_by_the_same_tenant(data):
    with data.open() as node:
        data.record(node, OPUS, id="dee.example")
        data.record(node, OPUS, tenant="t2", id="dee.example")
        late, now = data.hands.at + YEARS, node.clock.read()
        assert states(node, late) == ["over", "over"]
        (mine, theirs) = survey(node, late)
        assert mine.subject != theirs.subject
        asked = {"manner": "informal", "request": "0" * 64}
        leaf, _ = held(node.log, now, tenant="default", subject=mine.subject, **asked)
        assert states(node, late) == ["held", "over"]
        whole, _ = held(node.log, now, tenant="t2", subject=None, manner="formal", request="1" * 64)
        assert states(node, late) == ["held", "held"]
        with pytest.raises(InputError, match="no such hold"):
            released(node.log, now, tenant="t2", hold=leaf.id, authorization="2" * 64)
        released(node.log, now, tenant="default", hold=leaf.id, authorization="2" * 64)
        assert states(node, late) == ["over", "held"]
        released(node.log, now, tenant="t2", hold=whole.id, authorization="2" * 64)
        assert states(node, late) == ["over", "over"]


def test_records_of_one_subject_are_over_together(data):
    with data.open() as node:
        data.record(node, OPUS, id="dee.example")
        data.hands.go(400 * 86_400)
        data.record(node, OPUS, id="dee.example")
        (due,) = survey(node, data.hands.at)
        assert (due.records, due.standing.state) == ((0, 1), "kept")
        assert due.standing.until.date() == dt.date(2032, 7, 19)


def test_due_changes_nothing_and_tells_no_name(data, carnet):
    data.fill(1)
    before = (data.data / "log.db").read_bytes(), (data.data / "vault.db").read_bytes()
    done = carnet("records", "due", "--data", data.data, "--json")
    assert done.exit_code == 0, done.output
    assert ((data.data / "log.db").read_bytes(), (data.data / "vault.db").read_bytes()) == before
    assert len(json.loads(done.output)["keys"]) == 4
    for name in ("zoe", "bo.example", "cy.example", "dee.example"):
        assert name not in done.output


def test_a_hold_by_the_command_line_covers_the_subject_and_names_nobody(data, carnet, tmp_path):
    data.fill(1)
    (tmp_path / "letter.pdf").write_bytes(b"please keep" * 500_000)
    args = ("--manner", "informal", "--request", "letter.pdf", "--data", data.data)
    assert carnet("records", "hold", *args).exit_code == 2
    assert carnet("records", "hold", *args, "--subject", "x", "--everything").exit_code == 2
    done = carnet("records", "hold", *args, "--subject", "bo.example")
    assert done.exit_code == 0, done.output
    found = json.loads(carnet("records", "due", "--data", data.data, "--json").output)
    assert [row["standing"]["state"] for row in found["keys"]].count("held") == 1
    (hold,) = found["holds"]
    assert hold["request"] == hashlib.sha256(b"please keep" * 500_000).hexdigest()
    assert b"bo.example" not in (data.data / "log.db").read_bytes()
    (tmp_path / "yes.pdf").write_bytes(b"granted")
    end = ("--authorization", "yes.pdf", "--data", data.data)
    assert carnet("records", "release", "h_nothing", *end).exit_code == 2
    assert carnet("records", "release", hold["id"], *end).exit_code == 0
    assert json.loads(carnet("records", "due", "--data", data.data, "--json").output)["holds"] == []


def test_while_a_node_runs_nothing_is_held_by_another_process(data, carnet, tmp_path):
    (tmp_path / "letter").write_bytes(b"x")
    with data.open() as node:
        data.record(node, OPUS, id="dee.example")
        done = carnet(
            "records", "hold", "--everything", "--manner", "own", "--request", "letter", "--data", data.data
        )
    assert done.exit_code == 1
    assert "is open in another process" in done.output


def test_a_clock_before_the_last_record_destroys_nothing(data, carnet):
    data.hands.at = dt.datetime.now(dt.UTC) + 400 * DAY
    with data.open() as node:
        data.record(node, OPUS, id="dee.example")
    done = carnet("records", "due", "--data", data.data)
    assert done.exit_code == 1
    assert "the clock is before the last record" in done.output
