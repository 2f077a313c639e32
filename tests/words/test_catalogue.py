"""The one catalogue of what people read."""

import gettext
import re
import string
from typing import get_args

import pytest

from carnet.model.determination import FindingKind, Outcome, Truth
from carnet.model.facts import Cause
from carnet.rules import blocks
from carnet.rules.terms import Who
from carnet.store.shelves import load_rulebook
from carnet.words.catalogue import ENGLISH, Catalogue, message_ids
from carnet.words.facts import FACTS
from carnet.words.messages import MESSAGES


def test_every_shipped_fact_has_a_name_and_no_name_is_left_over():
    assert set(FACTS) == set(load_rulebook().terms.specs)


def test_every_task_of_the_law_has_words():
    keys = {task.key for block in load_rulebook().of(blocks.Exception_) for task in block.tasks}
    assert {f"task.{key}" for key in keys} <= set(MESSAGES)


@pytest.mark.parametrize(
    "key",
    [
        *(f"{part}.{outcome}" for outcome in get_args(Outcome) for part in ("outcome", "meaning")),
        *(f"cause.{cause}" for cause in get_args(Cause)),
        *(f"who.{who}" for who in get_args(Who)),
        *(f"finding.{kind}.{truth}" for kind in get_args(FindingKind) for truth in get_args(Truth)),
        *(f"act_kind.{kind}" for kind in get_args(blocks.ActKind)),
    ],
)
def test_every_word_of_the_model_has_text(key):
    assert MESSAGES[key]


def test_a_party_is_called_by_its_role():
    assert ENGLISH.fact("recipient.us_status") == "the US status of the recipient (`recipient.us_status`)"
    assert ENGLISH.fact("parties.end_user[0].location").startswith("the country where the end user is")
    assert ENGLISH.fact("parties.end_user[1].location").startswith("the country where the end user 2 is")
    assert ENGLISH.fact("parties.end_user") == "the end user (`parties.end_user`)"
    assert ENGLISH.fact("exporter.knowledge").startswith("what the exporter knows")


def test_an_operators_own_fact_goes_by_its_path():
    assert ENGLISH.fact("item.shade") == "`item.shade`"
    assert ENGLISH.fact("item.us_status") == "`item.us_status`"
    assert ENGLISH.task("our-own-form") == "our-own-form"


def test_a_translation_reaches_every_text():
    class Shouting(gettext.NullTranslations):
        def gettext(self, message):
            return re.sub(r"[a-z]+(?![^{]*\})", lambda found: found[0].upper(), message)

    loud = Catalogue(Shouting())
    assert loud.say("who.user") == "THE USER"
    assert loud.fact("recipient.us_status").startswith("THE US STATUS OF THE RECIPIENT")
    assert loud.say("finding.requirement.true", id="us.x", reason="NS") == "us.x REQUIRES A LICENSE (NS)"


def test_the_message_ids_are_all_texts_once():
    ids = list(message_ids())
    assert ids == sorted(set(ids))
    assert set(MESSAGES.values()) <= set(ids)


def test_every_text_can_be_filled_in():
    for text in message_ids():
        names = {name: "x" for _, name, _, _ in string.Formatter().parse(text) if name}
        assert "{" not in text.format(**names)
