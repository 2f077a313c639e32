"""A gateway that runs: a real node in an empty folder whose clock begins where a test wants it to, the real
server in a thread, stub upstreams. Callers have keys of their own and facts on record, as an operator would
give them."""

import asyncio
import datetime as dt
import os
import threading
import time

import uvicorn
import uvloop
from msgspec import structs
from tests.gateway.stub import Stub, listening
from tests.subjects.conftest import said

from carnet.gateway.config import Caller, Directory, load_config
from carnet.gateway.connections import Connection
from carnet.gateway.door import Door
from carnet.gateway.parts import Parts
from carnet.gateway.reaching import clients
from carnet.policy.enforcement import Controlled
from carnet.service.api import InProcess
from carnet.service.clock import Clock
from carnet.service.node import Node
from carnet.store.policies import default_policy
from carnet.store.shelves import load_rulebook

FABLE, OPUS = "anthropic/claude-fable-5", "anthropic/claude-opus-4-8"
BEFORE = dt.datetime(2026, 6, 12, 20, tzinfo=dt.UTC)
LETTER = dt.datetime(2026, 6, 12, 21, 21, tzinfo=dt.UTC)
DURING = dt.datetime(2026, 6, 13, 14, tzinfo=dt.UTC)
AFTER = dt.datetime(2026, 7, 2, 14, tzinfo=dt.UTC)

PEOPLE = {
    "dana": {"us_status": "citizen", "location": "US", "kind": "person"},
    "elodie": {"us_status": "none", "nationalities": ("FR",), "location": "FR", "kind": "person"},
    "northwind": {"kind": "company", "location": "US"},
    "northwind/omar": {"us_status": "permanent_resident", "location": "US", "kind": "person"},
    "northwind/emea/ines": {
        "us_status": "none",
        "nationalities": ("ES",),
        "location": "ES",
        "kind": "person",
    },
}
"""Who is known. `somebody` has a key and no facts; `refusenik` is as elodie and wants no other model."""

CONFIG = """\
exporter = "anthropic"
served_from = "US"
references = "{references}"

[denial]
status = {status}
ask_url = "https://carnet.example/ask"
appeal_url = "https://carnet.example/appeal"

[[upstream]]
name = "main"
url = "{main}"
key_env = "CARNET_TEST_UPSTREAM"
key_header = "x-api-key"

[[upstream]]
name = "local"
url = "{local}"

[[model]]
name = "claude-fable-5"
aliases = ["fable"]
item = "anthropic/claude-fable-5"
provider = "anthropic"
upstream = "main"
dialects = ["anthropic", "openai"]
tools = true
images = true

[[model]]
name = "claude-opus-4-8"
item = "anthropic/claude-opus-4-8"
provider = "anthropic"
upstream = "local"
upstream_model = "opus-as-the-upstream-calls-it"
dialects = ["anthropic", "openai"]
tools = true
context_tokens = 100000

[[model]]
name = "plain-model"
item = "example/plain-model"
provider = "example"
upstream = "main"
dialects = ["openai", "anthropic"]
"""


class Going:
    """A wall clock that goes as the real one does, from an instant of the past."""

    def __init__(self, begins: dt.datetime) -> None:
        self._begins, self._since = begins, time.monotonic()
        self._jump = dt.timedelta()

    def now(self) -> dt.datetime:
        return self._begins + self._jump + dt.timedelta(seconds=time.monotonic() - self._since)

    def jump(self, seconds: float) -> None:
        """Set the wall clock alone: the other clock knows nothing of it."""
        self._jump += dt.timedelta(seconds=seconds)

    def clock(self) -> Clock:
        return Clock(self.now)


class House:
    """While entered, it serves: `url` is where, `keys` are whose. `main` and `local` are the upstreams."""

    def __init__(self, folder, begins=DURING, *, rulebook=None, status=403, references="refuse", **policy):
        self.going, self.folder = Going(begins), folder
        self.main, self.local = Stub(), Stub()
        self.rulebook = load_rulebook() if rulebook is None else rulebook
        controlled = Controlled(closed=policy.pop("closed", "refuse"))
        self.policy = structs.replace(
            default_policy(), controlled=controlled, fallback=policy.pop("fallback", {FABLE: OPUS}), **policy
        )
        self._status, self._references = status, references
        self.limits: dict[str, float] = {}
        self._opened = []

    def __enter__(self):
        os.environ["CARNET_TEST_UPSTREAM"] = "sk-upstream"
        for each in (self.main, self.local):
            self._opened.append(each)
            each.__enter__()
        self.node = Node(self.folder / "data", self.rulebook, self.policy, self.going.clock())
        self._opened.append(self.node)
        self.api = InProcess(self.node, deadline=30)
        self.keys, callers = self._callers()
        text = CONFIG.format(
            main=self.main.url, local=self.local.url, status=self._status, references=self._references
        )
        plain = load_config(text.encode())
        limits = structs.replace(plain.config.limits, **self.limits)
        self.directory = Directory(
            structs.replace(plain.config, limits=limits),
            plain.models,
            plain.items,
            {one.key: one for one in callers},
            plain.upstreams,
        )
        self.parts = Parts(
            self.api, self.directory, clients(self.directory.config), self.going.now, record_seconds=20
        )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        while not (hasattr(self, "_server") and self._server.started):
            time.sleep(0.005)
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join()
        self.api.close()
        for each in reversed(self._opened):
            each.__exit__(None, None, None)

    def _callers(self):
        now, keys, callers = self.going.now(), {}, []
        people = [(name, said("desk", "S3", **facts)) for name, facts in PEOPLE.items()]
        people.append(("refusenik", said("desk", "S3", **PEOPLE["elodie"])))
        self.node.subjects.add("default", people, now)
        for name in ("dana", "elodie", "somebody", "northwind", "refusenik", "appbody"):
            key, text = self.node.api_keys.add("default", ("call",), now)
            keys[name] = text
            callers.append(
                Caller(
                    key=key.id,
                    subject="northwind" if name == "appbody" else name,
                    end_users={"northwind": "header", "appbody": "body"}.get(name, "none"),
                    substitute=name != "refusenik",
                )
            )
        _, keys["reader"] = self.node.api_keys.add("default", ("read",), now)
        _, keys["unlisted"] = self.node.api_keys.add("default", ("call",), now)
        return keys, callers

    def _run(self):
        sock = listening()
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        config = uvicorn.Config(
            Door(self.parts),
            http=Connection,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
            limit_concurrency=20_000,
        )
        self._server = uvicorn.Server(config)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._server.serve(sockets=[sock]))
        sock.close()

    def records(self):
        """How many records there are."""
        with self.node.log.reading() as reading:
            return reading.size
