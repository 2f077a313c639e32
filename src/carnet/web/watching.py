"""What those ask who watch a node, and its own pages: is it there, is it ready, its figures, its schema, its
types of problems. Nobody is asked who they are, and nothing of a tenant is told.
"""

import msgspec
from msgspec import Struct
from starlette.responses import Response

from carnet.model.errors import LedgerError, StoreError
from carnet.service.archives import Archives
from carnet.web import messages, problems
from carnet.web.managing import REVOKE, revoked
from carnet.web.metrics import Family, exposition
from carnet.web.peers import Question
from carnet.web.problems import NOT_FOUND, Stop, unavailable
from carnet.web.routes import METRICS
from carnet.web.serving import Call, Serving, answer

READY, FIGURES = "ready", "figures"
"""What the other nodes are asked."""


class Trouble(Struct, frozen=True):
    """What keeps a node from serving, in the words of its page."""

    node: int
    what: tuple[str, ...]


async def healthz(serving: Serving, call: Call) -> Response:
    """`GET /healthz`."""
    del serving, call
    return answer(messages.Status())


async def readyz(serving: Serving, call: Call) -> Response:
    """`GET /readyz`: of this node and of every other that runs."""
    del call
    own = await serving.work(trouble_of, serving)
    others = [
        msgspec.json.decode(each, type=Trouble) for each in await serving.peers.ask(Question(ask=READY))
    ]
    said = [f"node {each.node}: {what}" for each in (own, *others) for what in each.what]
    if said:
        raise unavailable("; ".join(said))
    return answer(messages.Status())


async def metrics(serving: Serving, call: Call) -> Response:
    """`GET /metrics`: of all nodes that run."""
    del call
    found = list(await serving.work(serving.metrics.families))
    for each in await serving.peers.ask(Question(ask=FIGURES)):
        found += msgspec.json.decode(each, type=list[Family])
    return Response(exposition(found), 200, {"Content-Type": METRICS, "Cache-Control": "no-store"})


async def problem_page(serving: Serving, call: Call) -> Response:
    """`GET /problems/{name}`."""
    del serving
    for kind in problems.KINDS:
        if kind.name == call.params["name"]:
            text = f"# {kind.title}\n\nStatus {kind.status}, type `{kind.type}`.\n\n{kind.page}\n"
            return Response(text, 200, {"Content-Type": "text/markdown; charset=utf-8"})
    raise Stop(NOT_FOUND, "there is no such type of problem")


async def asked_by_peer(serving: Serving, question: Question) -> object:
    """What another node of the installation is answered. Raises KeyError for what is never asked."""
    if question.ask == REVOKE:
        return await revoked(serving, question)
    if question.ask == READY:
        return await serving.work(trouble_of, serving)
    if question.ask == FIGURES:
        return await serving.work(serving.metrics.families)
    raise KeyError(question.ask)


def trouble_of(serving: Serving) -> Trouble:
    """What keeps a node from serving: whether the log takes records, can be read and is witnessed, the clock,
    the vault and the desk. Paths and errors are in the log of the process, not here. What it shares in
    PostgreSQL keeps it from nothing."""
    node, archives, witnesses = serving.node, serving.archives, serving.node.witnesses
    found = []
    if witnesses is not None:
        if witnesses.found is not None:
            found.append(f"a witness contradicts the log, {_CONTRADICTED[witnesses.found.kind]}")
        if witnesses.stopped():
            found.append("the log was not witnessed for too long")
    if node.log.trouble is not None:
        found.append("the log takes no records")
    if node.clock.read().suspect:
        found.append("the clock is suspect")
    checks = (
        ("the log can't be read", lambda: _read(archives)),
        ("the vault can't be read", lambda: node.vault.planned([("0" * 32, "ear")])),
        ("the desk can't be read", lambda: node.desk.rows("SELECT max(number) FROM epochs")),
    )
    for words, check in checks:
        try:
            check()
        except (StoreError, LedgerError):
            found.append(words)
    try:
        if node.outdated():
            found.append("the key of the vault was rotated, start the node again")
    except StoreError:
        found.append("the keys can't be read")
    return Trouble(archives.own.number, tuple(found))


_CONTRADICTED = {
    "ahead": "it had more: continue it under a new origin",
    "forked": "it was another: audit it",
}


def _read(archives: Archives) -> None:
    for archive in archives.all():
        with archive.reading() as reading:
            reading.checkpoint()
