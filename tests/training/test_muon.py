"""Muon: orthogonal updates for the matrices, and exactly AdamW for everything else."""

import pytest
import torch
from torch import Tensor, nn

from zeroconv.training.optimization.muon import Muon, orthogonalize
from zeroconv.training.optimization.optimizer import new_optimizer

SHAPES = [(16, 40), (40, 16), (24, 24), (24, 30)]


def newton_schulz(matrix: Tensor) -> Tensor:
    """The iteration as it is published, on one matrix in double precision."""
    x = matrix.double() / (matrix.double().norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    return x.T if tall else x


def random_matrices(count: int, *shape: int) -> Tensor:
    return torch.randn((count, *shape), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonal_moves_every_singular_value_near_one(shape: tuple[int, int]):
    matrices = random_matrices(3, *shape)
    before, after = torch.linalg.svdvals(matrices), torch.linalg.svdvals(orthogonalize(matrices))
    assert after.min() > 0.2 and after.max() < 1.3
    assert (before.amax(1) / before.amin(1) > after.amax(1) / after.amin(1)).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stack_of_matrices_gives_the_published_iteration_of_each(shape: tuple[int, int]):
    matrices = random_matrices(4, *shape) * torch.tensor([1e-3, 1.0, 10.0, 1e3])[:, None, None]
    for matrix, found in zip(matrices, orthogonalize(matrices), strict=True):
        assert torch.allclose(found.double(), newton_schulz(matrix), atol=2e-5)


def test_matrices_of_one_shape_are_updated_as_each_alone():
    """Two convolutions and a linear layer of one shape, one without a gradient, against an optimizer for each."""
    together = [nn.Parameter(random_matrices(1, 6, 2, 2, 2)[0] + i) for i in range(2)] + [nn.Parameter(torch.ones(6, 8))]
    alone = [nn.Parameter(parameter.detach().clone()) for parameter in together]
    groups = [{"params": together, "lr": 0.1, "orthogonal": True}]
    optimizers = [Muon(groups), *(Muon([{"params": [p], "lr": 0.1, "orthogonal": True}]) for p in alone)]
    for step in range(3):
        for i in range(3):
            gradient = None if i == 1 and step == 0 else random_matrices(1, 6, 8)[0].cos() * (i + step + 1)
            for parameter in (together[i], alone[i]):
                parameter.grad = None if gradient is None else gradient.view_as(parameter)
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


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
    optimizer = new_optimizer(network, "muon", 1e-3, 0.01)
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters())
    assert {p.ndim for p in optimizer.param_groups[0]["params"]} == {4}
    assert optimizer.param_groups[0]["full_lr"] == pytest.approx(1e-2)


def test_both_optimizers_learn_a_regression():
    for name in ("adamw", "muon"):
        torch.manual_seed(0)
        network, x = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 1)), torch.randn(64, 4)
        wanted, losses = x[:, :1] * x[:, 1:2], list[float]()
        optimizer = new_optimizer(network, name, 1e-2, 0.0)
        for _ in range(60):
            optimizer.zero_grad()
            loss = (network(x) - wanted).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.7 * losses[0], name
