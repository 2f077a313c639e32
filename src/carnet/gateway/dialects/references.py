"""The models that a body names, wherever it names them, and the body without some of them. Which operation a
path is, and which model is to answer, is in the dialects' own modules.

A name stands under a key that names models: `model`, `models`, `model_id`, `judge_model`, `fallbacks` and
their like, however they are spelt (`Model`, `modelId`, `fallback-models`). Not searched is what is said or
described and not done:

- the conversation (`messages`, `system`, `input`, `instructions`, the `variables` of a stored prompt): there
  the keys of a block itself count, and the tools that an item brings; a message's own `model` says who wrote
  it, and what is inside of text, of a tool's input or of its result is never looked at;
- the schema and the examples of a function tool, one without a `type` or with `function` or `custom`
  (`input_schema`, `parameters`, `output_schema`, `input_examples`), and the `schema` of a `json_schema`
  format: a parameter called `model` names none. In a tool of any other type everything is searched.

What stands in `metadata` or in extra keys and could be no name, `Citroën` for a `car_model`, is none."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from carnet.gateway.bodies import BadBody, parsed, quoted
from carnet.gateway.calls import Reference

Tokens = tuple[str | int, ...]

LONGEST = 256
_NAMES_MODELS = re.compile(r".*models?(?:ids?|names?|slugs?)?|.*fallbacks?")
_OWN = frozenset({"model", "modelid", "modelname", "modelslug"})
_IDS = frozenset({"id", "name", "slug"})
_CONTENT = frozenset({"messages", "system", "input", "instructions"})
_TOOLS = frozenset({"tools", "functions"})
_FUNCTION = frozenset({None, "function", "custom"})
_SCHEMAS = frozenset({"input_schema", "parameters", "output_schema", "input_examples"})
_NOTES = frozenset({"metadata", "extra", "extra_body", "extra_query", "extra_headers"})
_ANY_TOOL = frozenset({"auto", "any", "none", "required"})


def folded(key: str) -> str:
    """A key as the most forgiving reader takes it: no case, nothing after a NUL, no `_` and `-`."""
    return re.sub(r"[\s_-]", "", key.partition("\0")[0].casefold())


def names_models(key: str) -> bool:
    """Whether a key, a header or a parameter is one that names models."""
    low = key.casefold()
    return ("model" in low or "fallback" in low) and _NAMES_MODELS.fullmatch(folded(key)) is not None


def _is_name(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == value.strip()


def model_name(value: object, where: str) -> str:
    """A name as it may be asked for. Raises BadBody for what is not 1 to 256 printable ASCII signs."""
    if not isinstance(value, str):
        raise BadBody(f"{quoted(where)} is not text: write the name of a model")
    if not value:
        raise BadBody(f"{quoted(where)} is empty: write the name of a model")
    if len(value) > LONGEST:
        raise BadBody(f"{quoted(where)} has more than `{LONGEST}` signs: write the name of a model")
    if not _is_name(value):
        raise BadBody(
            f"{quoted(value)} in {quoted(where)} is not plain ASCII: write the name as the list has it"
        )
    return value


def own_model(body: Mapping[str, Any]) -> str:
    """The model that is to answer. Raises BadBody where it is missing, no name, or hidden by another case."""
    _exactly(body, "model")
    if "model" not in body:
        raise BadBody("`model` is missing: write the name of a model")
    return model_name(body["model"], "model")


def own_stream(body: Mapping[str, Any]) -> bool:
    """Whether a stream is asked for; null is no. Raises BadBody for anything but true, false and null."""
    _exactly(body, "stream")
    stream = body.get("stream")
    if stream is not None and type(stream) is not bool:
        raise BadBody("`stream` is not a boolean: write `true` or `false`")
    return stream is True


def object_at(holder: object, name: str) -> dict[str, Any]:
    """The object that another has under a name. Raises BadBody where there is none."""
    found = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(found, dict):
        raise BadBody(f"`{name}` is no object: write the request as one")
    return found


def _exactly(body: Mapping[str, Any], name: str) -> None:
    for key in body:
        if key != name and key.partition("\0")[0].strip().casefold() == name:
            raise BadBody(f"{quoted(key)} could be read as `{name}`: write `{name}`")


def pointer(tokens: Tokens) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def nested(
    body: Mapping[str, Any], at: Tokens = (), own: Collection[str] = ("model",)
) -> Iterator[Reference]:
    """Every model that a body names but the one that is to answer, in the order of the body. `own` are keys
    of the body itself that are no reference. Raises BadBody for a name that is none."""
    for key, value in body.items():
        if key not in own:
            yield from _entry(key, value, (*at, key))


def _entry(key: str, value: object, at: Tokens) -> Iterator[Reference]:
    if names_models(key):
        yield from _named(value, at)
    elif key in _CONTENT and not isinstance(value, dict):
        yield from _content(value, at)
    elif key in _TOOLS and isinstance(value, list):
        for number, tool in enumerate(value):
            yield from _tool(tool, (*at, number))
    elif key != "variables":
        yield from _inside(value, at)


def _inside(value: object, at: Tokens) -> Iterator[Reference]:
    if isinstance(value, dict):
        format_ = value.get("type") == "json_schema"
        for key, each in value.items():
            if format_ and key == "schema":
                continue
            if format_ and key == "json_schema" and isinstance(each, dict):
                rest = {name: part for name, part in each.items() if name != "schema"}
                yield from _inside(rest, (*at, key))
            else:
                yield from _entry(key, each, (*at, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _inside(each, (*at, number))


def _named(value: object, at: Tokens) -> Iterator[Reference]:
    """What stands under a key that names models: a name, names, or objects that have one."""
    if isinstance(value, str):
        where = pointer(at)
        if value and (_NOTES.isdisjoint(at) or (_is_name(value) and len(value) <= LONGEST)):
            yield Reference(where, model_name(value, where))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _named(each, (*at, number))
    elif isinstance(value, dict):
        for key, each in value.items():
            names = isinstance(each, list) and all(isinstance(one, str) for one in each)
            if names or (folded(key) in _IDS and isinstance(each, str)):
                yield from _named(each, (*at, key))
            else:
                yield from _entry(key, each, (*at, key))


def _tool(tool: object, at: Tokens) -> Iterator[Reference]:
    if not isinstance(tool, dict):
        return
    kind = tool.get("type")
    function = kind is None or (isinstance(kind, str) and kind in _FUNCTION)
    for key, value in tool.items():
        if function and key in _SCHEMAS:
            continue
        if function and key == "function":
            yield from _tool(value, (*at, key))
        else:
            yield from _entry(key, value, (*at, key))


def _content(value: object, at: Tokens) -> Iterator[Reference]:
    """The keys of blocks themselves, and the tools that an item of a conversation brings."""
    if not isinstance(value, list):
        return
    for number, item in enumerate(value):
        if not isinstance(item, dict):
            continue
        message = "role" in item and at[-1] != "content"
        for key, each in item.items():
            here = (*at, number, key)
            if key in _TOOLS or (names_models(key) and not message):
                yield from _entry(key, each, here)
            elif key == "content" and message:
                yield from _content(each, here)


def lines(data: bytes) -> tuple[Reference, ...]:
    """The models of a batch in JSONL, `/3/body/model` for the one of the fourth line, and whatever else its
    lines name. Raises BadBody for a line that is none, with its number."""
    found: list[Reference] = []
    for number, line in enumerate(data.split(b"\n")):
        if not line.strip():
            continue
        try:
            body = object_at(parsed(line, None, None), "body")
            found.append(Reference(pointer((number, "body", "model")), own_model(body)))
            found += nested(body, (number, "body"))
        except BadBody as error:
            raise BadBody(f"line `{number + 1}`: {error}") from None
    return tuple(found)


def renamed(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The body with another model to answer."""
    return {**body, "model": model}


