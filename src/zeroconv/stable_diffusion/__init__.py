"""The locked base, a thin adapter over diffusers and transformers."""

from zeroconv.stable_diffusion.base import StableDiffusion
from zeroconv.stable_diffusion.text import Text
from zeroconv.stable_diffusion.unet import Encoded, Pooled, decode, encode

__all__ = ["Encoded", "Pooled", "StableDiffusion", "Text", "decode", "encode"]
