"""The locked base: text, latents and U-Net of a Stable Diffusion in the diffusers folder layout."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from zeroconv.checkpoints import check_header, resolve

__all__ = ["StableDiffusion"]

PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")


@dataclass
class StableDiffusion:
    """A base, locked: no parameter asks for a gradient.

    Attributes:
        unet: diffusers' `UNet2DConditionModel`.
        vae: diffusers' `AutoencoderKL`.
        text_encoder: transformers' `CLIPTextModel`.
        tokenizer: its tokenizer.
        noise: the scheduler's configuration: betas, number of steps, prediction type.
        name: what it was opened as.
    """

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    noise: dict[str, Any]
    name: str = "base"

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path) -> Self:
        """Open "tiny", or a folder in the diffusers layout (SD 1.x or 2.x, safetensors alone), in float32.

        Raises:
            FileNotFoundError: when there is no such name or folder.
            ValueError: when a part is missing or broken.
        """
        folder = resolve(name_or_path, "base")
        for part in PARTS:
            if not (folder / part).is_dir():
                raise ValueError(f"{folder} is not a complete base: it has no folder {part!r} (needed: {', '.join(PARTS)})")
        try:
            for file in sorted(folder.glob("*/*.safetensors")):
                check_header(file)
            noise = json.loads((folder / "scheduler" / "scheduler_config.json").read_text("utf-8"))
            if not isinstance(noise, dict):
                raise TypeError("scheduler_config.json is no JSON object")
            base = cls(
                load(UNet2DConditionModel, folder / "unet"),
                load(AutoencoderKL, folder / "vae"),
                CLIPTextModel.from_pretrained(folder / "text_encoder", use_safetensors=True, dtype=torch.float32),
                CLIPTokenizer.from_pretrained(folder / "tokenizer"),
                noise,
                str(name_or_path),
            )
        except Exception as error:  # the libraries raise many kinds for broken files
            first = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise ValueError(f"{folder} cannot be opened as a base: {type(error).__name__}: {first}") from error
        return base.lock()

    def lock(self) -> Self:
        """Evaluation mode, no gradients."""
        for network in (self.unet, self.vae, self.text_encoder):
            network.requires_grad_(False).eval()
        return self

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move the networks, and change their type if one is given."""
        for network in (self.unet, self.vae, self.text_encoder):
            network.to(device) if dtype is None else network.to(device, dtype)
        return self

    @property
    def device(self) -> torch.device:
        """Where the U-Net lives."""
        return self.unet.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the U-Net's weights."""
        return self.unet.dtype

    @property
    def prediction_type(self) -> str:
        """What the U-Net predicts: "epsilon" or "v_prediction"."""
        return self.noise.get("prediction_type", "epsilon")

    @property
    def reduction(self) -> int:
        """Pixels per latent along one side: 8."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def size(self) -> int:
        """The side, in pixels, of the pictures the base was trained on."""
        return int(self.unet.config.sample_size) * self.reduction

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Channels, height and width of the latents of a picture.

        Raises:
            ValueError: unless both sides are multiples of 8 times the U-Net's smallest step.
        """
        if width < 1 or height < 1 or width % self.reduction or height % self.reduction:
            raise ValueError(f"pictures of {width}x{height} are asked for; expected multiples of {self.reduction}")
        return int(self.unet.config.in_channels), height // self.reduction, width // self.reduction

    @torch.no_grad()
    def encode_text(self, prompts: Sequence[str]) -> Tensor:
        """Text states (B, N, D) of prompts, padded to the tokenizer's window.

        A prompt that is longer than the window is cut, with a warning that names what was left out.
        """
        window = min(self.tokenizer.model_max_length, self.text_encoder.config.max_position_embeddings)
        settings = {"padding": "max_length", "truncation": True, "max_length": window, "return_tensors": "pt"}
        for prompt in prompts:
            self.warn_of_cut(prompt, window)
        ids = self.tokenizer(list(prompts), **settings).input_ids.to(self.device)
        return self.text_encoder(ids).last_hidden_state

    def warn_of_cut(self, prompt: str, window: int) -> None:
        """Say which words of a prompt the text encoder will not see."""
        ids = self.tokenizer(prompt, truncation=False, verbose=False).input_ids
        if len(ids) > window:
            lost = self.tokenizer.decode(ids[window - 1 : -1]).strip()
            cut = f"the prompt has {len(ids)} tokens, the base reads {window}; not read: {lost!r}"
            warnings.warn(cut, UserWarning, stacklevel=4)  # who called encode_text, past the wrapper of no_grad

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """Scaled latents (B, C, H/8, W/8), the posterior's mean, of images (B, 3, H, W) in [-1, 1]."""
        return self.vae.encode(images.to(self.device, self.dtype)).latent_dist.mean * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] of scaled latents (B, C, H/8, W/8)."""
        images = self.vae.decode(latents.to(self.vae.dtype) / self.vae.config.scaling_factor).sample
        return (images.float() / 2 + 0.5).clamp(0, 1)


def load(kind: Any, folder: Path) -> Any:
    """A diffusers network in float32, from safetensors alone, without accelerate."""
    return kind.from_pretrained(folder, use_safetensors=True, low_cpu_mem_usage=False, torch_dtype=torch.float32)
