"""How strongly each connection acts (section 3.4)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.control import WEIGHTINGS, StepWindow, layer_weights
from zeroconv.control.weighting import DECAY, check_scale, condition_side_only

# SD at 512 pixels: 320@64 x3, 320@32, 640@32 x2, 640@16, 1280@16 x2, 1280@8 x3, the middle 1280@8 (figure 3)
HEIGHTS = [64] * 3 + [32] * 3 + [16] * 3 + [8] * 4
# SDXL at 1024 pixels: 320@128 x3, 320@64, 640@64 x2, 640@32, 1280@32 x2, the middle 1280@32
XL_HEIGHTS = [128] * 3 + [64] * 3 + [32] * 4


def test_resolution_is_64_over_the_height() -> None:
    weights = layer_weights("resolution", HEIGHTS).tolist()
    assert weights == [64 / h for h in HEIGHTS]
    assert (weights[0], weights[3], weights[6], weights[-1]) == (1, 2, 4, 8)


@given(st.integers(1, 512))
def test_resolution_is_the_same_at_any_latent_size(height: int) -> None:
    assert layer_weights("resolution", [h * height for h in (8, 4, 2, 1)]).tolist() == [1, 2, 4, 8]


def test_decay_is_that_of_the_released_code() -> None:
    weights = layer_weights("decay", HEIGHTS).tolist()
    assert DECAY == 0.825
    assert weights == [0.825 ** (12 - i) for i in range(13)]
    assert weights[0] == pytest.approx(0.0994, abs=5e-5) and weights[-1] == 1
    assert len(layer_weights("decay", [1] * 10)) == 10 and layer_weights("decay", [1] * 10)[-1] == 1


def test_sdxl_has_ten_weights_of_its_own() -> None:
    """Tools that take the first ten of SD 1.5's thirteen give its middle 0.825 ** 3 = 0.56 and never reach 1."""
    assert layer_weights("resolution", XL_HEIGHTS).tolist() == [1] * 3 + [2] * 3 + [4] * 4
    decay = layer_weights("decay", XL_HEIGHTS).tolist()
    assert decay == [0.825 ** (9 - i) for i in range(10)] and decay[-1] == 1
    assert float(layer_weights("decay", HEIGHTS)[9]) == pytest.approx(0.56, abs=2e-3) and decay[9] == 1


@pytest.mark.parametrize("name", ["uniform", "condition-only"])
def test_the_others_are_one(name: str) -> None:
    assert layer_weights(name, HEIGHTS).tolist() == [1.0] * 13


def test_only_uniform_acts_on_the_unconditional_side() -> None:
    assert {name for name in WEIGHTINGS if not condition_side_only(name)} == {"uniform"}
    assert len(WEIGHTINGS) == 4


@given(steps=st.integers(1, 60), ends=st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda e: e[0] < e[1]))
def test_step_window_has_the_rule_of_diffusers_and_is_never_empty(steps: int, ends: tuple[float, float]) -> None:
    start, end = ends
    window = StepWindow(start, end)
    # `controlnet_keep` of StableDiffusionControlNetPipeline
    keep = [1.0 - float(i / steps < start or (i + 1) / steps > end) for i in range(steps)]
    found = [window.contains(i, steps) for i in range(steps)]
    if any(keep):
        assert found == [bool(k) for k in keep] and not window.between_steps(steps)
    else:
        (only,) = [i for i in range(steps) if found[i]]
        assert only / steps <= (start + end) / 2 <= (only + 1) / steps and window.between_steps(steps)


@given(st.integers(1, 60))
def test_whole_window_has_every_step_and_halves_share_them(steps: int) -> None:
    halves = [[StepWindow(*ends).contains(i, 2 * steps) for i in range(2 * steps)] for ends in ((0, 1), (0, 0.5), (0.5, 1))]
    assert all(halves[0]) and halves[1] == [True] * steps + [False] * steps == halves[2][::-1]


@pytest.mark.parametrize("ends", [(0.5, 0.5), (0.8, 0.2), (-0.1, 1.0), (0.0, 1.1), (math.nan, 1.0), (0.0, math.nan)])
def test_wrong_windows_are_one_line(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"^the step window is .* to .*; expected 0 <= start < end <= 1$"):
        StepWindow(*ends)


@pytest.mark.parametrize("scale", [math.nan, math.inf, -math.inf])
def test_wrong_scales_are_one_line(scale: float) -> None:
    with pytest.raises(ValueError, match=r"^scale is -?(nan|inf); expected a finite number, usually 0 to 2$"):
        check_scale(scale)


def test_unknown_weightings_are_one_line() -> None:
    for ask in (lambda: layer_weights("steep", HEIGHTS), lambda: condition_side_only("steep")):
        with pytest.raises(ValueError, match=r"^weighting is 'steep'; expected one of uniform, .*, condition-only$"):
            ask()
