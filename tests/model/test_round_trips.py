"""Whatever the model can say it says in JSON, and reads back as the same."""

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carnet.model.citation import Citation
from carnet.model.determination import Choices, Determination, RecordedDetermination
from carnet.model.schema import DOCUMENTS
from carnet.model.time import Days, Span, Window
from carnet.model.transaction import EndUse, Exporter, Item, Parties, Party, Transaction
from carnet.model.written import Fact, SetFact, StatusSince

from .strategies import instances

TYPES = [
    Choices,
    Citation,
    Days,
    Determination,
    EndUse,
    Exporter,
    Fact[bool],
    Item,
    Parties,
    Party,
    RecordedDetermination,
    SetFact[StatusSince],
    Span,
    Transaction,
    Window,
]


@pytest.mark.parametrize("of", TYPES, ids=lambda of: getattr(of, "__name__", str(of)))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_json_gives_the_same_struct_back(of, data):
    value = data.draw(instances(of))
    assert msgspec.json.decode(msgspec.json.encode(value), type=of) == value


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(transaction=instances(Transaction))
def test_a_transaction_is_read_alike_by_way_of_plain_objects(transaction):
    plain = json.loads(msgspec.json.encode(transaction))
    assert msgspec.convert(plain, Transaction) == transaction


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_every_document_refuses_an_unknown_field(name):
    with pytest.raises(msgspec.ValidationError, match="unknown field `nonsense`"):
        msgspec.json.decode(b'{"nonsense": 1}', type=DOCUMENTS[name])


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_every_document_is_frozen(name):
    assert DOCUMENTS[name].__struct_config__.frozen
