"""A log and its witnesses: what grows is cosigned, what was rolled back or forked is found, and a witness
that was away is caught up with."""

import asyncio
import threading
import time
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from tests.ledger.memory import LOG, ORIGIN
from tests.witness.logs import KEY, KEY_2, KEY_3, LOGS, NOW, Small, serving

from carnet.ledger import checkpoint, note, witness
from carnet.ledger.quorum import Quorum, Witness
from carnet.ledger.witness import Request
from carnet.model.errors import Damaged, Unavailable, Unverified
from carnet.store.cosign import Ahead, Cosigned, Failed, Forked, Runner, Witnessed, asking, keeper, kept
from carnet.store.exchange import Reply
from carnet.store.witness import Memory
from carnet.web.witness import app


class Wire:
    """The usual way to ask, which counts and can be cut."""

    def __init__(self):
        self.asked, self.down, self.lose = [], set(), 0

    def __call__(self, method, url, body=None):
        self.asked.append((method, body))
        if any(url.startswith(one) for one in self.down):
            raise Unavailable(f"`{url}` can't be asked: connection refused")
        reply = asking(5)(method, url, body)
        if self.lose:
            self.lose -= 1
            raise Unavailable(f"`{url}` can't be asked: took too long")
        return reply

    def posts(self):
        return [witness.parsed(body) for method, body in self.asked if method == "POST"]


@contextmanager
def answering(*replies):
    """A witness of bad faith, or none at all: an `Ask` that says these things in turn, the last for ever."""
    left = list(replies)

    def ask(method, url, body=None):
        del url, body
        if method == "GET":
            return Reply(404, "text/plain", b"")
        return left.pop(0) if len(left) > 1 else left[0]

    yield ask


@pytest.fixture
def url(memory):
    with serving(app(memory, [KEY], LOGS)) as address:
        yield address


def client(small, url, ask=None):
    return Witnessed(small, ORIGIN, [LOG.verifier], KEY.verifier, url, ask or asking(5))


def test_each_new_checkpoint_is_cosigned_with_one_request(url):
    small, wire = Small(), Wire()
    one = client(small, url, wire)
    for count in (1, 4, 0, 300):
        small.append(count)
        answer = one.submit()
        assert isinstance(answer, Cosigned)
        data = note.joined(answer.note, answer.signatures).data
        found = checkpoint.opened(data, ORIGIN, [LOG.verifier], [KEY.verifier])
        assert (found.checkpoint.size, len(found.cosignatures)) == (small.tree.size, 1)
    assert [each.old for each in wire.posts()] == [0, 1, 5, 5]


def test_after_a_restart_the_witness_says_where_to_begin(url):
    small, wire = Small(5), Wire()
    client(small, url).submit()
    assert isinstance(client(small.append(6), url, wire).submit(), Cosigned)
    assert [(each.old, len(each.proof) > 0) for each in wire.posts()] == [(0, False), (5, True)]


def test_an_answer_that_was_lost_is_asked_for_again(url):
    small, wire = Small(5), Wire()
    one = client(small, url, wire)
    wire.lose = 1
    assert isinstance(one.submit(), Failed)
    assert isinstance(one.submit(), Cosigned)
    assert [each.old for each in wire.posts()] == [0, 0, 5]


def test_a_log_that_was_rolled_back_is_found_with_proof(url):
    small = Small(4)
    backup = small.copy(mark="after the restore")
    client(small.append(4), url).submit()
    found = client(backup, url).submit()
    assert (type(found), found.size, found.ours) == (Ahead, 8, 4)
    assert checkpoint.opened(found.proof, ORIGIN, [LOG.verifier]).checkpoint.size == 8
    assert "append nothing and continue it under a new origin" in str(found)
    assert isinstance(client(backup.append(2), url).submit(), Ahead)
    assert isinstance(client(small, url).submit(), Cosigned)


def test_a_rolled_back_log_that_grew_past_it_is_found_as_a_fork(url):
    small = Small(4)
    backup = small.copy(mark="after the restore")
    client(small.append(4), url).submit()
    for count in (4, 9):
        found = client(backup.append(count), url).submit()
        assert (type(found), found.size) == (Forked, 8)
        theirs = checkpoint.opened(found.proof, ORIGIN, [LOG.verifier]).checkpoint
        assert theirs.root == small.tree.root
    assert isinstance(client(small.append(1), url).submit(), Cosigned)


