"""What is asked of each API, and every model that a request names."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.gateway.bodies import BadBody, parsed
from carnet.gateway.calls import Call, Needs, Reference
from carnet.gateway.dialects import anthropic, openai
from carnet.gateway.dialects.references import lines, nested, renamed, without

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
MESSAGE = {"model": "claude-x", "max_tokens": 5, **HELLO}
CHAT = {"model": "gpt-x", **HELLO}
SCHEMA = {
    "type": "object",
    "properties": {"model": {"type": "string", "enum": ["claude-fable-5"], "default": "claude-fable-5"}},
    "required": ["model"],
}


def named(body):
    return {each.where: each.model for each in nested(body)}


@pytest.mark.parametrize(
    ("api", "method", "path", "body", "operation", "model"),
    [
        (anthropic, "POST", "/v1/messages", MESSAGE, "generate", "claude-x"),
        (anthropic, "post", "/v1/messages?beta=true", MESSAGE, "generate", "claude-x"),
        (anthropic, "POST", "/v1/messages/", MESSAGE, "generate", "claude-x"),
        (anthropic, "POST", "/v1/messages/count_tokens", MESSAGE, "count", "claude-x"),
        (anthropic, "GET", "/v1/messages/batches/b1/results", None, "batch", None),
        (anthropic, "GET", "/v1/models?limit=5", None, "models", None),
        (anthropic, "GET", "/v1/models/claude-x", None, "model", "claude-x"),
        (anthropic, "POST", "/v1/files", None, "file", None),
        (anthropic, "GET", "/v1/files/f1/content", None, "file", None),
        (anthropic, "POST", "/v1/complete", {"model": "claude-2"}, "other", "claude-2"),
        (anthropic, "POST", "/V1/Messages", MESSAGE, "other", "claude-x"),
        (anthropic, "GET", "/v1/messages", None, "other", None),
        (openai, "POST", "/v1/chat/completions", CHAT, "generate", "gpt-x"),
        (openai, "POST", "/v1/responses", {"model": "gpt-x", "input": "hello"}, "generate", "gpt-x"),
        (openai, "POST", "/v1/responses/compact", {"model": "gpt-x"}, "generate", "gpt-x"),
        (openai, "POST", "/v1/responses/input_tokens", {"model": "gpt-x"}, "count", "gpt-x"),
        (openai, "GET", "/v1/responses/r1", None, "other", None),
        (openai, "GET", "/v1/models", None, "models", None),
        (openai, "GET", "/v1/models/org%2Fgpt-x", None, "model", "org/gpt-x"),
        (openai, "DELETE", "/v1/models/org/gpt-x:7b", None, "model", "org/gpt-x:7b"),
        (openai, "POST", "/v1/files", None, "file", None),
        (openai, "POST", "/v1/batches", {"input_file_id": "f1"}, "batch", None),
        (openai, "POST", "/v1/embeddings", {"model": "emb-x", "input": "hello"}, "other", "emb-x"),
        (openai, "GET", "/v1/realtime?model=rt-x", None, "other", "rt-x"),
        (openai, "GET", "/v1/realtime?mod%65l=rt-x", None, "other", "rt-x"),
        (openai, "GET", "/", None, "other", None),
    ],
)
def test_an_operation_and_its_model_are_read(api, method, path, body, operation, model):
    call = api.read(method, path, {"content-type": "application/json"}, body)
    assert (call.operation, call.model) == (operation, model)
    assert call.references == ()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (None, "`model` is not text"),
        (5, "`model` is not text"),
        (["gpt-x"], "`model` is not text"),
        ({"id": "gpt-x"}, "`model` is not text"),
        ("", "`model` is empty"),
        ("x" * 257, "more than `256` signs"),
        ("gpt-х", "is not plain ASCII"),  # noqa: RUF001 (the look-alike is the point)
        ("gpt\u200b-x", "is not plain ASCII"),
        ("gpt-x\n", "is not plain ASCII"),
        ("gpt-x\0", "is not plain ASCII"),
        (" gpt-x", "is not plain ASCII"),
    ],
)
@pytest.mark.parametrize(("api", "path"), [(anthropic, "/v1/messages"), (openai, "/v1/chat/completions")])
def test_a_model_that_is_no_name_is_refused(api, path, model, said):
    with pytest.raises(BadBody) as refused:
        api.read("POST", path, {}, {**MESSAGE, "model": model})
    assert said in str(refused.value)


def test_a_model_that_is_missing_is_refused_even_where_a_prompt_would_bring_one():
    with pytest.raises(BadBody, match="`model` is missing"):
        openai.read("POST", "/v1/responses", {}, {"prompt": {"id": "p1"}})


@pytest.mark.parametrize("body", [None, {}])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches"])
def test_a_question_without_a_body_is_refused(path, body):
    with pytest.raises(BadBody):
        anthropic.read("POST", path, {}, body)


@pytest.mark.parametrize("stream", [1, 0, "true", [], {}])
def test_a_stream_that_is_no_boolean_is_refused(stream):
    with pytest.raises(BadBody, match="`stream` is not a boolean: write `true` or `false`"):
        openai.read("POST", "/v1/chat/completions", {}, {**CHAT, "stream": stream})


@pytest.mark.parametrize(
    ("body", "stream"), [({}, False), ({"stream": None}, False), ({"stream": True}, True)]
)
def test_a_stream_is_read(body, stream):
    assert openai.read("POST", "/v1/chat/completions", {}, {**CHAT, **body}).stream is stream


@pytest.mark.parametrize("key", ["Stream", "STREAM"])
def test_a_stream_by_another_case_is_refused(key):
    with pytest.raises(BadBody, match="could be read as `stream`"):
        anthropic.read("POST", "/v1/messages", {}, {**MESSAGE, key: True})


@pytest.mark.parametrize(
    "path",
    [
        "/v1/%6dessages",
        "/v1//messages",
        "//v1/messages",
        "/v1/../v1/messages",
        "/v1/./messages",
        "/v1/messages\\x",
        "/v1/models/%2e%2e/messages",
        "/v1/models/a%2f%2fb",
        "/v1/models/a b",
        "/v1/models/a%00",
        "/v1/models/%FF",
        "v1/messages",
    ],
)
@pytest.mark.parametrize("api", [anthropic, openai])
def test_a_path_that_could_be_another_is_refused(api, path):
    with pytest.raises(BadBody):
        api.read("GET", path, {}, None)


@pytest.mark.parametrize("name", ["model", "x-model", "X-AI-EG-Model", "x-litellm-fallbacks", "model-id"])
def test_a_model_in_a_header_is_refused(name):
    with pytest.raises(BadBody, match="names a model"):
        openai.read("POST", "/v1/chat/completions", {name: "gpt-y"}, CHAT)


@pytest.mark.parametrize(
    "query", ["model=gpt-y", "Model=gpt-y", "model=", "fallbacks=a", "a=1&mod%65l=gpt-y"]
)
def test_a_model_in_the_query_of_a_question_is_refused(query):
    with pytest.raises(BadBody):
        openai.read("POST", f"/v1/chat/completions?{query}", {}, CHAT)


@pytest.mark.parametrize("query", ["model=a&model=b", "model=a&model_id=a", "model=b"])
def test_a_query_and_a_body_that_differ_are_refused(query):
    with pytest.raises(BadBody, match="in the query"):
        openai.read("POST", f"/v1/embeddings?{query}", {}, {"model": "a"})


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"fallbacks": ["a", "b"]}, {"/fallbacks/0": "a", "/fallbacks/1": "b"}),
        ({"fallbacks": [{"model": "a", "max_tokens": 1}]}, {"/fallbacks/0/model": "a"}),
        ({"fallbacks": "default"}, {"/fallbacks": "default"}),
        ({"fallbacks": [{"x": ["a", "b"]}]}, {"/fallbacks/0/x/0": "a", "/fallbacks/0/x/1": "b"}),
        ({"fallback_models": ["a"], "models": ["b"]}, {"/fallback_models/0": "a", "/models/0": "b"}),
        ({"models": [{"id": "a", "provider": "p"}]}, {"/models/0/id": "a"}),
        ({"model_id": "a", "judge_model": "b"}, {"/model_id": "a", "/judge_model": "b"}),
        (
            {"fallbackModel": "a", "Fallback-Models": ["b"]},
            {"/fallbackModel": "a", "/Fallback-Models/0": "b"},
        ),
        ({"metadata": {"model": "a"}}, {"/metadata/model": "a"}),
        ({"metadata": {"car_model": "Citroën"}}, {}),
        ({"extra_body": {"x": {"model": "a"}}}, {"/extra_body/x/model": "a"}),
        ({"a/b~c": {"model": "a"}}, {"/a~1b~0c/model": "a"}),
        ({"agents": {"r": {"model": {"id": "a"}}}}, {"/agents/r/model/id": "a"}),
        ({"moderation": {"model": "a"}}, {"/moderation/model": "a"}),
        ({"x": {"type": "agent", "schema": {"model": "a"}}}, {"/x/schema/model": "a"}),
        ({"tools": [{"type": "advisor_20260301", "name": "advisor", "model": "a"}]}, {"/tools/0/model": "a"}),
        ({"tools": [{"type": "agent", "parameters": {"model": "a"}}]}, {"/tools/0/parameters/model": "a"}),
        ({"tools": [{"name": "t", "model": "a", "input_schema": SCHEMA}]}, {"/tools/0/model": "a"}),
        ({"tools": [{"type": "x", "tools": [{"name": "t", "model": "a"}]}]}, {"/tools/0/tools/0/model": "a"}),
        (
            {"tools": [{"type": "image_generation", "model": "a", "svg": {"model": "b"}}]},
            {"/tools/0/model": "a", "/tools/0/svg/model": "b"},
        ),
        (
            {"input": [{"type": "tool_search_output", "tools": [{"type": "agent", "model": "a"}]}]},
            {"/input/0/tools/0/model": "a"},
        ),
        (
            {"input": [{"role": "x", "tools": [{"type": "agent", "model": "a"}]}]},
            {"/input/0/tools/0/model": "a"},
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "agent", "role": "x", "model": "a"}]}]},
            {"/messages/0/content/0/model": "a"},
        ),
        ({"model": "a", "fallback_model": None, "allow_fallbacks": True, "fallback": ""}, {}),
    ],
)
def test_a_model_is_found_wherever_it_is_named(body, found):
    assert named(body) == found


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "assistant", "model": "a", "content": 'use {"model": "a"}'}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": '"model": "a"'}]}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "tool_use", "id": "1", "input": {"model": "a"}}]},
                {"role": "user", "content": [{"type": "tool_result", "content": [{"model": "a"}]}]},
                {"role": "assistant", "content": [{"type": "fallback", "to": {"model": "a"}}]},
            ]
        },
        {"input": [{"type": "function_call_output", "output": [{"model": "a"}]}]},
        {"prompt": {"id": "p", "variables": {"model": "a"}}},
        {"tools": [{"name": "t", "input_schema": SCHEMA, "input_examples": [{"model": "a"}]}]},
        {"tools": [{"type": "custom", "name": "t", "input_schema": SCHEMA}]},
        {"tools": [{"type": "function", "function": {"name": "t", "parameters": SCHEMA}}]},
        {"tools": [{"type": "function", "name": "t", "parameters": SCHEMA}]},
        {"functions": [{"name": "t", "parameters": SCHEMA}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}},
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}},
    ],
)
def test_what_is_said_or_described_names_no_model(body):
    assert named(body) == {}


@pytest.mark.parametrize("name", ["gpt-х", "a\nb", "x" * 257])  # noqa: RUF001 (the look-alike is the point)
def test_a_reference_that_is_no_name_is_refused(name):
    with pytest.raises(BadBody, match="/fallbacks/0"):
        list(nested({"fallbacks": [name]}))


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"fallbacks": ["a", "b"]}, {"fallbacks": ["b"]}),
        ({"fallbacks": [{"model": "a"}, {"model": "b"}]}, {"fallbacks": [{"model": "b"}]}),
        ({"fallbacks": ["a"], "x": 1}, {"x": 1}),
        ({"fallbacks": "a"}, {}),
        ({"judge_model": "a", "x": []}, {"x": []}),
        ({"metadata": {"model": "a", "user_id": "u"}}, {"metadata": {"user_id": "u"}}),
        ({"moderation": {"model": "a"}}, {}),
        ({"agents": {"r": {"model": {"id": "a"}}, "s": {"model": "b"}}}, {"agents": {"s": {"model": "b"}}}),
        ({"agents": [{"model": "a"}, {"model": "b"}]}, {"agents": [{"model": "b"}]}),
        (
            {"tools": [{"type": "agent", "config": {"model": "a"}}, {"name": "t"}]},
            {"tools": [{"name": "t"}]},
        ),
        (
            {"tools": [{"type": "agent", "name": "n", "fallback_model": "a"}]},
            {"tools": [{"type": "agent", "name": "n"}]},
        ),
        (
            {"tools": [{"type": "agent", "agents": [{"model": "a"}, {"model": "b"}]}]},
            {"tools": [{"type": "agent", "agents": [{"model": "b"}]}]},
        ),
        ({"tools": [{"type": "agent", "model": "a"}], "tool_choice": "auto", "x": 1}, {"x": 1}),
        (
            {"tools": [{"type": "agent", "model": "a"}, {"name": "t"}], "tool_choice": "auto"},
            {"tools": [{"name": "t"}], "tool_choice": "auto"},
        ),
        (
            {
                "tools": [{"type": "g", "name": "n", "model": "a"}, {"name": "t"}],
                "tool_choice": {"type": "tool", "name": "n"},
            },
            {"tools": [{"name": "t"}]},
        ),
        (
            {
                "tools": [{"type": "g", "model": "a"}, {"type": "function", "function": {"name": "t"}}],
                "tool_choice": {"type": "function", "function": {"name": "t"}},
            },
            {
                "tools": [{"type": "function", "function": {"name": "t"}}],
                "tool_choice": {"type": "function", "function": {"name": "t"}},
            },
        ),
        (
            {"tools": [{"type": "g", "model": "a"}, {"name": "t"}], "tool_choice": {"type": "g"}},
            {"tools": [{"name": "t"}]},
        ),
        (
            {"tools": [{"type": "g", "model": "a"}, {"name": "t"}], "tool_choice": {"type": "any"}},
            {"tools": [{"name": "t"}], "tool_choice": {"type": "any"}},
        ),
    ],
)
def test_a_body_without_a_model_keeps_whatever_does_not_need_it(body, left):
    before = copy.deepcopy(body)
    assert without(body, [each for each in nested(body) if each.model == "a"]) == left
    assert body == before


keys = st.sampled_from(
    ["model", "models", "fallbacks", "judge_model", "tools", "agents", "metadata", "x", "id"]
)
bodies = st.recursive(
    st.sampled_from(["a", "b", "", 1, None, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=15,
)


@given(st.dictionaries(keys.filter(lambda key: key != "model"), bodies, max_size=4))
def test_no_stripped_reference_is_found_again(body):
    found = [each for each in nested(body) if each.model == "a"]
    left = without(body, found)
    assert "a" not in named(left).values()
    if not found:
        assert left == body


@pytest.mark.parametrize("start", ['{"x":', '{"fallbacks":', "["])
def test_a_model_is_found_and_stripped_as_deep_as_bodies_go(start):
    end = {"{": "}", "[": "]"}[start[0]]
    text = '{"x":' + start * 97 + '{"fallback":"a"}' + end * 97 + ', "y": 1}'
    body = parsed(text.encode(), None, None)
    [found] = nested(body)
    assert found.model == "a"
    assert "y" in without(body, [found])
    assert list(nested(without(body, [found]))) == []


known = st.sampled_from(
    [
        "model",
        "stream",
        "messages",
        "input",
        "system",
        "tools",
        "functions",
        "tool_choice",
        "type",
        "role",
        "content",
        "name",
        "metadata",
        "user_id",
        "user",
        "requests",
        "params",
        "response_format",
        "output_config",
        "text",
        "format",
        "json_schema",
        "schema",
        "prompt",
        "max_tokens",
    ]
)
anything = st.recursive(
    st.sampled_from(["a", "", "json_schema", "function", "é", 1, 1.5, None, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(known, inner, max_size=4),
    max_leaves=20,
)
paths = st.sampled_from(
    [
        "/v1/messages",
        "/v1/messages/batches",
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/files",
        "/v1/x",
        "/v1/models/a",
    ]
)


@given(
    st.sampled_from([anthropic, openai]), paths, st.dictionaries(known, anything, max_size=6), st.booleans()
)
def test_any_body_is_a_call_or_a_bad_body(api, path, body, model):
    body = {**body, "model": "a"} if model else body
    try:
        call = api.read("POST", path, {}, body)
    except BadBody:
        return
    left = without(body, call.references)
    assert set(left) <= set(body)


def test_a_body_renamed_keeps_its_order():
    body = {"stream": True, "model": "a", "x": 1}
    assert json.dumps(renamed(body, "b")) == '{"stream": true, "model": "b", "x": 1}'
    assert body["model"] == "a"


BATCH = {
    "requests": [
        {"custom_id": "1", "params": MESSAGE},
        {"custom_id": "2", "params": {**MESSAGE, "model": "claude-y", "fallbacks": [{"model": "claude-z"}]}},
    ]
}


def test_every_line_of_a_batch_is_a_reference():
    call = anthropic.read("POST", "/v1/messages/batches", {}, BATCH)
    assert call == Call(
        dialect="anthropic",
        operation="batch",
        references=(
            Reference("/requests/0/params/model", "claude-x"),
            Reference("/requests/1/params/model", "claude-y"),
            Reference("/requests/1/params/fallbacks/0/model", "claude-z"),
        ),
    )


def test_what_stands_beside_the_lines_of_a_batch_is_searched_too():
    body = {"fallback_model": "a", "requests": [{"params": MESSAGE, "fallbacks": ["b"]}]}
    call = anthropic.read("POST", "/v1/messages/batches", {}, body)
    assert [each.where for each in call.references] == [
        "/fallback_model",
        "/requests/0/params/model",
        "/requests/0/fallbacks/0",
    ]


def test_a_model_that_an_unknown_operation_has_as_an_object_is_a_reference():
    call = anthropic.read(
        "POST", "/v1/agents", {}, {"name": "n", "model": {"id": "claude-x", "speed": "fast"}}
    )
    assert (call.operation, call.model) == ("other", None)
    assert call.references == (Reference("/model/id", "claude-x"),)


def test_a_model_by_another_case_is_refused_in_an_unknown_operation():
    with pytest.raises(BadBody, match="could be read as `model`"):
        openai.read("POST", "/v1/embeddings", {}, {"Model": "emb-x"})


def test_a_key_is_quoted_on_one_line_and_short():
    with pytest.raises(BadBody) as refused:
        list(nested({"x\n" * 99: {"model": "é"}}))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


def test_a_batch_loses_its_line_or_what_the_line_names():
    refs = anthropic.read("POST", "/v1/messages/batches", {}, BATCH).references
    assert without(BATCH, refs[1:2]) == {"requests": BATCH["requests"][:1]}
    left = {"custom_id": "2", "params": {**MESSAGE, "model": "claude-y"}}
    assert without(BATCH, refs[2:]) == {"requests": [BATCH["requests"][0], left]}


@pytest.mark.parametrize("body", [{"requests": {}}, {"requests": [1]}, {"requests": [{"params": {}}]}])
def test_a_batch_that_is_none_is_refused(body):
    with pytest.raises(BadBody):
        anthropic.read("POST", "/v1/messages/batches", {}, body)


def line(**body):
    return json.dumps({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body})


def test_the_lines_of_a_batch_file_are_references():
    data = f"{line(model='a')}\r\n\n{line(model='b', fallbacks=['c'])}\n".encode()
    found = {each.where: each.model for each in lines(data)}
    assert found == {"/0/body/model": "a", "/2/body/model": "b", "/2/body/fallbacks/0": "c"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{}", "line `1`: `body` is no object"),
        (f"{line(model='a')}\n{line()}", "line `2`: `model` is missing"),
        (f"{line(model='a')}\r{line(model='b')}", "line `1`: the body is not JSON"),
        ('{"body": {"model": "a", "model": "b"}}', "line `1`: `model` stands twice"),
    ],
)
def test_a_line_that_is_none_is_refused_with_its_number(data, said):
    with pytest.raises(BadBody) as refused:
        lines(data.encode())
    assert said in str(refused.value)


def test_the_needs_of_a_message_are_read():
    picture = {"type": "image", "source": {"type": "base64", "data": "A" * 1000}}
    paper = {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}}
    body = {
        **MESSAGE,
        "system": "é",
        "messages": [{"role": "user", "content": [picture, paper, {"type": "text", "text": "hello"}]}],
        "tools": [{"name": "t", "input_schema": SCHEMA}],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    }
    needs = anthropic.read("POST", "/v1/messages", {}, body).needs
    assert needs == Needs(
        tools=True, images=True, documents=True, json=True, input_bytes=needs.input_bytes, output_tokens=5
    )
    assert 7 < needs.input_bytes < 200


def test_the_needs_of_a_chat_and_a_response_are_read():
    chat = {**CHAT, "max_completion_tokens": 7, "max_tokens": 9, "response_format": {"type": "json_object"}}
    needs = openai.read("POST", "/v1/chat/completions", {}, chat).needs
    assert (needs.json, needs.output_tokens, needs.tools) == (True, 7, False)
    items = [{"role": "user", "content": [{"type": "input_image", "image_url": "data:" + "A" * 999}]}]
    body = {"model": "gpt-x", "input": items, "text": {"format": {"type": "text"}}, "max_output_tokens": True}
    needs = openai.read("POST", "/v1/responses", {}, body).needs
    assert (needs.images, needs.documents, needs.json, needs.output_tokens) == (True, False, False, 0)
    assert needs.input_bytes < 30


@pytest.mark.parametrize(
    ("api", "path", "body", "user"),
    [
        (anthropic, "/v1/messages", {"metadata": {"user_id": "u1"}}, "u1"),
        (anthropic, "/v1/messages", {"metadata": {"user_id": 5}}, None),
        (anthropic, "/v1/messages", {"user": "u1"}, None),
        (openai, "/v1/chat/completions", {"user": "u1"}, "u1"),
        (openai, "/v1/responses", {"user": "u1", "safety_identifier": "s1"}, "s1"),
        (openai, "/v1/responses", {"user": ""}, None),
    ],
)
def test_the_end_user_that_a_body_claims_is_read(api, path, body, user):
    assert api.read("POST", path, {}, {**MESSAGE, **body}).end_user == user
