"""The protocols by name."""

from zeroconv.errors import InputError
from zeroconv.evaluation.protocols.controlnet_plus_plus import CONTROLNET_PLUS_PLUS, CORRECTED
from zeroconv.evaluation.protocols.paper import PAPER
from zeroconv.evaluation.protocols.protocol import Protocol
from zeroconv.evaluation.protocols.tiny import TINY

__all__ = ["PROTOCOLS", "get_protocol"]

PROTOCOLS = {one.name: one for one in (PAPER, CONTROLNET_PLUS_PLUS, CORRECTED, TINY)}
"""All of them."""


def get_protocol(name: str) -> Protocol:
    """A protocol by its name.

    Raises:
        InputError: for an unknown one.
    """
    if name not in PROTOCOLS:
        raise InputError(f"the protocol is {name!r:.60}; expected one of {', '.join(PROTOCOLS)}", field="protocol")
    return PROTOCOLS[name]
