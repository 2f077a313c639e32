"""The rulebook that the benches decide: 26 rules, 27 facts, 11 definitions, 11 lists. Invented, not law.

`rulebook(1)` has 26 rules (6 prohibitions, 12 requirements, 8 exceptions); `rulebook(16)` has 416: the same
rules sixteen times, each family with thresholds and countries of its own. With `by_item`, each requirement
is also about an item family of its own, as many of the law's are. `request` draws facts for it.
"""

import datetime as dt
import random
from collections.abc import Mapping

from carnet.model.facts import Known
from carnet.model.time import Days
from carnet.rules import blocks, tree
from carnet.rules.check import load
from carnet.rules.rulebook import Rulebook

AT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
COUNTRIES = [a + b for a in "ABCDEFGHIJ" for b in "KLMNPRSTUV"]
IDS = 10_000
BIG = ("denied", "entities", "military_users", "listed_owners", "screened_employers")
SMALL = {
    "allies": COUNTRIES[:35],
    "embargoed": COUNTRIES[95:],
    "arms": COUNTRIES[70:95],
    "watch": COUNTRIES[55:80],
    "members": COUNTRIES[:20],
    "open_skies": COUNTRIES[10:50],
}

TERMS: dict[str, dict[str, object]] = {
    "transaction.event": {"type": "enum", "values": ["use", "ship", "show"]},
    "transaction.served_from": {"type": "country"},
    "transaction.encrypted": {"type": "bool"},
    "item.family": {"type": "id"},
    "item.eccn": {"type": "enum", "values": ["X100", "X200", "X300", "X900"]},
    "item.form": {"type": "enum", "values": ["hosted", "weights", "source_code"]},
    "item.operations": {"type": "number", "unit": "1e18"},
    "item.published": {"type": "bool"},
    "party.us_status": {"type": "enum", "values": ["citizen", "permanent_resident", "protected", "none"]},
    "party.nationalities": {"type": "set", "of": "country"},
    "party.location": {"type": "country"},
    "party.headquarters": {"type": "country"},
    "party.parent": {"type": "country"},
    "party.id": {"type": "id"},
    "party.employer": {"type": "id"},
    "party.owner": {"type": "id"},
    "party.employment": {"type": "enum", "values": ["employee", "contractor", "agent"]},
    "party.hired": {"type": "date"},
    "party.screened": {"type": "bool"},
    "party.nondisclosure": {"type": "bool"},
    "party.score": {"type": "number"},
    "end_use.military": {"type": "bool"},
    "end_use.nuclear": {"type": "bool"},
    "end_use.country": {"type": "country"},
    "exporter.knows": {"type": "bool"},
    "exporter.licensed": {"type": "bool"},
    "exporter.level": {"type": "number"},
}
PATHS = [path.replace("party.", "recipient.") for path in TERMS]

DEFINITIONS = {
    "foreign": ("party", "p.us_status == 'none'"),
    "embargoed_person": ("party", "any_of(p.nationalities, {embargoed}) or p.location in {embargoed}"),
    "arms_person": ("party", "any_of(p.nationalities, {arms})"),
    "parent_abroad": ("party", "p.parent not in {members} and p.parent != p.headquarters"),
    "listed": ("party", "p.id in {denied} or p.employer in {entities}"),
    "owned_by_listed": ("party", "p.owner in {listed_owners}"),
    "insider": ("party", "p.employment == 'employee' and elapsed(p.hired, years=1)"),
    "trusted": ("party", "p.screened and p.nondisclosure and p.employer in {screened_employers}"),
    "frontier": ("item", "i.operations >= 1e26 and not i.published"),
    "controlled": ("item", "frontier(i) or i.eccn in {'X100', 'X200'}"),
    "worrying": ("end_use", "u.military or u.nuclear or u.country in {arms}"),
}
HERE = "item.family == 'f{n}' and "
PROHIBITIONS = {
    "p1": "embargoed_person(recipient) and item.operations >= {op}",
    "p2": "recipient.id in {denied} and recipient.score < {score}",
    "p3": "end_use.nuclear and not recipient.location in {set}",
    "p4": "recipient.employer in {military_users} and end_use.military",
    "p5": "exporter.knows and worrying(end_use) and exporter.level < {score}",
    "p6": "owned_by_listed(recipient) and recipient.headquarters in {set}",
}
REQUIREMENTS = {
    "r1": ("NS", "controlled(item) and foreign(recipient)"),
    "r2": ("NS", "frontier(item) and recipient.location not in {allies}"),
    "r3": ("RS", "controlled(item) and any_of(recipient.nationalities, {set})"),
    "r4": ("RS", "item.form != 'hosted' and recipient.headquarters in {watch}"),
    "r5": ("AT", "arms_person(recipient) and item.operations >= {op}"),
    "r6": ("AT", "worrying(end_use) and foreign(recipient)"),
    "r7": ("EI", "transaction.encrypted and recipient.location in {watch} and not item.published"),
    "r8": ("EI", "parent_abroad(recipient) and controlled(item)"),
    "r9": ("MT", "end_use.country in {set} and item.form == 'weights'"),
    "r10": ("MT", "listed(recipient) and not item.published"),
    "r11": ("SI", "transaction.event == 'show' and foreign(recipient) and frontier(item)"),
    "r12": ("SI", "recipient.employment == 'agent' and recipient.score < {score} and controlled(item)"),
}
EXCEPTIONS = {
    "e1": ("authorization", ("r1", "r2", "r5"), "exporter.licensed and exporter.level >= {score}"),
    "e2": ("carve_out", ("r1", "r11"), "insider(recipient) and trusted(recipient)"),
    "e3": (
        "license_exception",
        ("r2", "r3"),
        "recipient.location in {members} and not worrying(end_use) and not listed(recipient)",
    ),
    "e4": ("license_exception", ("r4", "r7"), "all_of(recipient.nationalities, {allies}, if_empty=False)"),
    "e5": ("carve_out", ("r6", "r9"), "not end_use.military and end_use.country in {allies}"),
    "e6": ("license_exception", ("r8", "r12"), "trusted(recipient) and item.operations < {op}"),
    "e7": ("authorization", ("r3", "r9", "r10"), "exporter.licensed and recipient.screened"),
    "e8": ("carve_out", ("r7",), "transaction.served_from in {open_skies}"),
}
FRONT = '+++\nformat = 1\ntitle = "Invented"\nsource = "Invented"\ndated = 2026-01-01\n+++\n'


