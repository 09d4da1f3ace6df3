"""Who may come in where others than this machine can: whoever shows the token, as a header or, for the page, as a cookie."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeroconv.errors import InputError, name_field
from zeroconv.web.guard import Refusal

__all__ = ["COOKIE", "Door", "Token", "read_token"]

COOKIE = "zeroconv"
WELCOME = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>zeroconv</title>"
    b'<meta http-equiv=refresh content="0;url=/"><p><a href="/">Go on</a></html>'
)
"""From here on the browser sends the cookie, which it would not in a redirect after a link of another page."""
LETTERS = re.compile(r"[A-Za-z0-9._~-]{16,}")  # that an address holds as they are
LONGEST = 4096  # bytes of the file
MAKE_ONE = "make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


def read_token(path: Path) -> str:
    """The token that a file holds.

    Raises:
        InputError: there is no such file, or what it holds is too short or cannot stand in an address.
    """
    with name_field("token_file"), path.open("rb") as file:
        text = file.read(LONGEST).decode("utf-8", "replace").strip()
    if not LETTERS.fullmatch(text):
        message = f"{path} holds no token: expected 16 or more of the letters a to z, A to Z, 0 to 9, - . _ ~"
        raise InputError(message, field="token_file", hint=MAKE_ONE)
    return text


@dataclass(frozen=True)
class Door:
    """An ASGI application around another one: whoever opens the page with the token gets the cookie.

    Attributes:
        app: the application inside.
        token: it.
        is_https: whether it is reached by HTTPS alone.
    """

    app: Any
    token: "Token"
    is_https: bool = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer with the cookie and a page that leads to the page, or pass the request on."""
        if scope["type"] != "http" or scope["path"] != "/" or not self.token.is_shown(scope):
            await self.app(scope, receive, send)
            return
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-length", str(len(WELCOME)).encode()),
            (b"set-cookie", self.token.cookie_header(self.is_https).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": WELCOME})


@dataclass(frozen=True)
class Token:
    """What lets somebody in.

    Attributes:
        secret: the token.
        open_paths: addresses that need none; one that ends in "/" stands for all that begin so.
    """

    secret: str
    open_paths: tuple[str, ...] = ()

    @property
    def cookie(self) -> str:
        """The value of the cookie, by which nobody learns the token."""
        return hashlib.sha256(b"zeroconv cookie " + self.secret.encode()).hexdigest()

    def admit(self, scope: Any, headers: dict[bytes, bytes]) -> Refusal | None:
        """Why a request may not come in; None lets it in."""
        path: str = scope["path"]
        if path in self.open_paths or any(one.endswith("/") and path.startswith(one) for one in self.open_paths):
            return None
        word, _, shown = headers.get(b"authorization", b"").partition(b" ")
        if word.lower() == b"bearer" and self.is_secret(shown.strip()):
            return None
        if word.lower() == b"basic" and self.is_secret(password(shown.strip())):
            return None
        for part in headers.get(b"cookie", b"").split(b";"):
            name, _, value = part.strip().partition(b"=")
            if name == COOKIE.encode() and secrets.compare_digest(value, self.cookie.encode()):
                return None
        if scope["path"] == "/" and self.is_shown(scope):
            return None
        said = "a token is needed: send it as Authorization: Bearer or as a password, or open the page as /?token=TOKEN"
        return Refusal(401, said, (("WWW-Authenticate", "Bearer"),))

    def is_shown(self, scope: Any) -> bool:
        """Whether the address of a request has the token in it."""
        shown = [part.partition(b"=") for part in scope.get("query_string", b"").split(b"&")]
        return any(name == b"token" and self.is_secret(value) for name, _, value in shown)

    def is_secret(self, shown: bytes) -> bool:
        """Whether somebody shows the token."""
        return secrets.compare_digest(shown, self.secret.encode())

    def cookie_header(self, is_https: bool) -> str:
        """The header that gives a browser the cookie."""
        return f"{COOKIE}={self.cookie}; HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000{'; Secure' if is_https else ''}"


def password(credentials: bytes) -> bytes:
    """The password of an `Authorization: Basic`, whoever's name stands before it; nothing where there is none."""
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except ValueError:
        return b""
