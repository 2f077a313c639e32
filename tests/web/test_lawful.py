"""What is enforced, over HTTP: digests, provisions, what is in force when."""

import pytest
from tests.web.conftest import problem, serving

from carnet.policy.enforcement import digest
from carnet.store.shelves import load_rulebook

PATH = "/v1/rulebook/slice"

LETTER = """\
+++
format = 1
title = "A letter that is not public"
source = "Not public"
dated = 2026-06-01
verified = 2026-06-01
+++

A letter.

```toml requirement
id = "us.letter.secret"
cite = "letter 17 to a company"
gate = "own"
from = 2026-06-01
reasons = ["RS"]
confidentiality = "not public"
when = "item.provider == 'anthropic'"
```
"""


def test_the_rulebook_is_named_by_its_digest_with_every_provision(service):
    law = service.node.determiner.law
    said = service.get("/v1/rulebook", "read").json()
    assert (said["digest"], said["epoch"]) == (law.rulebook.digest, 1)
    assert said["policy"] == {"name": "careful", "digest": digest(law.policy)}
    assert [each["id"] for each in said["provisions"]] == [block.id for block in law.rulebook.blocks]
    person = next(each for each in said["provisions"] if each["id"] == "us.directive.2026-06-12.person")
    assert (person["kind"], bool(person["cite"])) == ("requirement", True)


def test_a_new_policy_is_a_new_epoch(tmp_path):
    import msgspec

    with serving(tmp_path / "data") as service:
        law = service.node.determiner.law
        service.node.enter(law.rulebook, msgspec.structs.replace(law.policy, name="other"))
        said = service.get("/v1/rulebook", "read").json()
        assert (said["epoch"], said["policy"]["name"]) == (2, "other")


def test_what_is_in_force_changes_at_the_instant_of_a_letter(service):
    id_ = "us.directive.2026-06-12.person"
    before = service.get(f"{PATH}?at=2026-06-12T21:20:59Z", "read").json()
    after = service.get(f"{PATH}?at=2026-06-12T21:21:00Z", "read").json()
    assert id_ not in {each["id"] for each in before["provisions"]}
    assert id_ in {each["id"] for each in after["provisions"]}
    assert before["until"] == after["from"] == "2026-06-12T21:21:00Z"
    assert before["digest"] != after["digest"]
    assert before["rulebook"] == after["rulebook"]


def test_what_was_not_known_yet_is_not_in_force(service):
    known = service.get(f"{PATH}?at=2026-06-13T00:00:00Z", "read").json()
    unknown = service.get(f"{PATH}?at=2026-06-13T00:00:00Z&known=2026-06-01T00:00:00Z", "read").json()
    gone = {each["id"] for each in known["provisions"]} - {each["id"] for each in unknown["provisions"]}
    assert "us.directive.2026-06-12.person" in gone


def test_the_same_slice_has_the_same_digest(service):
    one = service.get(f"{PATH}?at=2026-06-13T00:00:00Z", "read").json()
    other = service.get(f"{PATH}?at=2026-06-14T00:00:00Z", "read").json()
    assert one["digest"] == other["digest"]


@pytest.mark.parametrize(
    "query", ["at=yesterday", "at=2026-06-12", "at=2026-06-12T00:00:00", "known=", "x=1"]
)
def test_an_instant_that_is_none_is_malformed(service, query):
    problem(service.get(f"{PATH}?{query}", "read"), "malformed", 400)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_the_calendar_are_instants_too(service, at):
    assert service.get(f"{PATH}?at={at}", "read").status_code == 200


def test_what_is_confidential_is_named_and_not_cited(tmp_path):
    letter = tmp_path / "law" / "us" / "letters" / "x.md"
    letter.parent.mkdir(parents=True)
    letter.write_text(LETTER)
    with serving(tmp_path / "data") as service:
        law = service.node.determiner.law
        service.node.enter(load_rulebook(tmp_path / "law"), law.policy)
        answer = service.get("/v1/rulebook", "read")
        found = next(each for each in answer.json()["provisions"] if each["id"] == "us.letter.secret")
        assert found == {"id": "us.letter.secret", "kind": "requirement"}
        assert "letter 17" not in answer.text
