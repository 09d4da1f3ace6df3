"""When pictures cease to be finite: the network whose weights are the reason is named."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from zeroconv.control import ControlNet
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.stable_diffusion.broken_weights import broken_part, broken_weight

__all__ = ["name_broken_network"]


@contextmanager
def name_broken_network(base: StableDiffusion, networks: Sequence[ControlNet] = ()) -> Generator[None]:
    """When numbers cease to be finite because a network holds such weights, the error names it.

    Raises:
        FloatingPointError: in place of one that does not.
    """
    try:
        yield
    except FloatingPointError as error:
        for network in networks:
            if name := broken_weight(network):
                said = f"the ControlNet {network.name!r} holds weights that are not finite (first: {name})"
                raise FloatingPointError(f"{said}: its file is broken, or its training went wrong") from error
        if said := broken_part(base):
            raise FloatingPointError(said) from error
        raise
