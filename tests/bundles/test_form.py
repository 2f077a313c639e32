"""A bundle is one byte string with one form."""

import pytest
from tests.bundles.conftest import bundle

from carnet.ledger.archive import Archive, packed
from carnet.model.errors import InputError
from carnet.policy.enforcement import digest as policy_digest
from carnet.store.bundles import form
from carnet.store.bundles.errors import Unusable
from carnet.store.policies import default_policy
from carnet.store.shelves import load_rulebook


def members(data):
    archive = Archive(memoryview(data))
    return {name: archive.read(name) for name in archive.members}


def remade(data, **changes):
    """The bundle with other members; None leaves one out."""
    found = members(data) | {name.replace("__", "."): value for name, value in changes.items()}
    return b"".join(packed(sorted((name, value) for name, value in found.items() if value is not None)))


def test_the_shipped_law_goes_in_and_comes_out():
    law, policy = load_rulebook(), default_policy()
    data = form.made(law, policy, epoch=7, replaces="ab" * 32)
    opened = form.opened(data)
    assert (opened.epoch, opened.manifest.replaces, opened.digest) == (7, "ab" * 32, form.digest(data))
    assert opened.rulebook.digest == law.digest == opened.manifest.rulebook
    assert opened.manifest.policy == policy_digest(policy)
    assert form.made(opened.rulebook, opened.policy, epoch=7, replaces="ab" * 32) == data


@pytest.mark.parametrize(
    ("epoch", "replaces"), [(0, None), (-1, None), (1, "x"), (1, "AB" * 32), (2**60, None)]
)
def test_an_epoch_or_a_digest_that_can_not_be_is_refused(epoch, replaces):
    with pytest.raises(InputError, match="no epoch and digest"):
        bundle(epoch, replaces)


def test_what_is_no_bundle_or_another_form_of_one_is_refused():
    data = bundle()
    manifest = members(data)[form.MANIFEST]
    wrong = {
        "no bundle": b"x" * 100,
        "nothing": b"",
        "cut": data[:-1],
        "longer": data + b"\0",
        "no manifest": remade(data, bundle__json=None),
        "another form of its manifest": remade(data, bundle__json=manifest + b"\n"),
        "a later format": remade(data, bundle__json=manifest.replace(b'"format":1', b'"format":2')),
        "an unknown field": remade(data, bundle__json=manifest[:-1] + b',"x":1}'),
        "deep": remade(data, bundle__json=b"[" * 100_000),
        "one member more": remade(data, extra=b""),
        "no law": remade(data, **{name: None for name in members(data) if name.startswith("laws/")}),
        "no policy": remade(data, **{name: None for name in members(data) if name.startswith("policies/")}),
    }
    law = next(name for name in members(data) if name.startswith("laws/"))
    wrong["rules that can't be loaded"] = remade(data, **{law: b"["})
    wrong["a shelf missing"] = remade(data, **{law.replace("/0/", "/2/"): b""})
    for what, each in wrong.items():
        with pytest.raises(Unusable) as error:
            form.opened(each)
        assert str(error.value)[0].islower() or str(error.value)[0] == "`", what


def test_another_rulebook_under_the_same_digest_is_refused():
    data = bundle()
    law = next(name for name in members(data) if name.startswith("laws/"))
    with pytest.raises(Unusable):
        form.opened(remade(data, **{law: b'format = 1\nroles = ["end_user"]\n'}))
