"""What `carnet.store.protocols` promises of a log, whichever database is behind it."""

import pytest
from tests.ledger.memory import LOG, ORIGIN
from tests.store.logs import appended, entry, full, leaf, term

from carnet.ledger import checkpoint, proof, tiles
from carnet.ledger.audit import audit
from carnet.ledger.tree import EMPTY_ROOT
from carnet.model.errors import Malformed, StoreError, Taken, Unavailable
from carnet.store.protocols import Answered, GrantRow, Receipt, Record

KEYS = [LOG.verifier]


def last(log):
    """The last checkpoint, verified."""
    with log.reading() as reading:
        return checkpoint.opened(reading.checkpoint(), ORIGIN, KEYS).checkpoint


def test_a_new_log_has_a_signed_checkpoint_of_nothing(log):
    assert (last(log).size, last(log).root) == (0, EMPTY_ROOT)
    assert log.origin == ORIGIN


def test_a_receipt_says_where_a_record_is_and_what_covers_it(log):
    receipts = appended(log, [entry(str(number)) for number in range(20)])
    assert [receipt.index for receipt in receipts] == list(range(20))
    assert all(receipt.index < receipt.size <= 20 for receipt in receipts)
    assert last(log).size == 20


def test_all_of_an_entry_is_there_again(backend):
    given = full("one")
    with backend.open() as log:
        assert appended(log, [given]) == [Receipt(0, 1)]
    with backend.open() as log, log.reading() as reading:
        assert reading.record(0) == Record(
            index=0,
            id="one",
            leaf=given.leaf,
            tenant="a",
            subject=given.subject,
            retention=given.retention,
            sealed=given.sealed,
        )
        assert reading.of_id("a", "one") == reading.record(0)
        assert reading.found("a", [term("one")]) == [reading.record(0)]
        assert reading.grant("a", "grant one") == (given.grant, 0)
        assert reading.answered("a", "answer one") == given.answered


def test_what_an_entry_does_not_have_is_not_there(log):
    appended(log, [entry("one")])
    with log.reading() as reading:
        assert reading.record(0).sealed is None
        assert reading.found("a", [term("one")]) == []
        assert reading.grant("a", "grant one") is None
        assert reading.answered("a", "answer one") is None
        assert reading.record(1) is None
        assert reading.record(-1) is None
        assert reading.of_id("a", "two") is None


def test_an_id_is_taken_once(log):
    first, second = log.submit(entry("one")), log.submit(entry("one", leaf=b"another"))
    assert first.result(60) == Receipt(0, 1)
    with pytest.raises(Taken, match="`one` is recorded already"):
        second.result(60)
    with pytest.raises(Taken):
        log.submit(entry("one", tenant="b")).result(60)
    assert last(log).size == 1


def test_an_idempotency_key_is_answered_once_for_each_tenant(log):
    answer = Answered(key="k", request=b"r", status=200, body=b"{}")
    both = [log.submit(entry("1", answered=answer)), log.submit(entry("2", answered=answer))]
    assert both[0].result(60).index == 0
    with pytest.raises(Taken, match="idempotency key"):
        both[1].result(60)
    with pytest.raises(Taken, match="idempotency key"):
        log.submit(entry("3", answered=answer)).result(60)
    assert log.submit(entry("4", tenant="b", answered=answer)).result(60).index == 1
    with log.reading() as reading:
        assert reading.of_id("a", "2") is None
        assert reading.answered("b", "k") == answer


def test_what_can_not_be_stored_fails_alone(log):
    wrong = [
        entry("large", leaf=bytes(65_536)),
        entry("", leaf=b"no id"),
        entry("half", subject="\ud800"),
        entry("short term", terms=(b"short",)),
        entry("many terms", terms=tuple(term(str(number)) for number in range(65))),
        entry("long", subject="x" * 5000),
        entry("sealed", sealed=bytes((1 << 20) + 1)),
        entry("epoch", grant=GrantRow(key="k", subject="s", item="i", epoch=2**63, until=None)),
        entry("status", answered=Answered(key="k", request=b"", status=2**63, body=b"")),
        entry("body", answered=Answered(key="k", request=b"", status=200, body=bytes((1 << 20) + 1))),
    ]
    futures = [log.submit(each) for bad in wrong for each in (bad, entry(f"good {bad.id[:4]!r}"))]
    for bad, good in zip(futures[::2], futures[1::2], strict=True):
        with pytest.raises(Malformed):
            bad.result(60)
        good.result(60)
    assert last(log).size == len(wrong)


def test_the_largest_entry_is_stored(log):
    given = entry(
        "x" * 100,
        leaf=bytes(65_535),
        sealed=bytes(1 << 20),
        terms=tuple(term(str(number)) for number in range(64)),
    )
    appended(log, [given])
    with log.reading() as reading:
        assert reading.record(0).leaf == given.leaf
        assert reading.record(0).sealed == given.sealed
        assert all(reading.found("a", [each]) for each in given.terms)


