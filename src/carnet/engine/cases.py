"""Running a case of the law: its facts through both engines, and what differs from what it expects. Its form
is in docs/reference/language.md; what it says of conditions and acts is in `carnet.engine.facets`."""

from collections.abc import Iterator, Mapping
from typing import cast, get_args

from carnet.engine import decide, reference
from carnet.engine.facets import Facets
from carnet.model.determination import Answer, Choices
from carnet.model.errors import InputError
from carnet.model.facts import Cause, Group, Known, Partial, Status, Statuses, Unknown, Values
from carnet.model.near import nearest, one_of
from carnet.model.time import ANY_DAY, days
from carnet.model.written import number
from carnet.rules.blocks import Case
from carnet.rules.rulebook import Rulebook
from carnet.rules.syntax import ENTITIES, SyntaxProblem
from carnet.rules.terms import Terms, TermSpec

ENGINES = (("reference", reference.answer), ("decide", decide.answer))

_ENTITIES = frozenset({*ENTITIES, "parties"} - {"act"})

ANSWERS = ("outcome", "open", "not_open", "asks", "may_still_be", "by_reading", "basis")
"""What a case may expect of an answer; the rest it expects of the facets."""


def run_case(rulebook: Rulebook, case: Case) -> list[str]:
    """What differs from what the case expects, a sentence each; none if it passes.

    Never raises for what a case says: a case that can't be run says so.
    """
    try:
        values = values_of(case.given, rulebook.terms)
        stated = stated_of(case.given, rulebook.terms)
        facets = Facets.of(rulebook, values, stated, case)
        wanted = (*ANSWERS, *facets.KEYS)
        for key in case.expect:
            if key not in wanted:
                return [f"`{key}` is nothing that a case may expect{nearest(key, wanted)}"]
        choices = Choices(readings=case.choices)
        asked = ENGINES if set(ANSWERS) & set(case.expect) else ()
        answers = [
            (name, engine(rulebook, values, case.at, case.known, choices, stated)) for name, engine in asked
        ]
        found = [
            f"{problem} ({name})" for name, answer in answers for problem in _differences(case.expect, answer)
        ]
        return found + facets.differences(case.expect)
    except (InputError, SyntaxProblem) as error:
        return [str(error)]


def values_of(given: Mapping[str, object], terms: Terms) -> Values:
    """The facts of a case by path, all assured but those written `{ stated = … }`.

    Raises InputError for a path that no term has and for a value that does not fit its term.
    """
    return {path: _value(path, raw, terms) for path, raw in _by_path(given)}


