"""Attention by blocks of scores is PyTorch's, whatever a block holds."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from zeroconv.diffusion.randomness import keyed_noise
from zeroconv.runtime import attention
from zeroconv.runtime.attention import attend

ALLOWED = {torch.float32: 1e-6, torch.bfloat16: 1e-2}


def states(heads: int, count: int, length: int, width: int, dtype: torch.dtype) -> list[Tensor]:
    """Queries, keys and values of two pictures as a layer makes them: tokens first, heads side by side."""
    sizes = enumerate((count, length, length))
    made = (keyed_noise((2, size, heads * width), place, "attention").to(dtype) for place, size in sizes)
    return [one.view(2, one.shape[1], heads, width).transpose(1, 2) for one in made]


@pytest.mark.parametrize("block", [1, 700, 4096, 40_000, 1 << 22])
@pytest.mark.parametrize(
    ("heads", "count", "length", "width"), [(3, 50, 50, 10), (5, 33, 77, 16), (1, 7, 128, 40), (4, 1, 9, 3)]
)
@pytest.mark.parametrize("dtype", ALLOWED)
@pytest.mark.parametrize("tiles", [False, True], ids=["blocks", "fused"])
def test_blocks_are_the_whole(
    dtype: torch.dtype,
    heads: int,
    count: int,
    length: int,
    width: int,
    block: int,
    tiles: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blocks of less than a row, of some rows, of some heads and of everything, with rests of each."""
    monkeypatch.setattr(attention, "multiplies_tiles", lambda: tiles)
    monkeypatch.setattr(attention, "BLOCK", block)
    q, k, v = states(heads, count, length, width, dtype)
    found = attend(q, k, v, 0.3)
    expected = functional.scaled_dot_product_attention(q.double(), k.double(), v.double(), scale=0.3)
    assert found.shape == q.shape
    assert found.dtype == dtype
    assert float((found.double() - expected).norm() / expected.norm()) < ALLOWED[dtype]


def test_every_block_is_as_wide_as_the_caches_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """No block of scores is larger than asked for, and the memory of one is used again."""
    blocks = list[tuple[int, int]]()
    plain = attention.attend_block

    def noted(q: Tensor, keys: Tensor, v: Tensor, scale: float, spare: Tensor, out: Tensor) -> None:
        blocks.append((len(q) * q.shape[1] * keys.shape[2] * q.element_size(), spare.data_ptr()))
        plain(q, keys, v, scale, spare, out)

    monkeypatch.setattr(attention, "multiplies_tiles", lambda: False)
    monkeypatch.setattr(attention, "BLOCK", 10_000)
    monkeypatch.setattr(attention, "attend_block", noted)
    q, k, v = states(3, 50, 50, 10, torch.bfloat16)
    attend(q, k, v, 0.3)
    assert len(blocks) == 3  # two of the six heads at a time, 5,000 bytes each
    assert all(size == 10_000 for size, _ in blocks)
    assert len({memory for _, memory in blocks}) == 1
