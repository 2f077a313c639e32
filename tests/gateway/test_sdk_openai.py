"""The official `openai` SDK, as it is installed and with its own retries, through the real gateway: before
the letter of June 2026, while it was in force, and after it was lifted. What the gateway is compared with is
the same SDK at the upstream itself; the house that counts is in `test_sdk_anthropic`."""

import contextlib
import functools
import json

import openai
import pytest
from tests.gateway.house import OPUS
from tests.gateway.stub import CALLED, TOOL, WORDS, Served, completions, responses
from tests.gateway.test_sdk_anthropic import (
    FABLE,
    INSTANTS,
    LONG,
    SAY,
    SCHEMA,
    SERVED,
    SHORT,
    Counted,
    at,
    held,
    inside,
)
from tests.gateway.test_turning import lettered

pytestmark = pytest.mark.xdist_group("sdk_openai")
ASK = {"model": FABLE, "messages": SAY}
PLAIN = ASK | {"model": "plain-model"}
SAID = {"model": FABLE, "input": "Say stub."}
FUNCTION = {"name": TOOL, "description": "Look a place up.", "parameters": SCHEMA, "strict": False}
TOOLS = [{"type": "function", "function": FUNCTION}]
PATHS = {"completions": "/v1/chat/completions", "responses": "/v1/responses"}
FLAT = [{"type": "function", **FUNCTION}]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield {
            when: stack.enter_context(Counted(tmp_path_factory.mktemp(when), begins))
            for when, begins in INSTANTS.items()
        }


@pytest.fixture
def june(running):
    """The gateways of the three instants, with nothing in their logs."""
    for house in running.values():
        house.forget()
    return running


@pytest.fixture(scope="module")
def instead(tmp_path_factory):
    with Counted(tmp_path_factory.mktemp("instead"), closed="fall_back") as house:
        yield house


@pytest.fixture
def other(instead):
    """A gateway whose policy is that another model answers."""
    instead.forget()
    return instead


@pytest.fixture(scope="module")
def law(tmp_path_factory):
    """The shipped law, and a letter that is in force and forbids foreign persons the plain model."""
    return lettered(tmp_path_factory.mktemp("letter"))


def async_at(house, who=None):
    url, key = at(house, who)
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key)


@pytest.fixture
def house(tmp_path):
    """A gateway for one test, which may do with it what it likes."""
    with Counted(tmp_path) as house:
        yield house


@pytest.fixture(scope="module")
def sdk():
    """Clients of the SDK: at the gateway of a house with somebody's key, at its upstream without a `who`."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def kept(url, key):
            return stack.enter_context(openai.OpenAI(base_url=f"{url}/v1", api_key=key))

        yield lambda house, who=None: kept(*at(house, who))


def helped(completions, **asked):
    """The events of the SDK's own helper for Chat Completions, and what it says the whole answer is."""
    with completions.stream(**asked) as stream:
        return list(stream), stream.get_final_completion()


def followed(client, **asked):
    """The same for Responses."""
    with client.responses.stream(**asked) as stream:
        return list(stream), stream.get_final_response()


def looped(client, **asked):
    """A loop of tools as the documentation of Chat Completions has it: its answers, and what was called."""
    talk, answers, places = list(asked.pop("messages")), [], []
    while True:
        answers.append(client.chat.completions.create(messages=talk, tools=TOOLS, **asked))
        message = answers[-1].choices[0].message
        talk.append(message)
        if not message.tool_calls:
            return answers, places
        for call in message.tool_calls:
            places.append(json.loads(call.function.arguments)["place"])
            talk.append({"role": "tool", "tool_call_id": call.id, "content": f"{places[-1]} is there."})


def turned(client, **asked):
    """The same with Responses, as streams."""
    talk, answers, places = [{"role": "user", "content": asked.pop("input")}], [], []
    while True:
        answers.append(followed(client, input=talk, tools=FLAT, **asked)[1])
        calls = [item for item in answers[-1].output if item.type == "function_call"]
        if not calls:
            return answers, places
        for call in calls:
            places.append(json.loads(call.arguments)["place"])
            said = {"type": "function_call", "name": call.name, "arguments": call.arguments}
            output = {"type": "function_call_output", "output": f"{places[-1]} is there."}
            talk += [said | {"call_id": call.call_id}, output | {"call_id": call.call_id}]


