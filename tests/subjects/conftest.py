"""What the tests of subjects share: an installation with a table, the program, and the law's levels."""

import datetime as dt

import pytest
from tests.keys.conftest import carnet, data, keyring  # noqa: F401 -- fixtures

from carnet.engine.decide import levels_of
from carnet.model.determination import Choices
from carnet.model.transaction import Party
from carnet.model.view import view
from carnet.model.written import Fact, SetFact
from carnet.store.desk import Desk
from carnet.store.shelves import load_rulebook
from carnet.store.subjects import SubjectTable

NOW = dt.datetime(2026, 11, 25, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def desk(keyring, data):  # noqa: F811 -- the fixtures above
    with Desk.open(data) as opened:
        yield opened


@pytest.fixture
def table(desk, keyring):  # noqa: F811 -- as above
    return SubjectTable(desk, keyring)


def said(source="hr-roster", assurance="S2", /, *, expires=None, valid_from=None, valid_until=None, **facts):
    """A statement: a party whose facts have a source, a level and dates."""
    dress = {
        "source": source,
        "assurance": assurance,
        "expires": expires,
        "valid_from": valid_from,
        "valid_until": valid_until,
    }
    return Party(
        **{
            name: SetFact(value=value, **dress) if isinstance(value, tuple) else Fact(value=value, **dress)
            for name, value in facts.items()
        }
    )


def seen(transaction, known=NOW + HOUR):
    """The view of a transaction under the shipped law."""
    levels = levels_of(load_rulebook().terms, Choices())
    return view(transaction, at=known, known=known, levels=levels)
