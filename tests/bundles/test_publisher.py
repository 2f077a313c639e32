"""Who signs what before it is published, and that nothing goes out which a node would refuse."""

import json
import subprocess
import sys
from unittest import mock

import pytest
from msgspec.structs import replace
from tests.bundles.conftest import (
    ANNA,
    BEN,
    CARL,
    DAY,
    DORA,
    EVE,
    HOUR,
    NEXT_ONLINE,
    NOW,
    ONLINE,
    ORIGIN,
    bundle,
    public,
    roles,
    signed,
)

from carnet.model.errors import InputError
from carnet.store import keyfiles
from carnet.store.bundles import drafts, form
from carnet.store.bundles.errors import (
    AlteredMetadata,
    BelowThreshold,
    Foreign,
    OutOfPlace,
    RolledBack,
    SignedTwice,
    Unusable,
)


def files(feed):
    return {path: path.read_bytes() for path in feed.directory.rglob("*") if path.is_file()}


def test_two_of_three_sign_each_on_their_own_machine(feed):
    data = bundle(2, form.digest(feed.last))
    draft = feed.publisher.prepare(data, NOW)
    assert (draft.missing, draft.digests) == (2, (form.digest(data),))
    sent = drafts.written(draft)
    lines = [drafts.sign(drafts.read(sent), who, [form.digest(data)]) for who in (CARL, ANNA)]
    for line, missing in zip(lines, (1, 0), strict=True):
        draft = drafts.add_signature(draft, line)
        assert draft.missing == missing
    found = feed.publisher.publish([drafts.read(drafts.written(draft))], [data], ONLINE, NOW)
    assert found.versions == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2}
    assert feed.take().bundle.epoch == 2


def test_below_the_threshold_nothing_is_published(feed):
    data, before = bundle(2), files(feed)
    draft = feed.publisher.prepare(data, NOW)
    for each in (draft, signed(draft, ANNA)):
        with pytest.raises(BelowThreshold, match=r"`[12]` is missing"):
            feed.publisher.publish([each], [data], ONLINE, NOW)
    assert files(feed) == before


def test_one_approver_does_not_count_twice(feed):
    draft = signed(feed.publisher.prepare(bundle(2), NOW), ANNA)
    with pytest.raises(SignedTwice, match="`anna"):
        signed(draft, ANNA)
    twice = replace(draft, signatures=draft.signatures * 2)
    assert twice.missing == 1
    with pytest.raises(SignedTwice):
        drafts.finished(twice)


def test_a_foreign_key_and_a_signature_of_something_else_are_not_added(feed):
    draft = feed.publisher.prepare(bundle(2), NOW)
    with pytest.raises(Foreign, match="`eve"):
        signed(draft, EVE)
    with pytest.raises(Foreign, match="`dora"):
        signed(draft, DORA)
    other = feed.publisher.prepare(bundle(3), NOW)
    with pytest.raises(AlteredMetadata, match="not of this draft"):
        drafts.add_signature(draft, drafts.sign(other, ANNA, other.digests))


def test_an_approver_signs_only_the_bundle_that_they_read(feed):
    draft = feed.publisher.prepare(bundle(2), NOW, keep=[form.digest(feed.last)])
    for seen in ((), [form.digest(bundle(3))], [form.digest(bundle(2))]):
        with pytest.raises(OutOfPlace, match="which you did not read"):
            drafts.sign(draft, ANNA, seen)


def test_a_draft_that_names_other_signers_on_its_way_does_not_pass(feed):
    data = bundle(2)
    draft = feed.publisher.prepare(data, NOW)
    mine = replace(draft, wanted=(drafts.Wanted(tuple(map(str, public(EVE, DORA))), 2),))
    with pytest.raises(Foreign):
        feed.publisher.publish([signed(mine, EVE, DORA)], [data], ONLINE, NOW)
    one = replace(draft, wanted=(replace(draft.wanted[0], threshold=1),))
    with pytest.raises(BelowThreshold, match="`1` of `2`"):
        feed.publisher.publish([signed(one, ANNA)], [data], ONLINE, NOW)
    assert feed.take().version == 1


def test_a_draft_is_published_once_and_in_its_turn(feed):
    first, second = bundle(2, word="a"), bundle(2, word="b")
    both = [signed(feed.publisher.prepare(each, NOW), ANNA, BEN) for each in (first, second)]
    feed.publisher.publish(both[:1], [first], ONLINE, NOW)
    for draft in both:
        with pytest.raises(InputError, match="prepare it again"):
            feed.publisher.publish([draft], [first, second], ONLINE, NOW)


def test_what_a_node_would_refuse_is_not_published(feed):
    feed.next(5)
    before = files(feed)
    with pytest.raises(RolledBack, match="epoch `5`"):
        feed.next(4)
    with pytest.raises(Foreign):
        feed.publisher.refresh(EVE, NOW)
    with pytest.raises(Unusable):
        feed.publisher.prepare(b"no bundle", NOW)
    assert files(feed) == before


def test_a_stop_needs_one_signer_and_stays_under_its_prefix(feed):
    data = feed.stop(2)
    assert (feed.directory / "stop" / form.digest(data)).read_bytes() == data
    taken = feed.take()
    assert (taken.stop.digest, taken.bundle.epoch) == (form.digest(data), 1)
    with pytest.raises(Foreign):
        feed.stop(3, by=ANNA)