CALLS = {
    "a completion": lambda client: client.chat.completions.create(**ASK),
    "a stream of completions": lambda client: list(client.chat.completions.create(stream=True, **ASK)),
    "its usage": lambda client: list(
        client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **ASK)
    ),
    "a stream of the helper": lambda client: helped(client.chat.completions, **ASK),
    "a call of a tool": lambda client: client.chat.completions.create(tools=TOOLS, **ASK),
    "a stream with a call": lambda client: helped(client.chat.completions, tools=TOOLS, **ASK),
    "a loop of tools": lambda client: looped(client, **ASK),
    "a response": lambda client: client.responses.create(**SAID),
    "a stream of a response": lambda client: list(client.responses.create(stream=True, **SAID)),
    "a response of the helper": lambda client: followed(client, **SAID),
    "a loop of responses": lambda client: turned(client, **SAID),
    "a model of the list": lambda client: client.models.retrieve(FABLE),
}


@pytest.mark.parametrize(("when", "who"), SERVED)
def test_whoever_may_gets_from_every_call_what_the_upstream_gives(june, sdk, when, who):
    house = june[when]
    for name, call in CALLS.items():
        assert call(sdk(house, who)) == call(sdk(house)), name
    assert len(house.main.requests) == 2 * len(house.came)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("when", "who"), SERVED)
def test_the_body_is_that_of_the_upstream_byte_for_byte(june, sdk, when, who, stream):
    bodies = []
    for one in (sdk(june[when], who), sdk(june[when])):
        with one.chat.completions.with_streaming_response.create(stream=stream, **ASK) as answer:
            bodies.append(answer.read())
        with one.responses.with_streaming_response.create(stream=stream, **SAID) as answer:
            bodies.append(answer.read())
    assert bodies[:2] == bodies[2:]
    sent = [asked.body for asked in june[when].main.requests]
    assert sent[:2] == sent[2:]


@pytest.mark.parametrize(("when", "who"), SERVED)
async def test_the_async_client_gets_the_same(june, when, who):
    found = []
    for whose in (who, None):
        async with async_at(june[when], whose) as one:
            plain = await one.chat.completions.create(**ASK)
            chunks = [chunk async for chunk in await one.chat.completions.create(stream=True, **ASK)]
            events = [event async for event in await one.responses.create(stream=True, **SAID)]
            async with one.responses.stream(tools=FLAT, **SAID) as stream:
                final = await stream.get_final_response()
            found.append((plain, chunks, events, final, await one.models.retrieve(FABLE)))
    assert found[0] == found[1]
    assert json.loads(found[0][3].output[0].arguments) == CALLED


def test_loops_of_tools_end_in_words(june, sdk):
    house = june["during"]
    answers, places = looped(sdk(house, "dana"), **ASK)
    assert [one.choices[0].finish_reason for one in answers] == ["tool_calls", "stop"]
    assert places == [CALLED["place"]]
    answers, places = turned(sdk(house, "dana"), **SAID)
    assert answers[1].output_text == WORDS * 3
    assert places == [CALLED["place"]]
    assert house.came == ["POST /v1/chat/completions"] * 2 + ["POST /v1/responses"] * 2


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("who", "code"), [("elodie", "export_control_denied"), ("somebody", "evidence_needed")]
)
def test_whoever_may_not_sees_the_sdks_own_error_with_the_reason_and_it_asks_once(june, sdk, who, code, name):
    house = june["during"]
    with pytest.raises(openai.PermissionDeniedError) as refused:
        CALLS[name](sdk(house, who))
    error = refused.value
    assert (error.status_code, error.code, error.type, error.param) == (
        403,
        code,
        "permission_error",
        "model",
    )
    carnet = error.body["carnet"]
    assert carnet["code"] == code
    assert "us.directive.2026-06-12.person" in carnet["rules"]
    assert carnet["appeal_url"] == "https://carnet.example/appeal"
    assert error.request_id == error.response.headers["x-request-id"]
    assert "claude-fable-5" in error.body["message"]
    assert len(house.came) == 1
    assert house.heard == []


@pytest.mark.parametrize("who", ["elodie", "somebody"])
async def test_the_async_client_asks_once_too(june, who):
    house = june["during"]
    async with async_at(house, who) as one:
        for stream in (False, True):
            with pytest.raises(openai.PermissionDeniedError) as refused:
                await one.chat.completions.create(stream=stream, **ASK)
            assert refused.value.body["carnet"]["model"] == FABLE
            with pytest.raises(openai.PermissionDeniedError):
                await one.responses.create(stream=stream, **SAID)
    assert len(house.came) == 4
    assert house.heard == []


