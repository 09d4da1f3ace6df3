"""The locked base, a thin adapter over diffusers and transformers."""

from zeroconv.stable_diffusion.base import StableDiffusion
from zeroconv.stable_diffusion.prompt_encoding import PromptEncoding
from zeroconv.stable_diffusion.unet import AddedConditions, Encoded, decode, encode

__all__ = ["AddedConditions", "Encoded", "PromptEncoding", "StableDiffusion", "decode", "encode"]
