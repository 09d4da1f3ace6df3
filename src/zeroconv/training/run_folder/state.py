"""The state from which a run resumes, as tensors by name: network, optimizer, averaged weights, loss scale."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zeroconv.training.optimization.adamw8bit import BLOCK

__all__ = ["find_parameter", "gather_state", "restore_state", "strip_prefix"]

ESTIMATES = ("d", "d_max", "d_numerator", "k")
"""What Prodigy knows about a whole group: its learning rate, the numbers that this comes from, and the steps done."""


def gather_state(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor] | None = None,
    loss_scale: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """What resuming needs, in one dictionary; the tensors are the ones in use.

    They are called `network.NAME`, `average.NAME`, `optimizer.NAME.MOMENT` and `loss_scale.NAME`, NAME being the parameter's
    in the network. What an optimizer estimates for a whole group is `optimizer_group.NUMBER.NAME`.

    Args:
        network: the trained network.
        optimizer: of its parameters.
        average: averaged weights, if the run keeps them.
        loss_scale: of float16.
    """
    names = {id(p): name for name, p in network.named_parameters()}
    tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
    for parameter, moments in optimizer.state.items():
        prefix = f"optimizer.{names[id(parameter)]}"
        tensors |= {f"{prefix}.{moment}": torch.as_tensor(value) for moment, value in moments.items()}
    for number, group in enumerate(optimizer.param_groups):
        for name in ESTIMATES:
            if name in group:
                kind = torch.int64 if isinstance(group[name], int) else torch.float64
                tensors[f"optimizer_group.{number}.{name}"] = torch.tensor(group[name], dtype=kind)
    tensors |= {f"loss_scale.{name}": tensor for name, tensor in (loss_scale or {}).items()}
    return tensors | {f"average.{name}": value for name, value in (average or {}).items()}


def restore_state(
    tensors: Mapping[str, Tensor],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor] | None = None,
) -> None:
    """Fill network, optimizer and averaged weights; an average that was not kept begins at the network's weights.

    Raises:
        ValueError: when the state is another network's.
    """
    try:
        network.load_state_dict(strip_prefix(tensors, "network."))
    except RuntimeError as error:
        raise ValueError(f"the saved state is another network's: {str(error).splitlines()[-1].strip()}") from error
    moments: dict[str, dict[str, Tensor]] = {}
    for key, value in strip_prefix(tensors, "optimizer.").items():
        name, _, moment = key.rpartition(".")
        moments.setdefault(name, {})[moment] = value
    set_moments(network, optimizer, moments)
    for key, value in strip_prefix(tensors, "optimizer_group.").items():
        number, _, name = key.partition(".")
        optimizer.param_groups[int(number)][name] = value.item()
    if average is not None:
        saved = strip_prefix(tensors, "average.") or dict(network.named_parameters())
        for name, tensor in average.items():
            tensor.copy_(saved[name].detach())


def find_parameter(key: str, parameters: Mapping[str, Tensor]) -> Tensor | None:
    """The parameter that a tensor of a state is, averages, or is a moment of; None when there is none.

    Args:
        key: as `gather_state` names it.
        parameters: of the network, by name.
    """
    kind, _, name = key.partition(".")
    return parameters.get(name.rpartition(".")[0] if kind == "optimizer" else name)


def strip_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def set_moments(network: nn.Module, optimizer: torch.optim.Optimizer, moments: Mapping[str, dict[str, Tensor]]) -> None:
    """Give each parameter the moments saved under its name, in whatever order the optimizer holds the parameters.

    Raises:
        ValueError: for moments of a parameter that is not there, or of another shape.
    """
    names = {id(p): name for name, p in network.named_parameters()}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for place, parameter in enumerate(parameters):
        name = names[id(parameter)]
        if name in moments:
            check_shapes(name, parameter, moments[name])
            state[place] = moments[name]
    if len(state) != len(moments):
        unknown = min(moments.keys() - set(names.values()))
        raise ValueError(f"the saved optimizer has moments of {unknown!r}, a parameter that is not trained")
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, name in ((p, names[id(p)]) for p in parameters):
        codes = {key: value for key, value in moments.get(name, {}).items() if value.dtype == torch.uint8}
        for moment, value in codes.items():  # of 8 bits, which torch has cast to the parameter's type
            optimizer.state[parameter][moment] = value.to(parameter.device, copy=True)


def check_shapes(name: str, parameter: Tensor, moments: Mapping[str, Tensor]) -> None:
    """Refuse moments of another size than their parameter's, or its blocks'; a count of steps is a single number."""
    numbers = parameter.numel()
    for moment, value in moments.items():
        fits = value.shape in (parameter.shape, (numbers,), (numbers // BLOCK,)) or not value.ndim
        if not fits:
            got, expected = tuple(value.shape), tuple(parameter.shape)
            raise ValueError(f"the saved optimizer's {moment} of {name!r} has shape {got}, expected {expected}")
