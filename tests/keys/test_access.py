"""API keys: given out once, kept as hashes, checked in the same time whatever is wrong with them."""

import datetime as dt
import re
import statistics
import subprocess
import sys
import textwrap
import threading
import time

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.keys.conftest import LATER, NOW, assert_no_secret

from carnet.model.errors import InputError, StoreError, Unavailable
from carnet.service.access import NO_KEY, WRONG_KEY, Access, Principal
from carnet.store.api_keys import ROLES, ApiKeys
from carnet.store.desk import Desk
from carnet.store.keys import Keyring

HOUR = dt.timedelta(hours=1)


class Clock:
    """An instant that a test sets."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def desk(keyring, data):
    with Desk.open(data) as opened:
        yield opened


@pytest.fixture
def keys(desk, keyring):
    return ApiKeys(desk, keyring)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def access(keys, desk, clock):
    return Access(keys, clock, desk.version)


def test_a_key_authenticates_its_tenant_with_its_roles_and_no_other(keys, access):
    key, text = keys.add("acme", ["decide", "read"], NOW)
    found = access.authenticated(f"Bearer {text}")
    assert found == Principal(key=key.id, tenant="acme", roles=frozenset({"decide", "read"}))
    assert {role for role in ROLES if found.may(role)} == {"decide", "read"}


def test_administering_is_no_more_than_its_own_role(keys, access):
    _, text = keys.add("acme", ["administer"], NOW)
    found = access.authenticated(f"bearer  {text} ")
    assert [role for role in ROLES if found.may(role)] == ["administer"]


@pytest.mark.parametrize("header", [None, "", "   "])
def test_nothing_sent_is_told_apart_from_a_wrong_key(access, header):
    assert access.authenticated(header) is NO_KEY


def test_every_way_to_be_wrong_gets_the_same_refusal(keys, access):
    key, text = keys.add("acme", ["decide"], NOW)
    revoked, gone = keys.add("acme", ["decide"], NOW)
    keys.revoke(revoked.id, NOW)
    other, _ = keys.add("globex", ["decide"], NOW)
    secret = text.rpartition(f"{key.id}_")[2]
    wrong = [
        gone,
        text[:-1] + ("A" if text[-1] != "A" else "B"),
        f"ck_{'0' * 12}_{secret}",
        f"ck_{other.id}_{secret}",
        f"ck_{key.id}_{secret.swapcase()}",
        f"ck_{key.id}_",
        f"ck_{key.id}_{secret}x",
        f"ck_{key.id.upper()}_{secret}",
        f"CK_{key.id}_{secret}",
        secret,
        "ck_",
        "x" * 100_000,
        "ck_\x00",
        "' OR 1=1 --",
    ]
    assert [access.authenticated(f"Bearer {each}") for each in wrong] == [WRONG_KEY] * len(wrong)
    assert access.authenticated(f"Basic {text}") is WRONG_KEY
    assert access.authenticated(text) is WRONG_KEY
    assert isinstance(access.authenticated(f"Bearer {text}"), Principal)
    for each in (text, secret, key.id):
        assert each not in repr(WRONG_KEY)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(header=st.text(max_size=200) | st.from_regex(r"\ABearer ck_[0-9a-f]{12}_[\w-]{43}\Z"))
def test_no_header_that_was_not_given_out_lets_anybody_in(keys, access, header):
    if not keys.listed():
        keys.add("acme", ROLES, NOW)
    assert access.authenticated(header) in (NO_KEY, WRONG_KEY)


def test_a_key_is_256_bits_and_none_is_like_another(keys):
    texts = [keys.add("acme", ["read"], NOW)[1] for _ in range(50)]
    assert all(re.fullmatch(r"ck_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", text) for text in texts)
    assert len({text[-43:] for text in texts}) == 50


def test_the_secret_is_in_no_file_and_no_list(keys, desk, data, access):
    texts = [keys.add("acme", ["read"], NOW)[1] for _ in range(20)]
    for text in texts:
        access.authenticated(f"Bearer {text}")
    secrets = {text[-43:] for text in texts}
    kept = b"".join(file.read_bytes() for file in data.rglob("*") if file.is_file())
    assert not [each for each in secrets if each.encode() in kept]
    said = repr(keys.listed()) + repr(access.authenticated(f"Bearer {texts[0]}")) + repr(access) + repr(keys)
    assert_no_secret(said, secrets)


def test_a_revoked_key_is_refused_at_once_by_another_process_too(keys, access, data):
    key, text = keys.add("acme", ["read"], NOW)
    assert isinstance(access.authenticated(f"Bearer {text}"), Principal)
    program = f"""
        import datetime as dt, pathlib
        from carnet.store.api_keys import ApiKeys
        from carnet.store.desk import Desk
        from carnet.store.keys import Keyring
        data = pathlib.Path({str(data)!r})
        with Desk.open(data) as desk:
            ApiKeys(desk, Keyring.open(data)).revoke({key.id!r}, dt.datetime.now(dt.UTC))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
    assert access.authenticated(f"Bearer {text}") is WRONG_KEY