def test_a_fork_of_one_log_is_cosigned_on_one_side_only(url):
    """Two processes with the same key go on from the same state."""
    here = Small(6)
    there = here.copy(mark="there")
    sides = [client(here.append(2), url), client(there.append(3), url)]
    answers = [side.submit() for side in (*sides, *sides)]
    assert [type(answer) for answer in answers] == [Cosigned, Forked, Cosigned, Forked]


def test_a_log_that_only_grew_meanwhile_is_not_called_rolled_back(url):
    """The witness has seen more than was read a moment ago, by another of the log's own clients."""
    small, wire = Small(3), Wire()
    one = client(small, url, wire)

    def meanwhile(method, where, body=None):
        if len(wire.asked) == 0:
            client(small.append(5), url).submit()
        return wire(method, where, body)

    one._ask = meanwhile
    found = one.submit()
    assert (type(found), found.about.size) == (Cosigned, 8)


def test_a_witness_without_a_page_for_monitors_is_taken_at_its_word():
    small = Small(4)
    with answering(Reply(409, witness.SIZE_TYPE, b"9\n")) as ask:
        assert client(small, "http://w", ask).submit() == Ahead(KEY.name, 9, 4, None)
    with answering(Reply(409, witness.SIZE_TYPE, b"4\n"), Reply(422, "text/plain", b"")) as ask:
        assert client(small, "http://w", ask).submit() == Forked(KEY.name, 4, None)
    with answering(Reply(409, "text/plain", b"")) as ask:  # another root, as tlog-witness v1.0.0 had it
        assert client(small, "http://w", ask).submit() == Forked(KEY.name, 0, None)


def showing(size, signed, status=422):
    """A witness that names a size, refuses the proof from there, and shows this checkpoint to monitors."""

    def ask(method, url, body=None):
        del url
        if method == "GET":
            return Reply(200, "text/plain", signed)
        stale = witness.parsed(body).old != size
        return Reply(409, witness.SIZE_TYPE, b"%d\n" % size) if stale else Reply(status, "text/plain", b"")

    return ask


def test_what_a_refusing_witness_shows_decides_what_it_is():
    small = Small(4)
    later = small.copy().append(5)
    found = client(small, "http://w", showing(4, later.signed)).submit()
    assert found == Ahead(KEY.name, 9, 4, later.signed)
    forged = Small(3, mark="forged")
    assert client(small, "http://w", showing(4, forged.signed)).submit() == Forked(KEY.name, 3, forged.signed)
    foreign = Small(3, origin="log.example/other")
    assert client(small, "http://w", showing(4, foreign.signed)).submit() == Forked(KEY.name, 4, None)
    found = client(small, "http://w", showing(4, Small(3).signed)).submit()
    assert (type(found), found.declined) == (Failed, 422)
    assert "refuses a proof that holds" in str(found)


def test_a_witness_that_forgot_is_told(url, memory, tmp_path, caplog):
    small = Small(3)
    one = client(small, url)
    assert isinstance(one.submit(), Cosigned)
    with answering(Reply(409, witness.SIZE_TYPE, b"2\n")) as ask:
        one._ask = ask
        assert isinstance(one.submit(), Failed)
    assert "remembers 2 records and had cosigned 3: it forgot, replace it" in caplog.text


def stranger(small, key=KEY_3):
    return witness.lines(note.signed(note.parsed(small.signed).text, [key.at(NOW)]).signatures)