def test_what_is_signed_again_lives_on_without_being_another(feed):
    stop = feed.stop(2)
    late = NOW + 80 * DAY
    drafts_ = [
        signed(feed.publisher.prepare(feed.last, late), BEN, CARL),
        signed(feed.publisher.prepare_stop(stop, late), DORA),
    ]
    feed.publisher.publish(drafts_, [], ONLINE, late)
    feed.publisher.refresh(ONLINE, NOW + 160 * DAY)
    taken = feed.take(NOW + 160 * DAY)
    assert (taken.bundle.epoch, taken.stop.epoch, taken.version, taken.versions["stop"]) == (1, 2, 2, 2)


def test_bundles_that_are_kept_stay_listed(feed):
    first = form.digest(feed.last)
    second = form.digest(feed.next(2, keep=[first]))
    assert set(feed.take().bundles) == {first, second}
    feed.next(3, keep=[second])
    assert [each.epoch for each in feed.take().bundles.values()] != [1, 2, 3]
    with pytest.raises(InputError, match="is not listed now"):
        feed.next(4, keep=[first])


def test_refreshing_renews_what_is_short_lived_and_nothing_else(feed):
    feed.publisher.refresh(ONLINE, NOW + HOUR / 2)
    assert feed.take(NOW + HOUR).versions == {"root": 1, "timestamp": 2, "snapshot": 1, "targets": 1}
    feed.publisher.refresh(ONLINE, NOW + DAY)
    assert feed.take(NOW + DAY).versions == {"root": 1, "timestamp": 3, "snapshot": 2, "targets": 1}


def test_the_root_is_rotated_by_the_old_keys_and_the_new(feed):
    new = roles(
        root=public(BEN, CARL, EVE), approvers=public(BEN, EVE), online=NEXT_ONLINE.verifier, stop=public(EVE)
    )
    data = bundle(2, form.digest(feed.last))
    draft = feed.publisher.prepare_root(new, NOW)
    targets = signed(feed.publisher.prepare(data, NOW, root=draft), BEN, EVE)
    for short in (signed(draft, ANNA, BEN), signed(draft, CARL, EVE)):
        with pytest.raises(BelowThreshold):
            feed.publisher.publish([short, targets], [data], NEXT_ONLINE, NOW)
    root = signed(draft, BEN, CARL)
    with pytest.raises((Foreign, BelowThreshold)):
        feed.publisher.publish([root], [], NEXT_ONLINE, NOW)
    feed.publisher.publish([root, targets], [data], NEXT_ONLINE, NOW)
    taken = feed.take()
    assert (taken.versions["root"], taken.version, taken.bundle.epoch) == (2, 2, 2)
    feed.online = NEXT_ONLINE
    feed.stop(3, by=EVE)
    assert feed.take().stop.epoch == 3
    with pytest.raises(Foreign):
        feed.next(4, by=(ANNA, BEN))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threshold": 4}, "`approvers` has `3` keys and needs `4`"),
        ({"threshold": 0}, "needs `0`"),
        ({"approvers": public(ANNA, ANNA)}, "`approvers` has one key twice"),
        ({"online": ANNA.verifier}, "a server has a key of its own"),
        ({"stop": ()}, "`stop` has `0` keys"),
    ],
)
def test_roles_that_can_not_be_are_refused(empty, changes, said):
    with pytest.raises(InputError, match=said):
        empty.publisher.prepare_root(roles(**changes), NOW)


def test_a_publication_that_is_cut_off_is_not_seen_and_can_be_repeated(feed):
    data = bundle(2, form.digest(feed.last))
    draft = signed(feed.publisher.prepare(data, NOW), ANNA, BEN)
    write = keyfiles.write
    for stop_at in range(4):
        with mock.patch.object(keyfiles, "write", side_effect=[*[None] * stop_at, KeyboardInterrupt]) as cut:
            cut.side_effect = _cut(write, stop_at)
            with pytest.raises(KeyboardInterrupt):
                feed.publisher.publish([draft], [data], ONLINE, NOW)
        assert feed.take().version == 1
    feed.publisher.publish([draft], [data], ONLINE, NOW)
    assert feed.take().version == 2


def _cut(write, after):
    """Write so many files, then stop."""
    count = iter(range(1_000))

    def once(*arguments, **named):
        if next(count) == after:
            raise KeyboardInterrupt
        return write(*arguments, **named)

    return once


def test_no_private_key_is_in_the_repository(feed):
    kept = b"".join(files(feed).values())
    for who in (ANNA, BEN, ONLINE):
        assert who.private.private_bytes_raw().hex().encode() not in kept
        assert who.private.private_bytes_raw() not in kept


def test_the_root_says_who_activates_and_stops(feed):
    field = json.loads(feed.publisher.pinned)["signed"]["x-carnet"]
    assert field["origin"] == ORIGIN
    assert [each.partition("+")[0] for each in (*field["activators"], *field["stop"])] == ["olga", "dora"]


def test_carnet_itself_does_not_load_tuf():
    program = (
        "import carnet, carnet.service.api, carnet.gateway, carnet.cli, sys; print('tuf' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
