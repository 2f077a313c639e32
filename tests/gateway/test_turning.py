"""Answers that are open when the law changes, a grant is ended, or a time comes: through the real gateway,
with real clients that read as it comes."""

import asyncio
import datetime as dt
import json
import re
import time

import aiohttp
from tests.gateway.house import FABLE, LETTER, House
from tests.gateway.stub import until

from carnet.model.errors import Unavailable
from carnet.service.grants import Selector
from carnet.store.shelves import load_rulebook

LAW = """\
+++
format = 1
title = "Letter of an invented office"
source = "Letter of an invented office"
dated = 2026-06-01
verified = 2026-06-01
+++

# A letter about the plain model

```toml requirement
id = "us.directive.invented.letter"
cite = "invented letter 1"
from = {begins}
gate = "own"
binds = ["anthropic"]
reasons = ["notice"]
lifted_by = ["authorization", "carve_out"]
review = "none stated"
when = 'item.product == "example/plain-model" and {when}'
```
"""
FOREIGN = 'recipient.us_status == "none"'


def lettered(folder, begins="2026-06-01T00:00:00Z", when=FOREIGN):
    """The shipped law and one letter more, about the plain model."""
    file = folder / "us" / "directives" / "2026" / "invented.md"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(LAW.format(begins=begins, when=when), "utf-8")
    return load_rulebook(folder)


class Reader:
    """One caller's stream: what came, when, and how it ended."""

    def __init__(self, house, session, who, model="plain-model", path="/v1/messages", events=400, pause=0.02):
        self.pieces, self.ended = [], None
        self._task = asyncio.create_task(self._read(house, session, who, model, path, events, pause))

    async def _read(self, house, session, who, model, path, events, pause):
        body = {
            "model": model,
            "max_tokens": 9,
            "stream": True,
            "messages": [{"role": "user", "content": "x"}],
        }
        headers = {"x-api-key": house.keys[who], "stub-events": str(events), "stub-pause": str(pause)}
        async with session.post(house.url + path, json=body, headers=headers) as response:
            self.status = response.status
            async for piece in response.content.iter_any():
                self.pieces.append((time.monotonic(), piece))
        self.ended = time.monotonic()

    @property
    def text(self):
        return b"".join(piece for _, piece in self.pieces).decode()

    async def whole(self):
        await self._task
        return self.text

    @property
    def cut(self):
        return '"carnet":' in self.text

    async def begun(self, pieces=3):
        assert await until(lambda: len(self.pieces) >= pieces)


def client():
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


async def entered(house, rulebook):
    """Another law, entered as an operator's thread would."""
    await asyncio.to_thread(house.node.enter, rulebook, house.policy)


async def test_at_another_epoch_those_that_may_not_go_on_are_cut_and_the_others_go_on(tmp_path):
    with House(tmp_path / "house") as house:
        law = lettered(tmp_path / "letter")
        async with client() as session:
            cut = [Reader(house, session, "elodie", events=2000) for _ in range(5)]
            asked = Reader(house, session, "somebody", events=2000)
            on = [Reader(house, session, "dana", events=150) for _ in range(5)]
            for reader in (*cut, asked, *on):
                await reader.begun()
            await entered(house, law)
            for reader in cut:
                text = await reader.whole()
                assert '"code":"export_control_denied"' in text
                assert "us.directive.invented.letter" in text
                assert "message_stop" not in text
                assert text.rstrip().splitlines()[-2] == "event: error"
            assert '"code":"evidence_needed"' in await asked.whole()
            for reader in on:
                text = await reader.whole()
                assert text.count("content_block_delta") == 2 * 150
                assert text.endswith('data: {"type": "message_stop"}\n\n')
                assert not reader.cut
        assert await until(lambda: len(house.parts.turning.streams) == 0)


async def test_no_byte_of_the_upstream_follows_the_change(tmp_path):
    """Bytes that a client has after the change were written before it: so they are few, and what comes last
    is the end. The upstream sends a thousand in a second."""
    with House(tmp_path / "house") as house:
        law = lettered(tmp_path / "letter", when='recipient.location == "FR"')
        written = []
        allows = house.parts.turning.streams.allows
        house.parts.turning.streams.allows = lambda stream: (
            written.append((stream.turn, house.api.turn, found := allows(stream))),
            found,
        )[1]
        async with client() as session:
            readers = [Reader(house, session, "elodie", events=100_000, pause=0.001) for _ in range(3)]
            for reader in readers:
                await reader.begun()
            await entered(house, law)
            for reader in readers:
                await reader.whole()
                assert reader.cut
        assert all(mine == now for mine, now, allowed in written if allowed)
        assert len(written) > 9