SMALL = Small(4)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(200, "text/plain", b""), "no signature lines"),
        (Reply(200, "text/plain", b"\xff\n"), "not UTF-8"),
        (Reply(200, "text/html", b"<html></html>\n"), "is no signature line"),
        (Reply(200, "text/plain", stranger(SMALL)), "no known key signed"),
        (Reply(200, "text/plain", stranger(Small(5), KEY)), "is wrong"),
        (Reply(409, witness.SIZE_TYPE, b"a lot\n"), "is no size of a log"),
        (Reply(409, witness.SIZE_TYPE, b"2\n"), "another size each time"),
        (Reply(302, "text/plain", b""), "status 302"),
        (
            Reply(404, "text/plain", b"the log is\x1b[2J not known\n"),
            "status 404, the log is\\x1b[2J not known",
        ),
        (Reply(403, "text/plain", b"x" * 9999), "status 403, xxx"),
        (Reply(503, "text/plain", b"later\n"), "status 503, later"),
    ],
)
def test_an_answer_that_is_none_is_no_cosignature(reply, said):
    with answering(reply) as ask:
        found = client(SMALL, "http://w", ask).submit()
    assert isinstance(found, Failed)
    assert said in str(found)
    assert len(str(found)) < 400
    assert (found.declined is not None) == (300 <= reply.status < 500 and reply.status != 409)


def test_a_damaged_log_blames_no_witness(url):
    small = Small(6)
    one = client(small, url)
    assert isinstance(one.submit(), Cosigned)
    small.append(3)
    del small.storage.kept[1, 2]
    with pytest.raises(Damaged):
        one.submit()
    small.storage.kept[1, 2] = bytes(32)
    with pytest.raises(Unverified, match="not shown to begin"):
        one.submit()


class Told:
    """A clock that is told what it is."""

    def __init__(self):
        self.seconds = 0.0

    def wall(self):
        return NOW + int(self.seconds)

    def monotonic(self):
        return self.seconds


class House:
    """Witnesses on real sockets with told clocks, and the runner of a log before them."""

    def __init__(self, stack, tmp_path, *keys, need=1, small=None, **options):
        self.told, self.wire, self.small = Told(), Wire(), small or Small(3)
        self.urls = []
        for number, key in enumerate(keys):
            home = tmp_path / f"witness-{number}"
            home.mkdir()
            memory = Memory.create(home)
            stack.callback(memory.close)
            self.urls.append(stack.enter_context(serving(app(memory, [key], LOGS, now=self.told.wall))))
        entries = [Witness(key=str(key.verifier), url=url) for key, url in zip(keys, self.urls, strict=True)]
        self.quorum = Quorum(need=need, witness=tuple(entries), stop_seconds=1800)
        self.runner = self.run(**options)

    def run(self, small=None, **options):
        return Runner(
            small or self.small,
            ORIGIN,
            [LOG.verifier],
            self.quorum,
            ask=self.wire,
            clock=self.told.monotonic,
            wall=self.told.wall,
            **options,
        )

    def later(self, seconds, step=1.0):
        """Time passes, and the runner does what it does."""
        for _ in range(int(seconds / step)):
            self.told.seconds += step
            self.runner.round()


@pytest.fixture
def house(tmp_path):
    with ExitStack() as stack:
        yield lambda *keys, **options: House(stack, tmp_path, *keys, **options)


def test_a_log_stays_fresh_while_its_witness_is_there(house):
    one = house(KEY)
    one.runner.round()
    for _ in range(10):
        assert one.runner.standing().kind == "fresh"
        one.small.append(2)
        one.later(20)
    assert one.runner.standing().size in {21, 23}
    assert len(one.wire.posts()) <= 16  # 200 seconds, one request each 15
    assert one.runner.failures == one.runner.findings == ()


def test_a_witness_that_was_down_for_minutes_is_caught_up_with_by_one_proof(house):
    one = house(KEY)
    one.runner.round()
    assert one.runner.standing().kind == "fresh"
    one.wire.down = set(one.urls)
    kinds = []
    for _ in range(40):
        one.small.append(5)
        one.later(60, step=2)
        kinds.append(one.runner.standing().kind)
    assert kinds == ["fresh"] + ["late"] * 4 + ["alarm"] * 25 + ["stopped"] * 10
    assert not one.runner.standing().allows
    (failed,) = one.runner.failures
    assert "connection refused" in failed.why
    one.wire.down, before = set(), len(one.wire.posts())
    one.later(32)
    assert one.runner.standing().kind == "fresh"
    assert (one.runner.standing().size, one.runner.failures) == (203, ())
    asked = one.wire.posts()[before:]
    assert (asked[0].old, checkpoint.parsed(note.parsed(asked[0].note).text).size) == (3, 203)
    assert (
        witness.decided(
            witness.Remembered(ORIGIN, 3, Small(3).tree.root, b""), witness.admitted(asked[0].data, LOGS)
        )
        is None
    )


