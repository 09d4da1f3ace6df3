"""A PostgreSQL server of Debian's packages in a folder of its own, for tests."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

__all__ = ["PASSWORD", "PostgresServer", "find_postgres"]

PASSWORD = "p@ss:w/rd#1"
ACCOUNT = "postgres"
"""Of the system, under which the server runs where the tests are root's, whom it refuses."""


def find_postgres() -> Path | None:
    """The folder of its programs, if this machine has them."""
    if (path := shutil.which("initdb")) is not None:
        return Path(path).resolve().parent
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    return max(found, key=lambda path: int(path.parent.name), default=None)


class PostgresServer:
    """A server that is reached by a socket without a password, and by 127.0.0.1 with `PASSWORD`."""

    def __init__(self) -> None:
        found = find_postgres()
        assert found is not None
        self.programs = found
        self.account = {"user": ACCOUNT, "group": ACCOUNT} if os.geteuid() == 0 else {}
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))  # short, as a socket's path must be
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self.account:
            for path in (self.folder, secret):
                shutil.chown(path, ACCOUNT, ACCOUNT)
        self.run(
            "initdb", "--no-sync", "-U", "tester", "-E", "UTF8", "--locale", "C.UTF-8", "--auth-local", "trust",
            "--auth-host", "scram-sha-256", "--pwfile", str(secret), str(self.folder / "data"),
        )  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Its address by the socket."""
        return f"postgresql://tester@/postgres?host={self.folder}&port={self.port}"

    @property
    def public(self) -> str:
        """Host, port and database by which it is reached with a password."""
        return f"127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs."""
        command = [str(self.programs / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=self.folder, **self.account)  # type: ignore[call-overload]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=60", "-c", "shared_buffers=16MB",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self.account)  # type: ignore[call-overload]
        import psycopg

        end = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                assert time.monotonic() < end and self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it as for a restart: who is connected is thrown out."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
            self.process = None

    def remove(self) -> None:
        """End it for good."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
