"""The state from which a run resumes: network, optimizer, step."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.files.atomic import write_text

__all__ = ["load_state", "save_state"]

POINTER = "step.json"


def save_state(folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write what resuming needs, then remove what was there before.

    The tensors are called `network.NAME` and `optimizer.NAME.MOMENT`, NAME being the parameter's name in the network.
    `step.json` comes last and names the file that belongs to the step.

    Args:
        folder: where; its parent must exist.
        network: the trained network.
        optimizer: of its parameters.
        step: steps done.

    Raises:
        OSError: when it cannot be written, naming the file; the older state stays.
    """
    folder.mkdir(exist_ok=True)
    name, names = f"step-{step:07d}.safetensors", {id(p): name for name, p in network.named_parameters()}
    tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
    for parameter, moments in optimizer.state.items():
        prefix = f"optimizer.{names[id(parameter)]}"
        tensors |= {f"{prefix}.{moment}": torch.as_tensor(value) for moment, value in moments.items()}
    write_safetensors(folder / name, tensors)
    write_text(folder / POINTER, json.dumps({"step": step, "file": name}))
    for old in folder.glob("step-*.safetensors"):
        if old.name != name:
            old.unlink()


def load_state(folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Fill network and optimizer from the newest state; the step reached, 0 when there is none.

    Raises:
        ValueError: when the state is another network's.
    """
    pointer = folder / POINTER
    if not pointer.exists():
        return 0
    found = json.loads(pointer.read_text("utf-8"))
    tensors = read_safetensors(folder / found["file"])
    network.load_state_dict(strip_prefix(tensors, "network."))
    moments: dict[str, dict[str, Tensor]] = {}
    for key, value in strip_prefix(tensors, "optimizer.").items():
        name, _, moment = key.rpartition(".")
        moments.setdefault(name, {})[moment] = value
    set_moments(network, optimizer, moments)
    return int(found["step"])


def strip_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def set_moments(network: nn.Module, optimizer: torch.optim.Optimizer, moments: Mapping[str, dict[str, Tensor]]) -> None:
    """Give each parameter the moments saved under its name, in whatever order the optimizer holds the parameters.

    Older states call a parameter by its place in the optimizer; they fit where the places' shapes do.

    Raises:
        ValueError: for moments of a parameter that is not there, or of another shape.
    """
    names = {id(p): name for name, p in network.named_parameters()}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    by_place = all(name.isdigit() for name in moments)
    state: dict[int, dict[str, Any]] = {}
    for place, parameter in enumerate(parameters):
        name = str(place) if by_place else names[id(parameter)]
        if name in moments:
            state[place] = moments[name]
            check_shapes(names[id(parameter)], parameter, moments[name])
    if len(state) != len(moments):
        known = {str(place) for place in range(len(parameters))} if by_place else set(names.values())
        raise ValueError(f"the saved optimizer has moments of {min(moments.keys() - known)!r}, a parameter that is not trained")
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def check_shapes(name: str, parameter: Tensor, moments: Mapping[str, Tensor]) -> None:
    """Refuse moments of another shape than their parameter's; a count of steps is a single number."""
    for moment, value in moments.items():
        if value.ndim and value.shape != parameter.shape:
            got, expected = tuple(value.shape), tuple(parameter.shape)
            raise ValueError(f"the saved optimizer's {moment} of {name!r} has shape {got}, expected {expected}")
