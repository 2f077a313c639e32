"""The official `anthropic` SDK, as it is installed and with its own retries, through the real gateway: before
the letter of June 2026, while it was in force, and after it was lifted. What the gateway is compared with is
the same SDK at the upstream itself."""

import contextlib
import functools
import json
import threading
import time
from unittest import mock

import anthropic
import pytest
from tests.gateway import house as houses
from tests.gateway.house import AFTER, BEFORE, DURING, OPUS, House
from tests.gateway.stub import CALLED, TOOL, WORDS, Apis, Served, messages
from tests.gateway.test_turning import lettered

from carnet.store.shelves import load_rulebook

pytestmark = pytest.mark.xdist_group("sdk_anthropic")
FABLE = "claude-fable-5"
SAY = [{"role": "user", "content": "Say stub."}]
ASK = {"model": FABLE, "max_tokens": 50, "messages": SAY}
PLAIN = ASK | {"model": "plain-model"}
LONG = {"stub-events": "2000", "stub-pause": "0.01"}
SHORT = {"stub-events": "40", "stub-pause": "0.02"}
SCHEMA = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
TOOLS = [{"name": TOOL, "description": "Look a place up.", "input_schema": SCHEMA}]
INSTANTS = {"before": BEFORE, "during": DURING, "after": AFTER}
SERVED = [
    *[(when, who) for when in ("before", "after") for who in ("dana", "elodie", "somebody")],
    ("during", "dana"),
]


@functools.cache
def shipped():
    """The shipped law, read once."""
    return load_rulebook()


class Counted(House):
    """A house whose upstreams have the whole of both APIs, and that counts what reaches its gateway."""

    def __init__(self, folder, begins=DURING, **more):
        super().__init__(folder, begins, rulebook=shipped(), **more)
        self.main = Apis(FABLE, "plain-model", "claude-of-another-world")
        self.local = Apis("opus-as-the-upstream-calls-it")
        self.came: list[str] = []

    def __enter__(self):
        def counting(parts):
            door = houses_door(parts)

            async def app(scope, receive, send):
                if scope["type"] == "http":
                    self.came.append(f"{scope['method']} {scope['path']}")
                await door(scope, receive, send)

            return app

        houses_door = houses.Door
        with mock.patch.object(houses, "Door", counting):
            return super().__enter__()

    def forget(self):
        self.came.clear()
        for each in (self.main, self.local):
            each.forget()
            each.files.clear()
            each.batches.clear()

    @property
    def heard(self):
        """What the upstreams were asked."""
        return [f"{one.method} {one.path}" for one in (*self.main.requests, *self.local.requests)]


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
        def client(url, key):
            return stack.enter_context(anthropic.Anthropic(base_url=url, api_key=key))

        yield lambda house, who=None: client(*at(house, who))


@pytest.fixture(scope="module")
def law(tmp_path_factory):
    """The shipped law, and a letter that is in force and forbids foreign persons the plain model."""
    return lettered(tmp_path_factory.mktemp("letter"))


def at(house, who=None):
    """An address and a key: of the gateway with somebody's, of the upstream without a `who`."""
    return (house.main.url, "sk-upstream") if who is None else (house.url, house.keys[who])


def async_at(house, who=None):
    url, key = at(house, who)
    return anthropic.AsyncAnthropic(base_url=url, api_key=key)


def helped(client, **asked):
    """The events of the SDK's own helper, and what it says the whole message is."""
    with client.messages.stream(**asked) as stream:
        return [event.model_dump() for event in stream], stream.get_final_message()


def looped(client, **asked):
    """The messages of the SDK's own tool loop, and what its tool was called with."""
    places = []

    @anthropic.beta_tool(name=TOOL)
    def look_up(place: str) -> str:
        """Look a place up."""
        places.append(place)
        return f"{place} is there."

    found = list(client.beta.messages.tool_runner(tools=[look_up], **asked))
    return [message.to_dict() for message in found], places


