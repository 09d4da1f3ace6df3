"""Weights that are not finite: the error names the network, its name, and the first such weight."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import build_base, build_control, build_map
from zeroconv.control import ControlNet
from zeroconv.generation import Control, ControlPipeline
from zeroconv.generation.broken_networks import name_broken_network
from zeroconv.stable_diffusion import StableDiffusion

WEIGHTS = {
    "unet": ("conv_out.weight", r"the U-Net of the base '.*base'"),
    "vae": ("decoder.conv_in.weight", r"the autoencoder of the base '.*base'"),
    "text_encoder": ("final_layer_norm.weight", r"the text encoder of the base '.*base'"),
    "control": ("conv_in.weight", r"the ControlNet '.*control'"),
}


@pytest.mark.parametrize("part", WEIGHTS)
def test_the_network_is_named(part: str, tmp_path: Path) -> None:
    base = build_base(tmp_path / "base")
    network: Any = ControlNet.from_pretrained(build_control(base.unet, seed=1).save_pretrained(tmp_path / "control"))
    name, what = WEIGHTS[part]
    holder = network if part == "control" else getattr(base, part)
    key = next(known for known in holder.state_dict() if known == name or known.endswith(f"text_model.{name}"))
    holder.get_parameter(key).data.view(-1)[0] = torch.nan
    image = build_map()
    with pytest.raises(FloatingPointError, match=rf"^{what} holds weights that are not finite \(first: \S*{name}\): [^\n]+$"):
        ControlPipeline(base)("a house", [Control(network, image, checked=image)], num_inference_steps=1)


def test_without_a_broken_network_the_error_stays(base: StableDiffusion) -> None:
    with (
        pytest.raises(FloatingPointError, match=r"^the latents are not finite$"),
        name_broken_network(base, [build_control(base.unet)]),
    ):
        raise FloatingPointError("the latents are not finite")
