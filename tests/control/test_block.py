"""Equation 2 around any block (section 3.1)."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from tests.tiny import copies, numbers, unchanged
from zeroconv.control import ControlledBlock

MAPS, TOKENS = (2, 8, 4, 4), (2, 5, 8)
Case = tuple[Callable[[], nn.Module], tuple[int, ...], dict[str, Any]]
CASES: dict[str, Case] = {
    "residual block": (
        lambda: ResnetBlock2D(in_channels=8, temb_channels=6, groups=4),
        MAPS,
        {"temb": numbers(2, 6, seed=9)},
    ),
    "conv-norm-relu": (lambda: nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.ReLU()), MAPS, {}),
    "MLP": (lambda: nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)), TOKENS, {}),
    "attention": (lambda: Attention(query_dim=8, heads=2, dim_head=4), TOKENS, {}),
    "cross attention": (
        lambda: Attention(query_dim=8, cross_attention_dim=6, heads=2, dim_head=4),
        TOKENS,
        {"encoder_hidden_states": numbers(2, 3, 6, seed=9)},
    ),
    "transformer layer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True), TOKENS, {}),
    "transformer block of Stable Diffusion": (
        lambda: BasicTransformerBlock(8, 2, 4, cross_attention_dim=6),
        TOKENS,
        {"encoder_hidden_states": numbers(2, 3, 6, seed=9)},
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def condition_of(shape: tuple[int, ...], channels: int = 3) -> Tensor:
    changed = (shape[0], channels, *shape[2:]) if len(shape) == 4 else (*shape[:-1], channels)
    return numbers(*changed, seed=5)


def test_equals_the_block_at_birth_bit_by_bit(case: Case) -> None:
    build, shape, given = case
    block, x = build(), numbers(*shape)
    controlled = ControlledBlock(block, 8, condition_channels=3)
    y = block(x, **given)
    assert controlled.block is block and not block.training and torch.equal(block(x, **given), y)
    for training in (False, True):  # the locked block stays in evaluation mode
        assert torch.equal(controlled.train(training).block(x, **given), y)
    assert torch.equal(controlled.eval()(x, condition_of(shape) * 1e4, **given), y)


def test_gradients_wake_up_in_order_and_the_block_stays_locked(case: Case) -> None:
    build, shape, given = case
    controlled = ControlledBlock(build(), 8, condition_channels=3)
    for module in controlled.copy.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # so that no parameter sleeps by chance
    before = copies(controlled.block.named_parameters())
    optimiser = torch.optim.SGD((p for p in controlled.parameters() if p.requires_grad), lr=0.1)
    x, c, wanted = numbers(*shape), condition_of(shape), numbers(*shape, seed=7)
    awake: list[set[str]] = []
    for _ in range(3):
        optimiser.zero_grad()
        (controlled(x, c, **given) - wanted).square().mean().backward()
        awake.append({name for name, p in controlled.named_parameters() if p.grad is not None and p.grad.any()})
        optimiser.step()
    zero_out = {name for name, _ in controlled.named_parameters() if name.startswith("zero_out.")}
    copy = {name for name, _ in controlled.named_parameters() if name.startswith("copy.")}
    zero_in = {name for name, _ in controlled.named_parameters() if name.startswith("zero_in.")}
    assert awake == [zero_out, zero_out | copy | zero_in, zero_out | copy | zero_in]
    assert unchanged(controlled.block, before)
    assert not unchanged(controlled.copy, before)
    assert all(p.grad is None and not p.requires_grad for p in controlled.block.parameters())


def test_is_equation_2_once_trained() -> None:
    block = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
    controlled = ControlledBlock(block, 8, condition_channels=3)
    for seed, zero in enumerate((controlled.zero_in, controlled.zero_out)):
        zero.weight.data = numbers(*zero.weight.shape, seed=seed)
        assert zero.bias is not None
        zero.bias.data = numbers(*zero.bias.shape, seed=seed + 2)
    x, c = numbers(2, 5, 8), numbers(2, 5, 3, seed=1)
    z1, z2 = controlled.zero_in, controlled.zero_out
    assert z1.bias is not None and z2.bias is not None
    inner = controlled.copy(x + c @ z1.weight[:, :, 0, 0].T + z1.bias)
    torch.testing.assert_close(controlled(x, c), block(x) + inner @ z2.weight[:, :, 0, 0].T + z2.bias)


def test_copy_shares_no_memory_with_the_block() -> None:
    controlled = ControlledBlock(nn.Linear(8, 8), 8)
    pairs = zip(controlled.block.parameters(), controlled.copy.parameters(), strict=True)
    assert all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in pairs)
    assert controlled.zero_in.in_channels == 8


def test_a_block_may_change_the_number_of_channels() -> None:
    block, x = nn.Conv2d(8, 12, 3, padding=1), numbers(*MAPS)
    assert torch.equal(ControlledBlock(block, 8, 3, out_channels=12)(x, condition_of(MAPS)), block(x))


def test_a_block_that_returns_a_tuple_is_refused_in_one_line() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    with pytest.raises(ValueError, match=r"^the block returned tuple; .*wrap the block.*$"):
        ControlledBlock(Two(), 8)(numbers(*TOKENS), numbers(*TOKENS))
