"""AdamW, as the authors train; Muon for matrices with AdamW for the rest, which learns from fewer samples; and others."""

import importlib
from typing import Any

import torch
from torch import nn

from zeroconv.errors import InputError
from zeroconv.training.config.optimization import OptimizerName
from zeroconv.training.optimization.adamw8bit import AdamW8bit
from zeroconv.training.optimization.muon import Muon

__all__ = ["new_optimizer"]

MUON_RATE = 10.0  # Muon's learning rate over AdamW's: 0.01 and 1e-3 were found on the tiny base


def new_optimizer(
    network: nn.Module, name: OptimizerName, rate: float, weight_decay: float, fused: bool = False
) -> torch.optim.Optimizer:
    """An optimizer whose groups keep their full learning rate under "full_lr".

    With "muon" weights of two and more dimensions are updated by `Muon` with ten times `rate`; biases, norms,
    token embeddings and modules named `conv_in` or `conv_out` by AdamW with `rate`, in the same object.

    Args:
        network: whose parameters it moves.
        name: which one.
        rate: the learning rate at its highest.
        weight_decay: of AdamW and Prodigy, and of Muon's AdamW.
        fused: AdamW in one pass over the weights.

    Raises:
        InputError: when Prodigy's package is not installed.
    """
    groups: list[dict[str, Any]] = [{"params": list(network.parameters()), "lr": rate, "full_lr": rate}]
    if name == "adamw":
        return torch.optim.AdamW(groups, weight_decay=weight_decay, fused=fused)
    if name == "adamw8bit":
        return AdamW8bit(groups, weight_decay)
    if name == "prodigy":
        groups[0]["weight_decay"] = weight_decay  # of the group: as an argument it makes the class print
        return import_prodigy().Prodigy(groups, use_bias_correction=True, safeguard_warmup=True)
    matrices, rest = split_parameters(network)
    return Muon(
        [
            {"params": matrices, "lr": MUON_RATE * rate, "full_lr": MUON_RATE * rate, "orthogonal": True},
            {"params": rest, "lr": rate, "full_lr": rate, "orthogonal": False},
        ],
        weight_decay,
    )


def import_prodigy() -> Any:
    """The package prodigyopt.

    Raises:
        InputError: naming the extra that installs it.
    """
    try:
        return importlib.import_module("prodigyopt")
    except ImportError as error:
        message = "optimizer 'prodigy' needs the package prodigyopt, which is not installed"
        raise InputError(message, field="optimization.optimizer", hint='pip install "zeroconv[prodigy]"') from error


def split_parameters(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The matrices inside a network, and everything else."""
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        outer = any(word in name for word in ("embedding.weight", "conv_in", "conv_out"))
        (rest if outer or parameter.ndim < 2 else matrices).append(parameter)
    return matrices, rest