def members(name: str) -> list[str]:
    """The members of a list: ids that look like ids, or countries."""
    return [f"{name[0]}{n:06d}" for n in range(IDS)] if name in BIG else SMALL[name]


def toml(value: object) -> str:
    """A value as TOML text."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return '"' + value + '"' if isinstance(value, str) else str(value).lower()


def block(kind: str, ident: str, **keys: object) -> str:
    """A block as it stands in a rule file."""
    head = {"id": f"us.bench.{ident}", "cite": "invented"} | keys
    lines = [f"{key.rstrip('_')} = {toml(value)}" for key, value in head.items()]
    return "\n".join([f"```toml {kind}", "from = 2020-01-01", *lines, "```", ""])


def filled(text: str, n: int) -> str:
    """A condition with its lists, and the thresholds and countries of family `n`."""
    draw = random.Random(f"{n} {text}")
    small = ", ".join(f"'{name}'" for name in sorted(draw.sample(COUNTRIES[40:], 12)))
    numbers = {"op": f"{draw.choice((2, 4, 6, 8))}e25", "score": str(draw.randrange(20, 40)), "n": str(n)}
    for name, value in numbers.items():
        text = text.replace("{" + name + "}", value)
    for name in (*BIG, *SMALL):
        text = text.replace("{" + name + "}", f"list('us.bench.{name}')")
    return text.replace("{set}", "{" + small + "}")


def rules(n: int, *, by_item: bool) -> list[str]:
    """The 26 rules of family `n`."""
    here = HERE if by_item else ""
    made = [
        block("prohibition", f"f{n}.{name}", gate="own", stage="all", when=filled(when, n))
        for name, when in PROHIBITIONS.items()
    ]
    for name, (reason, when) in REQUIREMENTS.items():
        paths = [f"e{e}.f{n}" for e in range(1, 9)]
        made.append(
            block(
                "requirement",
                f"f{n}.{name}",
                stage="all",
                reasons=[reason],
                lifted_by=["authorization", "carve_out", *paths],
                when=filled(here + when, n),
            )
        )
    for name, (class_, lifts, when) in EXCEPTIONS.items():
        named: list[object] = [{"requirement": f"us.bench.f{n}.{lift}"} for lift in lifts]
        made.append(
            block(
                "exception",
                f"f{n}.{name}",
                class_=class_,
                path=f"{name}.f{n}",
                lifts=named,
                when=filled(when, n),
            )
        )
    return made


def texts(families: int, *, by_item: bool = False) -> dict[str, bytes]:
    """The shelf with `families` times 26 rules."""
    terms = ["format = 1", 'roles = ["end_user"]']
    for path, spec in TERMS.items():
        terms += [
            f"[{path}]",
            'cite = "invented"',
            *(f"{key} = {toml(value)}" for key, value in spec.items()),
        ]
    acts: list[object] = [{"kind": "export", "when": "transaction.event != 'show' or item.form != 'hosted'"}]
    text = [
        block("scope", "scope", subject="item.eccn != 'X900'", acts=acts),
        block("coverage", "stages", kinds=["export"], stages=[{"name": "all"}]),
    ]
    for name in (*BIG, *SMALL):
        kind = "id" if name in BIG else "country"
        text.append(block("list", name, type=kind, members=members(name)))
    for name, (entity, when) in DEFINITIONS.items():
        parameter = {"party": "p", "item": "i", "end_use": "u"}[entity]
        text.append(
            block(
                "definition",
                f"definition.{name}",
                name=name,
                parameter=parameter,
                of=entity,
                when=filled(when, 0),
            )
        )
    for n in range(families):
        text += rules(n, by_item=by_item)
    return {"terms.toml": "\n".join(terms).encode(), "us/bench/bench.md": (FRONT + "\n".join(text)).encode()}


def rulebook(families: int, *, by_item: bool = False) -> Rulebook:
    """The rulebook with `families` times 26 rules."""
    return load(texts(families, by_item=by_item))


def drawn(path: str, draw: random.Random) -> Known:
    """A value for a fact. Most people are ordinary, so that every outcome is met."""
    spec = TERMS[path.replace("recipient.", "party.")]
    name = path.partition(".")[2]
    if spec["type"] == "bool":
        return draw.random() < {"nuclear": 0.06, "military": 0.15, "knows": 0.1}.get(name, 0.5)
    if spec["type"] == "enum":
        values = spec["values"]
        assert isinstance(values, list)
        return str(draw.choice(values))
    if spec["type"] == "country":
        return draw.choice(COUNTRIES[:60] if draw.random() < 0.8 else COUNTRIES)
    if spec["type"] == "set":
        return frozenset(
            draw.choices(COUNTRIES[:60] if draw.random() < 0.8 else COUNTRIES, k=draw.randint(1, 2))
        )
    if spec["type"] == "date":
        day = draw.randint(dt.date(2023, 1, 1).toordinal(), dt.date(2026, 10, 1).toordinal())
        return Days(day, day)
    if name == "operations":
        return draw.randint(1, 20) * 10**7
    if spec["type"] == "number":
        return draw.randint(0, 100)
    if name == "family":
        return f"f{draw.randrange(16)}"
    on = {"id": ("denied", 0.03), "employer": ("", 0.3), "owner": ("listed_owners", 0.05)}[name]
    if draw.random() >= on[1]:
        return f"x{draw.randrange(10**6):06d}"
    which = on[0] or draw.choice(("entities", "military_users", "screened_employers", "screened_employers"))
    return draw.choice(members(which))


def domain(path: str, rulebook: Rulebook) -> list[Known]:
    """Values of a fact, such that every way in which a rule may look at it is met."""
    spec = TERMS[path.replace("recipient.", "party.")]
    name = path.partition(".")[2]
    if spec["type"] == "bool":
        return [False, True]
    if spec["type"] == "enum":
        values = spec["values"]
        assert isinstance(values, list)
        return list(values)
    if spec["type"] in ("country", "set"):
        small = [frozenset(SMALL[key]) for key in SMALL]
        small += [
            part.members.members
            for block in rulebook.of(blocks.Rule)
            for part in tree.parts_of(block.when)
            if isinstance(part, tree.In | tree.Quantified) and isinstance(part.members, tree.Literals)
        ]
        alike = {tuple(country in of for of in small): country for country in COUNTRIES}
        found = sorted(alike.values())
        return [frozenset({each}) for each in found] if spec["type"] == "set" else list(found)
    if spec["type"] == "date":
        return [Days(day, day) for day in (AT.toordinal() - 800, AT.toordinal() - 20)]
    if name == "operations":
        return [n * 10**7 for n in (1, 2, 3, 5, 7, 9, 10, 20)]
    if spec["type"] == "number":
        return [0, *range(19, 42), 100]
    if name == "family":
        return [f"f{n}" for n in range(17)]
    return ["x000000", *(members(each)[0] for each in BIG)]


def request(draw: random.Random) -> Mapping[str, Known]:
    """The facts of one transaction, all known."""
    return {path: drawn(path, draw) for path in PATHS}


def ordinary() -> dict[str, Known]:
    """The facts of somebody about whom no rule says anything."""
    given = {"transaction.event": "use", "item.eccn": "X300", "item.form": "hosted", "item.family": "f0"}
    party = {"us_status": "citizen", "employment": "employee", "id": "x1", "employer": "x2", "owner": "x3"}
    known: dict[str, Known] = {**given, **{f"recipient.{name}": value for name, value in party.items()}}
    plain: dict[object, Known] = {"bool": False, "country": "AK", "set": frozenset({"AK"}), "number": 50}
    plain["date"] = Days(AT.toordinal() - 800, AT.toordinal() - 800)
    for path in PATHS:
        if path not in known:
            known[path] = plain[TERMS[path.replace("recipient.", "party.")]["type"]]
    return known
