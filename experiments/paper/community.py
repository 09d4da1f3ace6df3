"""Two "community" bases: the tiny base's U-Net, fine-tuned on scenes in another style; text encoder and autoencoder stay.

Line art is dark Canny edges on the colour of paper. Night is a dark blue tone curve that keeps a little of the colours, and
more of those of what is brightly lit.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from experiments.baselines.common import Budget, Pairs, encode, open_tiny_base
from experiments.baselines.denoising import DenoisingMethod
from experiments.baselines.lora import TunedUNet
from experiments.baselines.phases import Phase, phases_of
from PIL import Image

from zeroconv import StableDiffusion, conditions
from zeroconv.images import as_rgb

__all__ = ["SCENES", "STYLES", "draw_lines", "make_night", "open_community"]

SCENES = 2000
"""Scenes that a base is fine-tuned on: the first of the tiny world."""
PAPER, INK = (244, 238, 222), (40, 36, 48)
GREY = (0.299, 0.587, 0.114)
NIGHT, GLOW = (0.42, 0.5, 0.78), (0.015, 0.021, 0.048)  # what white becomes, and black
CONTRAST = 1.4
KEPT, LIT = 0.25, 0.3  # of the colours: everywhere, and besides where it is bright
BRIGHT = (0.55, 0.85)  # grey from which on a place counts as lit, and that of full light


def draw_lines(image: Image.Image) -> Image.Image:
    """A picture as line art: its Canny edges, dark on paper."""
    edges = np.asarray(conditions.extract("canny", image).convert("L"))[..., None] > 0
    return Image.fromarray(np.where(edges, INK, PAPER).astype(np.uint8))


def make_night(image: Image.Image) -> Image.Image:
    """A picture at night."""
    rgb = np.asarray(as_rgb(image), np.float64) / 255
    grey = (rgb @ np.asarray(GREY))[..., None]
    lit = np.clip((grey - BRIGHT[0]) / (BRIGHT[1] - BRIGHT[0]), 0, 1)
    dark = grey**CONTRAST * np.asarray(NIGHT) + np.asarray(GLOW) + (rgb - grey) * (KEPT + LIT * lit)
    return Image.fromarray((np.clip(dark, 0, 1) * 255).round().astype(np.uint8))


STYLES: dict[str, Callable[[Image.Image], Image.Image]] = {"line art": draw_lines, "night": make_night}
"""What a community base is taught to make of every scene."""


class CommunityBase(DenoisingMethod):
    """Every weight of the U-Net learns by the loss of the baselines, half of the captions emptied."""

    name, title, reads, timesteps, rate = "community", "Fine-tuned base", "nothing", "uniform", 5e-4

    def build(self, base: StableDiffusion) -> TunedUNet:
        """A copy of the base's U-Net."""
        return TunedUNet(copy.deepcopy(base.unet).requires_grad_(True))


def load_scenes_in(style: str, folder: Path) -> Pairs:
    """Scenes whose latents are those of another style: rendered and encoded once, and kept."""
    pairs = Pairs.load(folder, SCENES)

    def restyle() -> Any:
        pixels = np.stack([np.asarray(STYLES[style](Image.fromarray(rgb))) for rgb in pairs.rgb])
        return encode(open_tiny_base(), pixels).numpy()

    return replace(pairs, latents=torch.from_numpy(pairs.kept(f"{style.replace(' ', '-')}-latents", restyle)))


def open_community(out: Path, style: str, minutes: float) -> tuple[StableDiffusion, Phase]:
    """A base in another style, fine-tuned first if it is not yet, and what that took.

    After a kill at any moment the same call goes on.

    Args:
        out: of scenes and trainings.
        style: of `STYLES`.
        minutes: of the processor, for the steps alone.
    """
    method, folder = CommunityBase(), out / f"{style.replace(' ', '-')}-{minutes:g}"
    if "all" not in phases_of(folder):
        method.train(folder, load_scenes_in(style, out / "scenes"), Budget(60 * minutes))
    base, model = method.start(0)
    method.load(folder, model)
    base.unet = model.unet
    return base, phases_of(folder)["all"]
