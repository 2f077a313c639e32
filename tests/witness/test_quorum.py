"""How a log stands by its witnesses: enough of them, lately enough, and never better than that."""

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.memory import LOG, ORIGIN, OTHER
from tests.witness.logs import KEY, KEY_2, KEY_3, NOW, Small

from carnet.ledger import note
from carnet.ledger.note import Ed25519Signer
from carnet.ledger.quorum import AHEAD, Quorum, Witness, load_quorum, standing, tlog_policy
from carnet.ledger.witness import WitnessKey
from carnet.model.errors import InputError, Malformed, Unverified

KEYS = (KEY, KEY_2, KEY_3)
THREE = tuple(Witness(key=str(key.verifier)) for key in KEYS)
TWO_OF_THREE = Quorum(need=2, witness=THREE, stop_seconds=3600)
SMALL = Small(5)


def cosigned(*times, keys=KEYS, signer=LOG):
    """The log's checkpoint, cosigned by the keys at these times (None: not)."""
    signers = [key.at(at) for key, at in zip(keys, times, strict=False) if at is not None]
    return note.signed(note.parsed(SMALL.signed).text, [signer, *signers]).data


def stands(data, quorum=TWO_OF_THREE, now=NOW):
    return standing(data, ORIGIN, [LOG.verifier], quorum, now)


@pytest.mark.parametrize(
    ("age", "kind"),
    [
        (0, "fresh"),
        (60, "fresh"),
        (61, "late"),
        (300, "late"),
        (301, "alarm"),
        (3600, "alarm"),
        (3601, "stopped"),
        (10**9, "stopped"),
    ],
)
def test_a_log_ages_from_fresh_to_stopped(age, kind):
    found = stands(cosigned(NOW - age, NOW - age))
    assert (found.kind, found.age, found.at, found.size) == (kind, age, NOW - age, 5)
    assert (found.alarms, found.allows) == (kind in {"alarm", "stopped"}, kind != "stopped")
    assert (found.have, found.need, found.missing) == (2, 2, (KEY_3.name,))


def test_without_a_limit_it_alarms_and_goes_on():
    quorum = Quorum(need=2, witness=THREE)
    assert (quorum.within_seconds, quorum.alarm_seconds, quorum.stop_seconds) == (60, 300, None)
    found = stands(cosigned(NOW - 10**6, NOW - 10**6), quorum)
    assert (found.kind, found.allows) == ("alarm", True)


def test_without_witnesses_it_says_so():
    for data in (None, SMALL.signed, cosigned(NOW)):
        found = stands(data, Quorum())
        assert (found.kind, found.allows, found.alarms, found.at) == ("unwitnessed", True, False, None)


def test_what_was_never_cosigned_enough_is_not_served_where_there_is_a_limit():
    for data in (None, SMALL.signed, cosigned(NOW), cosigned(None, NOW)):
        found = stands(data)
        assert (found.kind, found.allows, found.age) == ("stopped", False, None)
        assert stands(data, Quorum(need=2, witness=THREE)).kind == "alarm"
    assert stands(None).missing == tuple(key.name for key in KEYS)


@given(
    times=st.lists(st.one_of(st.none(), st.integers(NOW - 5000, NOW)), min_size=3, max_size=3),
    need=st.integers(1, 3),
)
def test_the_age_is_that_of_the_newest_that_are_enough(times, need):
    """The latest instant by which `need` of them had cosigned, found by trying each."""
    found = stands(cosigned(*times), Quorum(need=need, witness=THREE))
    there = [at for at in times if at is not None]
    enough = [at for at in there if sum(other >= at for other in there) >= need]
    assert found.at == max(enough, default=None)
    assert found.have == len(there)


def test_the_newest_of_a_witness_counts_and_no_witness_counts_twice():
    text = note.parsed(SMALL.signed).text
    twice = note.signed(text, [LOG, KEY.at(NOW - 500), KEY.at(NOW - 5), KEY.at(NOW - 50)]).data
    found = stands(twice, Quorum(need=1, witness=THREE))
    assert (found.at, found.have) == (NOW - 5, 1)
    assert stands(twice).kind == "stopped"


def test_a_witness_whose_clock_is_ahead_makes_nothing_younger():
    assert stands(cosigned(NOW + AHEAD, NOW + AHEAD)).age == 0
    found = stands(cosigned(NOW + AHEAD + 1, NOW - 400, NOW - 500))
    assert (found.age, found.have) == (500, 2)
    assert stands(cosigned(NOW + 10**6, NOW + 10**6)).kind == "stopped"
    for jump in (-86_400, -315_360_000, 86_400, 315_360_000):
        assert stands(cosigned(NOW, NOW), now=NOW + jump).kind == "stopped"


def test_a_time_of_zero_says_nothing():
    assert stands(cosigned(0, NOW)).have == 1
    assert stands(cosigned(0, 0), Quorum(need=1, witness=THREE), now=0).at is None


def test_a_log_is_no_witness_of_itself():
    own = WitnessKey("witness.example/own", LOG.private)
    quorum = Quorum(need=1, witness=(Witness(key=str(own.verifier)),), stop_seconds=300)
    found = stands(cosigned(NOW, keys=(own,)), quorum)
    assert (found.kind, found.have, found.missing) == ("stopped", 0, (own.name,))


