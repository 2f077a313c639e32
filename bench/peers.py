"""The other engines, each given the same questions in its own idiom. Every one starts from a ready dict.

| peer | package | licence |
|---|---|---|
| CEL | common-expression-language | Apache-2.0 |
| regorus (RVM and interpreter) | gordon-to-regorus | MIT AND Apache-2.0 AND BSD-3-Clause |
| Cedar | cedarpy | Apache-2.0 |
| Zen | zen-engine | MIT |
| Casbin | casbin | Apache-2.0 |
"""

import json
import logging
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from export import BIG, Casbin, Cedar, Cel, Plan, Rego, Zen, flag

from carnet.model.facts import Known
from carnet.model.time import Days

PERMITTED = "permitted"
Got = tuple[str, frozenset[str]]


def nested(values: Mapping[str, Known], given: Plan | None = None) -> dict[str, dict[str, Any]]:
    """Facts as the others take them: entity, then name; with a plan, flags for the big lists."""
    made: dict[str, dict[str, Any]] = {
        name: {} for name in ("transaction", "item", "recipient", "end_use", "exporter")
    }
    for path, value in values.items():
        entity, _, name = path.partition(".")
        plain: Any = value
        if isinstance(value, Days):
            plain = value.first
        elif isinstance(value, frozenset):
            plain = sorted(value)
        made[entity][name] = plain
        if given and isinstance(value, str):
            for ident, members in given.lists.items():
                if len(members) > BIG:
                    made[entity][flag(name, ident)] = value in members
    return made


def judged(fired: Mapping[str, frozenset[str]]) -> Got:
    """The outcome, and the keys of every rule that fired."""
    every = frozenset[str]().union(*fired.values())
    for outcome in ("prohibited", "license_required"):
        if fired.get(outcome):
            return outcome, every
    return PERMITTED, every


class Peer:
    """An engine with the questions loaded. `whole`: it names every rule that fired, not just one."""

    name = package = ""
    whole = True

    def __init__(self, given: Plan) -> None:
        self.plan = given
        self.outcome = {question.key: question.outcome for question in given.questions}

    def title(self) -> str:
        return f"{self.name} ({self.package} {version(self.package)})"

    def ready(self, values: Mapping[str, Known]) -> Any:
        """The facts in the form in which a caller would have them."""
        return nested(values, self.plan)

    def decide(self, ready: Any) -> Any:
        """What is timed."""
        raise NotImplementedError

    def read(self, said: Any) -> Got:
        """What it said, as outcome and fired keys; not timed."""
        return self.by_key(said)

    def by_key(self, keys: Any) -> Got:
        fired: dict[str, frozenset[str]] = {}
        for key in keys:
            outcome = self.outcome[key]
            fired[outcome] = fired.get(outcome, frozenset()) | {key}
        return judged(fired)


class CelPeer(Peer):
    """One expression: a map from every key to its truth."""

    name, package = "CEL", "common-expression-language"

    def __init__(self, given: Plan) -> None:
        super().__init__(given)
        import cel

        language = Cel(given)
        parts = (f"{json.dumps(q.key)}: {language.text(q.when)}" for q in given.questions)
        self.program = cel.compile("{" + ", ".join(parts) + "}")

    def decide(self, ready: Any) -> Any:
        return self.program.execute(ready)

    def read(self, said: Any) -> Got:
        return self.by_key(key for key, true in said.items() if true)


class ZenPeer(Peer):
    """One compiled expression: an array with the key of each rule that fires."""

    name, package = "Zen", "zen-engine"

    def __init__(self, given: Plan) -> None:
        super().__init__(given)
        import zen

        language = Zen(given)
        parts = (f"({language.text(q.when)} ? {json.dumps(q.key)} : null)" for q in given.questions)
        self.program = zen.compile_expression("[" + ", ".join(parts) + "]")

    def decide(self, ready: Any) -> Any:
        return self.program.evaluate(ready)

    def read(self, said: Any) -> Got:
        return self.by_key(key for key in said if key is not None)


class CedarPeer(Peer):
    """A `permit` for everybody and a `forbid` with its `@id` for each question; facts in the context."""

    name, package = "Cedar", "cedarpy"
    language: type[Cedar] = Cedar

    def __init__(self, given: Plan) -> None:
        super().__init__(given)
        import cedarpy

        self.cedar, language = cedarpy, self.language(given)
        text = ["permit (principal, action, resource);"]
        for question in given.questions:
            clause = f"when {{ {language.text(question.when)} }}"
            text.append(f"@id({json.dumps(question.key)}) forbid (principal, action, resource) {clause};")
        self.policies = cedarpy.PolicySet.from_str("\n".join(text))
        self.entities = cedarpy.Entities.from_json_str("[]")
        self.request = {"principal": 'Person::"p"', "action": 'Action::"use"', "resource": 'Item::"i"'}

    def decide(self, ready: Any) -> Any:
        return self.cedar.is_authorized({**self.request, "context": ready}, self.policies, self.entities)

    def read(self, said: Any) -> Got:
        return self.by_key(name for name in said.diagnostics.id_annotations_by_reason.values() if name)


