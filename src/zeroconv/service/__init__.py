"""Pictures made for many: a fair queue, worker processes with warm networks, a store that outlives them. It knows no HTTP."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeroconv.service.failure import BusyError, Failure, MissingError, ServiceError
    from zeroconv.service.service import Service
    from zeroconv.service.settings import Limits, ServiceSettings

__all__ = ["BusyError", "Failure", "Limits", "MissingError", "Service", "ServiceError", "ServiceSettings"]

LAZY_IMPORTS = {
    "failure": ("BusyError", "Failure", "MissingError", "ServiceError"),
    "service": ("Service",),
    "settings": ("Limits", "ServiceSettings"),
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: processes are made ready while the rest is loaded."""
    for home, names in LAZY_IMPORTS.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