BATCH = [{"custom_id": "one", "params": ASK}, {"custom_id": "two", "params": PLAIN}]
CALLS = {
    "a message": lambda client: client.messages.create(**ASK),
    "a message of the beta": lambda client: client.beta.messages.create(**ASK),
    "a stream": lambda client: list(client.messages.create(stream=True, **ASK)),
    "a stream of the helper": lambda client: helped(client, **ASK),
    "a count of tokens": lambda client: client.messages.count_tokens(model=FABLE, messages=SAY),
    "a call of a tool": lambda client: client.messages.create(tools=TOOLS, **ASK),
    "a stream with a call of a tool": lambda client: helped(client, tools=TOOLS, **ASK),
    "a loop of tools": lambda client: looped(client, **ASK),
    "a model of the list": lambda client: client.models.retrieve(FABLE),
    "a batch": lambda client: client.messages.batches.create(requests=BATCH),
}
USES = [name for name in CALLS if name != "a model of the list"]


@pytest.mark.parametrize(("when", "who"), SERVED)
def test_whoever_may_gets_from_every_call_what_the_upstream_gives(june, sdk, when, who):
    house = june[when]
    through, direct = sdk(house, who), sdk(house)
    for name, call in CALLS.items():
        house.main.batches.clear()
        got = call(through)
        house.main.batches.clear()
        assert got == call(direct), name
    assert len(house.main.requests) == 2 * len(house.came)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("when", "who"), SERVED)
def test_the_body_is_that_of_the_upstream_byte_for_byte(june, sdk, when, who, stream):
    bodies = []
    for client in (sdk(june[when], who), sdk(june[when])):
        with client.messages.with_streaming_response.create(stream=stream, **ASK) as answer:
            bodies.append(answer.read())
    assert bodies[0] == bodies[1]
    through, direct = june[when].main.requests
    assert through.body == direct.body


@pytest.mark.parametrize(("when", "who"), SERVED)
async def test_the_async_client_gets_the_same(june, when, who):
    found = []
    for at in (who, None):
        async with async_at(june[when], at) as client:
            plain = await client.messages.create(**ASK)
            events = [event async for event in await client.messages.create(stream=True, **ASK)]
            async with client.messages.stream(tools=TOOLS, **ASK) as stream:
                final = await stream.get_final_message()
            models = await client.models.retrieve(FABLE)
            found.append((plain, events, final, models))
    assert found[0] == found[1]
    assert found[0][2].content[0].input == CALLED


def test_a_loop_of_tools_ends_in_words(june, sdk):
    (call, answer), places = looped(sdk(june["during"], "dana"), **ASK)
    assert (call["stop_reason"], answer["stop_reason"]) == ("tool_use", "end_turn")
    assert places == [CALLED["place"]]
    assert june["during"].came == ["POST /v1/messages"] * 2


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("who", "code"), [("elodie", "export_control_denied"), ("somebody", "evidence_needed")]
)
def test_whoever_may_not_sees_the_sdks_own_error_with_the_reason_and_it_asks_once(june, sdk, who, code, name):
    house = june["during"]
    with pytest.raises(anthropic.PermissionDeniedError) as refused:
        CALLS[name](sdk(house, who))
    error = refused.value
    carnet = error.body["error"]["carnet"]
    assert (error.status_code, error.type, carnet["code"]) == (403, "permission_error", code)
    assert "us.directive.2026-06-12.person" in carnet["rules"]
    assert carnet["appeal_url"] == "https://carnet.example/appeal"
    assert error.request_id == error.body["request_id"]
    assert "claude-fable-5" in error.body["error"]["message"]
    assert len(house.came) == 1
    assert house.heard == []


@pytest.mark.parametrize("who", ["elodie", "somebody"])
async def test_the_async_client_asks_once_too(june, who):
    house = june["during"]
    async with async_at(house, who) as client:
        for stream in (False, True):
            with pytest.raises(anthropic.PermissionDeniedError) as refused:
                await client.messages.create(stream=stream, **ASK)
            assert refused.value.body["error"]["carnet"]["model"] == FABLE
    assert house.came == ["POST /v1/messages"] * 2
    assert house.heard == []


def test_whoever_is_unknown_finds_in_the_error_what_would_settle_it(june, sdk):
    with pytest.raises(anthropic.PermissionDeniedError) as refused:
        sdk(june["during"], "somebody").messages.create(**ASK)
    carnet = refused.value.body["error"]["carnet"]
    assert "recipient.us_status" in [ask["fact"] for ask in carnet["asks"]]
    assert carnet["ask_url"] == "https://carnet.example/ask"


