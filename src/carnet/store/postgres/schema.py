"""The tables in PostgreSQL and their versions. What rows hold is in `carnet.store.sqlite.rows` and `copies`.

Nothing rewrites a leaf, a node or a checkpoint: triggers refuse it. Texts of an entry are kept as their UTF-8
bytes, for PostgreSQL's own text has no zero sign; they are found by their SHA-256, for its index has a
longest key.
"""

import hashlib

import psycopg
from psycopg import sql

from carnet.model.errors import StoreError
from carnet.store.postgres.connection import Connection, Database, Row, fetched, one
from carnet.store.postgres.trouble import said, translated

_FIRST = """
CREATE TABLE sequencer (one integer PRIMARY KEY CHECK (one = 1), epoch bigint NOT NULL, token bytea NOT NULL);
CREATE TABLE origins (since bigint PRIMARY KEY, origin text NOT NULL UNIQUE);
CREATE TABLE leaves (number bigint PRIMARY KEY, leaf bytea NOT NULL);
CREATE TABLE nodes (place bigint PRIMARY KEY, hash bytea NOT NULL);
CREATE TABLE checkpoints (size bigint PRIMARY KEY, note bytea NOT NULL);
CREATE TABLE records (
    number bigint PRIMARY KEY REFERENCES leaves, id bytea NOT NULL, tenant bytea NOT NULL,
    subject bytea NOT NULL, retention bytea NOT NULL, sealed bytea, terms bytea NOT NULL, mark bytea NOT NULL
);
CREATE UNIQUE INDEX record_ids ON records (sha256(id));
CREATE INDEX record_tenants ON records (sha256(tenant), number);
CREATE TABLE terms (term bytea, number bigint REFERENCES records, PRIMARY KEY (term, number));
CREATE TABLE grants (
    tenant bytea NOT NULL, key bytea NOT NULL, number bigint PRIMARY KEY REFERENCES records,
    subject bytea NOT NULL, item bytea NOT NULL, epoch bigint NOT NULL, until bytea, mark bytea NOT NULL
);
CREATE INDEX grant_keys ON grants (sha256(tenant), sha256(key), number);
CREATE TABLE answered (
    tenant bytea NOT NULL, key bytea NOT NULL, number bigint PRIMARY KEY REFERENCES records,
    request bytea NOT NULL, status bigint NOT NULL, body bytea NOT NULL, mark bytea NOT NULL
);
CREATE UNIQUE INDEX answered_keys ON answered (sha256(tenant), sha256(key));

CREATE TABLE shipped (
    origin text PRIMARY KEY, continued text REFERENCES shipped, since bigint NOT NULL, size bigint NOT NULL,
    edge bytea NOT NULL, noted bigint NOT NULL, note bytea NOT NULL, at text NOT NULL, logged bigint NOT NULL
);
CREATE TABLE arrivals (one integer PRIMARY KEY CHECK (one = 1), next bigint NOT NULL);
INSERT INTO arrivals VALUES (1, 0);
CREATE TABLE copies (
    place bigint PRIMARY KEY, origin text NOT NULL REFERENCES shipped, number bigint NOT NULL,
    leaf bytea NOT NULL, id bytea NOT NULL, tenant bytea NOT NULL, subject bytea NOT NULL,
    retention bytea NOT NULL, sealed bytea, terms bytea NOT NULL, mark bytea NOT NULL, UNIQUE (origin, number)
);
CREATE INDEX copy_ids ON copies (sha256(id));
CREATE INDEX copy_tenants ON copies (sha256(tenant), place);
CREATE TABLE copy_terms (term bytea, place bigint REFERENCES copies, PRIMARY KEY (term, place));
CREATE TABLE forgotten (origin text, number bigint, PRIMARY KEY (origin, number));
CREATE TABLE reports (
    origin text NOT NULL, kind text NOT NULL, at text NOT NULL, note bytea NOT NULL, kept bytea NOT NULL
);
CREATE UNIQUE INDEX report_kinds ON reports (origin, kind, sha256(kept));

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'what is recorded is never rewritten or removed'; END $$;
CREATE TRIGGER leaf_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON leaves
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER node_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON nodes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER checkpoint_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER copy_kept BEFORE DELETE OR TRUNCATE ON copies FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER copy_unchanged
    BEFORE UPDATE OF place, origin, number, leaf, id, tenant, subject, retention ON copies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER report_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON reports
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
"""

