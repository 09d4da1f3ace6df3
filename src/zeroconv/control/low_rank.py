"""LoRA layers around the locked encoder's own: W x + up(down(x)) (`variant="lora"`)."""

import copy
from collections.abc import Mapping
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from zeroconv.checkpoints.files.model_folder import check_fit
from zeroconv.checkpoints.formats.control_lora import NEW_MODULE_PREFIX, PARTS, check_update, effective_weight
from zeroconv.errors import InputError

__all__ = [
    "LoRALayer",
    "borrowed_vectors",
    "borrows_from",
    "load_lora",
    "lora_layers",
    "merge_lora",
    "update_rank",
    "wrap_with_lora",
]

Network = TypeVar("Network", bound=nn.Module)

SHARE = 8
"""An update has at most one eighth of its layer's numbers: in narrow layers more would be no saving."""


class LoRALayer(nn.Module):
    """A layer of the locked base, and what the copy has of its own beside it.

    `y = W x + b + B A x` with `A` ("down", to r channels) Gaussian and `B` ("up") zero at the start, so that the copy
    begins as the layer itself (Hu et al., *LoRA*, 2021, arXiv 2106.09685). For a k x k convolution `A` is a k x k
    convolution with the same stride and padding, `B` a 1 x 1 one: the update's matrix is `B A` all the same.

    The layer is no child of this module: `parameters`, `state_dict`, `to` and `requires_grad_` see `down` and `up`
    alone, so nobody can train, save or cast the base's weights by way of the copy. Where the base goes, they go.

    Args:
        layer: the base's; it is locked.
        rank: channels between `down` and `up` at most, see `update_rank`; 0 is no update.
    """

    layer: nn.Module
    down: nn.Parameter | None
    up: nn.Parameter | None
    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, layer: nn.Module, rank: int = 0) -> None:
        super().__init__()
        self.__dict__["layer"] = layer.requires_grad_(False)
        for part in PARTS:
            self.register_parameter(part, None)
        if rank and isinstance(layer, nn.Linear | nn.Conv2d):
            weight = layer.weight
            r = update_rank(rank, len(weight), weight[0].numel())
            self.down = nn.Parameter(torch.empty(r, *weight.shape[1:]))
            self.up = nn.Parameter(torch.zeros(len(weight), r, *[1] * (weight.ndim - 2)))
            nn.init.kaiming_normal_(self.down, nonlinearity="linear")

    @property
    def replaced(self) -> dict[str, Tensor]:
        """Weight and bias of its own in place of the base's, if there are any."""
        return {part: tensor for part, tensor in (("weight", self.weight), ("bias", self.bias)) if tensor is not None}

    def forward(self, x: Tensor) -> Tensor:
        """What the layer gives, plus the update."""
        own = self.replaced
        y = functional_call(self.layer, own, (x,)) if own else self.layer(x)
        if self.up is None or self.down is None:
            return y
        if isinstance(self.layer, nn.Conv2d):
            stride, padding, dilation = self.layer.stride, self.layer.padding, self.layer.dilation
            return y + functional.conv2d(functional.conv2d(x, self.down, None, stride, padding, dilation), self.up)
        return y + functional.linear(functional.linear(x, self.down), self.up)

    def load(self, tensors: Mapping[str, Tensor], name: str) -> None:
        """Make `tensors` the layer's own, and no others: "down" with "up", "weight", "bias".

        Args:
            tensors: by part; a weight or bias replaces the base's.
            name: of the layer, for the error.

        Raises:
            ValueError: when a shape does not fit the base's layer.
        """
        given, of_base = dict(tensors), {part: tuple(t.shape) for part, t in self.layer.named_parameters()}
        if "up" in given:
            weight, up, down = of_base["weight"], given["up"], given["down"]
            check_update(name, weight, tuple(up.shape), tuple(down.shape))
            ones = [1] * (len(weight) - 2)  # a 1 x 1 convolution comes with two axes or four
            given |= {"up": up.reshape(weight[0], -1, *ones), "down": down.reshape(-1, *weight[1:])}
        for part in ("weight", "bias"):
            if part in given and tuple(given[part].shape) != of_base.get(part):
                raise ValueError(
                    f"this Control-LoRA does not fit the base: {name}.{part} has shape {tuple(given[part].shape)}, "
                    f"the base's is {of_base.get(part)}; use a base of the family it was made for"
                )
        for part in PARTS:
            self.register_parameter(part, nn.Parameter(given[part]) if part in given else None)

    def merge(self) -> nn.Module:
        """An ordinary layer that gives the same: W + up·down as one weight."""
        layer = copy.deepcopy(self.layer)
        with torch.no_grad():
            for part, tensor in self.replaced.items():
                layer.get_parameter(part).copy_(tensor)
            if self.up is not None and self.down is not None:
                weight = layer.get_parameter("weight")
                weight.copy_(effective_weight(weight, self.up, self.down))
        return layer

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """The copy borrows from the same base."""
        clone = type(self).__new__(type(self))
        memo |= {id(self): clone, id(self.layer): self.layer}
        clone.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return clone