def test_a_refusal_of_451_is_a_status_error_that_is_asked_for_once(tmp_path, sdk):
    with Counted(tmp_path, status=451) as house:
        for stream in (False, True):
            with pytest.raises(anthropic.APIStatusError) as refused:
                sdk(house, "elodie").messages.create(stream=stream, **ASK)
            assert refused.value.status_code == 451
            assert refused.value.body["error"]["carnet"]["code"] == "export_control_denied"
            assert refused.value.response.links["blocked-by"]["url"] == "https://carnet.example/appeal"
        assert len(house.came) == 2
        assert house.heard == []


async def test_an_inability_is_asked_for_again_after_the_time_that_was_said_and_ends_as_the_servers(
    house, sdk, monkeypatch
):
    base, waits = anthropic._base_client, []

    async def slept(seconds):
        waits.append(seconds)

    house.going.jump(3600)
    monkeypatch.setattr(base.time, "sleep", waits.append)
    monkeypatch.setattr(base.anyio, "sleep", slept)
    with pytest.raises(anthropic.InternalServerError) as away:
        sdk(house, "dana").messages.create(**ASK)
    async with async_at(house, "dana") as client:
        with pytest.raises(anthropic.InternalServerError) as again:
            await client.messages.create(**ASK)
    monkeypatch.undo()
    for error in (away.value, again.value):
        assert (error.status_code, error.type) == (503, "api_error")
        assert error.body["error"]["carnet"]["code"] == "carnet_unavailable"
        assert "rules" not in error.body["error"]["carnet"]
    assert waits == [5.0] * 4
    assert len(house.came) == 6
    assert house.heard == []
    assert sdk(house, "dana").messages.create(**PLAIN).content[0].text == WORDS * 3


def test_the_list_has_what_each_caller_may_use(june, sdk):
    for when, who in SERVED:
        found = sdk(june[when], who).models.list()
        assert [model.id for model in found] == [FABLE, "plain-model", "claude-opus-4-8"]
    for who in ("elodie", "somebody"):
        found = sdk(june["during"], who).models.list()
        assert [model.id for model in found] == ["plain-model", "claude-opus-4-8"]
        assert (found.first_id, found.last_id, found.has_more) == ("plain-model", "claude-opus-4-8", False)


def test_the_list_has_the_model_that_a_refusal_names(june, sdk):
    client = sdk(june["during"], "elodie")
    with pytest.raises(anthropic.PermissionDeniedError) as refused:
        client.messages.create(**ASK)
    assert refused.value.body["error"]["carnet"]["alternatives"] == ["claude-opus-4-8"]
    assert "claude-opus-4-8" in [model.id for model in client.models.list()]


def test_a_model_of_another_upstream_can_be_looked_up(june, sdk):
    assert sdk(june["during"], "elodie").models.retrieve("claude-opus-4-8").id == "claude-opus-4-8"


def test_a_batch_goes_its_way_and_one_with_a_line_that_may_not_be_goes_nowhere(june, sdk):
    house = june["during"]
    client = sdk(house, "dana").messages.batches
    made = client.create(requests=BATCH)
    assert made.processing_status == "in_progress"
    assert client.retrieve(made.id).processing_status == "ended"
    assert [batch.id for batch in client.list()] == [made.id]
    house.forget()
    with pytest.raises(anthropic.PermissionDeniedError) as refused:
        sdk(house, "elodie").messages.batches.create(requests=[BATCH[1], BATCH[0]])
    assert refused.value.body["error"]["carnet"]["model"] == FABLE
    assert house.came == ["POST /v1/messages/batches"]
    assert house.heard == []
    assert sdk(house, "elodie").messages.batches.create(requests=[BATCH[1]]).id == "msgbatch_0"


def test_the_results_of_a_batch_come_through_the_gateway(june, sdk):
    house = june["during"]
    client = sdk(house, "dana").messages.batches
    made = client.create(requests=BATCH)
    assert [line.custom_id for line in client.results(made.id)] == ["one", "two"]
    assert house.came[-1] == f"GET /v1/messages/batches/{made.id}/results"
    sent = [value for one in house.main.requests for _, value in one.headers]
    assert house.keys["dana"].encode() not in sent


def events_until_the_end(events, got):
    for event in events:
        got.append(event)


@contextlib.contextmanager
def held(stub, path, parts):
    """The upstream sends an event and a half, and then nothing."""
    over, head = threading.Event(), [(b"content-type", b"text/event-stream")]
    stub.paths[path] = Served((parts[0], 0.05, parts[1][:60], over), headers=head)
    try:
        yield
    finally:
        over.set()


