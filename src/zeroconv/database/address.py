"""The address of a PostgreSQL server, whose password is in no message."""

import re
from dataclasses import dataclass, field
from typing import Any

from zeroconv.errors import InputError

__all__ = ["EXPECTED", "FIELD", "Address", "read_address"]

FIELD = "database"
"""What named the address."""
EXPECTED = "expected postgresql://USER@HOST/DATABASE; write @ : / % # of a password as %40 %3A %2F %25 %23"
NAME = re.compile(r"[a-z0-9_]{1,30}")
USUAL: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 15,  # a server whose machine is gone does not say so
    "keepalives_interval": 5,
    "tcp_user_timeout": 20_000,  # milliseconds
    "application_name": "zeroconv",
}
"""Settings of connections, unless the address has others; seconds."""


@dataclass(frozen=True)
class Address:
    """Where a database is.

    Attributes:
        settings: of connections, in the words of libpq. They are not shown, as the password may be among them.
        name: behind `#`, where one database holds several of a kind.
    """

    settings: dict[str, Any] = field(repr=False)
    name: str = ""

    def __str__(self) -> str:
        """What may be shown of it."""
        host = self.settings.get("host") or self.settings.get("hostaddr") or "this machine"
        return f"the database {self.settings.get('dbname') or self.settings.get('user') or ''!s} at {host}".replace("  ", " ")

    def clean(self, text: object) -> str:
        """A message of the server's library in one line, without the password."""
        said = " ".join(str(text).split())
        password = str(self.settings.get("password") or "")
        return said.replace(password, "***") if password else said


def read_address(url: str) -> Address:
    """An address from its text.

    Raises:
        InputError: it is damaged. What is wrong with it is not repeated, as it may be part of the password.
    """
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    url, _, name = url.partition("#")
    if name and not NAME.fullmatch(name):
        raise InputError(f"the name behind # is {name!r:.40}; expected small letters, digits and _", field=FIELD)
    try:
        settings = dict[str, Any](conninfo_to_dict(url))
    except Error:
        raise InputError("the address of the database cannot be read", field=FIELD, hint=EXPECTED) from None
    return Address({**USUAL, **settings}, name)
