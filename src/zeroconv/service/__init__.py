"""Pictures made for many: a fair queue, worker processes with warm networks, a store that outlives them. It knows no HTTP."""

from zeroconv.service.failure import BusyError, Failure, MissingError, ServiceError
from zeroconv.service.service import Service
from zeroconv.service.settings import Limits, ServiceSettings

__all__ = ["BusyError", "Failure", "Limits", "MissingError", "Service", "ServiceError", "ServiceSettings"]
