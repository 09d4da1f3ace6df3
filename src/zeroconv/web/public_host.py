"""By what names others reach a server, and that none does without a token."""

from pydantic import AnyHttpUrl, TypeAdapter, ValidationError

from zeroconv.errors import InputError
from zeroconv.web.headers import LOOPBACK

__all__ = ["ALL", "bracketed", "check_reach", "public_host"]

ALL = ("0.0.0.0", "[::]")
"""Hosts that stand for every address of a machine."""


def public_host(url: str) -> str:
    """The name in a public address, without port.

    Raises:
        InputError: it is no address of a server.
    """
    hint = "expected one such as https://study.example.org"
    try:
        found = TypeAdapter(AnyHttpUrl).validate_python(url)
    except ValidationError as error:
        raise InputError(f"{url!r} is no address of a server", field="url", hint=hint) from error
    if not found.host or (found.path or "").strip("/") or found.query or found.fragment or found.username:
        raise InputError(f"{url!r} is more than the address of a server", field="url", hint=hint)
    return found.host


def bracketed(host: str) -> str:
    """A host as it stands in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def check_reach(host: str, urls: tuple[str, ...], token: str | None) -> None:
    """That nobody from elsewhere comes in without a token.

    Raises:
        InputError: others could.
    """
    host = bracketed(host)
    is_public = any(name not in LOOPBACK for name in (host, *map(public_host, urls)))
    if is_public and token is None:
        message = f"others can reach {host if host not in LOOPBACK else urls[0]}, and no token is asked for"
        raise InputError(message, field="token_file", hint="give --token-file FILE")
    if host in ALL and not urls:
        message = f"{host} is every address of this machine, and the one that others use is not named"
        raise InputError(message, field="url", hint="name it, such as --url http://192.168.1.5:7860")
