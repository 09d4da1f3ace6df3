"""Laws of the zero convolution (section 3.1)."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.tiny import numbers, randomized
from zeroconv.control import ZeroConvolution
from zeroconv.control.zero_convolution import connect

SHAPES = [(2, 4, 3, 5), (2, 7, 4), (3, 4)]


@given(shape=st.sampled_from(SHAPES), out=st.integers(1, 6), seed=st.integers(0, 1000))
def test_is_zero_at_birth(shape: tuple[int, ...], out: int, seed: int) -> None:
    zero = ZeroConvolution(4, out)
    output = zero(numbers(*shape, seed=seed) * 1e6)
    assert output.shape == ((2, out, 3, 5) if len(shape) == 4 else (*shape[:-1], out))
    assert not output.any()


@pytest.mark.parametrize("shape", SHAPES)
def test_its_weight_learns_at_once_and_its_input_does_not(shape: tuple[int, ...]) -> None:
    zero, x = ZeroConvolution(4), numbers(*shape).requires_grad_(True)
    g = numbers(*shape, seed=1)
    (zero(x) * g).sum().backward()
    assert x.grad is not None and not x.grad.any()
    # ∂L/∂W = Σ_p g_p x_pᵀ and ∂L/∂b = Σ_p g_p, over all positions p
    rows = [(a.movedim(1, -1) if a.ndim == 4 else a).reshape(-1, 4) for a in (g, x.detach())]
    assert zero.weight.grad is not None and zero.bias is not None and zero.bias.grad is not None
    torch.testing.assert_close(zero.weight.grad[:, :, 0, 0], rows[0].T @ rows[1])
    torch.testing.assert_close(zero.bias.grad, rows[0].sum(dim=0))
    assert zero.weight.grad.all() and zero.bias.grad.all()


def test_its_input_learns_after_one_step() -> None:
    zero, x = ZeroConvolution(4), numbers(2, 4, 3, 3)
    zero(x).square().add(zero(x)).mean().backward()
    torch.optim.SGD(zero.parameters(), lr=0.1).step()
    x.requires_grad_(True)
    zero(x).sum().backward()
    assert x.grad is not None and x.grad.all()


@given(seed=st.integers(0, 1000), height=st.integers(1, 5), width=st.integers(1, 5))
def test_maps_tokens_and_vectors_have_one_map(seed: int, height: int, width: int) -> None:
    zero = randomized(ZeroConvolution(4, 6), seed)
    maps = numbers(2, 4, height, width, seed=seed)
    tokens = maps.flatten(2).transpose(1, 2)
    of_tokens = zero(tokens)
    torch.testing.assert_close(zero(maps).flatten(2).transpose(1, 2), of_tokens)
    torch.testing.assert_close(zero(tokens[:, 0]), of_tokens[:, 0])


def test_is_an_ordinary_1x1_convolution_by_name_and_shape() -> None:
    zero, ordinary = ZeroConvolution(4, 6, dtype=torch.float64), nn.Conv2d(4, 6, 1, dtype=torch.float64)
    ordinary.load_state_dict(zero.state_dict())
    assert zero.weight.dtype == torch.float64 and zero(numbers(1, 4, 2, 2).double()).dtype == torch.float64


def test_connections_are_zero_or_gaussian() -> None:
    assert not any(p.any() for p in connect(4, 6, "zero").parameters())
    gaussian = connect(400, 300, "gaussian")
    assert gaussian.weight.std().item() == pytest.approx(400**-0.5, rel=0.02)
    assert gaussian.bias is not None and not gaussian.bias.any()
    with pytest.raises(ValueError, match=r"'ones'; expected 'zero'.* or 'gaussian'"):
        connect(4, 4, "ones")  # pyright: ignore[reportArgumentType]