class CedarOfPrincipal(Cedar):
    """The facts as attributes of the principal."""

    root = "principal."


class CachedCedarPeer(CedarPeer):
    """As Cedar, with the facts as attributes of a principal that was parsed before the clock starts: the
    caller has to keep such a handle for every person and every set of facts."""

    name = "Cedar, principal parsed before"
    language = CedarOfPrincipal

    def ready(self, values: Mapping[str, Known]) -> Any:
        uid = {"type": "Person", "id": "p"}
        entity = {"uid": uid, "attrs": nested(values, self.plan), "parents": []}
        return self.cedar.Entities.from_json_str(json.dumps([entity]))

    def decide(self, ready: Any) -> Any:
        return self.cedar.is_authorized(self.request, self.policies, ready)


class RegorusPeer(Peer):
    """The interpreter of regorus; every list, the big ones too, is data keyed by its members."""

    name, package = "regorus interpreter", "gordon-to-regorus"

    def __init__(self, given: Plan) -> None:
        super().__init__(given)
        import regorus

        lists = {name: dict.fromkeys(sorted(of), True) for name, of in given.lists.items()}
        self.data, self.module = {"lists": lists}, Rego(given).module()
        self.engine = regorus.Engine()
        self.engine.set_policy_length_config(max_col=100_000, max_file_bytes=10**8, max_lines=10**6)
        self.engine.add_policy("carnet.rego", self.module)
        self.engine.add_data(self.data)

    def ready(self, values: Mapping[str, Known]) -> Any:
        return nested(values)

    def decide(self, ready: Any) -> Any:
        self.engine.set_input(ready)
        return self.engine.eval_rule("data.carnet.decision")

    def read(self, said: Any) -> Got:
        return self.by_key(key for keys in said.values() for key in keys)


class RvmPeer(RegorusPeer):
    """The virtual machine of regorus; takes and gives JSON text."""

    name = "regorus RVM"

    def __init__(self, given: Plan) -> None:
        super().__init__(given)
        import regorus

        data = json.dumps(self.data)
        program = regorus.Program.compile_from_modules(
            data, [("carnet.rego", self.module)], ["data.carnet.decision"]
        )
        self.vm = regorus.Rvm()
        self.vm.load_program(program)
        self.vm.set_data_json(data)

    def decide(self, ready: Any) -> Any:
        self.vm.set_input_json(json.dumps(ready))
        return json.loads(self.vm.execute())


class CasbinPeer(Peer):
    """A deny policy for each question, the prohibitions first; it stops at the first and names only that."""

    name, package, whole = "Casbin", "casbin", False
    model = """
[request_definition]
r = sub
[policy_definition]
p = id, rule, eft
[policy_effect]
e = !some(where (p.eft == deny))
[matchers]
m = eval(p.rule)
"""

    def __init__(self, given: Plan) -> None:
        super().__init__(given)
        import casbin

        logging.getLogger("casbin").setLevel(logging.ERROR)
        language = Casbin(given)
        model = casbin.Enforcer.new_model(text=self.model)
        self.enforcer = casbin.Enforcer(model)
        for question in sorted(given.questions, key=lambda q: q.outcome != "prohibited"):
            self.enforcer.add_policy(question.key, language.text(question.when), "deny")
        sets = language.sets
        self.enforcer.add_function("within", lambda value, name: value in sets[name])
        self.enforcer.add_function("some_within", lambda of, name: any(value in sets[name] for value in of))
        self.enforcer.add_function("all_within", lambda of, name: all(value in sets[name] for value in of))

    def ready(self, values: Mapping[str, Known]) -> Any:
        return nested(values)

    def decide(self, ready: Any) -> Any:
        return self.enforcer.enforce_ex(ready)

    def read(self, said: Any) -> Got:
        allowed, line = said
        return (PERMITTED, frozenset()) if allowed else self.by_key([line[0]])


PEERS: tuple[type[Peer], ...] = (
    CelPeer,
    RvmPeer,
    RegorusPeer,
    ZenPeer,
    CachedCedarPeer,
    CedarPeer,
    CasbinPeer,
)