def test_a_witness_that_is_down_is_asked_less_and_less_but_always(house):
    one = house(KEY)
    one.wire.down = set(one.urls)
    times = []
    for _ in range(400):
        before = len(one.wire.asked)
        one.runner.round()
        times += [one.told.seconds] * (len(one.wire.asked) - before)
        one.told.seconds += 1
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert gaps[:5] == [1, 2, 4, 8, 16]
    assert set(gaps[5:]) == {30}


def test_two_of_three_are_enough_and_one_is_not(house):
    one = house(KEY, KEY_2, KEY_3, need=2)
    one.wire.down = {one.urls[0]}
    one.runner.round()
    assert (one.runner.standing().kind, one.runner.standing().missing) == ("fresh", (KEY.name,))
    one.wire.down = set(one.urls[:2])
    one.small.append(2)
    one.later(400)
    standing = one.runner.standing()
    assert (standing.kind, standing.size) == ("alarm", 3)  # the last that two of them have seen
    one.wire.down = set()
    one.later(40)
    assert (one.runner.standing().kind, one.runner.standing().size) == ("fresh", 5)
    found = checkpoint.opened(
        one.runner.cosigned, ORIGIN, [LOG.verifier], [key.verifier for key in (KEY, KEY_2, KEY_3)]
    )
    assert len({each.name for each in found.cosignatures}) >= 2


def test_cosignatures_that_come_one_after_the_other_are_joined(house):
    one = house(KEY, KEY_2, need=2)
    one.wire.down = {one.urls[0]}
    one.runner.round()
    assert one.runner.standing().kind == "stopped"
    one.wire.down = {one.urls[1]}
    one.later(10)
    assert one.runner.standing().kind == "fresh"
    assert one.runner.standing().size == 3


def test_a_rolled_back_log_is_found_at_the_start_and_stays_so(house):
    one = house(KEY)
    backup = one.small.copy(mark="after the restore")
    one.small.append(4)
    one.runner.round()
    runner = one.run(backup)
    runner.round()
    (found,) = runner.findings
    assert (type(found), found.size, found.ours) == (Ahead, 7, 3)
    assert runner.standing().kind == "stopped"
    one.told.seconds += 60
    runner.round()
    assert [type(each) for each in runner.findings] == [Ahead]


def test_what_a_witness_only_said_goes_when_it_cosigns_again(house):
    one = house(KEY)
    said = [Reply(409, witness.SIZE_TYPE, b"99\n"), Reply(404, "text/plain", b"")]

    def lying(method, url, body=None):
        return said.pop(0) if said else one.wire(method, url, body)

    runner = Runner(
        one.small,
        ORIGIN,
        [LOG.verifier],
        one.quorum,
        ask=lying,
        clock=one.told.monotonic,
        wall=one.told.wall,
    )
    runner.round()
    assert [(type(each), each.proof) for each in runner.findings] == [(Ahead, None)]
    one.told.seconds += 60
    runner.round()
    assert runner.findings == ()
    assert runner.standing().kind == "fresh"


def test_what_is_proved_stays_even_if_the_log_is_put_right(house):
    one = house(KEY)
    backup = one.small.copy(mark="after the restore")
    one.small.append(4)
    one.runner.round()
    runner = one.run(backup)
    runner.round()
    backup.storage, backup.tree, backup.signed = one.small.storage, one.small.tree, one.small.signed
    one.told.seconds += 60
    assert [type(each) for each in runner.round()] == [Cosigned]
    assert [type(each) for each in runner.findings] == [Ahead]


def test_only_a_note_that_was_cosigned_later_is_kept(house):
    written = []
    one = house(KEY, keep=written.append)
    one.runner.round()
    one.wire.down = set(one.urls)
    one.later(100)
    assert written == [one.runner.cosigned]
    one.wire.down = set()
    one.later(60)
    assert len(written) > 1
    times = [
        checkpoint.opened(data, ORIGIN, [LOG.verifier], [KEY.verifier]).cosignatures[-1].at
        for data in written
    ]
    assert times == sorted(set(times))


