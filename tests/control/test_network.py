"""A ControlNet's life on disk: saved, opened again, opened by diffusers, and back (diffusers' folder layout)."""

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.utils import logging as diffusers_logging

from tests.tiny import FAMILIES, build_control, build_inputs, build_unet, diffusers_twin
from zeroconv.checkpoints import read_safetensors
from zeroconv.control import ControlNet

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What diffusers and Python warn of."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    listener, logger = Listener(logging.WARNING), logging.getLogger("diffusers")
    verbosity = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_warning()
    logger.addHandler(listener)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield said
    logger.removeHandler(listener)
    diffusers_logging.set_verbosity(verbosity)


def open_in_diffusers(folder: Path, **settings: Any) -> Any:
    return ControlNetModel.from_pretrained(folder, use_safetensors=True, low_cpu_mem_usage=False, **settings)


@pytest.mark.parametrize("family", FAMILIES)
def test_opens_in_diffusers_without_a_warning(family: str, tmp_path: Path, complaints: list[str]) -> None:
    network = build_control(build_unet(FAMILIES[family]), seed=1)
    theirs = open_in_diffusers(network.save_pretrained(tmp_path / "saved"))
    ours = network.state_dict()
    assert complaints == []
    assert theirs.state_dict().keys() == ours.keys()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in theirs.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_opens_what_diffusers_saved(family: str, tmp_path: Path) -> None:
    unet = build_unet(FAMILIES[family])
    theirs = diffusers_twin(build_control(unet, seed=1), unet)
    theirs.save_pretrained(tmp_path)
    ours = ControlNet.from_pretrained(tmp_path)
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items())
    assert all(p.requires_grad for p in ours.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_open_here_and_there(unet: Any, dtype: torch.dtype, tmp_path: Path, complaints: list[str]) -> None:
    network = build_control(unet, seed=1)
    network.save_pretrained(tmp_path, dtype)
    stored = read_safetensors(tmp_path / WEIGHTS)
    theirs = open_in_diffusers(tmp_path, torch_dtype=dtype).state_dict()
    ours = ControlNet.from_pretrained(tmp_path).state_dict()
    assert complaints == []
    for name, tensor in network.state_dict().items():
        assert torch.equal(stored[name], tensor.to(dtype)) and torch.equal(theirs[name], stored[name])
        assert ours[name].dtype == torch.float32 and torch.equal(ours[name], stored[name].float())


LIVES: list[dict[str, Any]] = [
    {},
    {"variant": "lite"},
    {"condition_encoder": "paper"},
    {"connection": "gaussian"},
    {"conditioning_channels": 1},
]


@pytest.mark.parametrize("settings", LIVES)
@torch.no_grad()
def test_saved_and_opened_it_is_the_same(unet: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    network = build_control(unet, seed=1, base="random", **settings)
    again = ControlNet.from_pretrained(network.save_pretrained(tmp_path / "a" / "b"))
    assert again.config == network.config and again.name == str(tmp_path / "a" / "b")
    z_t, t, text, condition = build_inputs(unet)
    condition = condition[:, : network.config.conditioning_channels]
    for one, two in zip(network(z_t, t, text, condition).values(), again(z_t, t, text, condition).values(), strict=True):
        assert torch.equal(one, two)
    again.check_base(unet)


def test_only_the_published_form_is_said_to_be_that_of_diffusers(unet: Any) -> None:
    classes = [build_control(unet, **settings).config.class_name for settings in LIVES]
    assert classes == [
        "ControlNetModel",
        "ZeroconvControlNet",
        "ZeroconvControlNet",
        "ControlNetModel",
        "ControlNetModel",
    ]


def test_a_training_run_opens_by_its_folder(unet: Any, tmp_path: Path) -> None:
    build_control(unet, seed=1).save_pretrained(tmp_path / "controlnet")
    assert ControlNet.from_pretrained(tmp_path).name == str(tmp_path)


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"down_block_types": None}, "describes no ControlNet"),
    ({"down_block_types": ["Nonsense"] * 4}, "describes no ControlNet"),
    ({"block_out_channels": [16, 32]}, "describes no ControlNet"),
    ({"in_channels": "four"}, "describes no ControlNet"),
    ({"_zeroconv": {"variant": "huge"}}, "describes no ControlNet"),
    ({"_zeroconv": {"connection": "loose"}}, "describes no ControlNet"),
    ({"_zeroconv": 3}, "describes no ControlNet"),
    (
        {"conditioning_channels": 4},
        "'controlnet_cond_embedding.conv_in.weight' has shape (16, 3, 3, 3), expected (16, 4, 3, 3)",
    ),
    ({"controlnet_conditioning_channel_order": "gbr"}, "expected 'rgb' or 'bgr'"),
    ({"_class_name": "UNet2DConditionModel"}, "describes 'UNet2DConditionModel'; expected ControlNetModel"),
    ({"layers_per_block": 1}, "is unknown (0 missing,"),
    ({"layers_per_block": 3}, "is missing ("),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_a_broken_configuration_is_one_line(unet: Any, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    build_control(unet).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}), "utf-8")
    with pytest.raises(ValueError, match=r"config\.json") as caught:
        ControlNet.from_pretrained(tmp_path)
    assert message in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_configuration_without_a_needed_setting_is_one_line(unet: Any, tmp_path: Path) -> None:
    build_control(unet).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    config["down_block_types"] = None
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ValueError, match=r"down_block_types"):
        ControlNet.from_pretrained(tmp_path)
