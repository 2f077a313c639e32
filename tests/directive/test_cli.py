"""`carnet directive` as people meet it: what is printed, word for word, and the exit codes."""

import json
import re
from pathlib import Path

import pytest
from tests.directive.conftest import TEXT, letter
from tests.directive.test_letters import RECORD

ID = "us.directive.2026-09-01-atlas"
LINE = '{"id": "u%d", "at": "2026-08-01T00:00:00Z", "event": "remote_access", "served_from": "US", "item": %s, "exporter": {"id": "northwind"}, "recipient": {"kind": "person", "us_status": "%s", "nationalities": ["%s"], "location": "US"}}'  # noqa: E501 -- a line is a transaction
ITEM = '{"product": "northwind/atlas-3", "provider": "northwind", "form": "hosted"}'


def steady(text):
    """The text without instants of now and digests."""
    text = re.sub(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", "INSTANT", text)
    return re.sub(r"\b[0-9a-f]{12}\b", "DIGEST", text)


@pytest.fixture
def record(carnet):
    Path("letter.toml").write_text(re.sub("a{64}", letter().digest, RECORD))
    return "letter.toml"


@pytest.fixture
def drafted(carnet, record):
    for arguments in (
        ["receive", record, "--text", "letter.txt", "--by", "alice"],
        ["draft", ID, "--out", "draft.md", "--by", "bob"],
    ):
        assert carnet(*arguments).exit_code == 0
    return "draft.md"


def uses():
    people = [(1, "none", "CN"), (2, "none", "RU"), (3, "none", "FR"), (4, "citizen", "US")]
    Path("uses.jsonl").write_text(
        "\n".join(LINE % (n, ITEM, status, of) for n, status, of in people) + "\n\n"
    )
    return "uses.jsonl"


@pytest.mark.usefixtures("quick")
def test_a_letter_goes_from_its_receipt_to_its_preview(carnet, record):
    shown = ""
    for arguments in (
        ["receive", record, "--text", "letter.txt", "--by", "alice"],
        ["draft", ID, "--out", "draft.md", "--by", "bob"],
        ["check", ID, "draft.md", "--by", "carol"],
        ["preview", ID, "draft.md", "--uses", uses(), "--by", "dan"],
        ["status"],
        ["status", ID],
    ):
        done = carnet(*arguments)
        assert (done.exit_code, done.stderr) == (0, "")
        shown += f"$ carnet directive {' '.join(arguments)}\n{done.stdout}"
    assert steady(shown) == SHOWN
    assert Path("draft.md").read_text().startswith("+++\nformat = 1\n")


SHOWN = """\
$ carnet directive receive letter.toml --text letter.txt --by alice
us.directive.2026-09-01-atlas  received  INSTANT  by alice
$ carnet directive draft us.directive.2026-09-01-atlas --out draft.md --by bob
us.directive.2026-09-01-atlas  drafted  INSTANT  by bob
$ carnet directive check us.directive.2026-09-01-atlas draft.md --by carol
6 blocks, 8 cases passed
us.directive.2026-09-01-atlas  checked  INSTANT  by carol
$ carnet directive preview us.directive.2026-09-01-atlas draft.md --uses uses.jsonl --by dan
uses at INSTANT: 4, of which change at the door (api): 2
  served → refused            2  such as u1, u2
legal answers that change
  No license required → License required              2
by product and country group (15 CFR part 740, Supp. 1)
  northwind/atlas-3  D:5                   served → refused            2
us.directive.2026-09-01-atlas  previewed  INSTANT  by dan
$ carnet directive status
us.directive.2026-09-01-atlas  previewed  INSTANT  by dan
$ carnet directive status us.directive.2026-09-01-atlas
us.directive.2026-09-01-atlas  previewed  INSTANT  by dan
  INSTANT  received   by alice: text DIGEST, record DIGEST
  INSTANT  drafted    by bob: text DIGEST
  INSTANT  checked    by carol: text DIGEST, law DIGEST, rulebook DIGEST
  INSTANT  previewed  by dan: text DIGEST, law DIGEST, policy DIGEST, preview DIGEST, rulebook DIGEST
"""


@pytest.mark.usefixtures("quick")
def test_json_is_one_document_for_each_step(carnet, record):
    found = json.loads(carnet("receive", record, "--text", "letter.txt", "--json").stdout)["directive"]
    assert (found["state"], found["letter"]["id"]) == ("received", ID)
    assert found["path"] == "us/directives/2026/2026-09-01-atlas.md"
    found = json.loads(carnet("draft", ID, "--out", "draft.md", "--json").stdout)["directive"]
    assert [step["state"] for step in found["steps"]] == ["received", "drafted"]
    found = json.loads(carnet("check", ID, "draft.md", "--json").stdout)
    assert (found["problems"], found["failed"], found["passed"], found["edited"]) == ([], [], 8, False)
    found = json.loads(carnet("preview", ID, "draft.md", "--uses", uses(), "--json").stdout)
    assert found["preview"]["changes"] == [
        {"before": "serve", "after": "refuse", "count": 2, "examples": ["u1", "u2"]}
    ]
    found = json.loads(carnet("status", "--json").stdout)["directives"]
    assert [each["state"] for each in found] == ["previewed"]


@pytest.mark.usefixtures("quick")
def test_a_preview_is_over_the_shipped_story_unless_others_are_named(carnet, drafted):
    carnet("check", ID, drafted)
    done = carnet("preview", ID, drafted, "--examples", "0")
    assert done.stdout.startswith(
        "uses at 2026-09-01T13:30:00Z: 125, of which change at the door (api): 0\n" + ID
    )


@pytest.mark.usefixtures("quick")
def test_a_wrong_rule_ends_with_6_and_a_wrong_case_with_1(carnet, drafted):
    text = Path(drafted).read_text()
    Path(drafted).write_text(text.replace("foreign_person(recipient)", "foreign_persn(recipient)"))
    done = carnet("check", ID, drafted)
    assert (done.exit_code, done.stdout) == (6, "")
    assert done.stderr.startswith("draft.md:")
    assert "did you mean `foreign_person`?" in done.stderr
    done = carnet("check", ID, drafted, "--json")
    assert done.exit_code == 6
    assert json.loads(done.stdout)["problems"][0]["file"] == "draft.md"
    Path(drafted).write_text(text.replace('outcome = "license_required"', 'outcome = "prohibited"'))
    done = carnet("check", ID, drafted)
    assert done.exit_code == 1
    assert re.search(r"^draft\.md:\d+: a foreign person needs a license", done.stdout)
    assert done.stdout.splitlines()[-1] == "6 blocks, 7 cases passed, 1 failed, edited since it was drafted"
    assert "drafted" in carnet("status", ID).stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["draft", "us.directive.2026-01-01", "--out", "x.md"],
            2,
            "`us.directive.2026-01-01` is no directive",
        ),
        (["status", "nothing"], 2, "`nothing` is no directive: see `carnet directive status`"),
        (["receive", "letter.toml", "--text", "letter.txt"], 1, "was received already"),
        (["receive", "letter.toml", "--text", "nowhere"], 2, "`nowhere` can't be read: no such file"),
        (["receive", "letter.toml", "--text", "empty.txt"], 2, "`empty.txt` is empty"),
        (["receive", "letter.toml", "--text", "draft.md"], 2, "the letter says another: compare the two"),
        (["receive", "draft.md", "--text", "letter.txt"], 2, "draft.md:1: "),
        (["draft", ID, "--out", "draft.md"], 2, "`draft.md` is there already"),
        (
            ["preview", ID, "draft.md"],
            1,
            "is drafted and can't be previewed now: `carnet directive check` is",
        ),
        (["preview", ID, "draft.md", "--uses", "u", "--over", "june-2026"], 2, "not both"),
        (["status", "--data", "elsewhere"], 2, "`elsewhere` is not there: make it with `carnet keys init`"),
        (["draft", ID, "--out", "x.md", "--by", ""], 2, "is no name of somebody"),
    ],
)
def test_what_can_not_be_done_is_one_sentence(carnet, drafted, arguments, code, said):
    Path("empty.txt").touch()
    done = carnet(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.usefixtures("quick")
def test_a_file_of_uses_says_where_it_is_wrong(carnet, drafted):
    carnet("check", ID, drafted)
    lines = Path(uses()).read_text().splitlines()
    Path("uses.jsonl").write_text("\n".join([lines[0], lines[1].replace('"none"', '"alien"')]))
    done = carnet("preview", ID, drafted, "--uses", "uses.jsonl")
    assert done.exit_code == 2
    assert done.stderr.startswith("uses.jsonl:2:1: `alien` is not a value of `recipient.us_status`")
    assert carnet("preview", ID, drafted, "--uses", "nowhere").exit_code == 2
    assert TEXT.decode() not in done.stderr
