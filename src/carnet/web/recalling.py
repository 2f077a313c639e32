"""What is on record, over HTTP: records, found and read, in words, and with their proof; checkpoints and
tiles of the logs. Nothing is recorded here, and a tenant sees its own records only.
"""

import re
from collections.abc import Mapping

from starlette.responses import Response

from carnet.engine.decide import decide
from carnet.engine.explain import Explanation, Section, explanation, text_of
from carnet.engine.findings import ENGINE
from carnet.ledger import checkpoint as checkpoints
from carnet.ledger import note, proof, tiles
from carnet.model import leaf as leaves
from carnet.model.determination import RecordedDetermination
from carnet.model.errors import Absent, Damaged, Malformed
from carnet.model.leaf import Determined
from carnet.model.recorded import recorded
from carnet.model.time import instant
from carnet.policy.enforcement import Policy
from carnet.policy.enforcement import digest as policy_digest
from carnet.rules.rulebook import Rulebook
from carnet.rules.slices import slice_at
from carnet.service.archives import Archive
from carnet.store.laws import lawful_policy
from carnet.store.protocols import Record
from carnet.store.vault_parts import TermKind, committed, term
from carnet.web import messages
from carnet.web.problems import MALFORMED, NOT_FOUND, Stop
from carnet.web.routes import BYTES, TEXT
from carnet.web.serving import Call, Serving, answer, place_headers
from carnet.words.catalogue import ENGLISH, stamp

_AFTER = re.compile(r"([0-9]{1,6})\.(-1|[0-9]{1,18})")
_KINDS: tuple[TermKind, ...] = ("party", "country", "document")


async def find_records(serving: Serving, call: Call) -> Response:
    """`GET /v1/records`."""
    return answer(await serving.work(_page, serving, call))


async def read_record(serving: Serving, call: Call) -> Response:
    """`GET /v1/records/{id}`."""
    archive, record = await serving.work(_found, serving, call)
    return answer(_kept(archive, record))


async def explain_record(serving: Serving, call: Call) -> Response:
    """`GET /v1/records/{id}/explanation`."""
    return answer(await serving.work(_explained, serving, call))


async def prove_record(serving: Serving, call: Call) -> Response:
    """`GET /v1/records/{id}/proof`."""
    archive, index, data = await serving.work(_proved, serving, call)
    return _bytes(data, TEXT, place_headers(archive.number, index))


async def nodes(serving: Serving, call: Call) -> Response:
    """`GET /v1/nodes`."""
    del call
    return answer(messages.Nodes(nodes=await serving.work(_nodes, serving)))


async def checkpoint(serving: Serving, call: Call) -> Response:
    """`GET /v1/checkpoint`, and that of a node."""
    archive = await serving.work(_log_of, serving, call.params)

    def read() -> bytes:
        with archive.reading() as reading:
            return reading.checkpoint()

    return _bytes(await serving.work(read), TEXT, {"Cache-Control": "no-store"})


async def tile(serving: Serving, call: Call) -> Response:
    """`GET /v1/tile/{tile}`, and that of a node."""
    archive = await serving.work(_log_of, serving, call.params)
    try:
        wanted = tiles.parsed(f"tile/{call.params['tile']}")
    except Malformed:
        raise Stop(NOT_FOUND, "no tile has this path") from None
    if wanted.level == tiles.ENTRIES:
        raise Stop(NOT_FOUND, "records of several tenants lie in one log, they are not given out in bundles")

    def read() -> bytes:
        with archive.reading() as reading:
            return tiles.rendered(reading, wanted)

    try:
        data = await serving.work(read)
    except Absent:
        raise Stop(NOT_FOUND, "the log does not have this tile yet") from None
    whole = wanted.width == tiles.WIDTH
    return _bytes(data, BYTES, {"Cache-Control": "private, max-age=31536000" if whole else "no-store"})


def _bytes(data: bytes, kind: str, headers: Mapping[str, str]) -> Response:
    return Response(data, 200, {"Cache-Control": "no-store", **headers, "Content-Type": kind})


def _found(serving: Serving, call: Call) -> tuple[Archive, Record]:
    """The record that a path names. Raises `Stop` if this tenant has none of that id."""
    found = serving.archives.of_id(call.tenant, call.params["id"])
    if found is None:
        raise Stop(NOT_FOUND, "there is no such record")
    return found


def _kept(archive: Archive, record: Record) -> messages.Kept:
    return messages.Kept(node=archive.number, index=record.index, id=record.id, leaf=leaves.read(record.leaf))


def _page(serving: Serving, call: Call) -> messages.Records:
    query = call.query
    limit = int(query["limit"]) if query.get("limit", "x").isdecimal() else messages.MOST_RECORDS
    if "limit" in query and not (query["limit"].isdecimal() and 0 < limit <= messages.MOST_RECORDS):
        raise Stop(MALFORMED, f"`limit`: write 1 to {messages.MOST_RECORDS}")
    first, after = 0, -1
    if "after" in query:
        match = _AFTER.fullmatch(query["after"])
        if match is None:
            raise Stop(MALFORMED, "`after`: write what the page before had as `next`")
        first, after = int(match[1]), int(match[2])
    found: list[messages.Kept] = []
    for archive in serving.archives.all():
        if archive.number < first:
            continue
        start = after if archive.number == first else -1
        terms = [term(archive.index, call.tenant, kind, query[kind]) for kind in _KINDS if kind in query]
        with archive.reading() as reading:
            records = reading.found(call.tenant, terms, after=start, limit=limit - len(found) + 1)
        found += [_kept(archive, record) for record in records]
        if len(found) > limit:
            break
    more = len(found) > limit
    page = found[:limit]
    return messages.Records(records=tuple(page), next=f"{page[-1].node}.{page[-1].index}" if more else None)