def test_a_second_revocation_changes_nothing(keys):
    key, _ = keys.add("acme", ["read"], NOW)
    first = keys.revoke(key.id, NOW)
    assert keys.revoke(key.id, LATER) == first
    assert first.revoked == NOW


def test_one_tenants_administrator_does_not_reach_anothers_key(keys, access):
    key, text = keys.add("acme", ["read"], NOW)
    with pytest.raises(InputError) as mine:
        keys.revoke(key.id, NOW, tenant="globex")
    with pytest.raises(InputError) as nobodys:
        keys.revoke("0" * 12, NOW, tenant="globex")
    assert str(mine.value).replace(key.id, "") == str(nobodys.value).replace("0" * 12, "")
    assert isinstance(access.authenticated(f"Bearer {text}"), Principal)
    assert keys.listed("globex") == []
    assert [each.id for each in keys.listed("acme")] == [key.id] == [each.id for each in keys.listed()]


def test_when_a_key_was_used_is_kept_to_the_hour(keys, access, clock, desk):
    _, text = keys.add("acme", ["read"], NOW)
    assert keys.listed()[0].seen is None
    for minutes, seen in ((0, NOW), (59, NOW), (61, NOW + HOUR), (70, NOW + HOUR)):
        clock.now = NOW + dt.timedelta(minutes=minutes)
        access.authenticated(f"Bearer {text}")
        assert keys.listed()[0].seen == seen
    access.authenticated(f"Bearer {text[:-4]}AAAA")
    clock.now = NOW + 5 * HOUR
    access.authenticated(f"Bearer {text[:-4]}AAAA")
    assert keys.listed()[0].seen == NOW + HOUR


@pytest.mark.parametrize(
    ("tenant", "roles", "said"),
    [
        ("acme", ["decied"], "`decied` is not a role; did you mean `decide`?"),
        ("acme", ["root"], "`root` is not a role: write one of"),
        ("acme", [], "a key without a role opens nothing"),
        ("", ["read"], "is empty"),
        (" acme", ["read"], "begins or ends with a space"),
        ("\u0430cme", ["read"], "another alphabet"),
        ("x" * 201, ["read"], "is too long"),
    ],
)
def test_a_tenant_or_a_role_that_can_not_be_is_refused(keys, tenant, roles, said):
    with pytest.raises(InputError) as error:
        keys.add(tenant, roles, NOW)
    assert said in str(error.value)
    assert keys.listed() == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE api_keys SET roles = 'decide read review approve administer'",
        "UPDATE api_keys SET tenant = 'globex'",
        "UPDATE api_keys SET hash = zeroblob(32)",
        "UPDATE api_keys SET hash = x''",
        "UPDATE api_keys SET id = '000000000000'",
    ],
)
def test_a_row_that_somebody_changed_opens_nothing(keys, access, data, change):
    key, text = keys.add("acme", ["read"], NOW)
    connection = apsw.Connection(str(data / "desk.db"))
    connection.execute(change)
    connection.close()
    assert access.authenticated(f"Bearer {text}") is WRONG_KEY
    assert access.authenticated(f"Bearer {text.replace(key.id, '0' * 12)}") is WRONG_KEY


