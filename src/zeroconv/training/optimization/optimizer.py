"""AdamW, as the authors train, or Muon for the matrices with AdamW for the rest, which learns from fewer samples."""

import torch
from torch import nn

from zeroconv.training.config.groups import OptimizerName
from zeroconv.training.optimization.muon import Muon

__all__ = ["new_optimizer"]

MUON_RATE = 10.0  # Muon's learning rate over AdamW's: 0.01 and 1e-3 were found on the tiny base


def new_optimizer(network: nn.Module, name: OptimizerName, rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """An optimizer whose groups keep their full learning rate under "full_lr".

    With "muon" weights of two and more dimensions are updated by `Muon` with ten times `rate`; biases, norms,
    token embeddings and modules named `conv_in` or `conv_out` by AdamW with `rate`, in the same object.
    """
    if name == "adamw":
        groups = [{"params": list(network.parameters()), "lr": rate, "full_lr": rate}]
        return torch.optim.AdamW(groups, weight_decay=weight_decay)
    matrices, rest = split_parameters(network)
    return Muon(
        [
            {"params": matrices, "lr": MUON_RATE * rate, "full_lr": MUON_RATE * rate, "orthogonal": True},
            {"params": rest, "lr": rate, "full_lr": rate, "orthogonal": False},
        ],
        weight_decay,
    )


def split_parameters(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The matrices inside a network, and everything else."""
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        outer = any(word in name for word in ("embedding.weight", "conv_in", "conv_out"))
        (rest if outer or parameter.ndim < 2 else matrices).append(parameter)
    return matrices, rest
