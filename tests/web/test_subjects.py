"""Standing facts over HTTP: stored for good, shown without what they say, weighed in what is determined."""

import pytest
from tests.web.conftest import inquiry, problem

PATH = "/v1/subjects/{}"


def stored(service, subject, **document):
    return service.post(f"/v1/subjects/{subject}/facts", document, "administer")


def test_facts_are_stored_and_decide(service):
    answer = stored(service, "amy", source="hr", assurance="S3", facts={"us_status": "citizen"})
    assert answer.status_code == 200
    assert answer.json()["subject"] == "amy"
    found = service.post("/v1/determinations", inquiry(id="amy"), "decide").json()
    assert (found["action"], found["determination"]["asked"]) == ("serve", [])


def test_what_facts_say_is_shown_only_to_who_asks_for_it(service):
    facts = {"nationalities": ["FR", "DE"], "us_status": {"value": "none", "expires": "2027-01-01T00:00:00Z"}}
    stored(service, "ben", source="hr", assurance="S2", facts=facts)
    plain = service.get(PATH.format("ben"), "read")
    assert [each["fact"] for each in plain.json()["facts"]] == ["us_status", "nationalities"]
    assert all("says" not in each and each["source"] == "hr" for each in plain.json()["facts"])
    assert "FR" not in plain.text
    assert "none" not in plain.text
    revealed = service.get(f"{PATH.format('ben')}?reveal=true", "read").json()["facts"]
    assert [each["says"] for each in revealed] == [{"value": "none"}, {"value": ["FR", "DE"]}]
    assert revealed[0]["expires"] == "2027-01-01T00:00:00Z"


def test_a_correction_is_a_later_statement_and_the_first_stays_known_as_it_was(service):
    first = stored(service, "cat", source="hr", assurance="S2", facts={"us_status": "none"}).json()
    stored(service, "cat", source="hr", assurance="S2", facts={"us_status": "citizen"})
    now = service.get(f"{PATH.format('cat')}?reveal=true", "read").json()
    then = service.get(
        PATH.format("cat"), "read", params={"reveal": "true", "known": first["recorded"]}
    ).json()
    assert [each["says"]["value"] for each in now["facts"]] == ["none", "citizen"]
    assert [each["says"]["value"] for each in then["facts"]] == ["none"]


def test_an_id_with_any_signs_is_one_part_of_the_path(service):
    for subject, path in (
        ("a/b", "a%2Fb"),
        ("x facts", "x%20facts"),
        ("ü@x", "%C3%BC%40x"),
        ("facts", "facts"),
    ):
        answer = stored(service, path, source="hr", assurance="S2", facts={"us_status": "citizen"})
        assert (answer.status_code, answer.json()["subject"]) == (200, subject)
        assert service.get(PATH.format(path), "read").json()["subject"] == subject


@pytest.mark.parametrize(
    ("document", "name", "detail"),
    [
        ({"facts": {"us_status": "citizen"}, "assurance": "S2"}, "unusable", "`source`"),
        ({"facts": {"us_status": "citizen"}, "source": "hr"}, "unusable", "`assurance`"),
        ({"facts": {}, "source": "hr", "assurance": "S2"}, "unusable", "`facts`"),
        ({"facts": {"id": "x"}, "source": "hr", "assurance": "S2"}, "unusable", "`facts`"),
        ({"facts": {"location": "QX"}, "source": "hr", "assurance": "S2"}, "unusable", "`facts`"),
        (
            {"facts": {"us_status": "none", "nationalities": ["US"]}, "source": "hr", "assurance": "S2"},
            "unusable",
            "`facts`",
        ),
        (
            {"facts": {"us_status": "none"}, "source": "transaction:x", "assurance": "S2"},
            "unusable",
            "`facts`",
        ),
        ({"facts": {"us_statsu": "citizen"}, "source": "hr", "assurance": "S2"}, "malformed", "`facts`"),
        ({"facts": {"us_status": "citizen"}, "source": "hr", "assurance": "S9"}, "malformed", "`assurance`"),
        ({"source": "hr", "assurance": "S2"}, "malformed", "`facts` is missing"),
    ],
)
def test_facts_that_can_not_be_are_refused_and_nothing_is_stored(service, document, name, detail):
    answer = stored(service, "dan", **document)
    assert detail in problem(answer, name, 400)["detail"]
    for value in ("QX", "us_statsu", "S9", "transaction:x"):
        assert value not in answer.text
    problem(service.get(PATH.format("dan"), "read"), "not_found", 404)


@pytest.mark.parametrize("subject", ["%00", "%20", "a%E2%80%8Bb", "x" * 201])
def test_a_subject_that_nobody_can_be_is_refused(service, subject):
    answer = stored(service, subject, source="hr", assurance="S2", facts={"us_status": "citizen"})
    problem(answer, "unusable", 400)


def test_while_the_clock_is_suspect_no_fact_is_recorded(tmp_path, hands):
    from tests.web.conftest import serving

    with serving(tmp_path / "data", clock=hands.clock()) as other:
        hands.passed += 3_600 * 1_000_000_000
        answer = stored(other, "eli", source="hr", assurance="S2", facts={"us_status": "citizen"})
        problem(answer, "carnet_unavailable", 503)
