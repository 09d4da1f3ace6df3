"""Muon: orthogonal updates for the matrices, and exactly AdamW for everything else."""

import pytest
import torch
from torch import nn

from zeroconv.training.optimizer import Muon, build_optimizer, orthogonalize


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_orthogonal_moves_every_singular_value_near_one(shape: tuple[int, int]):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(matrix))
    assert values.min() > 0.3 and values.max() < 1.3
    assert torch.linalg.svdvals(matrix).max() / torch.linalg.svdvals(matrix).min() > values.max() / values.min()


def test_orthogonal_does_not_depend_on_the_gradient_s_size():
    matrix = torch.randn((8, 20), generator=torch.Generator().manual_seed(1))
    assert torch.allclose(orthogonalize(matrix), orthogonalize(1000 * matrix), atol=1e-5)


def test_the_rest_is_adamw():
    """Oracle: torch's AdamW on the same gradients."""
    mine, theirs = (nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2))
    a = Muon([{"params": [mine], "lr": 1e-2, "orthogonal": False}], weight_decay=0.1)
    b = torch.optim.AdamW([theirs], lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1)
    for step in range(10):
        for parameter, optimizer in ((mine, a), (theirs, b)):
            parameter.grad = torch.sin(torch.arange(7) + step)
            optimizer.step()
    assert torch.allclose(mine, theirs, atol=1e-6)


def test_every_parameter_is_in_exactly_one_group():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 4, 1))
    optimizer = build_optimizer(network, "muon", 1e-3, 0.01)
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters())
    assert {p.ndim for p in optimizer.param_groups[0]["params"]} == {4}
    assert optimizer.param_groups[0]["full_lr"] == pytest.approx(1e-2)


def test_both_optimizers_learn_a_regression():
    for name in ("adamw", "muon"):
        torch.manual_seed(0)
        network, x = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 1)), torch.randn(64, 4)
        wanted, losses = x[:, :1] * x[:, 1:2], list[float]()
        optimizer = build_optimizer(network, name, 1e-2, 0.0)
        for _ in range(60):
            optimizer.zero_grad()
            loss = (network(x) - wanted).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.7 * losses[0], name
