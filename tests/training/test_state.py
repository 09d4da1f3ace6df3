"""A state gives back what was saved, to whichever parameter it belongs."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.tiny import build_control, copies, unchanged
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.control import ControlNet
from zeroconv.training.config import OptimizerName
from zeroconv.training.optimizer import build_optimizer
from zeroconv.training.state import load_state, save_state


def take_steps(network: ControlNet, steps: int, optimizer: torch.optim.Optimizer | None = None) -> torch.optim.Optimizer:
    """A few steps, of AdamW if no optimizer is given, on a made-up loss."""
    optimizer = optimizer or build_optimizer(network, "adamw", 1e-3, 0.01)
    for step in range(steps):
        optimizer.zero_grad()
        torch.stack([((p - step) ** 2).sum() for p in network.parameters()]).sum().backward()
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_state_gives_back_network_and_optimizer(unet: Any, tmp_path: Path, kind: OptimizerName) -> None:
    network = build_control(unet, seed=1)
    optimizer = take_steps(network, 2, build_optimizer(network, kind, 1e-3, 0.01))
    assert {int(moments["step"]) for moments in optimizer.state.values()} == {2}  # how an interrupt knows whole updates
    save_state(tmp_path, network, optimizer, 2)
    expected = copies(network.state_dict().items())
    take_steps(network, 3, optimizer)
    after = copies(network.state_dict().items())

    other = build_control(unet, seed=2)
    fresh = build_optimizer(other, kind, 1e-3, 0.01)
    assert load_state(tmp_path, other, fresh) == 2
    assert unchanged(other, expected)
    take_steps(other, 3, fresh)  # moments and step counts too
    assert unchanged(other, after)


def test_only_the_newest_state_is_kept(unet: Any, tmp_path: Path) -> None:
    network = build_control(unet)
    optimizer = take_steps(network, 1)
    for step in (1, 5, 3):
        save_state(tmp_path, network, optimizer, step)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-0000003.safetensors", "step.json"]
    assert load_state(tmp_path, network, optimizer) == 3


def test_without_a_state_it_begins_at_nought(unet: Any, tmp_path: Path) -> None:
    network = build_control(unet)
    before = copies(network.state_dict().items())
    assert load_state(tmp_path, network, take_steps(network, 0)) == 0
    assert unchanged(network, before)


class Pair(nn.Module):
    """Two layers of one shape, which a reordering would exchange without a word."""

    def __init__(self, order: str) -> None:
        super().__init__()
        for name in order:
            self.register_module(name, nn.Linear(2, 2))


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_moments_belong_to_names_and_not_to_places(tmp_path: Path, kind: OptimizerName) -> None:
    first, second = Pair("ab"), Pair("ba")
    one, other = (build_optimizer(network, kind, 1e-3, 0.01) for network in (first, second))
    for step in range(2):
        one.zero_grad()
        sum((i + step) * p.square().sum() for i, p in enumerate(first.parameters())).backward()  # pyright: ignore
        one.step()
    save_state(tmp_path, first, one, 2)
    load_state(tmp_path, second, other)
    of_first, of_second = dict(first.named_parameters()), dict(second.named_parameters())
    assert list(of_first) != list(of_second)
    for name, parameter in of_first.items():
        moments = other.state[of_second[name]]
        assert all(torch.equal(moments[key], value) for key, value in one.state[parameter].items()), name


def by_place(folder: Path, network: nn.Module) -> dict[str, Any]:
    """Rewrite a state as earlier versions wrote it: parameters called by their place in the optimizer."""
    pointer = json.loads((folder / "step.json").read_text())
    places = {name: place for place, (name, _) in enumerate(network.named_parameters())}
    tensors: dict[str, Any] = {}
    for key, value in read_safetensors(folder / pointer["file"]).items():
        if key.startswith("optimizer."):
            name, _, moment = key.removeprefix("optimizer.").rpartition(".")
            key = f"optimizer.{places[name]}.{moment}"
        tensors[key] = value.clone()
    write_safetensors(folder / pointer["file"], tensors)
    return tensors


def test_states_of_earlier_versions_resume(unet: Any, tmp_path: Path) -> None:
    network = build_control(unet, seed=1)
    optimizer = take_steps(network, 2)
    save_state(tmp_path, network, optimizer, 2)
    assert "optimizer.0.exp_avg" in by_place(tmp_path, network)
    other = build_control(unet, seed=2)
    fresh = build_optimizer(other, "adamw", 1e-3, 0.01)
    assert load_state(tmp_path, other, fresh) == 2
    take_steps(network, 2, optimizer)
    take_steps(other, 2, fresh)
    assert unchanged(other, copies(network.state_dict().items()))


def test_moments_of_other_parameters_are_refused(tmp_path: Path) -> None:
    network = nn.Linear(2, 3)
    optimizer = build_optimizer(network, "adamw", 1e-3, 0.01)
    weights = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    (tmp_path / "step.json").write_text(json.dumps({"step": 1, "file": "a.safetensors"}))
    for moments, message in (
        ({"optimizer.scale.exp_avg": torch.zeros(3)}, "moments of 'scale', a parameter that is not trained"),
        ({"optimizer.bias.exp_avg": torch.zeros(2)}, r"exp_avg of 'bias' has shape \(2,\), expected \(3,\)"),
        ({"optimizer.0.exp_avg": torch.zeros(3)}, r"exp_avg of 'weight' has shape \(3,\), expected \(3, 2\)"),
        ({"optimizer.2.exp_avg": torch.zeros(3)}, "moments of '2', a parameter that is not trained"),
    ):
        write_safetensors(tmp_path / "a.safetensors", {**weights, **moments})
        with pytest.raises(ValueError, match=message):
            load_state(tmp_path, network, optimizer)
