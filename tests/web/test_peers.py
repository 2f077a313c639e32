"""Nodes that ask each other: all that run answer, one that ended is passed over, one that fails is told."""

import asyncio
import stat
from contextlib import ExitStack

import msgspec
import pytest
from tests.web.conftest import FABLE, listening, problem, transaction

from carnet.model.errors import Unavailable
from carnet.service.node import Node
from carnet.service.request import Request
from carnet.store.policies import default_policy
from carnet.web.peers import Peers, Question


async def answering(question):
    return {"heard": question.ask, "subject": question.subject}


def run(folder, *numbers, what=answering, question=None):
    """What node 1 hears when it asks the nodes of these numbers."""

    async def whole():
        one, others = Peers(folder, 1), [Peers(folder, number) for number in numbers]
        for each in (one, *others):
            await each.start(what)
        try:
            return await one.ask(question or Question(ask="x", subject="ü"))
        finally:
            for each in (one, *others):
                await each.stop()

    return asyncio.run(whole())


def test_each_of_the_others_answers_and_nobody_asks_itself(tmp_path):
    assert [msgspec.json.decode(each) for each in run(tmp_path, 2, 3)] == [{"heard": "x", "subject": "ü"}] * 2
    assert run(tmp_path) == []


def test_alone_there_is_nobody_to_ask():
    async def whole():
        peers = Peers()
        await peers.start(answering)
        asked = await peers.ask(Question(ask="x"))
        await peers.stop()
        return asked

    assert asyncio.run(whole()) == []


def test_one_that_has_ended_is_passed_over(tmp_path):
    import socket

    gone = socket.socket(socket.AF_UNIX)
    gone.bind(str(tmp_path / "9.node"))
    gone.close()
    assert len(run(tmp_path, 2)) == 1


def test_one_that_fails_is_an_error_and_nothing_is_left_out(tmp_path):
    async def failing(question):
        raise RuntimeError("Zoe")

    with pytest.raises(Unavailable, match="does not answer") as caught:
        run(tmp_path, 2, what=failing)
    assert "Zoe" not in str(caught.value)


def test_one_that_hangs_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("carnet.web.peers.SECONDS", 0.2)

    async def hanging(question):
        await asyncio.sleep(1)

    with pytest.raises(Unavailable):
        run(tmp_path, 2, what=hanging)


def test_what_is_no_question_gets_no_answer(tmp_path):
    async def whole():
        peers = Peers(tmp_path, 2)
        await peers.start(answering)
        reader, writer = await asyncio.open_unix_connection(tmp_path / "2.node")
        writer.write(b'{"ask": "x", "more": 1}\n')
        reply = await reader.readline()
        writer.close()
        await writer.wait_closed()
        await peers.stop()
        return reply

    assert msgspec.json.decode(asyncio.run(whole()))["ok"] is False


def test_nobody_else_can_ask(tmp_path):
    async def whole():
        peers = Peers(tmp_path, 2)
        await peers.start(answering)
        mode = (tmp_path / "2.node").stat().st_mode
        await peers.stop()
        return stat.S_IMODE(mode)

    assert asyncio.run(whole()) == 0o600


def test_a_large_answer_is_whole(tmp_path):
    async def large(question):
        return "x" * 1_000_000

    (answer,) = run(tmp_path, 2, what=large)
    assert len(answer) == 1_000_002


def test_a_revocation_ends_grants_on_every_node(tmp_path, hands, rulebook):
    asked = {"transaction": transaction(at=hands.at.isoformat(), id="zoe", us_status="citizen")}
    known = msgspec.convert(asked, Request)
    with ExitStack() as opened:
        services = []
        for number in (1, 2, 3):
            node = Node(tmp_path / "data", rulebook, default_policy(), hands.clock(), number=number)
            opened.enter_context(node)
            services.append(opened.enter_context(listening(node, peers=Peers(tmp_path, number))))
        for service in services:
            service.post("/v1/determinations", asked, "decide")
            assert service.node.meeting.use("a", known) is not None
        answer = services[1].post("/v1/revocations", {"subject": "zoe", "item": FABLE}, "administer")
        assert answer.json() == {"count": 3, "nodes": 3}
        for service in services:
            assert service.node.meeting.use("a", known) is None
        records = services[0].get("/v1/records", "read").json()["records"]
        assert sorted(each["node"] for each in records if each["leaf"]["kind"] == "revoked") == [1, 2, 3]
        services[2].node.log.stop("this is a test")
        said = services[0].get("/readyz").json()["detail"]
        assert said == "node 3: the log takes no records"
        answer = services[0].post("/v1/revocations", {"item": FABLE}, "administer")
        problem(answer, "carnet_unavailable", 503)
