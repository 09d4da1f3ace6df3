"""The connections of a ControlNet that start at zero: which of them still are, so that nothing ever came through."""

import re
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from zeroconv.checkpoints.files.safetensors import read_safetensors

__all__ = ["untouched_connections"]

CONNECTION = re.compile(
    r"(^|\.)(controlnet_(down_|single_)?blocks\.\d+(\.output_proj)?|controlnet_mid_block|zero_convs\.\d+\.0|middle_block_out\.0"
    r"|before_proj|after_proj|controlnet_x_embedder|pos_embed_input\.proj)\.weight$"
)
"""Layers that begin at zero: of diffusers' and the original ControlNets of U-Nets, and of those of transformers."""


def untouched_connections(files: Iterable[Path]) -> str | None:
    """What to say about connections that are exactly zero, weight and bias; None when there are none.

    Args:
        files: of one network; of them only the connections are read.
    """
    found = dict[str, bool]()
    for file in files:
        tensors = read_safetensors(file)
        for name in filter(CONNECTION.search, tensors):
            bias = tensors.get(name.removesuffix("weight") + "bias")
            found[name] = is_zero(tensors[name]) and (bias is None or is_zero(bias))
    zero = [name for name, still in found.items() if still]
    if not zero:
        return None
    what = "all" if len(zero) == len(found) else f"{len(zero)} of {len(found)}"
    first = "" if len(zero) == len(found) else f" (the first is {zero[0]})"
    return f"{what} connections exactly zero{first}: never trained here, no effect"


def is_zero(tensor: Tensor) -> bool:
    """Whether every number is exactly 0, of whatever type."""
    return not bool((tensor if tensor.dtype.itemsize > 1 else tensor.float()).any())
