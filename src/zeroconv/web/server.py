"""The server of the page: on this machine alone, for whoever opened it, and of known files alone."""

import html
import json
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from zeroconv.run_files import REQUESTS
from zeroconv.service.run_view import RunView
from zeroconv.web.headers import HEADERS, LOOPBACK

__all__ = ["WatchServer"]

ADDRESS = "127.0.0.1"
TOKEN_HEADER = "X-Zeroconv-Token"
LONGEST_BODY = 1024  # bytes; what is asked for stands in the address
PATIENCE = 20  # seconds for a slow client

ASSETS = {
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}


class WatchServer(ThreadingHTTPServer):
    """Serves the page of a run at `address` until `shutdown`, from `serve_forever`.

    Args:
        view: the run.
        port: any free one if 0.
        read_only: whether nothing can be asked of the run.

    Attributes:
        token: known to the page alone, so that no other page can ask anything of the run.

    Raises:
        OSError: when the port is taken.
    """

    daemon_threads = True

    def __init__(self, view: RunView, port: int = 0, read_only: bool = False) -> None:
        self.view, self.read_only, self.token = view, read_only, secrets.token_urlsafe(32)
        super().__init__((ADDRESS, port), Handler)

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}"

    def page(self) -> str:
        """The page, with its token."""
        filled = read_asset("page.html").replace("{{token}}", html.escape(self.token))
        return filled.replace("{{name}}", html.escape(self.view.path.name))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle of an answer is no news."""


class Handler(BaseHTTPRequestHandler):
    """One client."""

    server: WatchServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "zeroconv", ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        """The page, its parts, the state of the run, its sheets."""
        path = self.path.partition("?")[0]
        if not self.is_host_known():
            self.refuse(HTTPStatus.FORBIDDEN, "open the page as 127.0.0.1 or localhost")
        elif path == "/":
            self.answer(self.server.page().encode(), "text/html; charset=utf-8")
        elif path in ASSETS:
            name, kind = ASSETS[path]
            self.answer(read_asset(name).encode(), kind)
        elif path == "/api/run":
            state = {**self.server.view.state(), "read_only": self.server.read_only}
            self.answer(json.dumps(state, allow_nan=False, default=str).encode(), "application/json")
        elif path.startswith("/samples/") and (sheet := self.server.view.read_sheet(path.removeprefix("/samples/"))):
            self.answer(sheet, "image/png")
        else:
            self.refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        """A request to the run."""
        length, name = self.headers.get("Content-Length", "0"), self.path.removeprefix("/api/")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > LONGEST_BODY:
            self.close_connection = True
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "nothing is to be sent along")
            return
        self.rfile.read(int(length))
        token = self.headers.get(TOKEN_HEADER, "")
        if (
            not self.is_host_known()
            or not self.is_own_page()
            or not secrets.compare_digest(token.encode(), self.server.token.encode())
        ):
            self.refuse(HTTPStatus.FORBIDDEN, "only the page itself may ask; open it anew")
        elif not self.path.startswith("/api/") or name not in REQUESTS:
            self.refuse(HTTPStatus.NOT_FOUND, "there is no such request")
        elif self.server.read_only:
            self.refuse(HTTPStatus.FORBIDDEN, "this page was opened with --read-only")
        elif not self.server.view.is_running():
            self.refuse(HTTPStatus.CONFLICT, "nobody trains in this folder now")
        else:
            try:
                self.server.view.ask(name)
            except OSError as error:
                self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"cannot write into the run folder: {error.strerror}")
            else:
                self.answer(json.dumps({"asked": name}).encode(), "application/json", HTTPStatus.ACCEPTED)

    def is_host_known(self) -> bool:
        """Whether the browser calls this machine by a name that always means it."""
        hosts = self.headers.get_all("Host") or []
        return len(hosts) == 1 and without_port(hosts[0]) in LOOPBACK

    def is_own_page(self) -> bool:
        """Whether a page of this server asks, where the browser says which one does."""
        origin = self.headers.get("Origin")
        return origin is None or origin == f"http://{self.headers.get('Host')}"

    def answer(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Send something."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def refuse(self, status: HTTPStatus, reason: str) -> None:
        """Say why not."""
        self.answer(json.dumps({"error": reason}).encode(), "application/json", status)

    def end_headers(self) -> None:
        """Every answer has the headers that keep other pages out."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed of requests."""


def without_port(host: str) -> str:
    """The name in a `Host` header."""
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdecimal() else host.lower()


def read_asset(name: str) -> str:
    """A file of the page."""
    return (files("zeroconv.web") / name).read_text("utf-8")