def test_a_refusal_of_451_is_a_status_error_that_is_asked_for_once(tmp_path, sdk):
    with Counted(tmp_path, status=451) as house:
        for name in ("a completion", "a stream of completions", "a stream of a response"):
            with pytest.raises(openai.APIStatusError) as refused:
                CALLS[name](sdk(house, "elodie"))
            assert refused.value.status_code == 451
            assert refused.value.code == "export_control_denied"
            assert refused.value.response.links["blocked-by"]["url"] == "https://carnet.example/appeal"
        assert len(house.came) == 3
        assert house.heard == []


async def test_an_inability_is_asked_for_again_after_the_time_that_was_said_and_ends_as_the_servers(
    house, sdk, monkeypatch
):
    base, waits = openai._base_client, []

    async def slept(seconds):
        waits.append(seconds)

    house.going.jump(3600)
    monkeypatch.setattr(base.time, "sleep", waits.append)
    monkeypatch.setattr(base.anyio, "sleep", slept)
    with pytest.raises(openai.InternalServerError) as away:
        sdk(house, "dana").chat.completions.create(**ASK)
    async with async_at(house, "dana") as one:
        with pytest.raises(openai.InternalServerError) as again:
            await one.responses.create(**SAID)
    monkeypatch.undo()
    for error in (away.value, again.value):
        assert (error.status_code, error.code, error.type) == (503, "carnet_unavailable", "server_error")
        assert "rules" not in error.body["carnet"]
    assert waits == [5.0] * 4
    assert len(house.came) == 6
    assert house.heard == []
    assert sdk(house, "dana").chat.completions.create(**PLAIN).model == "plain-model"


def test_the_list_has_what_each_caller_may_use(june, sdk):
    for when, who in SERVED:
        assert [model.id for model in sdk(june[when], who).models.list()] == [
            FABLE,
            "plain-model",
            "claude-opus-4-8",
        ]
    for who in ("elodie", "somebody"):
        assert [model.id for model in sdk(june["during"], who).models.list()] == [
            "plain-model",
            "claude-opus-4-8",
        ]


LINES = [
    {"custom_id": each["model"], "method": "POST", "url": "/v1/chat/completions", "body": each}
    for each in (ASK, PLAIN)
]


def uploaded(one, lines):
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return data, one.files.create(file=("lines.jsonl", data), purpose="batch")


def begun(one, file):
    return one.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")


def test_a_file_and_its_batch_go_their_way(june, sdk):
    one = sdk(june["during"], "dana")
    data, file = uploaded(one, LINES)
    assert one.files.content(file.id).read() == data
    assert (one.files.retrieve(file.id).bytes, file.purpose) == (len(data), "batch")
    batch = one.batches.retrieve(begun(one, file).id)
    answers = one.files.content(batch.output_file_id).text.splitlines()
    assert [json.loads(answer)["custom_id"] for answer in answers] == [FABLE, "plain-model"]
    assert one.files.delete(file.id).deleted
    direct = sdk(june["during"])
    assert direct.files.content(batch.output_file_id).text.splitlines() == answers


@pytest.mark.parametrize(
    ("who", "code"), [("elodie", "export_control_denied"), ("somebody", "evidence_needed")]
)
def test_a_batch_with_a_line_that_may_not_be_is_not_begun(june, sdk, who, code):
    house = june["during"]
    one = sdk(house, who)
    _, file = uploaded(one, LINES)
    with pytest.raises(openai.PermissionDeniedError) as refused:
        begun(one, file)
    assert (refused.value.code, refused.value.body["carnet"]["model"]) == (code, FABLE)
    assert house.came == ["POST /v1/files", "POST /v1/batches"]
    assert "POST /v1/batches" not in house.heard
    assert not house.main.batches
    _, file = uploaded(one, LINES[1:])
    assert begun(one, file).status == "completed"


def test_the_answers_of_a_batch_are_for_nobody_who_may_not_use_its_model(june, sdk):
    one = sdk(june["during"], "dana")
    batch = begun(one, uploaded(one, LINES)[1])
    with pytest.raises(openai.APIStatusError):
        sdk(june["during"], "elodie").files.content(batch.output_file_id)


def until_the_end(events, got):
    for event in events:
        got.append(event)


