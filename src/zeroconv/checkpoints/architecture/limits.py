"""How large a network a file may announce."""

from collections.abc import Iterable, Mapping
from typing import Any

MAX_LAYERS = 1000  # of any network
MAX_LEVELS = 8  # of a U-Net or an autoencoder; SD has 4, SDXL 3
MAX_LISTED = 16  # values in any list of a configuration, one for each level or latent channel
MAX_BLOCKS = 8  # in a level; SD has 2
MAX_DEPTH = 40  # transformer layers in a block; SDXL has 10
MAX_CHANNELS = 2**17
MAX_TEXT_LAYERS = 100  # SDXL's larger text encoder has 32


def check_size(config: Mapping[str, Any], tensors: int, what: str) -> None:
    """Refuse a configuration that announces more layers than there are tensors: building them alone would take hours.

    Raises:
        ValueError: saying how many of both there are.
    """
    levels = max((len(value) for value in config.values() if isinstance(value, list | tuple)), default=0)
    deep = ("transformer_layers_per_block", "reverse_transformer_layers_per_block")
    wide = max(numbers(config.get("layers_per_block")), default=1)
    depth = max((number for name in deep for number in numbers(config.get(name))), default=1)
    layers = max(max(levels, 1) * wide * (1 + depth), *numbers(config.get("num_hidden_layers")), 0)
    if levels > MAX_LISTED or layers > min(MAX_LAYERS, max(tensors, 2)):
        raise ValueError(
            f"the {what}'s configuration announces up to {layers} layers on {levels} levels, its weights have {tensors} "
            f"tensors; expected at most {MAX_LAYERS} layers, {MAX_LISTED} levels, and a tensor for each layer"
        )


def numbers(value: object) -> Iterable[int]:
    """The whole numbers in a setting: a number, or a list of them or of lists."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, int):
        yield value
