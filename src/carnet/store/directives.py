"""Directives in the desk: the letter, the text of its rule file, and the steps that it went through, each
with who took it, when, and the digest of what was seen. Which step may follow which is in
`carnet.service.directives`."""

import datetime as dt
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from carnet.model.errors import InputError, Taken
from carnet.model.plain import printable, short
from carnet.rules.letters import Letter
from carnet.store.desk import Desk

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS directives (
        id TEXT PRIMARY KEY,
        letter TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS directive_steps (
        directive TEXT NOT NULL,
        number INTEGER NOT NULL,
        state TEXT NOT NULL,
        by TEXT NOT NULL,
        at INTEGER NOT NULL,
        digest TEXT NOT NULL,
        seen TEXT NOT NULL,
        PRIMARY KEY (directive, number)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TRIGGER IF NOT EXISTS directive_steps_stay BEFORE UPDATE ON directive_steps
    BEGIN SELECT raise(ABORT, 'a step stays as it was taken'); END""",
    """CREATE TRIGGER IF NOT EXISTS directive_steps_are_not_taken_back BEFORE DELETE ON directive_steps
    BEGIN SELECT raise(ABORT, 'a step stays as it was taken'); END""",
)


class Step(Struct, frozen=True, kw_only=True):
    """One step. `by` is the principal who took it; `digest` is the SHA-256 of the text that was seen, `seen`
    are the digests of what else was."""

    state: str
    by: str
    at: dt.datetime
    digest: str
    seen: Mapping[str, str] = {}


class Directive(Struct, frozen=True, kw_only=True):
    """A directive, with its steps in order. `text` is its rule file as it was last drafted or checked, empty
    before."""

    letter: Letter
    text: str
    steps: tuple[Step, ...]

    @property
    def state(self) -> str:
        """The state of the last step."""
        return self.steps[-1].state


class Directives:
    """The directives of a desk. A step is durable when the call returns, or has not happened."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        with desk.writing():
            for statement in _SCHEMA:
                desk.write(statement)

    def add(self, letter: Letter, step: Step) -> Directive:
        """A directive that is received. Raises `Taken` if there is one of that id."""
        with self._desk.writing():
            if self._desk.rows("SELECT 1 FROM directives WHERE id = ?", (letter.id,)):
                raise Taken(f"`{letter.id}` was received already: see `carnet directive status`")
            plain = msgspec.json.encode(letter).decode()
            self._desk.write("INSERT INTO directives VALUES (?, ?, '')", (letter.id, plain))
            self._write(letter.id, 0, step)
        return self.read(letter.id)

    def read(self, id_: str) -> Directive:
        """A directive. Raises `InputError` if there is none of that id."""
        rows = self._desk.rows("SELECT letter, text FROM directives WHERE id = ?", (id_,))
        if not rows:
            raise InputError(f"`{short(printable(id_))}` is no directive: see `carnet directive status`")
        steps = self._desk.rows(
            "SELECT state, by, at, digest, seen FROM directive_steps WHERE directive = ? ORDER BY number",
            (id_,),
        )
        return Directive(
            letter=msgspec.json.decode(rows[0][0], type=Letter),
            text=rows[0][1],
            steps=tuple(
                Step(
                    state=state,
                    by=by,
                    at=dt.datetime.fromtimestamp(at, dt.UTC),
                    digest=digest,
                    seen=msgspec.json.decode(seen, type=dict[str, str]),
                )
                for state, by, at, digest, seen in steps
            ),
        )

    def listed(self) -> list[Directive]:
        """All of them, in order of id."""
        return [self.read(row[0]) for row in self._desk.rows("SELECT id FROM directives ORDER BY id")]

    def advance(self, before: Directive, step: Step, text: str) -> Directive:
        """Add a step to a directive as it was read, with the text that it is about. Raises `Taken` if
        somebody took a step in between."""
        id_ = before.letter.id
        with self._desk.writing():
            number = len(before.steps)
            if self._desk.rows(
                "SELECT 1 FROM directive_steps WHERE directive = ? AND number = ?", (id_, number)
            ):
                raise Taken(f"somebody took a step of `{id_}` meanwhile: look at it and do it again")
            self._write(id_, number, step)
            self._desk.write("UPDATE directives SET text = ? WHERE id = ?", (text, id_))
        return self.read(id_)

    def _write(self, id_: str, number: int, step: Step) -> None:
        seen = msgspec.json.encode(step.seen, order="sorted").decode()
        row = (id_, number, step.state, step.by, int(step.at.timestamp()), step.digest, seen)
        self._desk.write("INSERT INTO directive_steps VALUES (?, ?, ?, ?, ?, ?, ?)", row)