def test_streams_that_are_cut_end_in_the_sdks_error_and_others_go_on_to_their_end(tmp_path, sdk, law):
    with Counted(tmp_path) as house:
        one, other = sdk(house, "elodie"), sdk(house, "dana")
        said = SAID | {"model": "plain-model"}
        chunks = one.chat.completions.create(stream=True, extra_headers=LONG, **PLAIN)
        events = one.responses.create(stream=True, extra_headers=LONG, **said)
        kept = other.chat.completions.create(stream=True, extra_headers=SHORT, **PLAIN)
        held = other.responses.create(stream=True, extra_headers=SHORT, **said)
        helper = one.responses.stream(extra_headers=LONG, **said)
        began = {stream: [next(stream) for _ in range(4)] for stream in (chunks, events, kept, held)}
        with helper as reading:
            next(reading)
            house.node.enter(law, house.policy)
            for stream in (chunks, events, reading):
                got = list(began.get(stream, ()))
                with pytest.raises(openai.APIError) as cut:
                    until_the_end(stream, got)
                assert cut.value.code == "export_control_denied"
                assert cut.value.body["type"] == "permission_error"
                assert cut.value.body["carnet"]["rules"] == ["us.directive.invented.letter"]
                assert len(got) < 2000
                assert "response.completed" not in {getattr(event, "type", None) for event in got}
                assert not any(
                    choice.finish_reason for event in got for choice in getattr(event, "choices", ())
                )
        direct = sdk(house)
        for stream, asking, asked in (
            (kept, direct.chat.completions.create, PLAIN),
            (held, direct.responses.create, said),
        ):
            assert [*began[stream], *stream] == list(asking(stream=True, extra_headers=SHORT, **asked))
        assert len(house.came) == 5
        with pytest.raises(openai.PermissionDeniedError):
            one.responses.create(**said)
        assert len(house.came) == 6


@pytest.mark.parametrize("api", ["completions", "responses"])
def test_a_stream_that_is_cut_inside_of_an_event_ends_in_the_sdks_error(tmp_path, sdk, law, api):
    parts = {"completions": completions, "responses": responses}[api](PLAIN, 3)[1]
    with Counted(tmp_path) as house, held(house.main, PATHS[api], parts):
        one = sdk(house, "elodie")
        if api == "completions":
            stream = one.chat.completions.create(stream=True, **PLAIN)
        else:
            stream = one.responses.create(stream=True, **SAID | {"model": "plain-model"})
        got = [next(stream)]
        inside(house)
        house.node.enter(law, house.policy)
        with pytest.raises(openai.APIError) as cut:
            until_the_end(stream, got)
        assert cut.value.code == "export_control_denied"
        assert len(got) == 1


async def test_streams_of_the_async_client_are_cut_in_the_same_way(house, law):
    async with async_at(house, "elodie") as one, async_at(house, "dana") as served:
        stream = await one.chat.completions.create(stream=True, extra_headers=LONG, **PLAIN)
        kept = await served.chat.completions.create(stream=True, extra_headers=SHORT, **PLAIN)
        await anext(stream)
        await anext(kept)
        house.node.enter(law, house.policy)
        with pytest.raises(openai.APIError) as cut:
            [chunk async for chunk in stream]
        assert cut.value.code == "export_control_denied"
        assert [chunk async for chunk in kept][-1].choices[0].finish_reason == "stop"
    assert len(house.came) == 2


def test_whoever_is_cut_off_in_the_middle_goes_on_with_the_other_model(tmp_path, sdk, law):
    way = {"closed": "fall_back", "fallback": {"example/plain-model": OPUS}}
    with Counted(tmp_path, **way) as house:
        one, said = sdk(house, "elodie"), []
        stream = one.chat.completions.create(stream=True, extra_headers=LONG, **PLAIN)
        said += [next(stream), next(stream)]
        house.node.enter(law, house.policy)
        with pytest.raises(openai.APIError):
            until_the_end(stream, said)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in said)
        talk = [*SAY, {"role": "assistant", "content": text}, {"role": "user", "content": "Go on."}]
        events, final = helped(one.chat.completions, **PLAIN | {"messages": talk})
        assert (final.model, final.choices[0].finish_reason) == ("claude-opus-4-8", "stop")
        assert events
        assert json.loads(house.local.requests[0].body)["messages"] == talk


