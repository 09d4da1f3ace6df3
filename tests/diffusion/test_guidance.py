"""Classifier-free guidance is a denoiser around a denoiser (section 3.4)."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.tiny import numbers
from zeroconv.diffusion import CFGDenoiser

T = torch.tensor(500)


class TwoHalves:
    """A denoiser whose predictions for both halves of a batch are known; it remembers what it was asked."""

    def __init__(self, unconditional: Tensor, conditional: Tensor) -> None:
        self.both, self.asked = torch.cat([unconditional, conditional]), list[tuple[Tensor, int]]()

    def __call__(self, z_t: Tensor, t: Tensor, step: int) -> Tensor:
        self.asked.append((z_t, step))
        return self.both


@given(seed=st.integers(0, 1000), scale=st.floats(-10, 20))
def test_guidance_is_a_line_through_both_predictions(seed: int, scale: float) -> None:
    z, without, conditional = (numbers(2, 4, 3, 3, seed=seed + i) for i in range(3))
    inner = TwoHalves(without, conditional)
    assert torch.equal(CFGDenoiser(inner, 0.0)(z, T, 0), without)
    torch.testing.assert_close(CFGDenoiser(inner, 1.0)(z, T, 0), conditional)
    assert torch.equal(CFGDenoiser(TwoHalves(without, without), scale)(z, T, 0), without)
    wanted = (1 - scale) * without + scale * conditional
    torch.testing.assert_close(CFGDenoiser(inner, scale)(z, T, 0), wanted, atol=1e-4, rtol=1e-4)


def test_both_predictions_come_from_one_batch_at_the_same_step() -> None:
    z, inner = numbers(2, 4, 3, 3), TwoHalves(numbers(2, 4, 3, 3, seed=1), numbers(2, 4, 3, 3, seed=2))
    CFGDenoiser(inner, 7.5)(z, T, 3)
    ((asked, step),) = inner.asked
    assert step == 3 and torch.equal(asked, torch.cat([z, z]))