MIGRATIONS: tuple[str, ...] = (_FIRST,)
"""The script that leads to version 1, to version 2, and so on. A released one never changes."""


def lock_number(database: Database, use: str) -> int:
    """The number of the advisory lock for a use of this schema."""
    digest = hashlib.sha256(f"carnet {database.schema} {use}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def prepare(database: Database) -> int:
    """Make the tables, or bring them to the newest version, in one transaction; the version that was there, 0
    if there was none. Any number of processes may do it at once.

    Raises `StoreError` if they are newer than this program or can't be brought on: they are as they were.
    """
    db = database.connected()
    try:
        with translated():
            db.execute("BEGIN")
            db.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number(database, "schema"),))
            before = _version(db, database)
            if before < len(MIGRATIONS):
                _migrate(db, before)
            db.execute("COMMIT")
    finally:
        db.close()
    return before


def check(db: Connection, database: Database) -> None:
    """Raises `StoreError` if the tables are not of this program's version."""
    found = _version(db, database, make=False)
    if found != len(MIGRATIONS):
        raise StoreError(
            f"the schema `{database.schema}` has version `{found}`, not `{len(MIGRATIONS)}`: restart the node"
        )


def _version(db: Connection, database: Database, *, make: bool = True) -> int:
    there = one(db, "SELECT to_regclass(%s) IS NOT NULL", (f"{database.schema}.version",))
    if not there and make:
        # a user who may not make schemas is given one that is empty
        if not one(db, "SELECT count(*) FROM pg_namespace WHERE nspname = %s", (database.schema,)):
            db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(database.schema)))
        db.execute("CREATE TABLE version (number integer PRIMARY KEY)")
    if not there:
        return 0
    number = one(db, "SELECT max(number) FROM version")
    if not isinstance(number, int) or number < 1:
        raise StoreError(f"the schema `{database.schema}` does not say its version: restore it")
    if number > len(MIGRATIONS):
        raise StoreError(
            f"the schema `{database.schema}` has version `{number}` and this program reads up to "
            f"`{len(MIGRATIONS)}`: install a newer one"
        )
    return number


def _migrate(db: Connection, before: int) -> None:
    """Raises `StoreError` if a script fails or changes what is recorded."""
    db.execute("SET LOCAL statement_timeout = 0")
    kept = _kept(db) if before else None
    for number, script in enumerate(MIGRATIONS[before:], start=before + 1):
        _step(db, number, script)
    if kept is not None and _kept(db) != kept:
        raise StoreError("the new version would change what is recorded, and all is as it was: report it")


def _kept(db: Connection) -> list[Row]:
    """How many rows there are of what is never rewritten, and a sum over the digests of them."""
    return [
        row for table, columns in _RECORDED for row in fetched(db, _SUM.format(table=table, columns=columns))
    ]


_SUM = """
SELECT count(*), sum(('x' || left(digest, 15))::bit(60)::bigint)
FROM (SELECT encode(sha256(convert_to(row({columns})::text, 'UTF8')), 'hex') AS digest FROM {table}) AS each
"""
_RECORDED = (
    ("leaves", "number, leaf"),
    ("nodes", "place, hash"),
    ("checkpoints", "size, note"),
    ("copies", "origin, number, leaf"),
)


def _step(db: Connection, number: int, script: str) -> None:
    try:
        db.execute(script.encode())
        db.execute("INSERT INTO version VALUES (%s)", (number,))
    except psycopg.Error as error:
        raise StoreError(
            f"the tables could not be brought to version `{number}` and are as they were, `{said(error)}`: "
            "see that the user owns the schema, or keep to the program before"
        ) from error
