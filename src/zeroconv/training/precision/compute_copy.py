"""A network that computes in another type than its weights, which stay in float32 (P. Micikevicius et al., 2018).

*Mixed Precision Training*, arXiv 1710.03740: an update is often smaller than what bfloat16 or float16 can add to a weight,
so that the weights, the *masters*, are float32, and a copy of them in the narrow type computes.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from zeroconv.control import ControlNet, Residuals
from zeroconv.control.decoder import Decoder
from zeroconv.stable_diffusion import AddedConditions

__all__ = ["ComputeCopy", "NarrowCalls"]


class NarrowCalls:
    """A ControlNet that is called as one in float32, though its weights are of another type when it computes.

    Args:
        network: the ControlNet.
        dtype: of its weights then.
    """

    def __init__(self, network: ControlNet, dtype: torch.dtype) -> None:
        self.network, self.dtype = network, dtype

    @property
    def decoder(self) -> Decoder | None:
        """The unlocked decoder, if the network has one."""
        return self.network.decoder

    def encode_condition(self, condition: Tensor) -> Tensor:
        """As `ControlNet.encode_condition`, in the type of the weights."""
        return self.network.encode_condition(condition.to(self.dtype))

    def __call__(
        self,
        z_t: Tensor,
        t: Tensor | float,
        text: Tensor,
        *,
        features: Tensor,
        added_conditions: AddedConditions | None = None,
    ) -> Residuals:
        """As a `ControlNet` with features; inputs are cast to the weights' type, the residuals to that of `z_t`."""
        added = added_conditions and added_conditions.map(lambda tensor: tensor.to(self.dtype))
        narrow = z_t.to(self.dtype), t, text.to(self.dtype)
        residuals = self.network(*narrow, features=features, added_conditions=added)
        return residuals.map(lambda _, residual: residual.to(z_t.dtype))


class ComputeCopy(nn.Module):
    """A ControlNet's modules with its weights in another type, by a cast that gradients pass through.

    The copy has no parameters of its own. `refresh` casts the masters; the backward pass leaves float32 gradients at the
    masters, one at a time, so that sums over parts of a batch and over processes are float32 sums.

    Args:
        network: whose parameters are the masters.
        dtype: to compute in; float32 takes the masters themselves.
    """

    def __init__(self, network: ControlNet, dtype: torch.dtype) -> None:
        super().__init__()
        empty = {id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False) for p in network.parameters()}
        self.module: ControlNet = copy.deepcopy(network, dict[int, Any](empty))
        self.dtype, self.calls = dtype, NarrowCalls(self.module, dtype)
        self.weights: list[tuple[nn.Module, str, nn.Parameter]] = []
        for module, original in zip(self.module.modules(), network.modules(), strict=True):
            for name, master in original.named_parameters(recurse=False):
                module.register_parameter(name, None)
                del module._parameters[name]  # an ordinary attribute takes its place: a cast weight is no parameter
                self.weights.append((module, name, master))

    def refresh(self) -> None:
        """Take over the masters' weights, as they are now."""
        for module, name, master in self.weights:
            module.__dict__[name] = master.to(self.dtype)

    @property
    def decoder(self) -> Decoder | None:
        """The unlocked decoder in the type of the copy, if the network has one."""
        return self.module.decoder

    def encode_condition(self, condition: Tensor) -> Tensor:
        """As `ControlNet.encode_condition`, in the type of the copy."""
        return self.calls.encode_condition(condition)

    def forward(self, *args: Any, **kwargs: Any) -> Residuals:
        """As `NarrowCalls` of the copy."""
        return self.calls(*args, **kwargs)
