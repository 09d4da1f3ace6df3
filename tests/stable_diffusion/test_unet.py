"""The locked U-Net as two functions: decode after encode is diffusers' own forward (figure 3, left half)."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import FAMILIES, SD15, as_keywords, build_inputs, build_pooled, build_unet, copies, numbers, unchanged
from zeroconv.stable_diffusion import decode, encode


@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 10_000))
@torch.no_grad()
def test_decode_after_encode_is_the_unet_bit_by_bit_at_any_size(unet: Any, height: int, width: int, seed: int) -> None:
    _, t, text, _ = build_inputs(unet, seed=seed)
    z_t = numbers(2, 4, height, width, seed=seed)
    assert torch.equal(decode(unet, encode(unet, z_t, t, text), text), unet(z_t, t, text).sample)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_in_every_family(family: str) -> None:
    unet = build_unet(FAMILIES[family], seed=2)
    (z_t, t, text, _), pooled = build_inputs(unet), build_pooled(unet)
    encoded = encode(unet, z_t, t, text, pooled)
    assert torch.equal(decode(unet, encoded, text), unet(z_t, t, text, **as_keywords(pooled)).sample)
    assert len(encoded.skips) == (9 if family == "sdxl" else 12)


@torch.no_grad()
def test_steps_may_be_numbers_or_tensors(unet: Any) -> None:
    z_t, _, text, _ = build_inputs(unet)
    wanted = unet(z_t, 7, text).sample
    for t in (7, 7.0, torch.tensor(7), torch.tensor([7]), torch.tensor([7, 7])):
        assert torch.equal(decode(unet, encode(unet, z_t, t, text), text), wanted)


@torch.no_grad()
def test_unet_is_left_as_it_was_and_what_encode_gave_too(unet: Any) -> None:
    before, (z_t, t, text, _) = copies(unet.state_dict().items()), build_inputs(unet)
    encoded = encode(unet, z_t, t, text)
    kept = [tensor.clone() for tensor in (*encoded.skips, encoded.middle)]
    assert torch.equal(decode(unet, encoded, text), decode(unet, encoded, text))
    assert all(torch.equal(a, b) for a, b in zip(kept, (*encoded.skips, encoded.middle), strict=True))
    assert unchanged(unet, before) and not any(module._forward_hooks for module in unet.modules())


@torch.no_grad()
def test_decoder_uses_every_skip_and_the_middle(unet: Any) -> None:
    z_t, t, text, _ = build_inputs(unet)
    encoded = encode(unet, z_t, t, text)
    plain = decode(unet, encoded, text)
    for i in range(13):
        changed = [tensor + 1.0 * (i == j) for j, tensor in enumerate((*encoded.skips, encoded.middle))]
        other = type(encoded)(tuple(changed[:-1]), changed[-1], encoded.embedding)
        assert not torch.equal(decode(unet, other, text), plain), i


@torch.no_grad()
def test_a_unet_without_attention_in_the_middle_or_at_all() -> None:
    blocks = {"down_block_types": ("DownBlock2D",) * 4, "up_block_types": ("UpBlock2D",) * 4}
    for more in (blocks, {"mid_block_type": "UNetMidBlock2D"}):
        unet = build_unet({**SD15, **more})
        z_t, t, text, _ = build_inputs(unet)
        assert torch.equal(decode(unet, encode(unet, z_t, t, text), text), unet(z_t, t, text).sample)
