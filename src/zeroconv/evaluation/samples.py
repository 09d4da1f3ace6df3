"""The held-out pairs as they are judged: at the base's size, and through its autoencoder."""

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from zeroconv.data import Pair
from zeroconv.images import fit, normalize, to_images, to_tensor
from zeroconv.stable_diffusion import StableDiffusion


def fitted(pair: Pair, side: int) -> Pair:
    """A pair cut to a square of `side` pixels; maps keep their exact colours."""
    maps = {name: fit(image, side, nearest=True) for name, image in pair.maps.items()}
    return replace(pair, image=fit(pair.image, side), maps=maps)


def reconstruct(base: StableDiffusion, images: Sequence[Image.Image]) -> list[Image.Image]:
    """Pictures through the autoencoder and back."""
    made: list[Image.Image] = []
    for image in images:  # one by one: the ceiling does not depend on the batch
        made += to_images(base.decode(base.encode_images(normalize(to_tensor(image)[None]))))
    return made
