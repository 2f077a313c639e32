"""A small log that can be rolled back and forked, a witness's server on a real socket, and its keys."""

import threading
from contextlib import contextmanager

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from tests.ledger.memory import LOG, ORIGIN, Memory

from carnet.ledger import checkpoint, log
from carnet.ledger.checkpoint import Checkpoint
from carnet.ledger.tree import Tree, consistency_proof
from carnet.ledger.witness import Request, WitnessKey

NOW = 1_790_000_000
KEY = WitnessKey("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes(32)))
KEY_2 = WitnessKey("witness.example/w2", MLDSA44PrivateKey.from_seed_bytes(bytes(32)))
KEY_3 = WitnessKey("witness.example/w3", Ed25519PrivateKey.from_private_bytes(bytes([3]) * 32))
LOGS = {ORIGIN: [LOG.verifier]}


class Small:
    """A log in memory, a `Source`: `append` makes one batch and signs it."""

    def __init__(self, count=0, mark="record", signer=LOG, origin=ORIGIN):
        self.storage, self.tree, self.mark, self.signer, self.origin = Memory(), Tree(), mark, signer, origin
        self.signed = self._sign()
        if count:
            self.append(count)

    def append(self, count=1):
        first = self.tree.size
        leaves = [f"{self.mark} {index}".encode() for index in range(first, first + count)]
        _, self.tree = log.append(self.storage, self.tree, leaves)
        self.signed = self._sign()
        return self

    def copy(self, mark=None):
        """The log as it is now, as a backup has it; with another mark it goes on differently."""
        other = Small(mark=mark or self.mark, signer=self.signer, origin=self.origin)
        other.storage, other.tree, other.signed = self.storage.copy(), self.tree, self.signed
        return other

    def request(self, old, signed=None):
        """The request that a witness which remembers `old` records accepts."""
        return Request(old, consistency_proof(self.storage, old, self.tree.size), signed or self.signed)

    @contextmanager
    def reading(self):
        yield self

    def nodes(self, places):
        return self.storage.nodes(places)

    def checkpoint(self):
        return self.signed

    def _sign(self):
        about = Checkpoint(self.origin, self.tree.size, self.tree.root)
        return checkpoint.signed(about, [self.signer]).data


@contextmanager
def serving(application, port=0, **options):
    """The URL of an application that answers on a real socket in a thread of this process."""
    config = uvicorn.Config(
        application, port=port, log_config=None, access_log=False, lifespan="off", ws="none", **options
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.005)
        address = server.servers[0].sockets[0].getsockname()
        yield f"{'https' if options.get('ssl_certfile') else 'http'}://127.0.0.1:{address[1]}"
    finally:
        server.should_exit = True
        thread.join()
