"""The official TypeScript SDKs from npm through the real gateway. What they ask is in `sdk_ts/asks.mjs`; they
are installed into the folder that `CARNET_TEST_SDK_TS` names, or into one of the test's own."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.gateway.stub import WORDS
from tests.gateway.test_sdk_anthropic import FABLE, Counted
from tests.gateway.test_turning import lettered

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("sdk_typescript")]
HERE = Path(__file__).parent / "sdk_ts"
AWAY = re.compile(r"code (ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|E403|E5\d\d)")
SECONDS = 300
APIS = ("anthropic", "openai", "responses")
OPENAI = ("openai", "responses")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which both SDKs are installed, beside the script."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"`{program}` is not on the PATH: the TypeScript SDKs need it")
    named = os.environ.get("CARNET_TEST_SDK_TS")
    folder = Path(named) if named else tmp_path_factory.mktemp("sdk_ts")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    for file in HERE.iterdir():
        shutil.copy(file, folder / file.name)
    if all(_version(folder, name) == version for name, version in wanted.items()):
        return folder
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not give the TypeScript SDKs within {SECONDS} seconds")
    if found := AWAY.search(done.stderr):
        pytest.skip(f"npm can't be reached: {found[0]}")
    assert done.returncode == 0, done.stderr
    return folder


def _version(folder, name):
    file = folder / "node_modules" / name / "package.json"
    return json.loads(file.read_text("utf-8"))["version"] if file.exists() else None


class Script:
    """The script: `ask` has it take one step."""

    def __init__(self, folder, house):
        urls = {"gateway": house.url, "upstream": house.main.url}
        said = json.dumps({"urls": urls, "keys": house.keys | {"nobody": "sk-upstream"}})
        self.process = subprocess.Popen(
            ["node", "asks.mjs"],
            cwd=folder,
            env=os.environ | {"CARNET_TEST_SDK": said},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, api, step, who="nobody"):
        where = "upstream" if who == "nobody" else "gateway"
        self.process.stdin.write(json.dumps([api, step, where, who]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory, folder):
    with Counted(tmp_path_factory.mktemp("house")) as house, Script(folder, house) as script:
        yield house, script


@pytest.fixture
def asking(running):
    """The script, and a gateway while the letter is in force, with nothing in its logs."""
    running[0].forget()
    return running


@pytest.mark.parametrize("step", ["plain", "stream"])
@pytest.mark.parametrize("api", APIS)
def test_whoever_may_gets_what_the_upstream_gives(asking, api, step):
    house, script = asking
    got = script.ask(api, step, "dana")
    assert got == script.ask(api, step)
    assert WORDS in json.dumps(got)
    assert "error" not in got
    assert len(house.came) == 1
    through, direct = house.main.requests
    assert through.body == direct.body


@pytest.mark.parametrize("step", ["plain", "stream"])
@pytest.mark.parametrize(
    ("who", "code"), [("elodie", "export_control_denied"), ("somebody", "evidence_needed")]
)
@pytest.mark.parametrize("api", APIS)
def test_whoever_may_not_sees_the_sdks_own_error_with_the_reason_and_it_asks_once(
    asking, api, who, code, step
):
    house, script = asking
    refused = script.ask(api, step, who)
    assert (refused["error"], refused["permission"], refused["status"]) == (
        "PermissionDeniedError",
        True,
        403,
    )
    assert refused["type"] == "permission_error"
    body = refused["body"] if api in OPENAI else refused["body"]["error"]
    assert (body["carnet"]["code"], body["carnet"]["model"]) == (code, FABLE)
    assert "us.directive.2026-06-12.person" in body["carnet"]["rules"]
    assert refused["code"] == (code if api in OPENAI else None)
    assert body["message"] in refused["said"].replace('\\"', '"')
    assert len(house.came) == 1
    assert house.heard == []


def test_streams_that_are_cut_end_in_the_sdks_error_and_others_go_on_to_their_end(tmp_path, folder):
    with Counted(tmp_path / "house") as house, Script(folder, house) as script:
        law = lettered(tmp_path / "letter")
        for api in APIS:
            for who in ("elodie", "dana"):
                assert len(script.ask(api, "begin", who)["events"]) == 3
        house.node.enter(law, house.policy)
        for api in APIS:
            cut = script.ask(api, "end", "elodie")
            assert (cut["error"], cut["of_the_sdk"]) == ("APIError", True)
            body = cut["body"] if api in OPENAI else cut["body"]["error"]
            assert (body["type"], body["carnet"]["code"]) == ("permission_error", "export_control_denied")
            assert body["carnet"]["rules"] == ["us.directive.invented.letter"]
            assert 3 <= len(cut["events"]) < 2000
            assert "message_stop" not in json.dumps(cut["events"])
            assert "response.completed" not in json.dumps(cut["events"])
            assert script.ask(api, "end", "dana") == script.ask(api, "short")
        assert len(house.came) == 2 * len(APIS)
