"""What an administrator changes and sees over HTTP: standing facts of subjects, grants that are to end. How
facts are weighed is in `carnet.model.view`; how grants end is in `carnet.service.grants`.
"""

import asyncio
import datetime as dt
from collections.abc import Mapping

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from carnet.model.errors import InputError, Unavailable
from carnet.model.written import Evidence
from carnet.service.grants import Selector
from carnet.service.roster import read_roster
from carnet.store.subjects import evidence_of, written_of
from carnet.store.vault_parts import pseudonym
from carnet.web import messages, reading
from carnet.web.peers import Question
from carnet.web.problems import NOT_FOUND, UNUSABLE, Stop, unavailable
from carnet.web.serving import Call, Serving, answer, instant_in, switch_in

REVOKE = "revoke"
"""What the other nodes are asked for a revocation."""

_BESIDE = ("source", "assurance", "observed", "recorded", "valid_from", "valid_until", "expires")
_FORMS = ("value", "some", "candidates", "unknown")


async def read_subject(serving: Serving, call: Call) -> Response:
    """`GET /v1/subjects/{id}`."""
    known = instant_in(call.query, "known") or serving.node.clock.read().wall
    reveal = switch_in(call.query, "reveal")
    party = await serving.work(serving.node.subjects.facts, call.tenant, call.params["id"], known)
    facts = tuple(_said(name, fact, reveal) for name, leaf in written_of(party) for fact in evidence_of(leaf))
    if not facts:
        raise Stop(NOT_FOUND, "there is no such subject")
    return answer(messages.SubjectFacts(subject=call.params["id"], known=known, facts=facts))


async def add_facts(serving: Serving, call: Call) -> Response:
    """`POST /v1/subjects/{id}/facts`."""
    recorded = await serving.work(_stored, serving, call)
    return answer(messages.Stored(subject=call.params["id"], recorded=recorded))


async def revoke(serving: Serving, call: Call) -> Response:
    """`POST /v1/revocations`: here, and on every other node that runs."""
    said = await serving.work(lambda: reading.converted(reading.plain_of(call.body), messages.Revocation))
    if said.subject is None and said.item is None:
        raise Stop(UNUSABLE, "the body: name a subject, an item, or both")
    question = Question(ask=REVOKE, tenant=call.tenant, subject=said.subject, item=said.item)
    counts = await asyncio.gather(revoked(serving, question), serving.peers.ask(question))
    others = [msgspec.json.decode(each, type=int) for each in counts[1]]
    return answer(messages.GrantsEnded(count=counts[0] + sum(others), nodes=1 + len(others)))


async def revoked(serving: Serving, question: Question) -> int:
    """End the grants of this node that are meant; how many, once that is on record."""
    subject = question.subject
    who = None if subject is None else pseudonym(serving.archives.own.index, question.tenant, subject)
    selector = Selector(subject=who, item=question.item)
    count, receipts = await serving.work(serving.node.grants.revoke, question.tenant, selector)
    try:
        async with asyncio.timeout(serving.settings.deadline):
            await asyncio.gather(*map(asyncio.wrap_future, receipts))
    except TimeoutError:
        raise Unavailable(
            "grants ended, and the record of it was not durable in time: it follows, look at the log's disk"
        ) from None
    return count


def _said(name: str, fact: Evidence, reveal: bool) -> messages.StandingFact:
    beside = {each: getattr(fact, each) for each in _BESIDE}
    says: dict[str, object] | UnsetType = UNSET
    if reveal:
        forms = {form: getattr(fact, form, None) for form in _FORMS}
        says = {form: value for form, value in forms.items() if value is not None}
    return messages.StandingFact(fact=name, says=says, **beside)


def _stored(serving: Serving, call: Call) -> dt.datetime:
    """Store a statement; when it was recorded. Raises `Stop`."""
    plain = reading.plain_of(call.body)
    reading.converted(plain, messages.NewFacts)
    assert isinstance(plain, dict)  # it was converted just now
    row: Mapping[str, object] = {**plain, "subject": call.params["id"]}
    read = read_roster(msgspec.json.encode(row), "facts", countries=serving.countries)
    for problem in read.problems:
        for word in ("source", "assurance"):
            if problem.message.startswith(f"`{word}` is missing"):
                raise Stop(UNUSABLE, f"`{word}`: it is missing, add it for all facts or to each")
        raise Stop(UNUSABLE, "`facts`: they can't be so, alone, together, or of this subject")
    try:
        now = serving.node.clock.read()
        if now.suspect:
            raise unavailable("the clock is suspect: nothing is recorded until it is right again")
        return serving.node.subjects.add(call.tenant, read.statements, now.wall).recorded
    except InputError:
        raise Stop(UNUSABLE, "`facts`: they can't be stored, see what a fact of a subject may say") from None
