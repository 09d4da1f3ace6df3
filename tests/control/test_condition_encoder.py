"""The condition encoder E in both forms (section 3.2)."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.tiny import numbers
from zeroconv.control import ConditionEncoder, PaperConditionEncoder
from zeroconv.control.condition_encoder import build_condition_encoder


@given(height=st.integers(1, 6), width=st.integers(1, 6), channels=st.sampled_from([1, 3, 4]))
@pytest.mark.parametrize("form", ["released", "paper"])
def test_is_zero_at_birth_and_an_eighth_of_the_size(form: str, height: int, width: int, channels: int) -> None:
    encoder = build_condition_encoder(form, 8, channels, (4, 4, 8, 8), "zero")
    features = encoder(torch.rand(2, channels, 8 * height, 8 * width))
    assert features.shape == (2, 8, height, width)
    assert not features.any()


@pytest.mark.parametrize("form", ["released", "paper"])
def test_gaussian_is_not_zero_at_birth(form: str) -> None:
    assert build_condition_encoder(form, 8, 3, (4, 4, 8, 8), "gaussian")(torch.rand(1, 3, 16, 16)).std() > 1e-3


def test_released_form_has_the_published_size() -> None:
    encoder = ConditionEncoder(320)
    assert sum(p.numel() for p in encoder.parameters()) == 1_086_480
    shapes = [tuple(m.weight.shape) + m.stride[:1] for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert shapes == [  # output, input, kernel, kernel, stride: the table in the paper's released code
        (16, 3, 3, 3, 1), (16, 16, 3, 3, 1), (32, 16, 3, 3, 2), (32, 32, 3, 3, 1),
        (96, 32, 3, 3, 2), (96, 96, 3, 3, 1), (256, 96, 3, 3, 2), (320, 256, 3, 3, 1),
    ]  # fmt: skip


def test_paper_form_has_four_gaussian_convolutions() -> None:
    encoder = PaperConditionEncoder(320)
    convolutions = [m for m in encoder.convolutions if isinstance(m, nn.Conv2d)]
    assert [(m.out_channels, m.kernel_size) for m in convolutions] == [(n, (4, 4)) for n in (16, 32, 64, 128)]
    last = convolutions[-1]
    assert last.weight.std().item() == pytest.approx((2 / (64 * 16)) ** 0.5, rel=0.05)


def test_both_forms_start_gaussian_so_that_a_difference_of_conditions_survives() -> None:
    one, two = (numbers(1, 3, 64, 64, seed=seed).sigmoid().round() for seed in (1, 2))
    for form in ("released", "paper"):
        encoder: Any = build_condition_encoder(form, 8, 3, (16, 32, 96, 256), "zero")
        hidden: list[torch.Tensor] = []
        encoder.conv_out.register_forward_pre_hook(lambda _, args, hidden=hidden: hidden.append(args[0]))
        for condition in (one, two):
            encoder(condition)
        assert (hidden[0] - hidden[1]).std() > 0.1 * hidden[0].std(), form


def test_features_depend_on_the_place_they_come_from() -> None:
    encoder = ConditionEncoder(8, channels=(4, 4, 8, 8), connection="gaussian")
    condition = numbers(1, 3, 64, 64).sigmoid()
    changed = condition.clone()
    changed[..., :8, :8] = 0
    far = (encoder(condition) - encoder(changed)).abs().sum(dim=1)[0]
    assert far[0, 0] > 0 and not far[6:, 6:].any()


def test_wrong_settings_are_one_line() -> None:
    with pytest.raises(ValueError, match=r"^condition encoder form is 'other'; expected 'released' or 'paper'$"):
        build_condition_encoder("other", 8, 3, (4, 4), "zero")
    with pytest.raises(ValueError, match=r"^conditioning_channels is 0; expected 1 or more"):
        build_condition_encoder("released", 8, 0, (4, 4), "zero")
