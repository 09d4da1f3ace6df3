"""A ControlNet from any file: the same residuals whatever the layout, and what tensors cannot say is told or announced."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from tests.control.test_oracle import fill
from tests.tiny import FAMILIES, build_control, build_inputs, build_pooled, build_unet, numbers
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.files.shards import write_shards
from zeroconv.checkpoints.formats.controlnet import read_controlnet, write_controlnet
from zeroconv.checkpoints.formats.controlnet_config import OWN_KEY
from zeroconv.checkpoints.formats.controlnet_hints import METADATA, ControlNetHints, guess_hints
from zeroconv.checkpoints.formats.controlnet_layouts import write_layout
from zeroconv.checkpoints.inspect.describe import describe
from zeroconv.control import ControlNet

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


def test_settings_of_other_tools_survive_a_folder_and_a_conversion(unet: Any, tmp_path: Path) -> None:
    path = trained(unet).save_pretrained(tmp_path / "a") / "config.json"
    stored = json.loads(path.read_text("utf-8"))
    others = {"_diffusers_version": "0.35.0", "my_setting": [1, {"a": None}], "addition_embed_type_num_heads": 64}
    own = {**stored[OWN_KEY], "trained_on": {"images": 5}}
    path.write_text(json.dumps({**stored, **others, OWN_KEY: own}), "utf-8")
    ControlNet.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b")
    write_controlnet(read_controlnet(tmp_path / "b"), tmp_path / "c.safetensors", "webui")
    write_controlnet(read_controlnet(tmp_path / "c.safetensors"), tmp_path / "d", "diffusers")
    for folder in ("b", "d"):
        again = json.loads((tmp_path / folder / "config.json").read_text("utf-8"))
        assert again == {**stored, **others, OWN_KEY: own}


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


@pytest.mark.parametrize(("family", "order"), [("sd15", "bgr"), ("sd21", "rgb"), ("sdxl", "rgb")])
def test_only_sd_15_can_be_the_network_that_reads_blue_first(family: str, order: str, tmp_path: Path) -> None:
    unet = build_unet(FAMILIES[family])
    path = tmp_path / "control_sd15_normal.safetensors"
    write_safetensors(path, build_control(unet, seed=1).state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ControlNet.from_pretrained(path, unet=unet).config.channel_order == order


UNLIKE_THE_DEFAULT = ("block_out_channels", "cross_attention_dim")


@pytest.mark.parametrize("name", [*UNLIKE_THE_DEFAULT, "_class_name", "down_block_types", "layers_per_block"])
def test_info_refuses_the_folders_that_opening_refuses(name: str, tmp_path: Path) -> None:
    """A setting that is left out has diffusers' default, which fits the tensors or does not."""
    network: Any = ControlNetModel(block_out_channels=(32, 32, 64, 64), cross_attention_dim=24)
    network.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    del settings[name]
    (tmp_path / "config.json").write_text(json.dumps(settings))
    try:
        ControlNet.from_pretrained(tmp_path)
        opens = True
    except ValueError:
        opens = False
    assert (describe(tmp_path, hashed=False).refused is None) == opens == (name not in UNLIKE_THE_DEFAULT)
