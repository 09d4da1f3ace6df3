"""The name of a server in its public address."""

from pydantic import AnyHttpUrl, TypeAdapter, ValidationError

from zeroconv.errors import InputError

__all__ = ["public_host"]


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
