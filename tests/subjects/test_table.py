"""The table of subjects: added to only, encrypted, and one tenant's own."""

import datetime as dt
import subprocess
import sys
import textwrap

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.subjects.conftest import HOUR, NOW, said

from carnet.model.errors import InputError, StoreError, Unavailable
from carnet.model.transaction import Party, UsStatus
from carnet.model.written import Fact, SetFact
from carnet.store.desk import Desk
from carnet.store.keys import Keyring
from carnet.store.subjects import SubjectTable

STATUSES = msgspec.json.decode(msgspec.json.encode(UsStatus.__args__), type=list[str])
DAY = dt.timedelta(days=1)


def raw(data, sql, *values):
    connection = apsw.Connection(str(data / "desk.db"))
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def test_what_was_stored_is_what_is_read_with_its_source_and_when_it_was_recorded(table):
    table.add("acme", [("u-1", said(us_status="citizen", nationalities=("US", "FR")))], NOW)
    found = table.facts("acme", "u-1", NOW)
    assert found.us_status == Fact(value="citizen", source="hr-roster", assurance="S2", recorded=NOW)
    assert found.nationalities == SetFact(
        value=("US", "FR"), source="hr-roster", assurance="S2", recorded=NOW
    )
    assert found == Party(us_status=found.us_status, nationalities=found.nationalities)


def test_a_fact_counts_from_when_it_was_recorded(table):
    table.add("acme", [("u-1", said(location="FR"))], NOW)
    table.add("acme", [("u-1", said(location="US"))], NOW + HOUR)
    assert table.facts("acme", "u-1", NOW - HOUR) == Party()
    assert table.facts("acme", "u-1", NOW).location.value == "FR"
    both = table.facts("acme", "u-1", NOW + HOUR).location.facts
    assert [(fact.value, fact.recorded) for fact in both] == [("FR", NOW), ("US", NOW + HOUR)]


def test_a_correction_is_later_than_what_it_corrects_even_at_one_instant(table):
    recorded = [table.add("acme", [("u-1", said(location="FR"))], NOW).recorded for _ in range(3)]
    assert recorded == [NOW, NOW + dt.timedelta(microseconds=1), NOW + dt.timedelta(microseconds=2)]


def test_a_clock_that_went_back_stores_nothing(table):
    table.add("acme", [("u-1", said(location="FR"))], NOW)
    table.add("acme", [("u-1", said(location="FR"))], NOW - dt.timedelta(seconds=1))
    for back in (dt.timedelta(seconds=2), HOUR, 3650 * DAY):
        with pytest.raises(Unavailable, match="the clock is behind"):
            table.add("acme", [("u-1", said(location="US"))], NOW - back)
    assert {fact.value for fact in table.facts("acme", "u-1", NOW + DAY).location.facts} == {"FR"}


def test_one_tenant_never_sees_another(table):
    table.add("acme", [("u-1", said(location="FR")), ("u-2", said(location="US"))], NOW)
    table.add("globex", [("u-1", said(location="DE"))], NOW)
    assert table.facts("acme", "u-1", NOW).location.value == "FR"
    assert table.facts("globex", "u-1", NOW + HOUR).location.value == "DE"
    assert table.facts("globex", "u-2", NOW + HOUR) == Party() == table.facts("globex", "u-3", NOW + HOUR)
    assert [each.subject for each in table.listed("globex")] == ["u-1"]
    assert [each.subject for each in table.listed("acme")] == ["u-1", "u-2"]
    assert table.listed("nobody") == []


def test_nothing_that_a_fact_says_is_in_the_file(table, data):
    table.add(
        "acme",
        [
            (
                "u-1",
                said(
                    "passport-desk", us_status="protected", nationalities=("AF",), engaged_by=("northwind",)
                ),
            )
        ],
        NOW,
    )
    kept = b"".join(file.read_bytes() for file in data.rglob("desk.db*"))
    assert b"u-1" in kept
    for word in (
        b"protected",
        b"us_status",
        b"nationalities",
        b'"AF"',
        b"northwind",
        b"passport-desk",
        b"S2",
    ):
        assert word not in kept


