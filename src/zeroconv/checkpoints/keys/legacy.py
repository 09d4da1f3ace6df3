"""Names that older diffusers and transformers gave to tensors, told as today's."""

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor

__all__ = ["autoencoder_names", "text_encoder_names"]

Value = TypeVar("Value")

ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""The attention in the middle of an autoencoder, before diffusers 0.17: SD 1.x and 2.x were saved with it."""
MIDDLES = ("encoder.mid_block.attentions.0", "decoder.mid_block.attentions.0")
PREFIX = "text_model."
"""Before transformers 5 `CLIPTextModel` had it too; today only the one with a projection has."""
COUNTER = "position_ids"
"""How the names of tensors end that hold the numbers 0 to 76: older and merged files carry them, nobody needs them."""


def autoencoder_names(tensors: Mapping[str, Value]) -> dict[str, Value]:
    """The tensors (or their shapes) of an `AutoencoderKL` in today's names; those that have them already stay as they are."""
    today = {
        f"{middle}.{old}.{kind}": f"{middle}.{new}.{kind}"
        for middle in MIDDLES
        for old, new in ATTENTION.items()
        for kind in ("weight", "bias")
    }
    return {today.get(name, name): tensor for name, tensor in tensors.items()}


def text_encoder_names(tensors: Mapping[str, Tensor], projection: bool) -> dict[str, Tensor]:
    """The tensors of a CLIP text encoder in today's names.

    Args:
        tensors: with the prefix `text_model.` or without.
        projection: whether it is a `CLIPTextModelWithProjection`, which keeps the prefix.
    """
    bare = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items() if not name.endswith(COUNTER)}
    if not projection:
        return bare
    return {name if name.startswith("text_projection.") else PREFIX + name: tensor for name, tensor in bare.items()}
