"""Where a server listens, and with which certificate: what commands that serve share. What is served is in
`carnet.web`."""

import socket
import ssl
from pathlib import Path

from carnet.model.errors import InputError, Unavailable
from carnet.model.plain import printable, short
from carnet.store.keyfiles import why


def listening(listen: str, example: str) -> socket.socket:
    """A socket that listens at `HOST:PORT`; port 0 takes a free one.

    Raises `InputError` if it is no such place, `Unavailable` if it can't be listened on.
    """
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise InputError(f"`{short(printable(listen))}` is no place to listen: write it like `{example}`")
    try:
        family = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0][0]
        sock = socket.create_server((host, int(port)), family=family, backlog=1024)
    except OSError as error:
        raise Unavailable(f"`{short(printable(listen))}` can't be listened on: {why(error)}") from None
    # Else the second half of an answer waits until the other side says that it has the first: 40 ms.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def shown(sock: socket.socket) -> str:
    """Where a socket listens, as it stands in a URL."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_tls(tls: tuple[Path, Path] | None) -> None:
    """Raises `InputError` if these are no certificate chain and its key."""
    if tls is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*tls)
    except OSError:
        names = " and ".join(f"`{printable(str(each))}`" for each in tls)
        raise InputError(f"{names} are no certificate chain and its key: give both, as PEM") from None
