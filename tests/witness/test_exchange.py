"""One HTTP exchange ends in time and in space, whatever the other side does."""

import socket
import ssl
import threading
import time
from contextlib import contextmanager

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route
from tests.witness.logs import serving

from carnet.model.errors import Unavailable
from carnet.store.exchange import exchange


@contextmanager
def saying(*parts, wait=0.0):
    """The URL of a server that reads a request, says these bytes with pauses, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            opened, _ = server.accept()
            with opened:
                opened.recv(100_000)
                for part in parts:
                    try:
                        opened.sendall(part)
                    except OSError:
                        return
                    time.sleep(wait)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_an_answer_is_given_whatever_its_status():
    with saying(
        b"HTTP/1.1 409 Conflict\r\nContent-Type: Text/X.tlog.size ; a=b\r\nContent-Length: 2\r\n\r\n5\n"
    ) as u:
        found = exchange("POST", u, b"old 0\n")
    assert (found.status, found.type, found.body) == (409, "text/x.tlog.size", b"5\n")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((b"",), "can't be asked"),
        ((b"SSH-2.0-OpenSSH_9.6\r\n",), "BadStatusLine"),
        ((b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n",), "HTTPException"),
        ((b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000,), "LineTooLong"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",), "did not answer in full"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",), "IncompleteRead"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",), "can't be asked"),
        ((b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 100_000] * 4), "answers with more than 262144 bytes"),
    ],
)
def test_what_is_no_answer_is_told_as_such(parts, said):
    with saying(*parts) as url, pytest.raises(Unavailable, match=said) as error:
        exchange("GET", url)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b"x"] * 40],
        [b"HTTP/1.1 200 OK\r\n", *[b"A: b\r\n"] * 40],
        [b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 40],
        [bytes([sign]) for sign in b"HTTP/1.1 200 OK and so on and so on"],
    ],
)
def test_a_server_that_drips_is_cut_off(parts):
    """Each of its parts comes soon enough; all of them would take four seconds."""
    started = time.monotonic()
    with saying(*parts, wait=0.1) as url:
        with pytest.raises(Unavailable, match="took too long"):
            exchange("GET", url, seconds=0.5)
        assert time.monotonic() - started < 2


def test_nobody_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable, match="connection refused"):
        exchange("GET", f"http://127.0.0.1:{port}")
    with pytest.raises(Unavailable, match="can't be asked"):
        exchange("GET", "https://name.invalid")


def test_a_redirect_is_not_followed():
    asked = []

    async def elsewhere(request):
        asked.append(request.url.path)
        return RedirectResponse("/there")

    async def there(request):
        asked.append(request.url.path)
        return PlainTextResponse("you should not be here")

    with serving(Starlette(routes=[Route("/here", elsewhere), Route("/there", there)])) as url:
        assert exchange("GET", f"{url}/here").status == 307
    assert asked == ["/here"]


def test_a_certificate_has_to_be_trusted(certificate):
    async def hello(request):
        return PlainTextResponse("hello")

    chain, key = certificate
    application = Starlette(routes=[Route("/", hello)])
    with serving(application, ssl_certfile=str(chain), ssl_keyfile=str(key)) as url:
        with pytest.raises(Unavailable, match="its certificate is not trusted"):
            exchange("GET", url)
        trusting = ssl.create_default_context(cafile=str(chain))
        assert exchange("GET", url, context=trusting).body == b"hello"
        with pytest.raises(Unavailable, match="its certificate is not trusted"):
            exchange("GET", url.replace("127.0.0.1", "localhost"), context=trusting)
