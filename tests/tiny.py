"""Tiny real networks with random weights: every family of Stable Diffusion in a few thousand parameters."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from zeroconv.control import ControlNet
from zeroconv.stable_diffusion import AddedConditions, StableDiffusion

Network = TypeVar("Network", bound=nn.Module)

START, END = "<|startoftext|>", "<|endoftext|>"
LETTERS = "abcdefghijklmnopqrstuvwxyz,."

NOISE: dict[str, Any] = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}

# The topology of SD 1.5: 12 encoder blocks in 4 resolutions, a middle block, 12 decoder blocks.
SD15: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (16, 32, 32, 32),
    "norm_num_groups": 8,
    "cross_attention_dim": 16,
    "attention_head_dim": 2,
}
# The least that has both kinds of blocks, for what does not depend on how many levels there are.
NANO: dict[str, Any] = {
    "sample_size": 4, "block_out_channels": (8, 8), "norm_num_groups": 4, "cross_attention_dim": 16, "attention_head_dim": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
}  # fmt: skip
# SD 2.1: linear projections, a number of heads for each level.
SD21: dict[str, Any] = {**SD15, "attention_head_dim": (2, 4, 4, 4), "use_linear_projection": True}
# SDXL: three levels, none of them with attention first, several transformer layers, pooled text and sizes.
SDXL: dict[str, Any] = {
    **SD21,
    "block_out_channels": (16, 32, 32),
    "attention_head_dim": (2, 4, 4),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 3),
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 6 * 8 + 16,
}
# A ControlNet-Union with the eight control types of ProMax, for the base of the XL family.
UNION: dict[str, Any] = {
    **{name: value for name, value in SDXL.items() if name not in ("sample_size", "up_block_types")},
    "num_control_type": 8, "num_trans_channel": 16, "num_trans_head": 4, "num_trans_layer": 2, "num_proj_channel": 16,
    "conditioning_embedding_out_channels": (4, 8, 8, 16),
}  # fmt: skip
# An f8 autoencoder of 8 channels.
VAE: dict[str, Any] = {
    "block_out_channels": (8, 8, 8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": 64,
}
FAMILIES = {"sd15": SD15, "sd21": SD21, "sdxl": SDXL}


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build_unet(config: dict[str, Any] = SD15, seed: int = 0) -> UNet2DConditionModel:
    """A U-Net with random weights; the global generator is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet2DConditionModel(**config).eval()


def build_control(unet: Any, seed: int | None = None, **settings: Any) -> ControlNet:
    """A ControlNet at initialisation, or, with a seed, one whose every tensor is random (as after training)."""
    with torch.random.fork_rng():
        torch.manual_seed(seed or 0)
        network = ControlNet.from_unet(unet, **settings)
    return network if seed is None else randomized(network, seed)


def randomized(network: Network, seed: int) -> Network:
    """`network` with every tensor shaken, zero convolutions too."""
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            width = parameter[0].numel() if parameter.ndim > 1 else 16
            parameter += torch.randn(parameter.shape, generator=drawn) * 0.5 / width**0.5
    return network


def diffusers_twin(network: ControlNet, unet: Any) -> ControlNetModel:
    """The same ControlNet as diffusers builds it from the same U-Net, with the same tensors."""
    theirs: ControlNetModel = ControlNetModel.from_unet(unet)
    theirs.load_state_dict(network.state_dict(), assign=True)
    return theirs.eval()


