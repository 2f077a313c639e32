"""Three people with keys of their own, and what a shred run is asked with."""

import datetime as dt
import json
import os
import shutil

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.records.traces import plain_key, wrapped_key

from carnet.ledger.note import Ed25519Signer
from carnet.service.retention import surveyed
from carnet.service.review import Proposal, approve
from carnet.store.origins import opened_vault, seen

FIRST = Ed25519Signer("first.example", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
SECOND = Ed25519Signer("second.example", Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
THIRD = Ed25519Signer("third.example", Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34))))

LONG_AGO = dt.datetime(2019, 3, 1, 12, tzinfo=dt.UTC)
PASSPHRASE = "four words that nobody guesses"
GONE = ("ann.example", "ben.example")


class People:
    """Three approvers, each with a key in a file of their own."""

    def __init__(self, folder, data, carnet, made):
        self.folder, self.carnet = folder, carnet
        self.signers = {file.stem: signer for file, signer in made.items()}
        for file, signer in made.items():
            shutil.copy2(file, folder)
            assert carnet("keys", "approver", "add", str(signer.verifier), "--data", data).exit_code == 0

    def typed(self, *arguments):
        """A run with the passphrase on a descriptor."""
        reader, writer = os.pipe()
        os.write(writer, PASSPHRASE.encode())
        os.close(writer)
        return self.carnet(*arguments, "--passphrase-fd", reader)

    def approve(self, name, proposal="p.json"):
        """As `carnet records approve` does it, without the passphrase."""
        said = msgspec.json.decode((self.folder / proposal).read_bytes(), type=Proposal)
        out = f"{name}-{len(list(self.folder.iterdir()))}.json"
        (self.folder / out).write_bytes(msgspec.json.encode(approve(said, self.signers[name])))
        return out


def propose(carnet, old, *more):
    done = carnet("records", "propose", "--out", "p.json", "--data", old.data, "--json", *more)
    assert done.exit_code == 0, done.output
    (proposal,) = json.loads(done.output)["proposals"]
    return proposal


def kept_keys(old):
    """What a thief would have kept: the wrapping key, and each subject's key, plain and wrapped."""
    with seen(old.data) as now, opened_vault(old.data, now.keyring) as vault:
        wrapping = now.keyring.secret("subjects")
        entries = vault.entries()
        return wrapping, {
            (each.subject, each.retention): (
                plain_key(vault, each.subject, each.retention),
                wrapped_key(vault, each.subject, each.retention),
                each.key,
            )
            for each in entries
        }


def over(old):
    with seen(old.data) as now, opened_vault(old.data, now.keyring) as vault:
        rows = surveyed(now.reading, vault, dt.datetime.now(dt.UTC))
    return {(row.subject, row.retention) for row in rows if row.standing.state == "over"}
