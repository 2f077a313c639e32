"""What the door does about each legal answer, by policy."""

import datetime as dt
import itertools
from typing import get_args

import pytest
from msgspec import structs

from carnet.model.determination import (
    PERMITTED,
    Choices,
    Determination,
    Finding,
    Outcome,
    TaskDue,
)
from carnet.model.errors import InputError
from carnet.policy.enforcement import (
    Controlled,
    Policy,
    Surface,
    Surfaces,
    Uncontrolled,
    act_on,
    digest,
    load_policy,
)
from carnet.store.policies import default_policy, read_policy

AT = dt.datetime(2026, 6, 13, tzinfo=dt.UTC)
DETERMINATION = Determination(
    outcome="no_license_required",
    basis="assured",
    may_still_be=(),
    by_reading={},
    acts=(),
    findings=(),
    asks=(),
    humans=(),
    tasks=(),
    review=(),
    marks=(),
    good_until=None,
    at=AT,
    known=AT,
    choices=Choices(),
    rulebook="",
    engine="",
)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
SURFACES: tuple[Surface, ...] = get_args(Surface)
CAREFUL = Policy()


def determination(outcome: Outcome = "no_license_required", **changes) -> Determination:
    return structs.replace(DETERMINATION, outcome=outcome, **changes)


def every_policy():
    """Every policy that can be written, but for names, choices and surfaces other than the careful ones."""
    closed = ("fall_back", "refuse")
    for facts, human, shut in itertools.product(("ask", "fall_back", "refuse"), closed, closed):
        for facts2, human2 in itertools.product(("serve", "ask", "refuse"), ("serve", "fall_back", "refuse")):
            yield Policy(
                controlled=Controlled(needs_facts=facts, needs_human=human, closed=shut),
                uncontrolled=Uncontrolled(needs_facts=facts2, needs_human=human2),
                fallback={"a": "b"},
            )


def test_no_policy_serves_a_controlled_item_on_an_unknown():
    for policy, outcome, surface in itertools.product(
        every_policy(), ("needs_facts", "needs_human"), SURFACES
    ):
        for product in ("a", None):
            action = act_on(determination(outcome), policy, controlled=True, surface=surface, product=product)
            assert action.kind != "serve"


def test_no_policy_serves_what_needs_a_license_or_is_prohibited():
    for policy, outcome, controlled in itertools.product(
        every_policy(), ("license_required", "prohibited"), (True, False)
    ):
        assert act_on(determination(outcome), policy, controlled=controlled).kind != "serve"


@pytest.mark.parametrize("outcome", sorted(PERMITTED))
@pytest.mark.parametrize("surface", SURFACES)
def test_what_is_permitted_is_served_on_every_surface(outcome, surface):
    action = act_on(determination(outcome), CAREFUL, controlled=True, surface=surface)
    assert (action.kind, action.reason) == ("serve", "permitted")


def test_an_exception_with_an_open_task_before_is_not_served_until_the_task_is_done():
    task = TaskDue("us.aia", "before", "aia-certificate", "15 CFR 740.27(b)(2)")
    after = TaskDue("us.aia", "after", "report", "15 CFR 740.27(c)")
    given = determination("license_exception", tasks=(task, after))
    waiting = act_on(given, CAREFUL, controlled=True)
    assert (waiting.kind, waiting.reason, waiting.tasks) == ("refuse", "task_before", ("aia-certificate",))
    assert act_on(given, CAREFUL, controlled=True, done={"aia-certificate"}).kind == "serve"


def test_missing_facts_are_asked_for_and_a_fallback_is_offered():
    policy = Policy(fallback={"a": "b"})
    action = act_on(determination("needs_facts"), policy, controlled=True, product="a")
    assert (action.kind, action.fallback) == ("ask", "b")
    assert act_on(determination("needs_facts"), policy, controlled=True, product="c").fallback is None


def test_a_policy_that_falls_back_without_a_product_to_offer_refuses():
    policy = Policy(controlled=Controlled(needs_human="fall_back"), fallback={"a": "b"})
    assert act_on(determination("needs_human"), policy, controlled=True, product="a").kind == "fall_back"
    assert act_on(determination("needs_human"), policy, controlled=True, product="z").kind == "refuse"
    assert act_on(determination("needs_human"), policy, controlled=True).kind == "refuse"


def test_a_stream_is_cut_where_an_answer_would_be_refused_or_asked():
    for outcome in ("needs_facts", "needs_human", "license_required", "prohibited"):
        assert act_on(determination(outcome), CAREFUL, controlled=True, surface="stream").kind == "cut"