def test_the_length_of_a_row_does_not_tell_one_status_from_another(table, data):
    rows = [
        said(us_status=status, nationalities=nationalities)
        for status in STATUSES
        for nationalities in (("US",), ("FR", "DE", "AF"), ())
    ]
    table.add("acme", [(f"u-{number}", row) for number, row in enumerate(rows)], NOW)
    assert len(STATUSES) == 4
    assert len(raw(data, "SELECT DISTINCT length(sealed) FROM facts")) == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE facts SET sealed = (SELECT sealed FROM facts WHERE subject = 'u-2') WHERE subject = 'u-1'",
        "UPDATE facts SET sealed = CAST(substr(sealed, 1, length(sealed) - 1) || x'00' AS BLOB)",
        "UPDATE facts SET sealed = x''",
        "UPDATE facts SET sealed = substr(sealed, 2)",
        "DROP TRIGGER facts_stay_as_recorded; UPDATE facts SET recorded = recorded - 1",
        "DROP TRIGGER facts_stay_as_recorded; UPDATE facts SET tenant = 'globex'",
        "DROP TRIGGER facts_stay_as_recorded; UPDATE facts SET subject = 'u-9' WHERE subject = 'u-1'",
    ],
)
def test_a_row_that_was_changed_or_moved_is_refused(table, data, change):
    table.add("acme", [("u-1", said(us_status="none"))], NOW)
    table.add("acme", [("u-2", said(us_status="citizen"))], NOW)
    raw(data, change)
    with pytest.raises(StoreError, match="is not what was stored") as error:
        [
            table.facts(tenant, subject, NOW + HOUR)
            for tenant in ("acme", "globex")
            for subject in ("u-1", "u-9")
        ]
    assert "citizen" not in str(error.value)
    assert "u-1" not in str(error.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(number=st.integers(0, 10_000))
def test_any_byte_of_a_row_that_is_flipped_is_noticed(table, data, number):
    subject = f"u-{number}"
    table.add("acme", [(subject, said(us_status="citizen"))], NOW + DAY)
    ((sealed,),) = raw(
        data, "SELECT sealed FROM facts WHERE subject = ? ORDER BY number DESC LIMIT 1", subject
    )
    at = number % len(sealed)
    broken = sealed[:at] + bytes([sealed[at] ^ 1 << number % 8]) + sealed[at + 1 :]
    raw(data, "UPDATE facts SET sealed = ? WHERE sealed = ?", broken, sealed)
    with pytest.raises(StoreError, match="is not what was stored"):
        table.facts("acme", subject, NOW + 2 * DAY)


def test_all_rows_are_stored_or_none(table, data):
    good, bad = said(location="FR"), said(location="FR")
    for wrong in (
        Party(location="FR"),
        Party(location=Fact(value="FR", source="x")),
        Party(location=Fact(value="FR", assurance="S1")),
        Party(location=Fact(value="FR", source="x", assurance="S1", recorded=NOW)),
        Party(location=Fact(value="FR", source="transaction:x", assurance="S1")),
        Party(id=Fact(value="u-1", source="x", assurance="S1")),
        Party(),
    ):
        with pytest.raises(InputError):
            table.add("acme", [("u-1", good), ("u-2", wrong), ("u-3", bad)], NOW)
    for subject in ("", " u", "u\n", "x" * 201):
        with pytest.raises(InputError):
            table.add("acme", [("u-1", good), (subject, good)], NOW)
    with pytest.raises(InputError):
        table.add("", [("u-1", good)], NOW)
    assert raw(data, "SELECT count(*) FROM facts") == [(0,)]


def test_a_full_disk_stores_nothing_and_is_told_and_goes_on_when_there_is_room(table, desk, data):
    table.add("acme", [("u-1", said(location="FR"))], NOW)
    desk.rows("PRAGMA max_page_count = 12")
    many = [(f"u-{number}", said(location="US")) for number in range(100)]
    with pytest.raises(Unavailable, match=r"nothing was stored: .*full"):
        table.add("acme", many, NOW + HOUR)
    assert raw(data, "SELECT count(*) FROM facts") == [(1,)]
    desk.rows("PRAGMA max_page_count = 1000000")
    assert table.add("acme", many, NOW + HOUR).rows == 100
    assert table.facts("acme", "u-1", NOW).location.value == "FR"


def test_rows_live_through_a_rotation_and_are_encrypted_anew(table, keyring, data):
    table.add("acme", [("u-1", said(us_status="citizen")), ("u-2", said(us_status="none"))], NOW)
    before = table.facts("acme", "u-1", NOW)
    sealed = raw(data, "SELECT sealed FROM facts")
    old = keyring.rotate("subjects", NOW + DAY).old
    table.add("acme", [("u-3", said(us_status="none"))], NOW + DAY)
    assert table.under(old) == 2
    assert table.facts("acme", "u-1", NOW + DAY) == before
    assert table.reseal() == 2
    assert table.reseal() == 0
    assert table.under(old) == 0
    assert not set(sealed) & set(raw(data, "SELECT sealed FROM facts"))
    keyring.forget(old, NOW + DAY)
    with Desk.open(data) as desk:
        again = SubjectTable(desk, Keyring.open(data))
        assert again.facts("acme", "u-1", NOW + DAY) == before
        assert [each.last for each in again.listed("acme")] == [NOW, NOW, NOW + DAY]


def test_a_table_whose_secret_is_gone_says_so_and_gives_nothing(table, keyring, data):
    table.add("acme", [("u-1", said(us_status="citizen"))], NOW)
    keyring.forget(keyring.rotate("subjects", NOW + DAY).old, NOW + DAY)
    with Desk.open(data) as desk, pytest.raises(StoreError, match="of `subjects` is not kept"):
        SubjectTable(desk, keyring).facts("acme", "u-1", NOW + DAY)


def test_another_installations_keys_do_not_open_the_table(table, data, tmp_path):
    table.add("acme", [("u-1", said(us_status="citizen"))], NOW)
    other = Keyring.create(tmp_path / "other", "carnet.example/node-2", NOW)
    with Desk.open(data) as desk, pytest.raises(StoreError):
        SubjectTable(desk, other).facts("acme", "u-1", NOW)


def test_what_was_added_lives_through_a_kill(table, data):
    program = f"""
        import datetime as dt, os, pathlib, signal
        from tests.subjects.conftest import NOW, said
        from carnet.store.desk import Desk
        from carnet.store.keys import Keyring
        from carnet.store.subjects import SubjectTable
        data = pathlib.Path({str(data)!r})
        SubjectTable(Desk.open(data), Keyring.open(data)).add("acme", [("u-1", said(location="FR"))], NOW)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -9
    assert table.facts("acme", "u-1", NOW).location.value == "FR"