def without(body: Mapping[str, Any], references: Collection[Reference]) -> dict[str, Any]:
    """The body without some of its references. A choice among models loses one (`fallbacks`, `judge_model`);
    what is nothing without its model goes as a whole: a tool, a sub-agent, a line of a batch. A list that is
    left empty goes, and so does a `tool_choice` whose tool is gone."""
    gone = {_whole(_tokens(body, reference.where)) for reference in references}
    touched = {tokens[:length] for tokens in gone for length in range(len(tokens))}
    return dict(_kept(dict(body), (), gone, touched))


def _tokens(body: Mapping[str, Any], where: str) -> Tokens:
    node: Any = body
    found: list[str | int] = []
    for part in where.split("/")[1:]:
        token: str | int = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list):
            token = int(token)
        found.append(token)
        node = node[token]
    return tuple(found)


def _whole(tokens: Tokens) -> Tokens:
    """What has to go so that nothing is left that needs the model."""
    key = max(n for n, token in enumerate(tokens) if isinstance(token, str) and names_models(token))
    if len(tokens) == 4 and tokens[0] == "requests" and tokens[2:] == ("params", "model"):
        return tokens[:2]
    if folded(str(tokens[key])) not in _OWN or key == 0 or tokens[key - 1] in _NOTES:
        entry = key + 1 < len(tokens) and isinstance(tokens[key + 1], int)
        return tokens[: key + 2] if entry else tokens[: key + 1]
    holder = tokens[:key]
    tools = [n for n, token in enumerate(holder) if token in _TOOLS and n + 1 < len(holder)]
    if tools and not any(isinstance(token, int) for token in holder[tools[-1] + 2 :]):
        return holder[: tools[-1] + 2]
    return holder


def _kept(node: Any, at: Tokens, gone: Collection[Tokens], touched: Collection[Tokens]) -> Any:  # noqa: ANN401 (JSON)
    if at not in touched:
        return node
    if isinstance(node, list):
        entries = ((each, (*at, number)) for number, each in enumerate(node))
        return [_kept(each, here, gone, touched) for each, here in entries if here not in gone]
    kept = {
        key: _kept(each, (*at, key), gone, touched) for key, each in node.items() if (*at, key) not in gone
    }
    found = {key: each for key, each in kept.items() if each != [] or node[key] == []}
    if (*at, "tools") in touched and not _still(found.get("tool_choice"), found.get("tools", [])):
        del found["tool_choice"]
    return found


def _still(choice: object, tools: list[Any]) -> bool:
    """Whether a choice of tools can be kept with the tools that are left."""
    if choice is None:
        return True
    if not tools or not isinstance(choice, dict):
        return bool(tools)
    inner = choice.get("function")
    name = choice.get("name") or (inner.get("name") if isinstance(inner, dict) else None)
    if name is None:
        kinds = [tool.get("type") for tool in tools if isinstance(tool, dict)]
        return choice.get("type") in [*_ANY_TOOL, *kinds]
    named = [tool.get("function", tool) for tool in tools if isinstance(tool, dict)]
    return any(isinstance(tool, dict) and tool.get("name") == name for tool in named)
