"""A state gives back what was saved, to whichever parameter it belongs."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.tiny import build_control, copies, unchanged
from zeroconv.control import ControlNet
from zeroconv.training.config.optimization import OptimizerName
from zeroconv.training.optimization.optimizer import new_optimizer
from zeroconv.training.optimization.weight_average import WeightAverage
from zeroconv.training.run_folder.state import gather_state, restore_state


def take_steps(network: ControlNet, steps: int, optimizer: torch.optim.Optimizer | None = None) -> torch.optim.Optimizer:
    """A few steps, of AdamW if no optimizer is given, on a made-up loss."""
    optimizer = optimizer or new_optimizer(network, "adamw", 1e-3, 0.01)
    for step in range(steps):
        optimizer.zero_grad()
        torch.stack([((p - step) ** 2).sum() for p in network.parameters()]).sum().backward()
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_state_gives_back_network_and_optimizer(unet: Any, kind: OptimizerName) -> None:
    network = build_control(unet, seed=1)
    optimizer = take_steps(network, 2, new_optimizer(network, kind, 1e-3, 0.01))
    saved = copies(gather_state(network, optimizer).items())
    expected = copies(network.state_dict().items())
    take_steps(network, 3, optimizer)
    after = copies(network.state_dict().items())

    other = build_control(unet, seed=2)
    fresh = new_optimizer(other, kind, 1e-3, 0.01)
    restore_state(saved, other, fresh)
    assert unchanged(other, expected)
    take_steps(other, 3, fresh)  # moments and step counts too
    assert unchanged(other, after)


def test_averaged_weights_are_part_of_the_state(unet: Any) -> None:
    network = build_control(unet, seed=1)
    average = WeightAverage(network, 0.5)
    optimizer = take_steps(network, 2)
    average.update(2)
    saved = copies(gather_state(network, optimizer, average.tensors).items())
    other = build_control(unet, seed=2)
    fresh = WeightAverage(other, 0.5)
    restore_state(saved, other, new_optimizer(other, "adamw", 1e-3, 0.01), fresh.tensors)
    assert all(torch.equal(fresh.tensors[name], tensor) for name, tensor in average.tensors.items())
    without = {name: tensor for name, tensor in saved.items() if not name.startswith("average.")}
    restore_state(without, other, new_optimizer(other, "adamw", 1e-3, 0.01), fresh.tensors)
    assert all(torch.equal(fresh.tensors[name], p) for name, p in network.named_parameters())


def test_averages_in_the_machines_memory_are_the_same(unet: Any) -> None:
    network = build_control(unet, seed=1)
    averages = [WeightAverage(network, 0.5, on_cpu) for on_cpu in (False, True)]
    for step in range(2):
        take_steps(network, 1)
        for average in averages:
            average.update(step)
    weights = copies(network.state_dict().items())
    for name, tensor in averages[0].tensors.items():
        assert torch.equal(tensor, averages[1].tensors[name]) and tensor.data_ptr() != averages[1].tensors[name].data_ptr()
    with averages[1].in_use():
        assert unchanged(network, dict(averages[0].tensors))
    assert unchanged(network, weights)


def test_the_state_of_another_network_is_refused_in_one_line() -> None:
    saved = gather_state(nn.Linear(2, 3), torch.optim.SGD(nn.Linear(2, 3).parameters()))
    with pytest.raises(ValueError, match=r"the saved state is another network's: size mismatch for weight") as caught:
        other = nn.Linear(2, 4, bias=False)
        restore_state(saved, other, new_optimizer(other, "adamw", 1e-3, 0.01))
    assert "\n" not in str(caught.value)


class Pair(nn.Module):
    """Two layers of one shape, which a reordering would exchange without a word."""

    def __init__(self, order: str) -> None:
        super().__init__()
        for name in order:
            self.register_module(name, nn.Linear(2, 2))


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_moments_belong_to_names_and_not_to_places(kind: OptimizerName) -> None:
    first, second = Pair("ab"), Pair("ba")
    one, other = (new_optimizer(network, kind, 1e-3, 0.01) for network in (first, second))
    for step in range(2):
        one.zero_grad()
        sum((i + step) * p.square().sum() for i, p in enumerate(first.parameters())).backward()  # pyright: ignore
        one.step()
    restore_state(gather_state(first, one), second, other)
    of_first, of_second = dict(first.named_parameters()), dict(second.named_parameters())
    assert list(of_first) != list(of_second)
    for name, parameter in of_first.items():
        moments = other.state[of_second[name]]
        assert all(torch.equal(moments[key], value) for key, value in one.state[parameter].items()), name


def test_moments_of_other_parameters_are_refused() -> None:
    network = nn.Linear(2, 3)
    optimizer = new_optimizer(network, "adamw", 1e-3, 0.01)
    weights = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for moments, message in (
        ({"optimizer.scale.exp_avg": torch.zeros(3)}, "moments of 'scale', a parameter that is not trained"),
        ({"optimizer.bias.exp_avg": torch.zeros(2)}, r"exp_avg of 'bias' has shape \(2,\), expected \(3,\)"),
        ({"optimizer.2.exp_avg": torch.zeros(3)}, "moments of '2', a parameter that is not trained"),
    ):
        with pytest.raises(ValueError, match=message):
            restore_state({**weights, **moments}, network, optimizer)