def inside(house, seconds=1.0):
    """Wait until half an event was handed on, if it ever is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and all(one.boundary.here for one in house.parts.turning.streams):
        time.sleep(0.01)


def cut_of(error):
    """Carnet's fields of a cut, as the SDK has them."""
    assert error.type == "permission_error"
    assert error.body["type"] == "error"
    return error.body["error"]["carnet"]


def test_a_stream_that_is_cut_ends_in_the_sdks_error_and_another_one_goes_on_to_its_end(tmp_path, sdk, law):
    with Counted(tmp_path) as house:
        client, got = sdk(house, "elodie"), []
        raw = client.messages.create(stream=True, extra_headers=LONG, **PLAIN)
        kept = sdk(house, "dana").messages.create(stream=True, extra_headers=SHORT, **PLAIN)
        with client.messages.stream(extra_headers=LONG, **PLAIN) as helper:
            began = [next(raw) for _ in range(4)], [next(kept) for _ in range(4)], next(helper)
            house.node.enter(law, house.policy)
            with pytest.raises(anthropic.APIStatusError) as cut:
                events_until_the_end(raw, got)
            with pytest.raises(anthropic.APIStatusError) as ended:
                helper.get_final_message()
        for error in (cut.value, ended.value):
            assert cut_of(error)["code"] == "export_control_denied"
            assert cut_of(error)["rules"] == ["us.directive.invented.letter"]
        assert "message_stop" not in {event.type for event in got}
        assert len(got) < 2000
        direct = list(sdk(house).messages.create(stream=True, extra_headers=SHORT, **PLAIN))
        assert [*began[1], *kept] == direct
        assert len(house.came) == 3
        with pytest.raises(anthropic.PermissionDeniedError):
            client.messages.create(**PLAIN)
        assert len(house.came) == 4


def test_a_stream_that_is_cut_inside_of_an_event_ends_in_the_sdks_error(tmp_path, sdk, law):
    with Counted(tmp_path) as house, held(house.main, "/v1/messages", messages(PLAIN, 3)[1]):
        got = [next(stream := sdk(house, "elodie").messages.create(stream=True, **PLAIN))]
        inside(house)
        house.node.enter(law, house.policy)
        with pytest.raises(anthropic.APIStatusError) as cut:
            events_until_the_end(stream, got)
        assert cut_of(cut.value)["code"] == "export_control_denied"
        assert [event.type for event in got] == ["message_start"]


async def test_a_stream_of_the_async_client_is_cut_in_the_same_way(house, law):
    async with async_at(house, "elodie") as refused, async_at(house, "dana") as served:
        stream = await refused.messages.create(stream=True, extra_headers=LONG, **PLAIN)
        kept = await served.messages.create(stream=True, extra_headers=SHORT, **PLAIN)
        await anext(stream)
        began = [await anext(kept)]
        house.node.enter(law, house.policy)
        with pytest.raises(anthropic.APIStatusError) as cut:
            [event async for event in stream]
        assert cut_of(cut.value)["code"] == "export_control_denied"
        assert [*began, *[event async for event in kept]][-1].type == "message_stop"
    assert len(house.came) == 2


def test_whoever_is_cut_off_in_the_middle_goes_on_with_the_other_model(tmp_path, sdk, law):
    way = {"closed": "fall_back", "fallback": {"example/plain-model": OPUS}}
    with Counted(tmp_path, **way) as house:
        client, said = sdk(house, "elodie"), []
        with client.messages.stream(extra_headers=LONG, **PLAIN) as stream:
            said.append(next(stream.text_stream))
            house.node.enter(law, house.policy)
            with pytest.raises(anthropic.APIStatusError):
                events_until_the_end(stream.text_stream, said)
        answer = {"role": "assistant", "content": "".join(said).strip()}
        talk = [*SAY, answer, {"role": "user", "content": "Go on."}]
        _, final = helped(client, **PLAIN | {"messages": talk})
        assert (final.model, final.stop_reason) == ("claude-opus-4-8", "end_turn")
        assert json.loads(house.local.requests[0].body)["messages"] == talk


