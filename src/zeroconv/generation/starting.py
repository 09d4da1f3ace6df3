"""The picture that generation starts from (image-to-image), and the part of it that is painted anew (inpainting)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zeroconv.conditions.raster.resizing import LANCZOS, resize_map
from zeroconv.data_uri import encode_png, picture_name
from zeroconv.diffusion import KnownLatents, count_run_steps
from zeroconv.errors import InputError, name_field
from zeroconv.generation.autoencoding import encode_picture
from zeroconv.generation.control import to_mask
from zeroconv.generation.maps import describe_misfit, open_fitted
from zeroconv.generation.picture_input import open_mask, to_picture
from zeroconv.generation.request import DEFAULT_STRENGTH, GenerationRequest, missing_picture
from zeroconv.images import fit, open_image
from zeroconv.messages import Message
from zeroconv.runtime.planned_vae import PlannedAutoencoder
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["StartingPicture", "idle_strength", "open_start"]

WHITE = 128
"""From this grey on a pixel of a mask is painted anew."""


@dataclass(frozen=True)
class StartingPicture:
    """A picture to start from, and how far to go from it.

    Attributes:
        image: RGB, of any size.
        strength: share of the steps that are run, 0 … 1.
        mask: 8-bit grey, of the size of the pictures that are made: white is painted anew, black stays, grey mixes both.
    """

    image: Image.Image
    strength: float = DEFAULT_STRENGTH
    mask: Image.Image | None = None

    @classmethod
    def read(cls, image: Any, strength: float, mask: Any) -> "StartingPicture | None":
        """From what was given, of whatever kind; None where there is no picture.

        Raises:
            InputError: for what is no picture or not there, a mask without a picture, and one that nothing is white in.
        """
        if image is None:
            if mask is not None:
                raise missing_picture()
            return None
        with name_field("init_image"):
            picture = to_picture(image, open_image, "init_image").convert("RGB")
        if mask is None:
            return cls(picture, strength)
        with name_field("mask_image"):
            grey = to_mask(mask)
        if np.asarray(grey).max() < WHITE:
            said = "mask_image has no white pixel: nothing is painted anew"
            raise InputError(said, field="mask_image", hint="white is painted anew, black stays")
        return cls(picture, strength, grey)

    def check_size(self, base: StableDiffusion, size: tuple[int, int] | None) -> tuple[int, int]:
        """Width and height of the pictures: as asked, else those of the picture.

        Raises:
            InputError: when the picture's own are no multiples of 8, or the mask has others.
        """
        unit = base.vae_scale_factor
        if size is None and any(side % unit for side in self.image.size):
            said = f"init_image is {self.image.width}x{self.image.height} pixels; expected multiples of {unit}"
            near = "x".join(str(max(unit, round(side / unit) * unit)) for side in self.image.size)
            hint = f"say the size of the pictures, such as {near}, and how to resize it"
            raise InputError(said, field="init_image", hint=hint)
        size = size or self.image.size
        if self.mask is not None and self.mask.size != size:
            said = f"mask_image is {self.mask.width}x{self.mask.height} pixels, the pictures are {size[0]}x{size[1]}"
            raise InputError(said, field="mask_image", hint="give a mask of the pictures' size")
        return size

    def steps_run(self, steps: int) -> int:
        """How many of so many denoising steps are run."""
        return count_run_steps(steps, self.strength)

    def messages(self, steps: int) -> list[Message]:
        """How many steps are run, or that none is."""
        run, said = self.steps_run(steps), f"strength {self.strength:g} of {steps} steps"
        if run:
            return [Message(f"{said}: the last {run} are run", "strength.steps", "info")]
        return [Message(f"{said} runs none: the picture only passes through the autoencoder", "no-effect.strength")]

    def known_latents(
        self, base: StableDiffusion, size: tuple[int, int], count: int, autoencoder: PlannedAutoencoder
    ) -> KnownLatents:
        """The latents that `count` pictures start from, and where they are painted anew.

        A latent stands for 8x8 pixels, and is painted anew where any of them is white in the mask.

        Args:
            base: the base.
            size: of the pictures.
            count: B.
            autoencoder: what encodes the picture.
        """
        clean = encode_picture(base, fit(self.image, size), autoencoder)
        hole = None if self.mask is None else shrink_mask(self.mask, base.vae_scale_factor).to(clean.device)
        return KnownLatents(clean.expand(count, -1, -1, -1), self.strength, hole)

    def finish(self, images: Sequence[Image.Image]) -> list[Image.Image]:
        """The pictures with the pixels of the original where the mask is black, to the bit."""
        if self.mask is None:
            return list(images)
        return [Image.composite(image, fit(self.image, image.size), self.mask) for image in images]

    def describe(self, size: tuple[int, int]) -> dict[str, Any]:
        """The fields of a request that make it again, its pictures embedded."""
        return {
            "init_image": encode_png(self.image),
            "strength": self.strength,
            "mask_image": None if self.mask is None else encode_png(self.mask),
            "resize": None if self.image.size == size else "crop",
        }


def shrink_mask(mask: Image.Image, factor: int) -> Tensor:
    """Where a mask is white in any of `factor` x `factor` pixels: (1, 1, h, w) bool."""
    white = torch.from_numpy(np.asarray(mask) >= WHITE)  # (H, W)
    height, width = (side // factor for side in white.shape)
    return white.view(height, factor, width, factor).any(dim=3).any(dim=1)[None, None]


def idle_strength(strength: float) -> list[Message]:
    """That a strength has no effect where there is no picture to start from."""
    if strength == DEFAULT_STRENGTH:
        return []
    return [Message(f"strength {strength:g} has no effect: there is no init_image", "no-effect.strength")]


def open_start(request: GenerationRequest) -> StartingPicture | None:
    """The picture of a request, fitted as it asks for; None where there is none.

    Raises:
        InputError: for a picture or mask that cannot be read, and for one of another size where nothing says how it is fitted.
    """
    if request.init_image is None:
        return None
    with name_field("init_image"):
        image, name = open_image(request.init_image), picture_name(request.init_image)
        size = request.size or image.size
        if image.size != size and request.resize is None:
            raise ValueError(f"the picture {name} is {describe_misfit(image.size, size)}")
        if request.resize not in (None, "crop"):
            image = resize_map(image, size, LANCZOS, request.resize)
    mask = None
    if request.mask_image is not None:
        with name_field("mask_image"):
            mask = open_fitted(request.mask_image, open_mask, "mask", size, request.resize).convert("L")
    return StartingPicture.read(image, request.strength, mask)
