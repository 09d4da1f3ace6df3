"""Bad input to the ControlNet and the controlled U-Net: one clear line."""

from typing import Any

import pytest
import torch

from tests.tiny import SD15, SDXL, build_control, build_inputs, build_unet
from zeroconv.control import ActiveControl, ControlledUNet, ControlNet


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "huge"}, "variant is 'huge'; expected 'full', 'lite' or 'lora'"),
        ({"connection": "loose"}, "connection is 'loose'; expected 'zero'"),
        ({"condition_encoder": "other"}, "condition encoder form is 'other'; expected 'released' or 'paper'"),
        ({"conditioning_channels": 0}, "conditioning_channels is 0; expected 1 or more"),
    ],
)
def test_unknown_settings(unet: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ControlNet.from_unet(unet, **settings)


def test_condition_of_another_size_or_channel_count(unet: Any) -> None:
    network, (z_t, t, text, condition) = build_control(unet), build_inputs(unet)
    with pytest.raises(ValueError, match=r"^the condition's features are \(8, 4\), the latents \(8, 8\): .* pixels$"):
        network(z_t, t, text, condition[..., :32])
    for wrong in (condition[:, :1], condition[0]):
        with pytest.raises(ValueError, match=r"^condition has shape .*; expected \(B, 3, H, W\) in \[0, 1\]$"):
            network(z_t, t, text, wrong)


def test_condition_or_features_but_not_both_and_not_neither(unet: Any) -> None:
    network, (z_t, t, text, condition) = build_control(unet), build_inputs(unet)
    with pytest.raises(ValueError, match=r"^give either `condition` or `features`, got both$"):
        network(z_t, t, text, condition, features=network.encode_condition(condition))
    with pytest.raises(ValueError, match=r"^give either `condition` or `features`, got neither$"):
        network(z_t, t, text)


OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("block_out_channels", {**SD15, "block_out_channels": (32, 32, 32, 32)}),
    ("cross_attention_dim", {**SD15, "cross_attention_dim": 24}),
    ("in_channels", {**SD15, "in_channels": 8}),
    ("layers_per_block", {**SD15, "layers_per_block": 1}),
]


@pytest.mark.parametrize(("name", "config"), OTHERS)
def test_control_made_for_another_base(unet: Any, name: str, config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^this ControlNet was made for a base with {name} .*, the base given has .*$"):
        build_control(build_unet(config)).check_base(unet)


def test_control_of_another_family_names_both(unet: Any) -> None:
    message = r"^this ControlNet was made for SDXL \(text width 24\), the base is SD 1\.5 \(text width 16\): use a "
    with pytest.raises(ValueError, match=message):
        build_control(build_unet({**SDXL, "cross_attention_dim": 24})).check_base(unet)


@pytest.mark.parametrize("config", [{**SD15, "layers_per_block": 1}, {**SD15, "block_out_channels": (16, 16, 32, 32)}])
def test_residuals_of_another_base_are_not_added(unet: Any, config: dict[str, Any]) -> None:
    network, (z_t, t, text, condition) = build_control(build_unet(config)), build_inputs(unet)
    control = ActiveControl(network, network.encode_condition(condition))
    with pytest.raises(ValueError, match=r"^the ControlNet gives residuals .*: it was made for another base$"):
        ControlledUNet(unet)(z_t, t, text, [control])


def test_sdxl_without_pooled_text() -> None:
    unet = build_unet(SDXL)
    z_t, t, text, _ = build_inputs(unet)
    with pytest.raises(ValueError, match=r"^this U-Net is of the SDXL family: it needs `added_conditions` .*$"):
        ControlledUNet(unet)(z_t, t, text)


@pytest.mark.parametrize(
    "config",
    [
        {**SD15, "class_embed_type": "timestep"},
        {**SD15, "encoder_hid_dim": 8, "encoder_hid_dim_type": "text_proj"},
        {**SD15, "addition_embed_type": "text"},
    ],
)
def test_families_that_are_not_understood(config: dict[str, Any]) -> None:
    unet = build_unet(config)
    for ask in (ControlledUNet, ControlNet.from_unet):
        with pytest.raises(ValueError, match=r"^this U-Net has .*; expected .*$"):
            ask(unet)


def test_half_precision(unet: Any) -> None:
    network = build_control(unet, seed=1).to(torch.bfloat16)
    z_t, t, text, condition = (x.to(torch.bfloat16) if x.is_floating_point() else x for x in build_inputs(unet))
    with torch.no_grad():
        residuals = network(z_t, t, text, condition)
    assert all(r.dtype == torch.bfloat16 and r.isfinite().all() for r in residuals.values())