def test_nobody_is_asked_in_a_batch():
    assert act_on(determination("needs_facts"), CAREFUL, controlled=True, surface="batch").kind == "refuse"


def test_an_item_that_no_rule_names_goes_by_its_own_part_of_the_policy():
    policy = Policy(uncontrolled=Uncontrolled(needs_facts="serve", needs_human="serve"))
    assert act_on(determination("needs_facts"), policy, controlled=False).kind == "serve"
    assert act_on(determination("needs_human"), policy, controlled=False).kind == "serve"
    assert act_on(determination("needs_facts"), CAREFUL, controlled=False).kind == "ask"
    assert act_on(determination("needs_human"), CAREFUL, controlled=False).kind == "refuse"


def announced(*ids: str, marked: tuple[str, ...]) -> Determination:
    findings = tuple(Finding(name, "requirement", "true", "cite", reason="NS") for name in ids)
    marks = tuple(f"announced_not_enforced:{name}" for name in marked)
    return determination("license_required", findings=findings, marks=marks)


def test_announced_non_enforcement_is_honoured_only_if_the_policy_says_so():
    given = announced("us.a", marked=("us.a",))
    assert act_on(given, CAREFUL, controlled=True).kind == "refuse"
    honours = Policy(honour_announced_non_enforcement=True)
    action = act_on(given, honours, controlled=True)
    assert (action.kind, action.reason) == ("serve", "not_enforced")


def test_an_announcement_about_one_requirement_does_not_open_another():
    honours = Policy(honour_announced_non_enforcement=True)
    assert act_on(announced("us.a", "us.b", marked=("us.a",)), honours, controlled=True).kind == "refuse"
    maybe = structs.replace(announced("us.a", marked=("us.a",)), may_still_be=("prohibited",))
    assert act_on(maybe, honours, controlled=True).kind == "refuse"


def test_what_is_only_stated_closes_the_way_and_says_so():
    action = act_on(determination("license_required", basis="stated"), CAREFUL, controlled=True)
    assert (action.kind, action.reason) == ("refuse", "stated")


def test_every_reason_and_action_has_words():
    from carnet.words.catalogue import ENGLISH

    for policy, outcome, controlled, surface in itertools.product(
        every_policy(), OUTCOMES, (True, False), SURFACES
    ):
        action = act_on(determination(outcome), policy, controlled=controlled, surface=surface, product="a")
        assert ENGLISH.say(f"action.{action.kind}")
        assert ENGLISH.say(f"reason.{action.reason}", tasks="")


def test_the_default_file_says_what_a_policy_without_words_is():
    assert default_policy() == Policy() == read_policy(None)


def test_a_partial_file_changes_only_what_it_names():
    policy = load_policy('[controlled]\nneeds_human = "fall_back"')
    assert policy == Policy(controlled=Controlled(needs_human="fall_back"))


def test_the_digest_goes_by_what_a_policy_says_and_not_by_how():
    assert digest(load_policy("")) == digest(default_policy())
    assert digest(load_policy("honour_announced_non_enforcement = true")) != digest(default_policy())
    assert len(digest(Policy())) == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("honor_announced_non_enforcement = true", "did you mean `honour_announced_non_enforcement`?"),
        ('[surfaces.stream]\nrefuse = "serve"', "`serve` is not a value"),
        ('[surfaces.api]\nask = "serve"', "`serve` is not a value"),
        ('[controlled]\nclosed = "serve"', "`serve` is not a value"),
        ('[uncontrolled]\nclosed = "serve"', "`serve` is not a value"),
        ("format = 2", "`2`"),
    ],
)
def test_a_policy_that_says_something_else_is_refused_with_the_right_word(text, said):
    with pytest.raises(InputError, match=r"policy\.toml:") as error:
        load_policy(text)
    assert said in str(error.value)


def test_a_policy_file_has_its_ending_and_can_be_read(tmp_path):
    with pytest.raises(InputError, match=r"ends in `\.toml`"):
        load_policy("", file="policy.yaml")
    with pytest.raises(InputError, match="can't be read"):
        read_policy(tmp_path / "nowhere.toml")


def test_no_surface_can_be_told_to_serve_instead():
    for surface in Surfaces.__struct_fields__:
        instead = getattr(Surfaces(), surface)
        assert "serve" not in {getattr(instead, name) for name in instead.__struct_fields__}
