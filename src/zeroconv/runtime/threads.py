"""How many threads the steps of a small network are worth."""

from collections.abc import Generator
from contextlib import contextmanager

import torch

from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["suited_threads"]

WIDTH = 128
"""Channels of a narrow U-Net, at most."""
PIXELS = 20 * 20
"""Of latents, up to which a second thread does not pay in a narrow U-Net."""


@contextmanager
def suited_threads(base: StableDiffusion, size: tuple[int, int]) -> Generator[None]:
    """Inside the block a CPU computes small pictures of a narrow U-Net, such as the tiny base's, in one thread.

    Its steps are hundreds of small operations, after each of which all threads wait for each other: that takes longer than
    what they save where they wait asleep, or where another program wants a core (`benchmarks/threads.py`).

    Args:
        base: whose U-Net it is.
        size: width and height of the pictures in pixels.
    """
    before, unit = torch.get_num_threads(), base.vae_scale_factor
    small = (size[0] // unit) * (size[1] // unit) <= PIXELS and max(base.unet.config.block_out_channels) <= WIDTH
    if before == 1 or not small or base.device.type != "cpu":
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