def _by_path(given: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The facts by path: `{ item.form = "weights" }` is a table in a table."""
    for key, raw in given.items():
        if key in _ENTITIES and isinstance(raw, dict):
            yield from ((f"{key}.{name}", inner) for name, inner in raw.items())
        else:
            yield key, raw


def stated_of(given: Mapping[str, object], terms: Terms) -> Values:
    """What is only stated: the values of `{ stated = … }`."""
    said = {
        path: raw["stated"]
        for path, raw in _by_path(given)
        if isinstance(raw, dict) and set(raw) == {"stated"}
    }
    return values_of(said, terms)


def _value(path: str, raw: object, terms: Terms) -> Known:
    if path.startswith("parties.") and path.count(".") == 1 and "[" not in path:
        return _group(path, raw, terms)
    spec = terms.of_path(path)
    if spec is None:
        raise InputError(f"`{path}` is not a known fact{nearest(path, _paths(terms))}")
    if not isinstance(raw, dict):
        return _plain(path, spec, raw)
    form, inner = next(iter(raw.items())) if len(raw) == 1 else ("", None)
    if form == "some" and spec.type in ("set", "statuses"):
        whole = _plain(path, spec, inner)
        return (
            Statuses(whole.entries, complete=False)
            if isinstance(whole, Statuses)
            else Partial(cast(frozenset[str], whole))
        )
    if form == "one_of" and isinstance(inner, list) and spec.type in ("enum", "id", "country"):
        return Unknown("missing", frozenset(str(_plain(path, spec, option)) for option in inner))
    if form == "unknown" and inner in get_args(Cause):
        return Unknown(cast(Cause, inner))
    if form == "stated":
        _plain(path, spec, inner)
        return Unknown("below_assurance")
    raise InputError(
        f"`{path} = {raw}` is no form of a fact: write a value, `{{ some = […] }}`, `{{ one_of = […] }}`,"
        ' `{ unknown = "conflict" }` or `{ stated = … }`'
    )


def _plain(path: str, spec: TermSpec, raw: object) -> Known:
    match spec.type:
        case "bool" if isinstance(raw, bool):
            return raw
        case "enum" if isinstance(raw, str):
            return _word(path, spec, raw)
        case "id" | "country" if isinstance(raw, str):
            return raw
        case "number" if isinstance(raw, str | int) and not isinstance(raw, bool):
            return number(raw, spec.unit)
        case "date" if isinstance(raw, str):
            return days(raw)
        case "set" if isinstance(raw, list):
            words = [str(member) for member in raw]
            return frozenset(_word(path, spec, word) if spec.of == "enum" else word for word in words)
        case "statuses" if isinstance(raw, list):
            return Statuses(tuple(_status(path, entry) for entry in raw), complete=True)
    raise InputError(f"`{path} = {raw}` does not fit: `{spec.path}` is of type `{spec.type}`")


def _word(path: str, spec: TermSpec, raw: str) -> str:
    if spec.values and raw not in spec.values:
        raise InputError(f"`{raw}` is not a value of `{path}`{one_of(raw, spec.values)}")
    return raw


def _status(path: str, entry: object) -> Status:
    if not isinstance(entry, dict) or "country" not in entry or set(entry) - {"country", "since", "kind"}:
        raise InputError(f'`{path}`: a status is written `{{ country = "IN", since = "1990-05-02" }}`')
    since = entry.get("since")
    return Status(str(entry["country"]), ANY_DAY if since is None else days(str(since)))


def _group(path: str, raw: object, terms: Terms) -> Group | Unknown:
    if isinstance(raw, dict) and set(raw) == {"unknown"} and raw["unknown"] in get_args(Cause):
        return Unknown(cast(Cause, raw["unknown"]))
    complete = not (isinstance(raw, dict) and set(raw) == {"some"})
    members = raw if complete else cast(dict[str, object], raw)["some"]
    role = path.partition(".")[2]
    if terms.roles and role not in terms.roles:
        raise InputError(f"`{role}` is not a role{nearest(role, terms.roles)}")
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise InputError(f'`{path}` is a list of parties: `[{{ us_status = "none" }}]`')
    groups = []
    for index, member in enumerate(members):
        groups.append(
            {name: _value(f"{path}[{index}].{name}", value, terms) for name, value in member.items()}
        )
    return Group(tuple(groups), complete)


def _paths(terms: Terms) -> list[str]:
    found = list(terms.specs)
    for path in terms.specs:
        if path.startswith("party."):
            found += [path.replace("party.", "recipient.", 1), path.replace("party.", "exporter.", 1)]
    return found


def rule_of(key: str) -> str:
    """The rule's id in a key of an answer: `us.x#NS@0` -> `us.x`."""
    return key if key.startswith(("flag:", "gap")) else key.partition("#")[0].partition("@")[0]


def _differences(expect: Mapping[str, object], answer: Answer) -> list[str]:
    found: list[str] = []

    def compare(key: str, got: object) -> None:
        if key in expect and expect[key] != got:
            found.append(f"`{key}`: expected {shown(expect[key])}, got {shown(got)}")

    compare("outcome", answer.outcome)
    compare("basis", answer.basis)
    compare("by_reading", dict(answer.by_reading))
    for key, got in (("asks", answer.asks), ("may_still_be", answer.may_still_be)):
        if key in expect and sorted(texts(expect[key])) != sorted(got):
            found.append(f"`{key}`: expected {shown(expect[key])}, got {shown(list(got))}")
    rules = {rule_of(key) for key in answer.certain}
    closed = [name for name in texts(expect.get("open", [])) if name not in rules]
    found += [f"`open`: expected `{name}`, got {shown(sorted(rules))}" for name in closed]
    opened = [name for name in texts(expect.get("not_open", [])) if name in rules]
    return found + [f"`not_open`: expected that `{name}` is not open, and it is" for name in opened]


def texts(value: object) -> list[str]:
    """A list of texts as a case writes it."""
    if not isinstance(value, list):
        raise InputError(f'`{value}` is not a list: write `["…"]`')
    return [str(item) for item in value]


def shown(value: object) -> str:
    """A value in a sentence."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"`{key}` = `{inner}`" for key, inner in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(f"`{item}`" for item in value) + "]"
    return f"`{value}`"