def test_what_is_wrong_in_the_note_is_not_looked_over():
    good = cosigned(NOW, NOW)
    with pytest.raises(Unverified, match="is of `log"):
        standing(good, "log.example/other", [LOG.verifier], TWO_OF_THREE, NOW)
    with pytest.raises(Unverified):
        stands(cosigned(NOW, NOW, signer=OTHER))
    with pytest.raises(Unverified, match="is wrong"):
        stands(note.parsed(good).data.replace(b"\n5\n", b"\n6\n"))
    with pytest.raises(Malformed):
        stands(b"")


def toml(*witnesses, head="need = 1"):
    return "\n".join([head, *(f"[[witness]]\n{one}" for one in witnesses)])


W1, W2 = f'key = "{KEY.verifier}"', f'key = "{KEY_2.verifier}"'


def test_a_quorum_is_read_from_toml():
    text = toml(
        W1 + '\nurl = "https://witness.example/w1/"',
        W2,
        head="need = 2\nwithin_seconds = 30\nalarm_seconds = 120\nstop_seconds = 900",
    )
    found = load_quorum(text)
    assert (found.need, found.within_seconds, found.alarm_seconds, found.stop_seconds) == (2, 30, 120, 900)
    assert [each.verifier for each in found.witness] == [KEY.verifier, KEY_2.verifier]
    assert [each.url for each in found.witness] == ["https://witness.example/w1/", None]
    assert load_quorum(b"") == Quorum()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nead = 1", "witnesses.toml:1: unknown field `nead`; did you mean `need`?"),
        ("format = 2", "`2`"),
        ("need = 1", "`need = 1` with 0 witnesses: write 0, or name the witnesses"),
        (toml(W1, head="need = 0"), "`need = 0` with 1 witnesses: write how many of the 1 have to cosign"),
        (toml(W1, head=""), "`need = 0` with 1 witnesses"),
        (toml(W1, head="need = 2"), "`need = 2` with 1 witnesses"),
        (toml(W1, head="need = -1"), "`need = -1`"),
        (toml(W1, head='need = "one"'), "`one` at `need` is text: write a number"),
        (toml(W1, W1), "the key of `witness.example/w1` is there twice"),
        (toml(f'key = "{LOG.verifier}"'), "has a key that says no time"),
        (toml('key = "w"'), "is not a public key: write `name+id+base64`"),
        (toml(f"{W1}\nurl = 1"), "`1` at `witness[0].url` is a number: write text"),
        (toml(f'{W1}\nurl = "http://witness.example"'), "is not `https`: only a witness on this machine"),
        (toml(f'{W1}\nurl = "ftp://witness.example"'), "is not `https`"),
        (toml(f'{W1}\nurl = "https://"'), "is no URL of a witness"),
        (toml(f'{W1}\nurl = "https://a:b@witness.example"'), "is no URL of a witness"),
        (toml(f'{W1}\nurl = "https://witness.example/?a=1"'), "is no URL of a witness"),
        (toml(f'{W1}\nurl = "https://witness.example:99999"'), "is no URL of a witness"),
        (toml(f'{W1}\nurl = "https://[::1"'), "is no URL of a witness"),
        (toml(f'{W1}\nurl = "https://witness.example/a b"'), "is no URL of a witness"),
        (toml(f'{W1}\nuri = "x"'), "unknown field `witness[0].uri`; did you mean `url`?"),
        (toml("url = 'https://witness.example'"), "`witness[0].key` is missing: add it"),
        ("within_seconds = 0", "`within_seconds = 0`: write 1 or more"),
        ("alarm_seconds = 59", "`alarm_seconds = 59` is under `within_seconds`: write 60 or more"),
        ("stop_seconds = 299", "`stop_seconds = 299` is under `alarm_seconds`: write 300 or more"),
    ],
)
def test_a_quorum_that_can_not_be_is_told_with_what_to_do(text, said):
    with pytest.raises(InputError) as error:
        load_quorum(text)
    assert said in str(error.value)


def test_a_witness_with_two_keys_does_not_count_for_two():
    second = WitnessKey(KEY.name, Ed25519PrivateKey.from_private_bytes(bytes([5]) * 32))
    with pytest.raises(InputError, match="a witness with two keys would count for two"):
        load_quorum(toml(W1, f'key = "{second.verifier}"'))
    with pytest.raises(InputError, match="its name ends in"):
        load_quorum("", file="witnesses.json")


def test_a_witness_on_this_machine_may_be_asked_without_tls():
    for host in ("127.0.0.1:7626", "localhost", "[::1]:1"):
        assert load_quorum(toml(f'{W1}\nurl = "http://{host}"')).witness[0].url == f"http://{host}"


def test_the_same_is_written_as_a_policy_of_c2sp():
    witnesses = (Witness(key=str(KEY.verifier), url="https://w.example"), Witness(key=str(KEY_2.verifier)))
    other = Ed25519Signer(ORIGIN, OTHER.private)
    assert tlog_policy(Quorum(need=2, witness=witnesses), [LOG.verifier, other.verifier]) == (
        f"log {LOG.verifier}\nlog {other.verifier}\n"
        f"witness w1 {KEY.verifier} https://w.example\nwitness w2 {KEY_2.verifier}\n"
        "group enough 2 w1 w2\nquorum enough\n"
    )
    assert tlog_policy(Quorum(), [LOG.verifier]) == f"log {LOG.verifier}\nquorum none\n"


def test_the_witnesses_of_the_page_can_be_listed():
    page = (Path(__file__).parents[2] / "docs/how-to/run-a-witness.md").read_text("utf-8")
    (text,) = re.findall(r"^```toml witnesses\.toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    found = load_quorum(text)
    assert (found.need, len(found.witness), found.stop_seconds) == (2, 3, 3600)