def test_odd_texts_come_back_as_they_were(log):
    given = [
        entry(f"{number} {text}", tenant=text) for number, text in enumerate(("", "\0", "ü", "🦉", "a\nb"))
    ]
    appended(log, given)
    with log.reading() as reading:
        for each in given:
            assert reading.of_id(each.tenant, each.id).leaf == each.leaf


def test_another_tenant_sees_nothing(log):
    appended(log, [full("one", "a"), full("two", "b")])
    with log.reading() as reading:
        assert reading.of_id("b", "one") is None
        assert reading.found("b", [term("one")]) == []
        assert [record.id for record in reading.found("b", [term("every")])] == ["two"]
        assert [record.id for record in reading.found("b", [])] == ["two"]
        assert reading.grant("b", "grant one") is None
        assert reading.answered("b", "answer one") is None


def test_a_search_wants_all_terms_and_goes_by_index(log):
    three, five = term("three"), term("five")
    appended(
        log,
        [
            entry(
                str(number),
                terms=((three,) if number % 3 == 0 else ()) + ((five, five) if number % 5 == 0 else ()),
            )
            for number in range(40)
        ],
    )

    def ids(terms, **more):
        return [int(record.id) for record in reading.found("a", terms, **more)]

    with log.reading() as reading:
        assert ids([five]) == [0, 5, 10, 15, 20, 25, 30, 35]
        assert ids([five, three]) == ids([three, five, three]) == [0, 15, 30]
        assert ids([five], after=10, limit=3) == [15, 20, 25]
        assert ids([term("none"), five]) == []
        assert ids([], after=36) == [37, 38, 39]
        assert ids([five], limit=0) == ids([five], limit=-1) == []
        with pytest.raises(Malformed, match="`33` terms"):
            ids([term(str(number)) for number in range(33)])


def test_of_a_grants_key_the_last_counts(log):
    def grant(epoch):
        return GrantRow(key="k", subject="s", item="i", epoch=epoch, until=None)

    appended(
        log, [entry("1", grant=grant(1)), entry("2", grant=grant(2)), entry("3", tenant="b", grant=grant(3))]
    )
    with log.reading() as reading:
        assert reading.grant("a", "k") == (grant(2), 1)
    appended(log, [entry("4", grant=grant(4))])
    with log.reading() as reading:
        assert reading.grant("a", "k") == (grant(4), 3)
        assert reading.grant("b", "k") == (grant(3), 2)


def test_a_reading_is_one_state_while_the_log_goes_on(log):
    appended(log, [full("one")])
    with log.reading() as before:
        appended(log, [full("two")])
        signed = before.checkpoint()
        assert before.of_id("a", "two") is None
        assert before.record(1) is None
        assert before.found("a", [term("two")]) == []
        assert before.leaves(0, 3) == [leaf("one"), None, None]
        assert checkpoint.opened(signed, ORIGIN, KEYS).checkpoint.size == 1
        with log.reading() as after:
            assert after.record(1).id == "two"
    assert last(log).size == 2


def test_a_reading_writes_nothing(log):
    with log.reading() as reading, pytest.raises(StoreError, match="a reading writes nothing"):
        reading.write(0, [b"leaf"], [])
    assert last(log).size == 0


def test_a_closed_log_finishes_what_it_took_and_takes_no_more(backend):
    log = backend.open()
    futures = [log.submit(entry(str(number))) for number in range(600)]
    log.close()
    assert [future.result(0).index for future in futures] == list(range(600))
    with pytest.raises(Unavailable, match="closed"):
        log.submit(entry("late")).result(60)
    with pytest.raises(Unavailable, match="closed"), log.reading():
        pass
    log.close()
    with backend.open() as again:
        assert last(again).size == 600
        assert appended(again, [entry("late")]) == [Receipt(600, 601)]


def test_a_log_is_sound_and_its_records_can_be_proved(log):
    appended(log, [full(str(number)) for number in range(300)])
    with log.reading() as reading:
        signed = reading.checkpoint()
        assert audit(reading, signed, ORIGIN, KEYS, records=range(0, 300, 7)).sound
        made = proof.parsed(proof.made(reading, 123, signed).data)
        assert proof.verify(made, ORIGIN, KEYS).checkpoint.size == 300
        nodes = tiles.TileNodes(lambda path: tiles.rendered(reading, tiles.parsed(path)), 300)
        places = [(level, index) for level in range(9) for index in range(300 >> level)]
        assert nodes.nodes(places) == reading.nodes(places)


def test_who_gives_up_before_its_turn_was_not_recorded(log):
    futures = [log.submit(entry(str(number))) for number in range(2000)]
    gone = [number for number in range(2000) if futures[number].cancel()]
    kept = [future.result(60) for number, future in enumerate(futures) if number not in set(gone)]
    assert gone, "none was early enough: the test shows nothing"
    with log.reading() as reading:
        assert len(kept) == last(log).size == 2000 - len(gone)
        assert all(reading.of_id("a", str(number)) is None for number in gone)