async def test_a_survivor_at_a_controlled_item_is_recorded_under_the_new_epoch(tmp_path):
    with House(tmp_path / "house") as house:
        law = lettered(tmp_path / "letter")
        async with client() as session:
            reader = Reader(house, session, "dana", events=150)
            await reader.begun()
            before = house.records()
            await entered(house, law)
            assert await until(lambda: house.records() > before, 5)
            assert not (await reader.whole()).endswith("error\n\n")
            assert not reader.cut


async def test_a_survivor_that_can_not_be_recorded_is_cut_within_two_seconds(tmp_path):
    with House(tmp_path / "house") as house:
        law = lettered(tmp_path / "letter")
        verdict = house.api.verdict

        async def failing(tenant, request):
            if request.surface == "stream":
                raise Unavailable("no room")
            return await verdict(tenant, request)

        house.api.verdict = failing
        async with client() as session:
            reader = Reader(house, session, "dana", events=2000)
            await reader.begun()
            await entered(house, law)
            assert '"code":"carnet_unavailable"' in await reader.whole()


async def test_a_grant_that_is_ended_is_decided_about_anew_with_the_facts_of_now(tmp_path):
    """Revoked without a change of facts, the use goes on under a new grant; with one, it is cut."""
    from tests.subjects.conftest import said

    with House(tmp_path / "house") as house:
        async with client() as session:
            reader = Reader(house, session, "dana", model="claude-fable-5", events=2000)
            await reader.begun()
            before = house.records()
            await asyncio.to_thread(house.node.grants.revoke, "default", Selector(item=FABLE))
            assert await until(lambda: house.records() >= before + 2)
            count = len(reader.pieces)
            assert await until(lambda: len(reader.pieces) > count + 5)
            facts = said("desk", "S3", us_status="none", nationalities=("FR",), kind="person", location="FR")
            house.node.subjects.add("default", [("dana", facts)], house.going.now())
            await asyncio.to_thread(house.node.grants.revoke, "default", Selector(item=FABLE))
            assert '"code":"export_control_denied"' in await reader.whole()


async def test_a_rule_that_was_known_before_acts_at_its_instant_without_anybody_doing_anything(tmp_path):
    begins = LETTER - dt.timedelta(seconds=4)
    with House(tmp_path, begins) as house:
        async with client() as session:
            foreign = Reader(house, session, "elodie", model="claude-fable-5", events=2000)
            citizen = Reader(house, session, "dana", model="claude-fable-5", events=450)
            await foreign.begun()
            text = await foreign.whole()
            assert "us.directive.2026-06-12.person" in text
            assert house.going.now() >= LETTER
            assert house.going.now() - LETTER < dt.timedelta(seconds=5)
            assert not foreign.pieces[0][1].startswith(b"event: error")
            assert "message_stop" in await citizen.whole()
            assert not citizen.cut


async def test_while_nothing_controlled_may_be_served_what_is_controlled_is_cut_and_the_rest_goes_on(
    tmp_path,
):
    with House(tmp_path) as house:
        async with client() as session:
            controlled = Reader(house, session, "dana", model="claude-fable-5", events=2000)
            free = Reader(house, session, "dana", events=200)
            await controlled.begun()
            await free.begun()
            house.going.jump(3600)
            assert '"code":"carnet_unavailable"' in await controlled.whole()
            assert "message_stop" in await free.whole()


async def test_a_stream_of_the_other_api_ends_in_its_own_form(tmp_path):
    with House(tmp_path / "house") as house:
        law = lettered(tmp_path / "letter")
        async with client() as session:
            reader = Reader(house, session, "elodie", path="/v1/chat/completions", events=2000)
            await reader.begun()
            await entered(house, law)
            *_, error, done = re.findall(r"data: (.*)", await reader.whole())
            assert json.loads(error)["error"]["code"] == "export_control_denied"
            assert done == "[DONE]"


async def test_what_is_cut_is_on_record_afterwards(tmp_path):
    with House(tmp_path / "house") as house:
        law = lettered(tmp_path / "letter")
        async with client() as session:
            reader = Reader(house, session, "elodie", events=2000)
            await reader.begun()
            await entered(house, law)
            await reader.whole()

        def actions():
            with house.node.log.reading() as reading:
                return [json.loads(leaf).get("action") for leaf in reading.leaves(0, reading.size)]

        assert await until(lambda: "cut" in actions())
