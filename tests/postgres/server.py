"""A real PostgreSQL for the tests: in a directory of its own, as a user without rights, synced to its disk.
Without the programs of PostgreSQL, whoever asks for it is skipped."""

import atexit
import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

_NUMBERS = itertools.count()
_SHARED = []


def programs():
    """Where `initdb` and `postgres` are; the first that is found."""
    named = os.environ.get("CARNET_POSTGRES_BIN")
    folders = [Path(named)] if named else []
    if found := shutil.which("initdb"):
        folders.append(Path(found).resolve().parent)
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.skip("no PostgreSQL: put `initdb` on the PATH, or name its directory in CARNET_POSTGRES_BIN")


class Server:
    """A server of its own. `stop` removes it with everything."""

    def __init__(self):
        self.programs = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="carnet-pg-", dir="/tmp"))
        self.user = None if os.geteuid() else pwd.getpwnam("nobody")
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.data, self.sockets = self.folder / "data", self.folder
        self.password = secrets.token_urlsafe(16)
        self.process = None
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self.password)
            file.flush()
            Path(file.name).chmod(0o644)
            options = ["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C"]
            command = ["initdb", "-D", self.data, "-U", "carnet", f"--pwfile={file.name}", *options]
            done = subprocess.run(self._as_user(command), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.start()

    def start(self, port=None):
        """Start it, again on the same port if one is given, and wait until it answers."""
        for _ in range(20):
            self.port = port or free_port()
            settings = [
                f"port={self.port}",
                "listen_addresses=127.0.0.1",
                f"unix_socket_directories={self.sockets}",
                "shared_buffers=32MB",
                "max_connections=60",
            ]
            options = [word for setting in settings for word in ("-c", setting)]
            command = self._as_user(["postgres", "-D", self.data, *options], follow=True)
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
            if self._answers():
                return
            self.process.wait()
            time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def kill(self):
        """kill -9 of the postmaster and of every other process of it."""
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):  # it noticed already, and ended
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                psycopg.connect(self.address(), connect_timeout=2).close()
            except psycopg.Error:
                return
            time.sleep(0.01)

    def halt(self):
        """SIGSTOP of every process of it; what lets them go on."""
        pids = self._pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

        def go_on():
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

        return go_on

    def _pids(self):
        """The postmaster, and then the others of its processes."""
        table = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = [tuple(map(int, line.split())) for line in table.splitlines()]
        return [self.process.pid, *(pid for pid, parent in pairs if parent == self.process.pid)]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def address(self):
        """Over the socket in its directory."""
        return f"host={self.sockets} port={self.port} user=carnet dbname=postgres"

    def tcp(self, port=None):
        """Over 127.0.0.1, also through another port."""
        return f"host=127.0.0.1 port={port or self.port} user=carnet password={self.password} dbname=postgres"

    def _answers(self):
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            try:
                psycopg.connect(self.address(), connect_timeout=5).close()
            except psycopg.Error:
                time.sleep(0.05)
            else:
                return True
        return False

    def _as_user(self, command, *, follow=False):
        """The command as the user; with `follow` it ends when this process does."""
        program, *rest = map(str, command)
        command = [str(self.programs / program), *rest]
        if self.user is None:
            return command
        follows = ["--pdeathsig", "INT"] if follow and sys.platform == "linux" else []
        rights = [f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"]
        return ["setpriv", *rights, *follows, *command]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def shared():
    """One server for all the tests of this process that do no harm to it."""
    if not _SHARED:
        _SHARED.append(Server())
        atexit.register(_SHARED[0].stop)
    return _SHARED[0]


def new_schema():
    """The name of a schema that no test has had."""
    return f"carnet_{os.getpid()}_{next(_NUMBERS)}"
