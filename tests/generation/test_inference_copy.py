"""A pipeline runs networks in evaluation mode and in its dtype, and changes none of them."""

from typing import Any

import pytest
import torch

from tests.tiny import build_control, build_inputs
from zeroconv.control import ControlNet
from zeroconv.generation.inference_copy import InferenceCopies

CPU = torch.device("cpu")


@pytest.fixture
def network(unet: Any) -> ControlNet:
    return build_control(unet, seed=1)


def test_what_fits_is_itself(network: ControlNet) -> None:
    assert InferenceCopies().get(network.eval(), CPU, torch.float32) is network


def test_a_network_in_training_shares_its_tensors_and_keeps_its_mode(network: ControlNet) -> None:
    network.train()
    network.mid_block.eval()
    modes = [module.training for module in network.modules()]
    copy = InferenceCopies().get(network, CPU, torch.float32)
    assert copy is not network and not any(module.training for module in copy.modules())
    assert [module.training for module in network.modules()] == modes
    pairs = list(zip(copy.parameters(), network.parameters(), strict=True))
    assert all(mine is theirs for mine, theirs in pairs)


def test_tensors_are_converted_once_and_again_when_they_changed(network: ControlNet) -> None:
    copies = InferenceCopies()
    first, second = (copies.get(network, CPU, torch.bfloat16) for _ in range(2))
    assert {tensor.dtype for tensor in first.parameters()} == {torch.bfloat16}
    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}
    assert all(a.data_ptr() == b.data_ptr() for a, b in zip(first.parameters(), second.parameters(), strict=True))
    weight, bias = (network.get_parameter(f"conv_in.{part}") for part in ("weight", "bias"))
    optimizer = torch.optim.SGD([weight], 0.1)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    bias.data = bias.data + 1
    third = copies.get(network, CPU, torch.bfloat16)
    assert torch.equal(third.get_parameter("conv_in.weight"), weight.bfloat16())
    assert torch.equal(third.get_parameter("conv_in.bias"), bias.bfloat16())
    kept = "time_embedding.linear_1.weight"
    assert third.get_parameter(kept).data_ptr() == first.get_parameter(kept).data_ptr()


@torch.no_grad()
def test_a_low_rank_copy_borrows_from_the_same_base(unet: Any) -> None:
    network = build_control(unet, seed=1, variant="lora", rank=4).train()
    copy = InferenceCopies().get(network, CPU, torch.float32)
    copy.check_base(unet)
    z_t, t, text, condition = build_inputs(unet)
    ours, theirs = copy(z_t, t, text, condition), network.eval()(z_t, t, text, condition)
    assert all(torch.equal(ours[site], theirs[site]) for site in theirs)
