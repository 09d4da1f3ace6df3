"""Protocols: evaluations with a name, each a frozen value with its sources, its faults and what the source leaves open."""

from zeroconv.evaluation.protocols.following import Deviation, FollowedProtocol
from zeroconv.evaluation.protocols.measuring import make_reference, open_protocol_measurers
from zeroconv.evaluation.protocols.protocol import ConditionProtocol, Fault, FeatureSet, Protocol, Source
from zeroconv.evaluation.protocols.registry import PROTOCOLS, get_protocol

__all__ = [
    "PROTOCOLS",
    "ConditionProtocol",
    "Deviation",
    "Fault",
    "FeatureSet",
    "FollowedProtocol",
    "Protocol",
    "Source",
    "get_protocol",
    "make_reference",
    "open_protocol_measurers",
]
