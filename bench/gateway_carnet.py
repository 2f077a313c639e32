"""Our own side of the bench of gateways: `carnet gateway` as it is started by an operator, on a new data
directory, with facts of its callers and an invented letter that covers one of its two models from the start
of the year on. A citizen is served the covered model under a grant; a national of another country is
refused."""

import contextlib
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import gateway_client as client
from gateway_parts import PROXIES, Missing, Side, free_port, last_of, process

from carnet.model.transaction import Party
from carnet.model.written import Fact, SetFact
from carnet.service.clock import utc
from carnet.store.api_keys import ApiKeys
from carnet.store.desk import Desk
from carnet.store.keys import Keyring, new_name
from carnet.store.subjects import SubjectTable

LETTER = """\
+++
format = 1
title = "An invented letter"
source = "Invented"
dated = 2026-01-01
verified = 2026-01-01
+++

```toml requirement
id = "us.letter.bench"
cite = "invented letter 1"
from = 2026-01-01
gate = "own"
binds = ["bench"]
reasons = ["notice"]
lifted_by = ["authorization"]
review = "none stated"
when = 'item.product == "bench/controlled" and foreign_person(recipient)'
```
"""

CONFIG = """\
exporter = "bench"
served_from = "US"

[limits]
rate = 1000000.0
burst = 1000000

[[upstream]]
name = "main"
url = "http://127.0.0.1:{upstream}"

[[model]]
name = "bench-controlled"
item = "bench/controlled"
provider = "bench"
upstream = "main"
dialects = ["openai"]

[[model]]
name = "bench-model"
item = "bench/uncontrolled"
provider = "bench"
upstream = "main"
dialects = ["openai"]

[[caller]]
key = "{citizen}"
subject = "dana"

[[caller]]
key = "{foreigner}"
subject = "elodie"
"""

_START_SECONDS = 60


@dataclass(frozen=True)
class Carnet:
    """A gateway that runs: the covered model, the other one, and the covered one as somebody may not use
    it."""

    controlled: Side
    uncontrolled: Side
    refused: Side
    data: Path

    @property
    def pids(self) -> tuple[int, ...]:
        return self.controlled.pids

    def decides(self) -> str:
        """Ends the bench unless the citizen is served under a record that can be shown, and the other one is
        refused with the letter as the reason; the record's id."""
        told = client.ask(self.refused)
        if told.status != 403 or b"export_control_denied" not in told.body:
            raise SystemExit(f"who may not use the model got {told.status}: {told.body[:300]!r}")
        served = client.ask(self.controlled)
        record = served.headers.get("x-carnet-record", "")
        if served.status != 200 or not record:
            raise SystemExit(f"a citizen got {served.status} under `{record}`: {served.body[:300]!r}")
        return record

    def counted(self) -> dict[str, int]:
        """How many were served or refused, as the gateway says: `{"serve bench/controlled": …}`."""
        url = f"http://127.0.0.1:{self.controlled.port}/carnet/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        lines = re.findall(r'answers_total\{action="([^"]*)",item="([^"]*)"\} (\S+)', text)
        return {f"{action} {item}": int(float(number)) for action, item, number in lines}

    def shown(self, record: str) -> dict[str, object]:
        """A record as the log has it. Ends the bench if there is none."""
        words = [_program(), "log", "show", record, "--data", str(self.data), "--json"]
        ran = subprocess.run(words, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise SystemExit(f"the record `{record}` can't be shown: {ran.stderr}")
        found: dict[str, object] = json.loads(ran.stdout)
        return found


@contextlib.contextmanager
def carnet(folder: Path, upstream: int) -> Iterator[Carnet]:
    """Started with a node of its own, as by an operator. Raises Missing if it does not come up."""
    data, law, config = folder / "data", folder / "law", folder / "gateway.toml"
    letter = law / "us" / "letters" / "bench.md"
    letter.parent.mkdir(parents=True)
    letter.write_text(LETTER)
    keys = _filled(data)
    ids = {who: text[3:15] for who, text in keys.items()}
    config.write_text(CONFIG.format(upstream=upstream, **ids))
    port, said = free_port(), folder / "carnet.log"
    words = [_program(), "gateway", "--config", str(config), "--data", str(data), "--law", str(law)]
    with process([*words, "--listen", f"127.0.0.1:{port}"], core=PROXIES, said=said) as pid:
        end = time.monotonic() + _START_SECONDS
        while "Not legal advice." not in said.read_text(errors="replace"):
            if time.monotonic() > end or not Path(f"/proc/{pid}/task").exists():
                raise Missing(f"did not start: {last_of(said)}")
            time.sleep(0.05)
        served = {"authorization": f"Bearer {keys['citizen']}"}
        controlled = Side("Carnet, controlled", port, (pid,), served, "bench-controlled")
        refused = {"authorization": f"Bearer {keys['foreigner']}"}
        yield Carnet(
            controlled,
            replace(controlled, name="Carnet, uncontrolled", model="bench-model"),
            replace(controlled, name="Carnet, refused", headers=refused),
            data,
        )


def _program() -> str:
    return str(Path(sys.executable).parent / "carnet")


def _filled(data: Path) -> dict[str, str]:
    """A data directory with two callers and what is known of them: their API keys."""
    Keyring.create(data, new_name(), utc())
    keyring = Keyring.open(data)
    with Desk.open(data) as desk:
        people = [
            ("dana", Party(us_status=_said("citizen"), location=_said("US"), kind=_said("person"))),
            (
                "elodie",
                Party(
                    us_status=_said("none"),
                    location=_said("FR"),
                    kind=_said("person"),
                    nationalities=SetFact(value=("FR",), source="desk", assurance="S3"),
                ),
            ),
        ]
        SubjectTable(desk, keyring).add("default", people, utc())
        keys = ApiKeys(desk, keyring)
        return {who: keys.add("default", ("call",), utc())[1] for who in ("citizen", "foreigner")}


def _said(value: str) -> Fact:  # type: ignore[type-arg] # of whatever the field takes
    return Fact(value=value, source="desk", assurance="S3")
