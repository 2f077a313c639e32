"""Hypothesis strategies for every struct of the model, made from its own types."""

import datetime as dt
from decimal import Decimal

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from carnet.model.written import Fact, SetFact

INSTANTS = st.datetimes(
    dt.datetime(2000, 1, 1),  # noqa: DTZ001 -- the strategy adds the zone
    dt.datetime(2100, 1, 1),  # noqa: DTZ001 -- as above
    timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=-4))]),
)
NUMBERS = st.builds(Decimal, st.integers(-(10**12), 10**12)) | st.sampled_from(
    [Decimal("1.5e26"), Decimal("1e18")]
)
DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)).flatmap(
    lambda day: st.sampled_from([day.isoformat(), day.isoformat()[:7], day.isoformat()[:4]])
)
COUNTRIES = st.sampled_from(["US", "FR", "IN", "CN", "CA"])
DATES = ("source", "assurance", "observed", "recorded", "valid_from", "valid_until", "expires")


def instances(of: type) -> st.SearchStrategy:
    """Instances of a struct of the model."""
    return _of(inspect.type_info(of), 2)


def _of(node: inspect.Type, depth: int) -> st.SearchStrategy:
    match node:
        case inspect.Metadata(type=inner):
            return _of(inner, depth)
        case inspect.UnionType(types=types):
            return st.one_of([_of(each, depth) for each in types])
        case inspect.StructType(cls=cls, fields=fields):
            return _struct(cls, fields, depth)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.StrType(pattern=pattern):
            if pattern is None:
                return st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
            return COUNTRIES if "A-Z" in pattern else DAYS
        case inspect.VarTupleType(item_type=item):
            return st.lists(_of(item, depth - 1), max_size=3).map(tuple)
        case inspect.CollectionType(item_type=item):
            return st.frozensets(_of(item, depth - 1), max_size=3)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_of(key, depth), _of(value, depth), max_size=2)
        case inspect.DateTimeType():
            return INSTANTS
        case inspect.DecimalType():
            return NUMBERS
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            return st.integers(0, 10)
        case inspect.NoneType():
            return st.none()
    raise AssertionError(node)


def _struct(cls: type, fields: tuple[inspect.Field, ...], depth: int) -> st.SearchStrategy:
    needed = {field.name: _of(field.type, depth) for field in fields if field.required}
    optional = {field.name: field.type for field in fields if not field.required}
    origin = getattr(cls, "__origin__", cls)
    if origin in (Fact, SetFact):
        return _evidence(cls, optional, depth)

    def fill(names: list[str]) -> st.SearchStrategy:
        return st.fixed_dictionaries({**needed, **{name: _of(optional[name], depth) for name in names}})

    chosen = st.lists(st.sampled_from(sorted(optional)), max_size=5, unique=True) if optional else st.just([])
    return chosen.flatmap(fill).map(lambda given: cls(**given))


def _evidence(cls: type, fields: dict[str, inspect.Type], depth: int) -> st.SearchStrategy:
    def parts(name: str) -> inspect.Type:
        node = fields[name]
        assert isinstance(node, inspect.UnionType)
        return next(each for each in node.types if not isinstance(each, inspect.NoneType))

    dates = st.lists(st.sampled_from(DATES), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: _of(parts(name), 0) for name in names})
    )
    forms = {name: _of(parts(name), 0) for name in fields if name in ("value", "some", "unknown")}
    if "candidates" in fields:
        node = parts("candidates")
        assert isinstance(node, inspect.VarTupleType)
        forms["candidates"] = st.lists(_of(node.item_type, 0), min_size=2, max_size=3).map(tuple)
    simple = st.one_of([form.map(lambda value, name=name: {name: value}) for name, form in forms.items()])
    one = (
        st.tuples(simple, dates)
        .map(lambda both: {**both[0], **both[1]})
        .filter(_valid)
        .map(lambda given: cls(**given))
    )
    if depth <= 0:
        return one
    return one | st.lists(one, min_size=1, max_size=3).map(lambda facts: cls(facts=tuple(facts)))


def _valid(given: dict[str, object]) -> bool:
    start, end = given.get("valid_from"), given.get("valid_until")
    return start is None or end is None or start < end  # type: ignore[operator]  -- both are instants


def text_of(value: object) -> str:
    return msgspec.json.encode(value).decode()