def _explained(serving: Serving, call: Call) -> messages.Explained:
    archive, record = _found(serving, call)
    leaf = leaves.read(record.leaf)
    if not isinstance(leaf, Determined):
        raise Stop(NOT_FOUND, "there is no such determination")
    again = _again(serving, archive, record, leaf)
    said = _of_leaf(leaf.determination) if isinstance(again, str) else again
    return messages.Explained(
        id=record.id,
        node=archive.number,
        index=record.index,
        basis="leaf" if isinstance(again, str) else "private_part",
        missing=again if isinstance(again, str) else None,
        explanation=said,
        text=text_of(said),
    )


def _again(
    serving: Serving, archive: Archive, record: Record, leaf: Determined
) -> "Explanation | messages.Missing":
    """The explanation of a record that was decided again; or why it can't be. Raises `Damaged` if the answer
    is another one now: then something that is stored was changed."""
    said = leaf.determination
    try:
        if record.sealed is None:
            return "destroyed"
        private = archive.vault.opened(record.subject, leaf.retention, record.id, record.sealed)
    except Absent:
        return "destroyed"
    if said.engine != ENGINE:
        return "engine"
    law = _law(serving, archive, said.rulebook, leaf.policy)
    if law is None:
        return "law"
    rulebook, policy = law
    transaction = committed(leaf.commitment, private).transaction
    at, known = instant(said.at), instant(said.known)
    serving.prepared(slice_at(rulebook, at, known, policy.choices))
    determination = decide(transaction, rulebook, at=at, known=known, choices=policy.choices).determination
    if recorded(determination) != said:
        raise Damaged(f"record `{record.id}` is decided otherwise now: run an audit")
    return explanation(determination, rulebook)


def _law(serving: Serving, archive: Archive, rulebook: str, policy: str) -> tuple[Rulebook, Policy] | None:
    """The law that a record was decided under: that of now, or one that is kept."""
    now = serving.node.determiner.law
    try:
        book = now.rulebook if now.rulebook.digest == rulebook else serving.kept_rulebook(archive, rulebook)
        if policy_digest(now.policy) == policy:
            return book, now.policy
        return book, lawful_policy(policy, archive.laws.file("policies", policy))
    except Absent:
        return None


def _of_leaf(said: RecordedDetermination) -> Explanation:
    """What a leaf alone tells, in words: rules and facts by their names, and no value of any."""
    say = ENGLISH.say
    sections = (
        ("why", said.open_rules or said.lifted_by),
        ("change", tuple(map(ENGLISH.fact, said.asked))),
        ("readings", said.readings),
        ("humans", said.human_causes),
        ("tasks", said.tasks),
        ("marks", said.marks),
    )
    at, known = instant(said.at), instant(said.known)
    until = None if said.good_until is None else stamp(instant(said.good_until))
    return Explanation(
        headline=say(f"outcome.{said.outcome}"),
        meaning=say(f"meaning.{said.outcome}"),
        cites=(),
        notes=(say("basis.stated"),) if said.basis == "stated" else (),
        sections=tuple(Section(key, say(f"section.{key}"), lines) for key, lines in sections if lines),
        as_of=say("as_of", at=stamp(at), known=stamp(known), rulebook=said.rulebook[:12]),
        good_until=say("good_until.ever") if until is None else say("good_until", instant=until),
        advice=say("advice"),
    )


def _proved(serving: Serving, call: Call) -> tuple[Archive, int, bytes]:
    archive, record = _found(serving, call)
    with archive.reading() as reading:
        return archive, record.index, proof.made(reading, record.index, reading.checkpoint()).data


def _nodes(serving: Serving) -> tuple[messages.NodeSaid, ...]:
    found = []
    for archive in serving.archives.all():
        name = archive.name()
        with archive.reading() as reading:
            size = checkpoints.parsed(note.parsed(reading.checkpoint()).text).size
        keys = tuple(str(key) for key in name.verifiers)
        found.append(messages.NodeSaid(node=archive.number, origin=name.origin, size=size, keys=keys))
    return tuple(found)


def _log_of(serving: Serving, params: Mapping[str, str]) -> Archive:
    """The log that a path names, or the only one that there is. Raises `Stop` if there is no such."""
    archives = serving.archives.all()
    if "node" not in params:
        if len(archives) > 1:
            raise Stop(NOT_FOUND, "there are several logs: ask for one below `/v1/nodes/`")
        return archives[0]
    for archive in archives:
        if str(archive.number) == params["node"]:
            return archive
    raise Stop(NOT_FOUND, "there is no such node")
