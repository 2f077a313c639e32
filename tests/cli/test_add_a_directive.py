"""The page that adds a letter to an operator's own shelf, done as it says, with nothing else."""

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.docs.test_examples import steps

from carnet.cli import main

pytestmark = pytest.mark.xdist_group("directive")  # the page is done once, not once by each worker

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/add-a-directive.md").read_text("utf-8")


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Writes every file of the page and runs every `carnet` command. Where, and how each ended."""
    folder, results = tmp_path_factory.mktemp("written"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("CARNET_LAW", raising=False)
        patch.delenv("CARNET_POLICY", raising=False)
        for kind, head, body in steps(PAGE):
            if kind == "file":
                file = folder / head
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(body, "utf-8")
            else:
                words = shlex.split(head)
                assert words[0] == "carnet", head
                results.append((head, body, CliRunner().invoke(main, words[1:])))
    return folder, results


@pytest.fixture
def done_as_written(carnet, once, monkeypatch):
    """What the commands of the page ended with and printed; the test goes on in their folder."""
    folder, results = once
    monkeypatch.chdir(folder)
    return results


def test_every_command_of_the_page_ends_as_it_says(done_as_written):
    assert len(done_as_written) >= 4
    for head, shown, done in done_as_written:
        wanted = int(shown.rpartition("# exit ")[2]) if "# exit " in shown else 0
        assert done.exit_code == wanted, f"{head}\n{done.output}"


def test_the_page_holds_a_rule_a_list_and_three_cases(done_as_written):
    letter = next(body for kind, _, body in steps(PAGE) if kind == "file" and "toml requirement" in body)
    assert letter.count("```toml list") == 1
    assert letter.count("```toml requirement") == 1
    assert letter.count("```toml case") == 3


def test_the_third_model_is_controlled_with_the_shelf_and_not_without(carnet, done_as_written):
    without = json.loads(carnet("check", "use.toml", "--json").stdout)
    beside = json.loads(carnet("check", "use.toml", "--json", "--law", "my-law").stdout)
    assert without["controlled"] is False
    assert without["determination"]["outcome"] == "no_license_required"
    assert without["action"]["kind"] == "serve"
    assert beside["controlled"] is True
    assert beside["determination"]["outcome"] == "license_required"
    assert beside["action"]["kind"] == "refuse"
    assert without["policy"] == beside["policy"]


def test_the_new_letter_is_in_force_from_its_instant(carnet, done_as_written):
    def outcome(at):
        done = carnet("check", "use.toml", "--json", "--law", "my-law", "--at", at)
        return json.loads(done.stdout)["determination"]["outcome"]

    assert outcome("2026-09-01T13:29:59Z") == "no_license_required"
    assert outcome("2026-09-01T13:30:00Z") == "license_required"


def test_a_transaction_without_the_fact_is_asked_for_it_by_name(carnet, done_as_written):
    text = Path("use.toml").read_text().replace('us_status = "none"\n', "")
    Path("asked.toml").write_text(text)
    done = carnet("check", "asked.toml", "--law", "my-law")
    assert done.exit_code == 4
    assert "ask the user: the US status of the recipient (`recipient.us_status`)" in done.stdout
