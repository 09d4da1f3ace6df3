"""When pictures cease to be finite: the network whose weights are the reason is named."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from PIL import Image
from torch import Tensor

from zeroconv.control import ControlNet
from zeroconv.images import to_images
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.stable_diffusion.broken_weights import broken_part, broken_weight

__all__ = ["decode_images", "name_broken_network"]


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


def decode_images(
    base: StableDiffusion, latents: Tensor, decode: Callable[[Tensor], Tensor] | None = None
) -> list[Image.Image]:
    """Pictures of latents (B, C, h, w), by the base's autoencoder, or by `decode`; see `StableDiffusion.decode`.

    Raises:
        FloatingPointError: when they are not finite.
    """
    pictures = base.decode(latents, decode)
    if not bool(pictures.isfinite().all()):
        raise FloatingPointError("the autoencoder gives pictures that are not finite: use float32, or another one with --vae")
    return to_images(pictures)
