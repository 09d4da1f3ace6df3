"""SDXL's "small" and "mid" ControlNets, with fewer layers than their base: opened, written and computed as diffusers does."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel

from tests.tiny import numbers, randomized
from zeroconv import ControlNet
from zeroconv.checkpoints.inspect.describe import describe
from zeroconv.conversion.controlnet import ConversionOptions, convert_control
from zeroconv.stable_diffusion import AddedConditions

SDXL: dict[str, Any] = {
    "block_out_channels": (32, 64, 64), "cross_attention_dim": 24, "use_linear_projection": True,
    "attention_head_dim": (2, 4, 4),
    "addition_embed_type": "text_time", "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 80,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "small": {"down_block_types": ("DownBlock2D",) * 3, "mid_block_type": "UNetMidBlock2D"},
    "small with attention in its middle": {"down_block_types": ("DownBlock2D",) * 3},
    "mid": {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "transformer_layers_per_block": (0, 1, 1),
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_opened_in_every_form_and_computes_as_in_diffusers(kind: str, tmp_path: Path) -> None:
    theirs: Any = randomized(ControlNetModel(**{**SDXL, **KINDS[kind]}), 3).eval()
    theirs.save_pretrained(tmp_path / "folder")
    convert_control(tmp_path / "folder", tmp_path / "again", ConversionOptions("diffusers"))
    convert_control(tmp_path / "folder", tmp_path / "one.safetensors", ConversionOptions("webui"))
    z, text, condition = numbers(2, 4, 16, 16), numbers(2, 5, 24, seed=1), numbers(2, 3, 128, 128, seed=2).abs().clamp(0, 1)
    pooled, ids = numbers(2, 32, seed=3), 100 * numbers(2, 6, seed=4).abs()
    with torch.no_grad():
        added = {"text_embeds": pooled, "time_ids": ids}
        skips, middle = theirs(z, 7, text, condition, added_cond_kwargs=added, return_dict=False)
        for path in (tmp_path / "folder", tmp_path / "again", tmp_path / "one.safetensors"):
            assert describe(path, hashed=False).refused is None
            ours = ControlNet.from_pretrained(path).eval()
            found = ours(z, 7, text, condition, added_conditions=AddedConditions(pooled, ids))
            for one, other in zip([*found.skips, found.middle], [*skips, middle], strict=True):
                torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", ["in_channels", "down_block_types", "layers_per_block", "act_fn", "norm_num_groups"])
def test_a_setting_that_is_left_out_has_the_default_of_diffusers(name: str, tmp_path: Path) -> None:
    theirs: Any = ControlNetModel(block_out_channels=(32, 32, 64, 64), cross_attention_dim=24)
    theirs.save_pretrained(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    settings = json.loads((tmp_path / "part" / "config.json").read_text())
    del settings[name]
    (tmp_path / "part" / "config.json").write_text(json.dumps(settings))
    whole, part = (ControlNet.from_pretrained(tmp_path / folder) for folder in ("whole", "part"))
    assert all(torch.equal(tensor, part.state_dict()[key]) for key, tensor in whole.state_dict().items())
