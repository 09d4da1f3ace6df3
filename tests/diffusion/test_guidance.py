"""Guidance on the prompt and on the control is a denoiser around a denoiser (section 3.4)."""

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.tiny import numbers
from zeroconv.diffusion import CFGDenoiser, ControlGuidanceDenoiser

T = torch.tensor(500)


class Known:
    """A denoiser whose predictions for the parts of a batch are known; it remembers what it was asked."""

    def __init__(self, *parts: Tensor) -> None:
        self.parts, self.asked = torch.cat(parts), list[tuple[Tensor, int]]()

    def __call__(self, z_t: Tensor, t: Tensor, step: int) -> Tensor:
        self.asked.append((z_t, step))
        return self.parts


@given(seed=st.integers(0, 1000), scale=st.floats(-10, 20))
def test_guidance_is_a_line_through_both_predictions(seed: int, scale: float) -> None:
    z, without, conditional = (numbers(2, 4, 3, 3, seed=seed + i) for i in range(3))
    inner = Known(without, conditional)
    assert torch.equal(CFGDenoiser(inner, 0.0)(z, T, 0), without)
    torch.testing.assert_close(CFGDenoiser(inner, 1.0)(z, T, 0), conditional)
    assert torch.equal(CFGDenoiser(Known(without, without), scale)(z, T, 0), without)
    wanted = (1 - scale) * without + scale * conditional
    torch.testing.assert_close(CFGDenoiser(inner, scale)(z, T, 0), wanted, atol=1e-4, rtol=1e-4)


def test_both_predictions_come_from_one_batch_at_the_same_step() -> None:
    z, inner = numbers(2, 4, 3, 3), Known(numbers(2, 4, 3, 3, seed=1), numbers(2, 4, 3, 3, seed=2))
    CFGDenoiser(inner, 7.5)(z, T, 3)
    ((asked, step),) = inner.asked
    assert step == 3 and torch.equal(asked, torch.cat([z, z]))


@given(seed=st.integers(0, 1000), scale=st.floats(-10, 20), control_scale=st.floats(-10, 20))
def test_guidance_on_the_control_is_that_on_the_prompt_and_a_line_to_the_controlled(
    seed: int, scale: float, control_scale: float
) -> None:
    z, without, prompted, controlled = (numbers(2, 4, 3, 3, seed=seed + i) for i in range(4))
    inner, alike = Known(without, prompted, controlled), dict[str, Any](atol=1e-4, rtol=1e-4)
    by_prompt = CFGDenoiser(Known(without, prompted), scale)(z, T, 0)
    assert torch.equal(ControlGuidanceDenoiser(inner, scale, 0.0)(z, T, 0), by_prompt)
    wanted = by_prompt + control_scale * (controlled - prompted)
    torch.testing.assert_close(ControlGuidanceDenoiser(inner, scale, control_scale)(z, T, 0), wanted, **alike)
    on_one_side = CFGDenoiser(Known(without, controlled), scale)(z, T, 0)
    torch.testing.assert_close(ControlGuidanceDenoiser(inner, scale, scale)(z, T, 0), on_one_side, **alike)
    alone = CFGDenoiser(Known(prompted, controlled), control_scale)(z, T, 0)
    torch.testing.assert_close(ControlGuidanceDenoiser(inner, 1.0, control_scale)(z, T, 0), alone, **alike)


def test_three_predictions_come_from_one_batch() -> None:
    z, inner = numbers(2, 4, 3, 3), Known(*(numbers(2, 4, 3, 3, seed=i) for i in range(3)))
    ControlGuidanceDenoiser(inner, 7.5, 2.0)(z, T, 3)
    ((asked, step),) = inner.asked
    assert step == 3 and torch.equal(asked, torch.cat([z, z, z]))
