"""The ControlNet of `examples/teaching_controlnet.py`, which shares no code with the package, gives the same numbers."""

import runpy
from pathlib import Path
from typing import Any

import torch

from tests.tiny import build_control, build_inputs, build_unet
from zeroconv.control import ActiveControl, ControlledUNet

LESSON = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "teaching_controlnet.py"))
WIDTHS = (16, 32, 96, 256)
RENAMED = {
    "controlnet_cond_embedding.conv_in": "condition_encoder.0",
    "controlnet_cond_embedding.conv_out": f"condition_encoder.{4 * len(WIDTHS) - 2}",
    **{f"controlnet_cond_embedding.blocks.{i}": f"condition_encoder.{2 * i + 2}" for i in range(2 * len(WIDTHS) - 2)},
    "controlnet_down_blocks": "zero",
    "controlnet_mid_block": "zero_middle",
}
"""The names of diffusers in those of the lesson; all others are the U-Net's own."""


def renamed(name: str) -> str:
    for ours, theirs in RENAMED.items():
        if name.startswith(f"{ours}."):
            return theirs + name.removeprefix(ours)
    return name


@torch.no_grad()
def test_residuals_and_prediction_are_the_same() -> None:
    unet: Any = build_unet(seed=1)
    network = build_control(unet, seed=2)
    lesson = LESSON["TeachingControlNet"](unet, WIDTHS).eval()
    lesson.load_state_dict({renamed(name): tensor for name, tensor in network.state_dict().items()})
    z_t, t, text, condition = build_inputs(unet, seed=3)

    residuals = network(z_t, t, text, condition)
    skips, middle = lesson(z_t, t, text, condition)
    for ours, theirs in zip((*residuals.skips, residuals.middle), (*skips, middle), strict=True):
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)

    predicted = ControlledUNet(unet)(z_t, t, text, [ActiveControl(network, network.encode_condition(condition))])
    wanted = LESSON["controlled"](unet, lesson, z_t, t, text, condition)
    torch.testing.assert_close(predicted, wanted, atol=1e-6, rtol=1e-6)
    assert (wanted - unet(z_t, t, text).sample).abs().max() > 1e-3  # the control does something


def test_it_shares_no_code_with_the_package() -> None:
    assert "zeroconv" not in Path(LESSON["__file__"]).read_text("utf-8").replace("python examples", "")