def test_a_conversation_goes_on_with_the_other_model_which_every_answer_names(other, sdk):
    one, talk = sdk(other, "elodie"), list(SAY)
    for turn in ("Again.", "And again."):
        raw = one.chat.completions.with_raw_response.create(**ASK | {"messages": talk})
        assert raw.headers["x-carnet-substituted-for"] == FABLE
        answer = raw.parse()
        assert (answer.model, answer.choices[0].message.content) == ("claude-opus-4-8", WORDS * 3)
        talk += [answer.choices[0].message, {"role": "user", "content": turn}]
    chunks = list(one.chat.completions.create(stream=True, **ASK | {"messages": talk}))
    assert {chunk.model for chunk in chunks} == {"claude-opus-4-8"}
    assert one.responses.create(**SAID).model == "claude-opus-4-8"
    events, final = followed(one, **SAID)
    held = [event.response.model for event in events if hasattr(event, "response")]
    assert {final.model, *held} == {"claude-opus-4-8"}
    asked = [json.loads(each.body) for each in other.local.requests]
    assert {each["model"] for each in asked} == {"opus-as-the-upstream-calls-it"}
    assert len(asked[2]["messages"]) == 5
    assert not other.main.requests
    assert sdk(other, "dana").chat.completions.create(**ASK).model == FABLE
    with pytest.raises(openai.PermissionDeniedError):
        sdk(other, "refusenik").chat.completions.create(**ASK)


def test_loops_of_tools_work_with_the_other_model(other, sdk):
    answers, places = looped(sdk(other, "elodie"), **ASK)
    more, called = turned(sdk(other, "elodie"), **SAID)
    assert {one.model for one in (*answers, *more)} == {"claude-opus-4-8"}
    assert (len(answers), len(more)) == (2, 2)
    assert places == called == [CALLED["place"]]
    events, final = helped(sdk(other, "elodie").chat.completions, tools=TOOLS, **ASK)
    assert json.loads(final.choices[0].message.tool_calls[0].function.arguments) == CALLED
    assert "tool_calls.function.arguments.done" in {event.type for event in events}
    assert len(other.local.requests) == 5
    assert not other.main.requests


SUSPENDED = {
    404: {"error": {"code": "model_not_found", "type": "invalid_request_error", "message": "no such model"}},
    403: {"error": {"code": "unsupported_country_region_territory", "type": "request_forbidden"}},
    451: {"error": {"code": "legal", "type": "unavailable_for_legal_reasons", "message": "not here"}},
}


def suspended(house, status):
    for path in PATHS.values():
        house.main.paths[path] = Served((json.dumps(SUSPENDED[status]).encode(),), status)


@pytest.mark.parametrize("status", SUSPENDED)
def test_a_model_that_its_upstream_stopped_to_offer_is_answered_by_the_other(june, sdk, status):
    house = june["during"]
    suspended(house, status)
    one = sdk(house, "dana")
    answer = one.chat.completions.create(**ASK)
    assert (answer.model, answer.choices[0].message.content) == ("claude-opus-4-8", WORDS * 3)
    chunks = list(one.chat.completions.create(stream=True, **ASK))
    assert ({chunk.model for chunk in chunks}, chunks[-1].choices[0].finish_reason) == (
        {"claude-opus-4-8"},
        "stop",
    )
    assert one.responses.create(**SAID).model == "claude-opus-4-8"
    _, final = followed(one, **SAID)
    assert (final.model, final.output_text) == ("claude-opus-4-8", WORDS * 3)
    assert len(house.came) == 4
    assert len(house.heard) == 8


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", SUSPENDED)
def test_and_without_another_one_what_it_said_comes_back_as_it_came(june, sdk, status, stream):
    house, errors = june["during"], []
    suspended(house, status)
    for one in (sdk(house, "dana"), sdk(house)):
        with pytest.raises(openai.APIStatusError) as refused:
            one.chat.completions.create(stream=stream, **PLAIN)
        errors.append(refused.value)
    through, direct = errors
    assert type(through) is type(direct)
    assert (through.status_code, through.body) == (status, SUSPENDED[status]["error"])
    assert through.response.content == direct.response.content
    assert len(house.came) == 1
    assert len(house.main.requests) == 2


def test_other_mistakes_are_the_errors_that_the_sdk_has_for_them(june, sdk):
    house = june["during"]
    for mistake, error in (
        ({"model": "claude-opus-4-8x"}, openai.BadRequestError),
        ({"extra_headers": {"x-carnet-end-user": "omar"}}, openai.PermissionDeniedError),
        ({"extra_body": {"fallbacks": [{"model": "gpt-of-nobody"}]}}, openai.BadRequestError),
    ):
        with pytest.raises(error):
            sdk(house, "dana").chat.completions.create(**ASK | mistake)
    stranger = openai.OpenAI(base_url=f"{house.url}/v1", api_key="sk-nobody")
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(**ASK)
    assert len(house.came) == 4
    assert house.heard == []
