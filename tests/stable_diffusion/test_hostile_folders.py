"""Folders that are broken, hostile or mixed: one line each, nothing imported because a file names it, nothing built."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stable_diffusion.test_folder import same, settle
from tests.tiny import SD15, save_base
from tests.work import little_work
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.stable_diffusion.folder import XL_PARTS


@pytest.fixture
def folder(base_folder: Path, tmp_path: Path) -> Path:
    """A copy of the base's folder to be changed."""
    return Path(shutil.copytree(base_folder, tmp_path / "base"))


@pytest.mark.parametrize("part", XL_PARTS)
def test_a_missing_part_of_xl_is_one_line(part: str, xl_folder: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(xl_folder, tmp_path / "base"))
    shutil.rmtree(broken / part)
    with pytest.raises(ValueError, match=rf"^[^\n]* is not a complete base: it has no folder '{part}' \(needed: [^\n]*$"):
        StableDiffusion.from_pretrained(broken)


INDEX: list[tuple[dict[str, Any], str]] = [
    ({"_class_name": "EvilPipeline"}, r"names the pipeline 'EvilPipeline'; expected StableDiffusionPipeline or "),
    ({"_class_name": ["evil_code", "Pipeline"]}, r"names the pipeline \['evil_code', 'Pipeline'\]; expected "),
    (
        {"unet": ["evil_code", "UNet2DConditionModel"]},
        r"asks for \['evil_code', .* as 'unet'; expected UNet2DConditionModel of ",
    ),
    ({"unet": ["diffusers", "UNetSpatioTemporalConditionModel"]}, r"as 'unet'; expected UNet2DConditionModel of "),
    ({"scheduler": ["evil_code", "Scheduler"]}, r"as 'scheduler'; expected a scheduler of "),
    ({"helper": ["evil_code", "Helper"]}, r"as 'helper'; expected no such part of "),
    ({"vae": ["evil_code"]}, r"as 'vae'; expected AutoencoderKL of "),
]


@pytest.mark.parametrize(("change", "message"), INDEX)
def test_nothing_is_imported_because_a_file_names_it(
    change: dict[str, Any], message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "evil_code.py").write_text("raise SystemExit('executed')", "utf-8")
    (folder / "unet" / "evil_code.py").write_text("raise SystemExit('executed')", "utf-8")
    monkeypatch.syspath_prepend(folder)
    settle(folder / "model_index.json", **change)
    with pytest.raises(ValueError, match=rf"^[^\n]* cannot be opened as a base: its model_index\.json [^\n]*{message}[^\n]*$"):
        StableDiffusion.from_pretrained(folder)
    assert "evil_code" not in sys.modules


def test_what_is_not_needed_is_not_looked_at(folder: Path, base: StableDiffusion) -> None:
    checker = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    settle(folder / "model_index.json", safety_checker=checker, feature_extractor=["transformers", "CLIPImageProcessor"])
    settle(folder / "text_encoder" / "config.json", attn_implementation="evil/kernel", auto_map={"AutoModel": "evil.Model"})
    settle(folder / "unet" / "config.json", some_future_setting=True)
    assert same(StableDiffusion.from_pretrained(folder), base)


HUGE = 10**9
HOSTILE: list[tuple[str, dict[str, Any]]] = [
    ("unet", {"layers_per_block": HUGE}),
    ("unet", {"layers_per_block": [2, 2, 2, HUGE]}),
    ("unet", {"transformer_layers_per_block": HUGE}),
    ("unet", {"transformer_layers_per_block": 40}),
    ("unet", {"reverse_transformer_layers_per_block": [[1] * 20 + [HUGE]] * 4}),
    ("unet", {"block_out_channels": [16] * 100_000, "down_block_types": ["DownBlock2D"] * 100_000}),
    ("unet", {"up_block_types": ["UpBlock2D"] * 100_000}),
    ("unet", {"cross_attention_dim": HUGE, "norm_num_groups": 1}),
    ("unet", {"cross_attention_dim": 10**30}),
    ("unet", {"in_channels": 9}),
    ("unet", {"attention_head_dim": 0}),
    ("unet", {"class_embed_type": "timestep"}),
    ("unet", {"encoder_hid_dim_type": "image_proj"}),
    ("unet", {"act_fn": "evil"}),
    ("unet", {"_class_name": "UNet3DConditionModel"}),
    ("vae", {"layers_per_block": HUGE}),
    ("vae", {"up_block_types": ["UpDecoderBlock2D"] * 100_000}),
    ("vae", {"scaling_factor": 0}),
    ("vae", {"scaling_factor": "0.18215"}),
    ("vae", {"latent_channels": 8}),
    ("text_encoder", {"num_hidden_layers": HUGE}),
    ("text_encoder", {"num_hidden_layers": 1000}),
    ("text_encoder", {"hidden_size": 10**12, "num_attention_heads": 1}),
    ("text_encoder", {"vocab_size": 10**15}),
    ("text_encoder", {"max_position_embeddings": 10**12}),
    ("text_encoder", {"architectures": ["EvilModel"]}),
    ("text_encoder", {"hidden_act": "evil"}),
]


@pytest.mark.parametrize(("part", "settings"), HOSTILE)
def test_hostile_settings_are_one_line_and_cost_nothing(part: str, settings: dict[str, Any], folder: Path) -> None:
    settle(folder / part / "config.json", **settings)
    with little_work(), pytest.raises(ValueError, match=r"^[^\n]* cannot be opened as a base: [^\n]+$") as caught:
        StableDiffusion.from_pretrained(folder)
    assert len(str(caught.value)) < 600


def test_parts_of_different_families_are_one_line(folder: Path, xl_folder: Path, tmp_path: Path) -> None:
    for part in ("unet", "vae"):
        shutil.rmtree(folder / part)
    shutil.copytree(xl_folder / "unet", folder / "unet")
    shutil.copytree(xl_folder / "vae", folder / "vae")
    with pytest.raises(ValueError, match=r"its U-Net has SDXL's pooled text, and there are 1 text encoders; expected 1 for"):
        StableDiffusion.from_pretrained(folder)
    mixed = save_base(tmp_path / "mixed", config={**SD15, "cross_attention_dim": 24})
    with pytest.raises(ValueError, match=r"its U-Net reads text of width 24, its text encoders write 16; expected the same"):
        StableDiffusion.from_pretrained(mixed)
    inpainting = Path(shutil.copytree(xl_folder, tmp_path / "inpainting"))
    settle(inpainting / "unet" / "config.json", in_channels=9)
    with pytest.raises(ValueError, match=r"an inpainting U-Net"):
        StableDiffusion.from_pretrained(inpainting)
