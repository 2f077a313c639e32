"""`carnet gateway` in a process of its own, as an operator starts it: an installation with keys and facts, a
letter in force now about the plain model, stub upstreams."""

import contextlib
import datetime as dt
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
from tests.gateway.house import CONFIG, PEOPLE
from tests.gateway.stub import Stub
from tests.gateway.test_turning import FOREIGN, LAW
from tests.subjects.conftest import said

from carnet.store.api_keys import ApiKeys
from carnet.store.desk import Desk
from carnet.store.keys import Keyring
from carnet.store.subjects import SubjectTable

ASK = {"model": "plain-model", "max_tokens": 9, "messages": [{"role": "user", "content": "Say stub."}]}
POLICY = """\
[controlled]
closed = "fall_back"

[fallback]
"example/plain-model" = "anthropic/claude-opus-4-8"
"anthropic/claude-fable-5" = "anthropic/claude-opus-4-8"
"""


class Gateway:
    """While entered, an installation that can be started, killed and started again. `keys` are whose."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.main, self.local = folder, Stub(), Stub()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self):
        for stub in (self.main, self.local):
            stub.__enter__()
        now, data = dt.datetime.now(dt.UTC), self.folder / "data"
        keyring = Keyring.create(data, "gateway.example", now)
        callers, self.keys = [], {}
        with Desk.open(data) as desk:
            keys, table = ApiKeys(desk, keyring), SubjectTable(desk, keyring)
            for name in ("dana", "elodie"):
                key, self.keys[name] = keys.add("default", ("call",), now)
                callers.append(f'[[caller]]\nkey = "{key.id}"\nsubject = "{name}"\n')
            people = [(name, said("desk", "S3", **PEOPLE[name])) for name in ("dana", "elodie")]
            table.add("default", people, now)
        config = CONFIG.format(main=self.main.url, local=self.local.url, status=403, references="refuse")
        self.config = self.folder / "gateway.toml"
        self.config.write_text(config + "\n" + "\n".join(callers), "utf-8")
        (self.folder / "policy.toml").write_text(POLICY, "utf-8")
        self.write()
        return self

    def __exit__(self, *_):
        self.kill()
        for stub in (self.main, self.local):
            stub.__exit__()

    def write(self, when: str = FOREIGN, begins: str = "2026-06-01T00:00:00Z") -> None:
        """The letter, as it is from the next start or SIGHUP on."""
        file = self.folder / "law" / "us" / "directives" / "2026" / "invented.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(LAW.format(begins=begins, when=when), "utf-8")

    def start(self, *, policy: bool = False) -> None:
        """Start it and wait until it answers."""
        self.log = self.folder / f"gateway-{time.monotonic_ns()}.log"
        words = [Path(sys.executable).parent / "carnet", "gateway", "--config", self.config]
        words += ["--data", self.folder / "data", "--law", self.folder / "law", "--listen", "127.0.0.1:0"]
        words += ["--policy", self.folder / "policy.toml"] if policy else []

        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={
                    "CARNET_TEST_UPSTREAM": "sk-upstream",
                    "PATH": "/usr/bin:/bin",
                    "HOME": str(self.folder),
                },
            )
        self.says("Not legal advice")

    def says(self, text: str, seconds: float = 60.0) -> None:
        """Wait until it has said something."""
        end = time.monotonic() + seconds
        while text not in self.said:
            assert self.process is not None
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.02)

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8")

    @property
    def url(self) -> str:
        return re.search(r"^Carnet stands at (\S+)$", self.said, re.MULTILINE)[1]

    def ask(self, who: str, body=None, **headers) -> httpx.Response:
        key = {"x-api-key": self.keys[who], "content-type": "application/json"}
        return httpx.post(self.url + "/v1/messages", json=body or ASK, headers=key | headers, timeout=30)

    def kill(self, kind: int = signal.SIGKILL) -> None:
        """End it."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(kind)
            self.process.wait(60)
            self.process = None