def build_inputs(unet: Any, batch: int = 2, side: int = 8, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noisy latents, steps, text states and condition images that fit a U-Net."""
    z_t = numbers(batch, unet.config.in_channels, side, side, seed=seed)
    t = torch.randint(0, 1000, (batch,), generator=torch.Generator().manual_seed(seed))
    text = numbers(batch, 5, unet.config.cross_attention_dim, seed=seed + 1)
    condition = torch.rand(batch, 3, 8 * side, 8 * side, generator=torch.Generator().manual_seed(seed + 2))
    return z_t, t, text, condition


def build_pooled(unet: Any, batch: int = 2, seed: int = 0) -> AddedConditions | None:
    """What an SDXL U-Net is told beside the text; None for the others."""
    if unet.config.addition_embed_type is None:
        return None
    return AddedConditions(numbers(batch, 16, seed=seed), torch.tensor([[64.0, 48.0, 0.0, 8.0, 64.0, 64.0]] * batch))


def as_keywords(pooled: AddedConditions | None) -> dict[str, Any]:
    """The same for diffusers."""
    return {} if pooled is None else {"added_cond_kwargs": {"text_embeds": pooled.text_embeds, "time_ids": pooled.time_ids}}


def build_tokenizer(folder: Path, window: int = 16, pad: str = END) -> Any:
    """A CLIP tokenizer that spells words out letter by letter, with two merges, from the files it is made of."""
    symbols = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "re", "red</w>", START, END]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({symbol: i for i, symbol in enumerate(symbols)}), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\nr e\nre d</w>\n", "utf-8")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": window, "pad_token": pad}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return CLIPTokenizer.from_pretrained(folder)


def text_config(tokenizer: Any, width: int = 16, layers: int = 1) -> CLIPTextConfig:
    """Of a CLIP text encoder."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=16,
        projection_dim=16,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def build_text_encoder(tokenizer: Any, seed: int = 0, width: int = 16, layers: int = 1) -> CLIPTextModel:
    """A CLIP text encoder, of one layer and 16 channels unless told otherwise."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return randomized(CLIPTextModel(text_config(tokenizer, width, layers)).eval(), seed)


def build_second_text_encoder(tokenizer: Any, seed: int = 1) -> CLIPTextModelWithProjection:
    """SDXL's second text encoder: three layers, 8 channels, projected to 16."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return randomized(CLIPTextModelWithProjection(text_config(tokenizer, 8, 3)).eval(), seed)


def build_vae(seed: int = 0) -> AutoencoderKL:
    """An autoencoder with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoencoderKL(**VAE).eval()


def save_base(folder: Path, config: dict[str, Any] = SD15, noise: dict[str, Any] = NOISE) -> Path:
    """A whole base, 64x64 pixels, in the diffusers folder layout; for SDXL with two tokenizers and text encoders."""
    xl = "addition_embed_type" in config
    tokenizer = build_tokenizer(folder / "tokenizer")
    for part, network in (("unet", build_unet(config)), ("vae", build_vae())):
        network.save_pretrained(folder / part)
    encoder = build_text_encoder(tokenizer, width=8, layers=2) if xl else build_text_encoder(tokenizer)
    encoder.save_pretrained(folder / "text_encoder")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(noise), "utf-8")
    parts: dict[str, Any] = {
        "_class_name": "StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline",
        "scheduler": ["diffusers", noise["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if xl:
        second = build_tokenizer(folder / "tokenizer_2", pad=".")  # SDXL's second one fills up with "!"
        build_second_text_encoder(second).save_pretrained(folder / "text_encoder_2")
        parts["text_encoder_2"] = ["transformers", "CLIPTextModelWithProjection"]
        parts["tokenizer_2"] = ["transformers", "CLIPTokenizer"]
        parts["force_zeros_for_empty_prompt"] = True
    (folder / "model_index.json").write_text(json.dumps(parts), "utf-8")
    return folder


def build_base(folder: Path, **settings: Any) -> StableDiffusion:
    """The base of `save_base`, opened."""
    return StableDiffusion.from_pretrained(save_base(folder, **settings))


def build_map(width: int = 64, height: int = 64, seed: int = 0) -> Image.Image:
    """A condition map of random colours in squares of 8 pixels."""
    drawn = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, 256, (height // 8, width // 8, 3), generator=drawn, dtype=torch.uint8)
    return Image.fromarray(blocks.numpy()).resize((width, height), Image.Resampling.NEAREST)


COUNTERS: list[RemovableHandle] = []
"""Hooks of this test, which are taken off at its end: bases are shared by many."""


def count_calls(network: nn.Module) -> list[int]:
    """A list that grows by the batch size at each forward pass of `network` in this test."""
    calls: list[int] = []
    COUNTERS.append(network.register_forward_hook(lambda _module, args, _output: calls.append(len(args[0]))))
    return calls


def copies(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Named tensors as they are now."""
    return {name: tensor.detach().clone() for name, tensor in tensors}


def unchanged(network: nn.Module, before: dict[str, Tensor]) -> bool:
    """Whether every tensor of `network` is bit-equal to its copy."""
    now = network.state_dict()
    return now.keys() == before.keys() and all(torch.equal(now[name], before[name]) for name in now)