def test_keys_live_through_a_rotation_of_the_pepper_and_move_to_the_new_one(keys, access, keyring, data):
    key, text = keys.add("acme", ["read"], NOW)
    _, unused = keys.add("acme", ["read"], NOW)
    assert isinstance(access.authenticated(f"Bearer {text}"), Principal)
    old = keyring.rotate("api", LATER).old
    assert keys.under(old) == 2
    assert access.authenticated(f"Bearer {text}").key == key.id
    assert keys.under(old) == 1
    keyring.forget(old, LATER)
    assert isinstance(access.authenticated(f"Bearer {text}"), Principal)
    with pytest.raises(StoreError, match="is not kept"):
        access.authenticated(f"Bearer {unused}")


def test_a_server_that_runs_takes_keys_made_under_a_new_pepper(keys, access, data):
    ring = Keyring.open(data)
    ring.rotate("api", LATER)
    with Desk.open(data) as desk:
        _, text = ApiKeys(desk, ring).add("acme", ["read"], NOW)
    assert isinstance(access.authenticated(f"Bearer {text}"), Principal)


def test_a_desk_that_can_not_be_read_lets_nobody_in(keys, access, desk):
    _, text = keys.add("acme", ["read"], NOW)
    desk.close()
    with pytest.raises((Unavailable, StoreError)):
        access.authenticated(f"Bearer {text}")


def test_a_desk_that_takes_nothing_still_knows_who_it_is(keys, access, clock, desk, data):
    _, text = keys.add("acme", ["read"], NOW)
    desk._connection.set_busy_timeout(1)
    other = apsw.Connection(str(data / "desk.db"))
    other.execute("BEGIN IMMEDIATE")
    clock.now = NOW + 3 * HOUR
    assert isinstance(access.authenticated(f"Bearer {text}"), Principal)
    other.execute("ROLLBACK")
    other.close()
    assert keys.listed()[0].seen is None
    clock.now += HOUR
    assert isinstance(access.authenticated(f"Bearer {text}"), Principal)
    assert keys.listed()[0].seen == NOW + 4 * HOUR


def test_many_threads_use_one_desk(keys, access):
    texts = [keys.add(f"tenant-{number}", ["read"], NOW)[1] for number in range(8)]
    wrong = []

    def ask(number):
        for _ in range(50):
            found = access.authenticated(f"Bearer {texts[number]}")
            if not isinstance(found, Principal) or found.tenant != f"tenant-{number}":
                wrong.append(found)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_unknown_key_takes_as_long_as_a_wrong_one(keys, access):
    for _ in range(50):
        key, text = keys.add("acme", ["read"], NOW)
    secret = text[-43:]
    headers = {
        "wrong": f"Bearer ck_{key.id}_{secret[::-1]}",
        "unknown": f"Bearer ck_{'f' * 12}_{secret}",
        "malformed": f"Bearer ck_{key.id}",
    }
    for _ in range(3):
        took = {kind: [] for kind in headers}
        for _ in range(600):
            for kind, header in headers.items():
                start = time.perf_counter()
                assert access.authenticated(header) is WRONG_KEY
                took[kind].append(time.perf_counter() - start)
        medians = {kind: statistics.median(times) for kind, times in took.items()}
        print({kind: f"{median * 1e6:.1f} µs" for kind, median in medians.items()})
        if max(medians.values()) < 1.35 * min(medians.values()):
            return
    pytest.fail(f"the times differ: {medians}")
