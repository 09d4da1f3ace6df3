"""Between pictures and latents, by whatever runs the autoencoder."""

from PIL import Image
from torch import Tensor

from zeroconv.images import normalize, to_images, to_tensor
from zeroconv.runtime.planned_vae import PlannedAutoencoder
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["decode_images", "encode_picture"]


def encode_picture(base: StableDiffusion, image: Image.Image, autoencoder: PlannedAutoencoder | None = None) -> Tensor:
    """Scaled latents, (1, C, h, w), of an RGB picture.

    Args:
        base: whose autoencoder.
        image: its sides are multiples of 8.
        autoencoder: what runs it; itself if left out.
    """
    return base.encode_images(normalize(to_tensor(image))[None], autoencoder and autoencoder.encode)


def decode_images(base: StableDiffusion, latents: Tensor, autoencoder: PlannedAutoencoder | None = None) -> list[Image.Image]:
    """RGB pictures of scaled latents (B, C, h, w).

    Args:
        base: whose autoencoder.
        latents: of the pictures.
        autoencoder: what runs it; itself if left out.

    Raises:
        FloatingPointError: when they are not finite.
    """
    pictures = base.decode(latents, autoencoder and autoencoder.decode)
    if not bool(pictures.isfinite().all()):
        raise FloatingPointError("the autoencoder gives pictures that are not finite: use float32, or another one with --vae")
    return to_images(pictures)