def test_a_conversation_goes_on_with_the_other_model_which_every_answer_names(other, sdk):
    client, talk = sdk(other, "elodie"), list(SAY)
    for turn in ("Again.", "And again."):
        raw = client.messages.with_raw_response.create(**ASK | {"messages": talk})
        assert raw.headers["x-carnet-substituted-for"] == FABLE
        message = raw.parse()
        assert (message.model, message.content[0].text) == ("claude-opus-4-8", WORDS * 3)
        talk += [{"role": "assistant", "content": message.content}, {"role": "user", "content": turn}]
    events, final = helped(client, **ASK | {"messages": talk})
    assert final.model == events[0]["message"]["model"] == "claude-opus-4-8"
    asked = [json.loads(one.body) for one in other.local.requests]
    assert {one["model"] for one in asked} == {"opus-as-the-upstream-calls-it"}
    assert len(asked[-1]["messages"]) == 5
    assert not other.main.requests
    assert sdk(other, "dana").messages.create(**ASK).model == FABLE
    with pytest.raises(anthropic.PermissionDeniedError):
        sdk(other, "refusenik").messages.create(**ASK)


def test_a_loop_of_tools_works_with_the_other_model(other, sdk):
    (call, answer), places = looped(sdk(other, "elodie"), **ASK)
    assert (call["model"], answer["model"]) == ("claude-opus-4-8", "claude-opus-4-8")
    assert places == [CALLED["place"]]
    events, final = helped(sdk(other, "elodie"), tools=TOOLS, **ASK)
    assert (final.model, final.content[0].input) == ("claude-opus-4-8", CALLED)
    assert {event["type"] for event in events} >= {"input_json", "message_stop"}
    assert len(other.local.requests) == 3
    assert not other.main.requests


def test_a_count_of_tokens_of_the_other_model_is_not_that_of_the_first(other, sdk):
    counted = sdk(other, "elodie").messages.count_tokens(model=FABLE, messages=SAY)
    assert counted.input_tokens == len(other.local.requests[0].body)


SUSPENDED = {
    404: {"type": "error", "error": {"type": "not_found_error", "message": f"model: {FABLE}"}},
    403: {"type": "error", "error": {"type": "forbidden", "code": "unsupported_country_region_territory"}},
    451: {"type": "error", "error": {"type": "unavailable_for_legal_reasons", "message": "not here"}},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", SUSPENDED)
def test_a_model_that_its_upstream_stopped_to_offer_is_answered_by_the_other(june, sdk, status, stream):
    house = june["during"]
    house.main.paths["/v1/messages"] = Served((json.dumps(SUSPENDED[status]).encode(),), status)
    client = sdk(house, "dana")
    if stream:
        events, final = helped(client, **ASK)
        assert events[-1]["type"] == "message_stop"
    else:
        final = client.messages.create(**ASK)
    assert (final.model, final.content[0].text) == ("claude-opus-4-8", WORDS * 3)
    assert house.came == ["POST /v1/messages"]
    assert house.heard == ["POST /v1/messages"] * 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", SUSPENDED)
def test_and_without_another_one_what_it_said_comes_back_as_it_came(june, sdk, status, stream):
    house, errors = june["during"], []
    house.main.paths["/v1/messages"] = Served((json.dumps(SUSPENDED[status]).encode(),), status)
    for client in (sdk(house, "dana"), sdk(house)):
        with pytest.raises(anthropic.APIStatusError) as refused:
            client.messages.create(stream=stream, **PLAIN)
        errors.append(refused.value)
    through, direct = errors
    assert type(through) is type(direct)
    assert (through.status_code, through.body) == (status, SUSPENDED[status])
    assert through.response.content == direct.response.content
    assert len(house.came) == 1
    assert len(house.main.requests) == 2


def test_other_mistakes_are_the_errors_that_the_sdk_has_for_them(june, sdk):
    house = june["during"]
    for mistake, error in (
        ({"model": "claude-opus-4-8x"}, anthropic.BadRequestError),
        ({"extra_headers": {"x-carnet-end-user": "omar"}}, anthropic.PermissionDeniedError),
        ({"extra_body": {"fallbacks": [{"model": "gpt-of-nobody"}]}}, anthropic.BadRequestError),
    ):
        with pytest.raises(error):
            sdk(house, "dana").messages.create(**ASK | mistake)
    stranger = anthropic.Anthropic(base_url=house.url, api_key="sk-nobody")
    with stranger, pytest.raises(anthropic.AuthenticationError):
        stranger.messages.create(**ASK)
    assert len(house.came) == 4
    assert house.heard == []
