"""A shred forgets in PostgreSQL too: at once, or after the next start if it was away; under every name that
the log has had."""

import contextlib
import datetime as dt
import shutil

import pytest
from tests.log.conftest import OPUS, House
from tests.log.people import GONE, LONG_AGO, People, propose
from tests.postgres.nodes import until
from tests.postgres.server import free_port
from tests.postgres.sharing import copied, looked, new_database, shipped

from carnet.service import shredding
from carnet.service.continuing import continued
from carnet.service.sharing import Shared
from carnet.store.postgres.connection import Database
from carnet.store.sqlite import rows

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("postgres")]


@contextlib.contextmanager
def sharing(old, url):
    """A node that runs and shares."""
    with old.open() as node, contextlib.closing(Shared(node, url)) as shared:
        yield node, shared


@pytest.fixture
def url(old, server):
    """A database that has everything of the installation, private parts and terms too."""
    url = new_database(server)
    with sharing(old, url):
        until(lambda: shipped(old.data, url))
    assert whole(url) == [True] * 5
    return url


def whole(url):
    """Of each copy of a determination, by its arrival, whether a private part is there; those alone have
    terms."""
    with contextlib.closing(Database(url).connected()) as db:
        db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        found = db.execute(
            "SELECT place, sealed, terms FROM copies WHERE subject <> '' ORDER BY place"
        ).fetchall()
        terms = {place for (place,) in db.execute("SELECT DISTINCT place FROM copy_terms").fetchall()}
    sealed = {place for place, part, _ in found if part is not None}
    assert terms == sealed == {place for place, _, packed in found if rows.terms(packed)}
    return [place in sealed for place, *_ in found]


def shred(carnet, old, people, *more):
    proposal = propose(carnet, old)
    approvals = [arg for name in ("one", "two") for arg in ("--approval", people.approve(name))]
    done = carnet("records", "shred", proposal["id"], *approvals, "--data", old.data, *more)
    assert done.exit_code == 0, done.output
    assert "destroyed 2 keys, and the private parts of 4 records" in done.output
    return done.output


def test_a_shred_forgets_the_copies_at_once(old, people, carnet, url, monkeypatch):
    monkeypatch.setenv("CARNET_POSTGRESQL", url)
    monkeypatch.setattr(shredding, "_AT_ONCE", 3)
    assert "PostgreSQL" not in shred(carnet, old, people)
    assert whole(url) == [False] * 4 + [True]
    with sharing(old, url):
        until(lambda: shipped(old.data, url))
    assert whole(url) == [False] * 4 + [True]


@pytest.mark.parametrize("asked", [True, False])
def test_what_was_away_during_a_shred_forgets_after_the_next_start(old, people, carnet, server, url, asked):
    """Also if the run was not told where it is."""
    nowhere = url.replace(f":{server.port}/", f":{free_port()}/")
    said = shred(carnet, old, people, *(["--postgresql", nowhere] if asked else []))
    assert ("in PostgreSQL it is not forgotten yet" in said) is asked
    assert server.password not in said
    assert whole(url) == [True] * 5
    with sharing(old, nowhere) as (_, shared):
        until(lambda: shared.figures()["copies_trouble"])
    with sharing(old, url):
        until(lambda: whole(url) == [False] * 4 + [True])
        until(lambda: shipped(old.data, url))


def test_records_that_arrive_after_they_were_destroyed_arrive_without_what_was(old, people, carnet, server):
    url = new_database(server)
    shred(carnet, old, people, "--postgresql", url)
    with sharing(old, url):
        until(lambda: shipped(old.data, url))
    assert whole(url) == [False] * 4 + [True]


def test_copies_under_an_earlier_name_of_the_log_are_forgotten_too(old, people, carnet, url):
    continued(old.data, "log.example/second", old.hands.clock())
    with sharing(old, url) as (node, _):
        old.record(node, OPUS, id="lee.example")
        until(lambda: shipped(old.data, url))
    with looked(old.data, url) as store:
        assert len({copy.origin for copy in copied(store)}) == 2
    shred(carnet, old, people, "--postgresql", url)
    assert whole(url) == [False] * 4 + [True, True]


def test_what_had_the_same_number_before_the_log_was_put_back_is_another_record(
    tmp_path, carnet, server, made_keys
):
    """Its copy is the last that is left of it, and nobody ordered that it go."""
    old, url = House(tmp_path / "house"), new_database(server)
    old.hands.at = LONG_AGO
    with old.open() as node:
        old.record(node, OPUS, id=GONE[0])
    shutil.copytree(old.data, tmp_path / "backup")
    old.hands.at = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    with sharing(old, url) as (node, _):
        for who in ("kim.example", "lee.example"):
            old.record(node, OPUS, id=who)
        until(lambda: shipped(old.data, url))
    shutil.rmtree(old.data)
    shutil.move(tmp_path / "backup", old.data)
    old.hands.at = LONG_AGO
    continued(old.data, "log.example/second", old.hands.clock())
    with sharing(old, url) as (node, _):
        old.record(node, OPUS, id=GONE[0])
        until(lambda: shipped(old.data, url))
    before = whole(url)
    people = People(tmp_path, old.data, carnet, made_keys)
    proposal = propose(carnet, old)
    approvals = [arg for name in ("one", "two") for arg in ("--approval", people.approve(name))]
    words = ("records", "shred", proposal["id"], *approvals, "--data", old.data, "--postgresql", url)
    assert "destroyed 1 key, and the private parts of 2 records" in carnet(*words).output
    assert (before, whole(url)) == ([True] * 4, [False, True, True, False])


def test_a_run_that_can_not_be_told_where_to_forget_destroys_nothing(old, people, carnet):
    proposal = propose(carnet, old)
    approvals = [arg for name in ("one", "two") for arg in ("--approval", people.approve(name))]
    words = ("records", "shred", proposal["id"], *approvals, "--data", old.data, "--postgresql", "nothing")
    done = carnet(*words)
    assert done.exit_code == 2
    assert "the address of PostgreSQL can't be read" in done.output
    assert "destroyed 2 keys" in carnet(*words[:-2]).output
