"""A ControlNet from one layout to another: the same tensors, its settings beside them, or one clear line."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checkpoints.formats.test_controlnet import LAYOUTS, trained
from tests.tiny import randomized
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.formats.controlnet import read_controlnet
from zeroconv.checkpoints.formats.controlnet_hints import ControlNetHints
from zeroconv.control import ControlNet
from zeroconv.conversion.controlnet import ConversionOptions, convert_control


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("diffusers", "sharded")])
def test_a_converted_file_carries_its_settings(base: Any, layout: str, tmp_path: Path) -> None:
    network = trained(base.unet)
    network.config = replace(
        network.config, condition="shuffle", base="somewhere", global_pool_conditions=True, channel_order="bgr"
    )
    folder = network.save_pretrained(tmp_path / "folder")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        convert_control(folder, tmp_path / "a.safetensors", ConversionOptions(layout, rank=64), base=base)
    assert sum("whose settings other tools do not read" in str(warning.message) for warning in said) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing has to be guessed
        again = ControlNet.from_pretrained(tmp_path / "a.safetensors", unet=base.unet)
    assert again.config.global_pool_conditions and again.config.channel_order == "bgr"
    assert again.config.condition == "shuffle" and again.config.base == "somewhere"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_to_a_file_and_back_to_a_folder_is_bit_equal(base: Any, layout: str, tmp_path: Path) -> None:
    network = trained(base.unet)
    folder = network.save_pretrained(tmp_path / "folder")
    out = tmp_path / ("there" if layout in ("diffusers", "sharded") else "there.safetensors")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="offsets of rank")
        convert_control(folder, out, ConversionOptions(layout, rank=4096, shard_bytes=100_000), base=base)
        convert_control(out, tmp_path / "back", ConversionOptions("diffusers"), base=base)
    before, after = (read_controlnet(tmp_path / name) for name in ("folder", "back"))
    assert before.tensors.keys() == after.tensors.keys()
    for name, tensor in before.tensors.items():
        if layout == "control-lora":
            torch.testing.assert_close(after.tensors[name], tensor, rtol=0, atol=1e-5)
        else:
            assert torch.equal(after.tensors[name], tensor), name
    assert after.config is not None and after.config.class_name == "ControlNetModel"


def test_another_type_is_the_last_thing_that_happens(base: Any, tmp_path: Path) -> None:
    """Offsets are taken between the numbers as they are, and rounded once; a base beside the control is rounded too."""
    network = trained(base.unet)
    folder = network.save_pretrained(tmp_path / "folder")
    convert_control(folder, tmp_path / "half.safetensors", ConversionOptions("difference", torch.float16), base=base)
    convert_control(folder, tmp_path / "full.safetensors", ConversionOptions("difference"), base=base)
    half, full = (read_safetensors(tmp_path / f"{name}.safetensors") for name in ("half", "full"))
    assert all(torch.equal(half[name], tensor.half()) for name, tensor in full.items())
    convert_control(folder, tmp_path / "whole.safetensors", ConversionOptions("lllyasviel-full", torch.float16), base=base)
    assert {tensor.dtype for tensor in read_safetensors(tmp_path / "whole.safetensors").values()} == {torch.float16}


def test_a_folder_that_would_open_nowhere_is_not_written(unet: Any, tmp_path: Path) -> None:
    tensors = {**trained(unet).state_dict(), "task_embedding": torch.zeros(6, 8)}
    write_safetensors(tmp_path / "union.safetensors", tensors)
    with pytest.raises(ValueError, match=r"spatial_ch_projs\.weight"):
        convert_control(tmp_path / "union.safetensors", tmp_path / "union", ConversionOptions("diffusers"))
    assert not (tmp_path / "union").exists()


def test_a_pth_cannot_carry_settings_and_says_so(base: Any, tmp_path: Path) -> None:
    network = trained(base.unet)
    network.config = replace(network.config, global_pool_conditions=True)
    network.save_pretrained(tmp_path / "folder")
    with pytest.warns(UserWarning, match=r"a\.pth is a \.pth, which cannot carry settings: say when it is used that its resid"):
        convert_control(tmp_path / "folder", tmp_path / "a.pth", ConversionOptions("webui"))
    said = ControlNetHints(global_pool_conditions=True)
    with pytest.warns(UserWarning, match="whose settings other tools do not read"):
        convert_control(tmp_path / "a.pth", tmp_path / "a.safetensors", ConversionOptions("webui"), said, base)
    assert ControlNet.from_pretrained(tmp_path / "a.safetensors").config.global_pool_conditions


def test_transfer_moves_the_copy_and_nothing_else(base: Any, base_folder: Path, tmp_path: Path) -> None:
    network = trained(base.unet)
    network.save_pretrained(tmp_path / "folder")
    community = type(base).from_pretrained(base_folder)
    randomized(community.unet, 9)
    report = convert_control(
        tmp_path / "folder", tmp_path / "moved", ConversionOptions("diffusers"), base=base, to_base=community
    )
    assert any("the encoder has moved by" in note for note in report.notes)
    moved = read_safetensors(tmp_path / "moved" / "diffusion_pytorch_model.safetensors")
    before = base.unet.state_dict()
    offsets = {name: tensor - before[name] for name, tensor in community.unet.state_dict().items()}
    for name, tensor in network.state_dict().items():
        wanted = tensor + offsets[name] if name in offsets else tensor
        torch.testing.assert_close(moved[name], wanted, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="give --base, the one it was made for, too"):
        convert_control(tmp_path / "folder", tmp_path / "x", ConversionOptions("diffusers"), to_base=community)


def test_a_control_lora_is_merged_into_its_base_before_it_is_moved(base: Any, base_folder: Path, tmp_path: Path) -> None:
    network = trained(base.unet)
    network.save_pretrained(tmp_path / "folder")
    community = type(base).from_pretrained(base_folder)
    randomized(community.unet, 9)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="offsets of rank")
        convert_control(
            tmp_path / "folder", tmp_path / "a.safetensors", ConversionOptions("control-lora", rank=4096), base=base
        )
    diffusers = ConversionOptions("diffusers")
    for source, out in (("folder", "one"), ("a.safetensors", "two")):
        convert_control(tmp_path / source, tmp_path / out, diffusers, base=base, to_base=community)
    one, two = (read_controlnet(tmp_path / name).tensors for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=1e-5)
