"""An order opens nothing that approvers did not sign, and goes only forward."""

import datetime as dt

import pytest
from msgspec.structs import replace
from tests.bundles.conftest import ANNA, BEN, EVE, MINUTE, NOW, OLGA, bundle, public, roles, signed

from carnet.ledger import note
from carnet.model.errors import InputError, Malformed, Unverified
from carnet.store.bundles import form, orders
from carnet.store.bundles.errors import OrderRefused
from carnet.store.bundles.orders import Order, Present, ordered, read

NONE = Present(0, None)


def sent(order, signer=OLGA):
    return note.signed(orders._text(order), [signer]).data


@pytest.fixture
def taken(feed):
    return feed.node.taken(NOW)


@pytest.fixture
def right(taken):
    return Order(
        origin=taken.origin,
        kind="activate",
        bundle=taken.bundle.digest,
        epoch=1,
        at=NOW,
        signer="olga",
    )


def test_an_order_says_what_is_enforced_from_when(taken, right):
    zone = dt.timezone(dt.timedelta(hours=-4))
    data = ordered(taken, NONE, OLGA, bundle=taken.bundle.digest, at=NOW.astimezone(zone))
    assert read(data, taken, NONE) == right
    assert data.startswith(b"carnet order 1\n{")
    assert len(data) < 500


def test_an_order_is_for_this_feed_a_known_bundle_and_the_next_epoch(taken, right):
    for change, said in (
        ({"origin": "carnet.example/other"}, "is for `carnet.example/other`"),
        ({"bundle": "ab" * 32}, "is not known here"),
        ({"epoch": 2}, "was signed for `1`"),
        ({"signer": "anna"}, "is signed by another"),
    ):
        with pytest.raises(OrderRefused) as error:
            read(sent(replace(right, **change)), taken, NONE)
        assert said in str(error.value)
    for epoch in (1, 2):
        with pytest.raises(OrderRefused, match=f"`{epoch}` is enforced"):
            read(sent(right), taken, Present(epoch, taken.bundle.digest))


def test_only_an_activator_orders(taken, right):
    for other in (EVE, ANNA):
        with pytest.raises(Unverified):
            read(sent(replace(right, signer=other.name), other), taken, NONE)
    with pytest.raises(Unverified):
        ordered(taken, NONE, EVE, bundle=taken.bundle.digest, at=NOW)


def test_a_changed_order_is_refused(taken, right):
    data = sent(right)
    with pytest.raises(Unverified, match="is wrong"):
        read(data.replace(b"12:00:00", b"11:00:00"), taken, NONE)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("carnet order 1", "carnet order 2"),
        lambda text: text.replace("{", "{ "),
        lambda text: text.replace('"format":1', '"format":2'),
        lambda text: text.replace('"activate"', '"stop"'),
        lambda text: text.replace("Z", ""),
        lambda text: text.replace("Z", "+00:00"),
        lambda text: text.replace("}", ',"more":1}'),
        lambda text: text + "more\n",
        lambda text: "carnet order 1\n" + "[" * 50_000 + "\n",
    ],
)
def test_an_order_has_one_form(taken, right, change):
    data = note.signed(change(orders._text(right)), [OLGA]).data
    with pytest.raises(Malformed):
        read(data, taken, NONE)


def test_an_instant_without_a_zone_is_no_instant(taken):
    with pytest.raises(InputError, match="has no zone"):
        ordered(taken, NONE, OLGA, bundle=taken.bundle.digest, at=NOW.replace(tzinfo=None))


def test_a_stop_is_activated_and_never_lifts(feed):
    first = form.digest(feed.last)
    stop = form.digest(feed.stop(2))
    taken, present = feed.take(), Present(1, first)
    with pytest.raises(OrderRefused, match="lifts nothing"):
        ordered(taken, present, OLGA, bundle=stop, at=NOW, kind="lift")
    order = read(ordered(taken, present, OLGA, bundle=stop, at=NOW + MINUTE), taken, present)
    assert (order.kind, order.epoch) == ("activate", 2)


def test_a_bundle_prepared_before_a_stop_does_not_drop_it(feed):
    """It replaces the first bundle; by then the stop is enforced."""
    stop = form.digest(feed.stop(2))
    feed.next(3)
    taken = feed.take()
    with pytest.raises(OrderRefused, match="prepare the bundle again on top of it"):
        ordered(taken, Present(2, stop), OLGA, bundle=taken.bundle.digest, at=NOW)
    lift = bundle(3, stop, "lift")
    feed.publisher.publish([signed(feed.publisher.prepare(lift, NOW), ANNA, BEN)], [lift], feed.online, NOW)
    taken = feed.take()
    ordered(taken, Present(2, stop), OLGA, bundle=form.digest(lift), at=NOW, kind="lift")


def test_a_node_that_missed_an_epoch_goes_on_with_a_later_one(feed):
    feed.next(2)
    feed.next(3)
    taken = feed.take()
    order = Order(
        origin=taken.origin, kind="activate", bundle=taken.bundle.digest, epoch=3, at=NOW, signer="olga"
    )
    assert read(sent(order), taken, Present(1, "ab" * 32)) == order


def test_an_activator_that_a_root_took_away_orders_nothing(feed, right):
    data = sent(right)
    feed.publisher.publish(
        [signed(feed.publisher.prepare_root(roles(activators=public(EVE)), NOW), ANNA, BEN)],
        [],
        feed.online,
        NOW,
    )
    taken = feed.take()
    with pytest.raises(Unverified):
        read(data, taken, NONE)
    read(sent(replace(right, signer="eve"), EVE), taken, NONE)