def update_rank(rank: int, out: int, inside: int) -> int:
    """The rank of one layer's update: `rank`, less where `out` x `inside` is so small that an eighth of it holds no more."""
    return max(1, min(rank, out * inside // (SHARE * (out + inside))))


def wrap_with_lora(part: Network, rank: int | None) -> Network:
    """A part of the base with a `LoRALayer` around every layer: the same structure, no weight copied.

    Args:
        part: of the base.
        rank: of new updates at most; 0 where a file's updates are loaded next.

    Raises:
        InputError: without a rank: nothing of the copy could learn.
    """
    if rank is None:
        raise InputError("variant 'lora' needs a rank for its new updates, got None; expected 16 to 128", field="rank")
    layers = [module for module in part.modules() if next(module.parameters(recurse=False), None) is not None]
    assert not any(list(layer.children()) for layer in layers), "weights sit in the leaves alone"
    return copy.deepcopy(part, {id(layer): LoRALayer(layer, rank) for layer in layers})


def lora_layers(network: nn.Module) -> dict[str, LoRALayer]:
    """The LoRA layers of a network, by name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, LoRALayer)}


def borrowed_vectors(network: nn.Module) -> dict[str, Tensor]:
    """The base's biases and norms that a network has none of its own for, by their names in the network."""
    return {
        f"{name}.{part}": tensor.detach()
        for name, borrowed in lora_layers(network).items()
        for part, tensor in borrowed.layer.named_parameters()
        if tensor.ndim == 1 and part not in borrowed.replaced
    }


def borrows_from(network: nn.Module, unet: nn.Module) -> bool:
    """Whether every layer that a network borrows is the U-Net's, or equal to it bit by bit and in the same place."""
    for name, borrowed in lora_layers(network).items():
        mine, theirs = borrowed.layer, unet.get_submodule(name)
        for (_, one), (_, other) in zip(mine.named_parameters(), theirs.named_parameters(), strict=True):
            if one is not other and not (one.device == other.device and one.dtype == other.dtype and torch.equal(one, other)):
                return False
    return True


def load_lora(network: nn.Module, own: Mapping[str, Tensor]) -> None:
    """Make copies of `own` a low-rank network's own tensors, and no others.

    Args:
        network: a ControlNet that borrows its copy's layers.
        own: tensors of layers as in `LoRALayer.load`, and all of the modules that the base has no counterpart of.

    Raises:
        ValueError: when one is missing, unknown or of another shape.
    """
    layers = lora_layers(network)
    of_layers: dict[str, dict[str, Tensor]] = {name: {} for name in layers}
    whole: dict[str, Tensor] = {}
    for name, tensor in own.items():
        layer, _, part = name.rpartition(".")
        of_layers.get(layer, whole).update({part if layer in layers else name: tensor.clone()})
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items() if name.startswith(NEW_MODULE_PREFIX)}
    check_fit(whole, shapes, "this Control-LoRA does not fit the base")
    network.load_state_dict(whole, strict=False, assign=True)
    for name, layer in layers.items():
        layer.load(of_layers[name], name)


def merge_lora(network: Network) -> Network:
    """A copy of a network that borrows nothing: every update is added to its weight."""
    return copy.deepcopy(network, {id(layer): layer.merge() for layer in lora_layers(network).values()})
