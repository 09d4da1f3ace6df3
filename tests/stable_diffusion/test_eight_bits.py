"""Weights in 8 bits: how far off each may be, what stays as it is, and what cannot be added to them."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zeroconv import Control, ControlNet, ControlPipeline, StableDiffusion
from zeroconv.errors import InputError
from zeroconv.generation import BaseRequest
from zeroconv.generation.base import describe_base, open_base
from zeroconv.images import to_image
from zeroconv.stable_diffusion.eight_bits import LEAST, quantize


def bytes_of(network: Any) -> int:
    return sum(one.numel() * one.element_size() for one in network.state_dict().values())


def distance(found: Tensor, expected: Tensor) -> float:
    return float((found.float() - expected.float()).norm() / expected.float().norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_no_weight_is_off_by_more_than_half_a_step(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layers: Any = nn.Sequential(nn.Linear(64, 64), nn.Conv2d(16, 32, 3, groups=1), nn.Linear(4, 4), nn.GroupNorm(2, 4)).to(
        dtype
    )
    layers[0].weight[3] = 0
    layers[1].weight[5] *= 1000
    before = copy.deepcopy(layers)
    assert quantize(layers) == 2 and quantize(layers) == 0, "once, and small layers stay as they are"
    assert layers[0].weight.numel() >= LEAST > layers[2].weight.numel()
    for old, new in zip(before[:2], layers[:2], strict=True):
        largest = old.weight.float().flatten(1).abs().amax(1)
        off = (new.weight.float() - old.weight.float()).flatten(1).abs().amax(1)
        rounding = torch.finfo(dtype).eps * largest  # of the factor, and of the product
        assert (off <= largest / 254 + rounding).all() and new.weight.dtype == dtype and new.weight.shape == old.weight.shape
        assert torch.equal(new.bias, old.bias)
    x = torch.randn(2, 64).to(dtype)
    assert distance(layers[0](x), before[0](x)) < 0.01
    image = torch.randn(1, 16, 8, 8).to(dtype)
    assert distance(layers[1](image), before[1](image)) < 0.01
    again: Any = copy.deepcopy(before)
    quantize(again)
    again.load_state_dict(layers.state_dict())
    assert torch.equal(again[0].weight, layers[0].weight)
    assert layers.double()[0].weight.dtype == torch.float64 and layers[0].codes.dtype == torch.int8


def test_a_base_in_8_bits_makes_nearly_the_same_pictures_and_says_so_in_its_settings() -> None:
    plain = open_base(BaseRequest(device="cpu"))
    base, network = open_base(BaseRequest(device="cpu", weights="int8")), ControlNet.from_pretrained("tiny-canny")
    assert base.dtype == torch.float32 and describe_base(base).weights == "int8" and describe_base(plain).weights is None
    assert bytes_of(base.unet) < 0.35 * bytes_of(plain.unet) and bytes_of(base.vae) == bytes_of(plain.vae)
    control = Control(network, to_image(torch.zeros(3, 128, 128).index_fill(2, torch.tensor([40, 80]), 1.0)))
    found, expected = (
        ControlPipeline(one).optimize(runtime=None)("a red house", [control], num_inference_steps=2, seed=3).latents
        for one in (base, plain)
    )
    assert 1e-5 < distance(found, expected) < 0.25  # of two steps: 1 % of the first, of pure noise, becomes ten
    changed = ControlPipeline(plain).optimize(weights="int8")
    assert torch.equal(changed("a red house", [control], num_inference_steps=2, seed=3).latents, found)
    assert changed.base.revision == 1 and changed.ways.way(50) == "torch", "a plan would pack them as floating-point numbers"


def test_what_does_not_go_with_8_bits_is_refused_in_one_line() -> None:
    base = StableDiffusion.from_pretrained("tiny").quantize()
    with pytest.raises(InputError, match=r"weights are in 8 bits, to which style\.safetensors cannot be added"):
        base.add_lora(Path("style.safetensors"))
    for way in ("openvino", "auto"):
        with pytest.raises(InputError, match=f"weights are in 8 bits, which {way} does not run"):
            ControlPipeline(base).optimize(runtime=way)