def test_a_start_knows_how_long_ago_the_log_was_witnessed(house, tmp_path):
    file = tmp_path / "cosigned"
    assert kept(file) is None
    one = house(KEY, keep=keeper(file))
    one.runner.round()
    assert kept(file) == one.runner.cosigned
    one.told.seconds += 700
    one.wire.down = set(one.urls)
    runner = one.run(last=kept(file))
    assert (runner.standing().kind, runner.standing().age) == ("alarm", 700)
    assert one.run(last=None).standing().kind == "stopped"
    for broken in (b"", b"?", kept(file).replace(b"\n3\n", b"\n4\n")):
        assert one.run(last=broken).standing().kind == "stopped"


def test_what_can_not_be_kept_does_not_count(house):
    def full(data):
        raise Unavailable("no space left on device")

    one = house(KEY, keep=full)
    one.runner.round()
    assert (one.runner.cosigned, one.runner.standing().kind) == (None, "stopped")


def test_the_runner_lives_on_whatever_happens(house, caplog):
    one = house(KEY)
    one.small.storage.kept.clear()
    one.runner._turns[0].witnessed.size = 2
    assert "the log can't be read or proved" in str(one.runner.round()[0])
    one.told.seconds += 60
    one.runner._turns[0].witnessed.submit = lambda: 1 / 0
    assert "unexpected error `ZeroDivisionError`" in str(one.runner.round()[0])
    assert "Traceback" not in caplog.text


def test_a_witness_without_a_url_is_waited_for_and_not_asked(house):
    one = house(KEY)
    quorum = Quorum(need=1, witness=(Witness(key=str(KEY_2.verifier)),), stop_seconds=1800)
    runner = Runner(one.small, ORIGIN, [LOG.verifier], quorum, ask=one.wire)
    runner.start()
    assert runner.round() == ()
    runner.stop()
    assert runner.standing().kind == "stopped"
    assert one.wire.asked == []


def test_the_thread_keeps_a_log_witnessed_until_it_is_stopped(memory):
    small, sizes = Small(3), []
    with serving(app(memory, [KEY], LOGS)) as url:
        quorum = Quorum(need=1, within_seconds=1, witness=(Witness(key=str(KEY.verifier), url=url),))
        runner = Runner(small, ORIGIN, [LOG.verifier], quorum, keep=lambda data: sizes.append(len(data)))
        runner.start()
        runner.start()
        deadline = time.monotonic() + 20
        while runner.standing().size != 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        small.append(4)
        while runner.standing().size != 7 and time.monotonic() < deadline:
            time.sleep(0.02)
        runner.stop()
    assert (runner.standing().size, runner.standing().kind) == (7, "fresh")
    assert not [each for each in threading.enumerate() if each.name.startswith("carnet-cosign")]
    assert sizes


def test_a_slow_witness_holds_up_no_other(tmp_path):
    """One never answers; the other has cosigned long before that one is given up."""

    async def never(request):
        await asyncio.sleep(1.2)
        return PlainTextResponse("at last")

    async def soon(request):
        found = witness.admitted(await request.body(), LOGS)
        return Response(witness.lines(witness.cosigned(found, [KEY_2], int(time.time()))[1]))

    with (
        serving(Starlette(routes=[Route("/add-checkpoint", never, methods=["POST"])])) as slow,
        serving(Starlette(routes=[Route("/add-checkpoint", soon, methods=["POST"])])) as fast,
    ):
        witnesses = (
            Witness(key=str(KEY.verifier), url=slow),
            Witness(key=str(KEY_2.verifier), url=fast),
        )
        quorum = Quorum(need=1, witness=witnesses)
        runner = Runner(Small(3), ORIGIN, [LOG.verifier], quorum, ask=asking(0.5))
        started = time.monotonic()
        answers = runner.round()
        assert time.monotonic() - started < 1.1
    assert [type(each) for each in answers] == [Failed, Cosigned]
    assert runner.standing().kind == "fresh"


def test_the_request_of_a_client_is_the_one_of_the_specification(url):
    small, wire = Small(5), Wire()
    client(small, url + "/", wire).submit()
    ((method, body),) = wire.asked
    assert method == "POST"
    assert body == Request(0, (), small.signed).data
    assert body.startswith(b"old 0\n\n" + ORIGIN.encode() + b"\n5\n")
