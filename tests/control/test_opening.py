"""A ControlNet from any file: the same residuals whatever the layout, and what tensors cannot say is told or announced."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from tests.control.test_oracle import fill
from tests.tiny import FAMILIES, build_control, build_inputs, build_pooled, build_unet, numbers, randomized
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.files.shards import write_shards
from zeroconv.checkpoints.formats.controlnet_config import OWN_KEY
from zeroconv.checkpoints.formats.controlnet_file import read_controlnet
from zeroconv.checkpoints.formats.controlnet_hints import METADATA, ControlNetHints, guess_hints
from zeroconv.checkpoints.formats.controlnet_layouts import write_layout
from zeroconv.control import ControlNet
from zeroconv.conversion.controlnet import ConversionOptions, convert_control

LAYOUTS = ("diffusers", "sharded", "webui", "lllyasviel", "lllyasviel-full", "difference", "control-lora")
WHOLE = {"model.diffusion_model.out.2.bias": torch.zeros(4)}


def trained(unet: Any, seed: int = 3) -> ControlNet:
    """A ControlNet whose copy has moved from its U-Net by little, as after training."""
    network = build_control(unet, seed=seed)
    copy = dict(unet.named_parameters())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in copy:
                parameter.copy_(copy[name] * 1.25)
    return network


def residuals(network: ControlNet, unet: Any) -> tuple[Tensor, ...]:
    z_t, t, text, condition = build_inputs(unet)
    with torch.no_grad():
        return network(z_t, t, text, condition, added_conditions=build_pooled(unet)).values()


def write(network: ControlNet, unet: Any, layout: str, folder: Path) -> Path:
    """A file or folder without any of our settings, as strangers have it."""
    tensors = network.state_dict()
    if layout in ("diffusers", "sharded"):
        network.save_pretrained(folder / layout)
        if layout == "sharded":
            write_shards(folder / layout, tensors, 100_000)
        return folder / layout
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="offsets of rank")
        written = write_layout(tensors, layout, unet.state_dict(), WHOLE, rank=4096)
    write_safetensors(folder / f"{layout}.safetensors", written)
    return folder / f"{layout}.safetensors"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_layout_gives_the_same_residuals(family: str, layout: str, tmp_path: Path) -> None:
    unet = build_unet(FAMILIES[family])
    network = trained(unet)
    opened = ControlNet.from_pretrained(write(network, unet, layout, tmp_path), unet=unet)
    opened.check_base(unet)
    for one, two in zip(residuals(network, unet), residuals(opened, unet), strict=True):
        assert two.abs().max() > 1e-3
        torch.testing.assert_close(two, one, rtol=0, atol=1e-5 * max(1.0, one.abs().max().item()))


def test_shards_are_several_files_with_an_index_that_diffusers_reads(unet: Any, tmp_path: Path) -> None:
    network = trained(unet)
    folder = write(network, unet, "sharded", tmp_path)
    assert len(list(folder.glob("*-of-*.safetensors"))) > 3 and not (folder / "diffusion_pytorch_model.safetensors").exists()
    theirs: Any = ControlNetModel.from_pretrained(folder, use_safetensors=True, low_cpu_mem_usage=False)
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in network.state_dict().items())


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
    with pytest.raises(ValueError, match="tensor 'task_embedding' is unknown"):
        convert_control(tmp_path / "union.safetensors", tmp_path / "union", ConversionOptions("diffusers"))
    assert not (tmp_path / "union").exists()


def test_a_strangers_folder_is_guessed_by_what_it_is_called(unet: Any, tmp_path: Path) -> None:
    folder = trained(unet).save_pretrained(tmp_path / "controlnet-canny-sdxl-1.0")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    del config[OWN_KEY]
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.warns(UserWarning, match=r"canny-sdxl-1\.0: guessed from its name: its condition is 'canny'"):
        assert ControlNet.from_pretrained(folder).config.condition == "canny"
    with pytest.warns(UserWarning, match="owner/control-depth: guessed from its name: its condition is 'depth'"):
        saved = read_controlnet(folder, name="owner/control-depth")
    assert saved.config is not None and saved.config.condition == "depth"
    assert ControlNet.from_pretrained(folder, condition="pose").config.condition == "pose"


GUESSES = [
    ("control_v11e_sd15_shuffle", ControlNetHints("shuffle", True)),
    ("control_v11p_sd15_inpaint", ControlNetHints("inpaint")),
    ("control_sd15_normal", ControlNetHints("normal", None, "bgr")),
    ("control_v11p_sd15_normalbae", ControlNetHints("normal")),
    ("control_v11p_sd15_canny.fp16", ControlNetHints("canny")),
    ("control_v11f1p_sd15_depth", ControlNetHints("depth")),
    ("diffusers_xl_canny_full", ControlNetHints("canny")),
    ("control_sd15_mlsd", ControlNetHints("lines")),
    ("control_normal-fp16", ControlNetHints("normal", None, "bgr")),
    ("t2i_normal_sdxl", ControlNetHints("normal")),
    ("my network", ControlNetHints()),
    ("posed", ControlNetHints()),
]


@pytest.mark.parametrize(("stem", "hints"), GUESSES)
def test_names_of_published_files_are_understood(stem: str, hints: ControlNetHints) -> None:
    assert guess_hints(stem) == hints


@pytest.mark.parametrize(("stem", "hints"), GUESSES[:4])
def test_what_is_guessed_from_a_name_is_announced_and_overruled(
    unet: Any, stem: str, hints: ControlNetHints, tmp_path: Path
) -> None:
    path = write(trained(unet), unet, "webui", tmp_path).rename(tmp_path / f"{stem}.safetensors")
    with pytest.warns(UserWarning, match=f"{stem}.safetensors: guessed from its name: its condition is '{hints.condition}'"):
        network = ControlNet.from_pretrained(path, unet=unet)
    assert network.config.condition == hints.condition
    assert network.config.global_pool_conditions is bool(hints.global_pool_conditions)
    order = hints.channel_order or "rgb"
    assert network.config.channel_order == order
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stated = ControlNet.from_pretrained(
            path, unet=unet, condition="canny", global_pool_conditions=False, channel_order="rgb"
        )
    assert stated.config.condition == "canny" and not stated.config.global_pool_conditions
    assert stated.config.channel_order == "rgb"


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


def test_broken_settings_in_a_file_are_not_believed(unet: Any, tmp_path: Path) -> None:
    tensors = write_layout(trained(unet).state_dict(), "webui")
    for broken in ("{", "[]", "[" * 100_000):
        write_safetensors(tmp_path / "a.safetensors", tensors, {METADATA: broken})
        assert ControlNet.from_pretrained(tmp_path / "a.safetensors", unet=unet).config.condition is None
    for wrong in ({"controlnet_conditioning_channel_order": "gbr"}, {"_zeroconv": 3}):
        write_safetensors(tmp_path / "a.safetensors", tensors, {METADATA: json.dumps(wrong)})
        with pytest.raises(ValueError, match=r"a\.safetensors describes no ControlNet"):
            ControlNet.from_pretrained(tmp_path / "a.safetensors", unet=unet)


def test_a_file_on_another_base_is_refused_by_name(tmp_path: Path) -> None:
    sd15, sd21 = build_unet(FAMILIES["sd15"]), build_unet(FAMILIES["sd21"])
    path = write(trained(sd15), sd15, "difference", tmp_path)
    with pytest.raises(ValueError, match=r"difference\.safetensors was made for SD 1\.5 .*, the base is SD 2\.1 .*: use a"):
        ControlNet.from_pretrained(path, unet=sd21)
    with pytest.raises(ValueError, match="give the base it was made for too"):
        ControlNet.from_pretrained(path)


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


@pytest.mark.slow
@torch.no_grad()
def test_a_file_of_full_size_is_the_network_it_was_written_from(tmp_path: Path) -> None:
    with torch.device("meta"):  # 361 million parameters
        unet: Any = UNet2DConditionModel(cross_attention_dim=768, sample_size=64)
        network = ControlNet.from_unet(unet).eval()
    fill(network, 1)
    path = tmp_path / "control_v11p_sd15_canny.safetensors"
    written = write_layout({name: tensor.clone() for name, tensor in network.state_dict().items()}, "lllyasviel")
    assert len(written) == 340 and sum(tensor.numel() for tensor in written.values()) == 361_279_120
    write_safetensors(path, written)
    del written
    opened = ControlNet.from_pretrained(path, condition="canny").eval()
    opened.check_base(unet)
    assert opened.config.unet_settings["attention_head_dim"] == 8 and opened.config.unet_settings["cross_attention_dim"] == 768
    z_t, t, _, condition = build_inputs(unet, batch=1)
    text = numbers(1, 77, 768)
    for one, two in zip(network(z_t, t, text, condition).values(), opened(z_t, t, text, condition).values(), strict=True):
        assert one.abs().max() > 1e-3
        torch.testing.assert_close(two, one, rtol=0, atol=1e-5 * max(1.0, one.abs().max().item()))
    back = write_layout(opened.state_dict(), "lllyasviel")
    stored = read_safetensors(path)
    assert back.keys() == stored.keys() and all(torch.equal(back[name], stored[name]) for name in stored)
