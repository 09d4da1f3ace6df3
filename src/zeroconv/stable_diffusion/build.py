"""A base's networks from dictionaries: a configuration in the names of diffusers or transformers, and tensors.

Wherever these come from (a folder, a single file), the networks are built the same way: without memory first, then
filled with tensors that were compared with them. Nothing is initialised, downloaded or executed.
"""

import inspect
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import Any, TypeVar

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from zeroconv.checkpoints.architecture.limits import check_size
from zeroconv.checkpoints.architecture.unet_shape import UNetShape, mismatch, unsupported
from zeroconv.checkpoints.files.model_folder import check_fit
from zeroconv.checkpoints.keys.legacy import autoencoder_names, text_encoder_names
from zeroconv.stable_diffusion.unet import check_supported

__all__ = ["build_text_encoder", "build_unet", "build_vae", "fill"]

Network = TypeVar("Network", bound=nn.Module)

TEXT_SETTINGS = (
    "vocab_size", "hidden_size", "intermediate_size", "projection_dim", "num_hidden_layers", "num_attention_heads",
    "max_position_embeddings", "hidden_act", "layer_norm_eps", "pad_token_id", "bos_token_id", "eos_token_id",
)  # fmt: skip
"""What a text encoder's configuration may say; others can name code that transformers would fetch."""
FLOAT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def build_unet(config: Mapping[str, Any], tensors: Mapping[str, Tensor], dtype: torch.dtype | None) -> Any:
    """A diffusers `UNet2DConditionModel`.

    Args:
        config: its settings; unknown ones are left out.
        tensors: in diffusers' names.
        dtype: see `fill`.

    Raises:
        ValueError: when the configuration is broken, of another family, or does not fit the tensors.
    """
    check_topology(config, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    unet = init_on_meta(UNet2DConditionModel, config, len(tensors), "U-Net")
    check_supported(unet)
    return fill(unet, tensors, dtype, "U-Net")


def build_vae(config: Mapping[str, Any], tensors: Mapping[str, Tensor], dtype: torch.dtype | None) -> Any:
    """A diffusers `AutoencoderKL`; see `build_unet`. The older names of its attention are understood.

    Raises:
        ValueError: when the configuration is broken or does not fit the tensors.
    """
    scale = config.get("scaling_factor", 1)
    if not isinstance(scale, int | float) or not 0 < scale < float("inf"):
        raise ValueError(f"the autoencoder's scaling_factor is {scale!r}; expected a number above 0, such as 0.18215")
    vae = init_on_meta(AutoencoderKL, config, len(tensors), "autoencoder")
    return fill(vae, autoencoder_names(tensors), dtype, "autoencoder")


def build_text_encoder(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], dtype: torch.dtype | None, projection: bool = False
) -> Any:
    """A transformers `CLIPTextModel`, or `CLIPTextModelWithProjection`; see `build_unet`.

    Args:
        config: its settings; those that do not describe the network are left out.
        tensors: in transformers' names, with the prefix `text_model.` or without.
        dtype: see `fill`.
        projection: SDXL's second one has a projection of the last state.

    Raises:
        ValueError: when the configuration is broken or does not fit the tensors.
    """
    check_size(config, len(tensors), "text encoder")
    settings = {name: config[name] for name in TEXT_SETTINGS if name in config}
    kind = CLIPTextModelWithProjection if projection else CLIPTextModel
    with meta_construction("text encoder"):
        encoder: Any = kind(CLIPTextConfig(**settings))
    fill(encoder, text_encoder_names(tensors, projection), dtype, "text encoder")
    embeddings = (encoder.text_model if projection else encoder).embeddings
    embeddings.position_ids = torch.arange(encoder.config.max_position_embeddings)[None]  # no file need carry them
    return encoder


def check_topology(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse U-Nets of other kinds, and settings that are not those of the tensors, before anything is built.

    Raises:
        ValueError: naming the kind, or the first difference.
    """
    configured = UNetShape.of_config(config)
    reason = unsupported(configured)
    if reason is not None:
        raise ValueError(reason)
    if differs := mismatch(config, shapes):
        raise ValueError(f"the U-Net's configuration says {differs}: they are of two networks")


def init_on_meta(kind: Any, config: Mapping[str, Any], tensors: int, what: str) -> Any:
    """A diffusers network whose tensors have shapes but no memory, built after a look at its size."""
    check_size(config, tensors, what)
    known = inspect.signature(kind.__init__).parameters.keys() - {"self"}
    with meta_construction(what):
        return kind(**{name: value for name, value in config.items() if name in known})


@contextmanager
def meta_construction(what: str) -> Generator[None]:
    """Networks built inside have shapes and no memory, and whatever the libraries raise is one sentence.

    Raises:
        ValueError: with that sentence.
    """
    try:
        with torch.device("meta"):
            yield
    except Exception as error:  # the libraries raise many kinds for broken settings
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"the {what}'s configuration is broken ({type(error).__name__}: {first})") from error


def fill(network: Network, tensors: Mapping[str, Tensor], dtype: torch.dtype | None, what: str) -> Network:
    """Give a network without memory its tensors, after comparing names and shapes.

    Args:
        network: built on the meta device.
        tensors: in its names.
        dtype: they are converted, always copied: a mapped file's own memory is not aligned, and sums over it are rounded
            differently. None: kept as stored, and not copied; a file that mixes types is brought to the widest.
        what: for the error.

    Raises:
        ValueError: naming the first tensor that does not fit, or a stored type that cannot be computed with.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    check_fit(tensors, shapes, f"the {what}'s tensors do not fit its configuration")
    kind = dtype or stored_type(tensors, what)
    if dtype is None:
        filled = {name: tensors[name].to(kind) for name in shapes}
    else:
        whole = torch.contiguous_format
        filled = {name: tensors[name].to(kind, copy=True, memory_format=whole) for name in shapes}
    network.load_state_dict(filled, assign=True)
    return network.requires_grad_(False).eval()


def stored_type(tensors: Mapping[str, Tensor], what: str) -> torch.dtype:
    """The type tensors are stored in; the widest if there are several.

    Raises:
        ValueError: for types that cannot be computed with, such as 8-bit ones.
    """
    found = {tensor.dtype for tensor in tensors.values()}
    strange = sorted(str(kind) for kind in found - set(FLOAT_DTYPES))
    if strange:
        raise ValueError(f"the {what} is stored as {strange[0]}, which cannot be computed with as it is: give a dtype")
    return reduce(torch.promote_types, found)
