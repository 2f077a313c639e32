"""Two endpoints without any law, for the bench to stand beside: one that does nothing, and one that writes
what was sent into a table and commits it, each by itself, `synchronous=FULL`. On the same server as ours."""

import sys
import threading

import apsw
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def main(port: int, file: str) -> None:
    db, lock = apsw.Connection(file), threading.Lock()
    db.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").fetchall()
    db.execute("CREATE TABLE audit (number INTEGER PRIMARY KEY, said BLOB)")

    def written(body: bytes) -> None:
        with lock:
            db.execute("INSERT INTO audit (said) VALUES (?)", (body,))

    async def audited(request: Request) -> Response:
        await run_in_threadpool(written, await request.body())
        return Response(b"{}", media_type="application/json")

    async def nothing(request: Request) -> Response:
        await request.body()
        return Response(b"{}", media_type="application/json")

    routes = [Route("/audited", audited, methods=["POST"]), Route("/nothing", nothing, methods=["POST"])]
    uvicorn.run(Starlette(routes=routes), port=port, http="h11", ws="none", log_config=None, access_log=False)
    db.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
