"""A run of `variant="lora"`: only its own tensors are trained and saved, and every command opens what it leaves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import build_map, copies, unchanged
from tests.training.conftest import Settings, settings_in
from tests.training.test_trainer import state
from zeroconv import Control, ControlPipeline
from zeroconv.cli import main
from zeroconv.control import ControlNet
from zeroconv.generation.png_metadata import fingerprint, reproduce, save_images
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training import Event, ProbeEvent, Trainer, train

LORA: dict[str, Any] = {"variant": "lora", "rank": 4, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def whole(base_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of four steps without interruption."""
    config = settings_in(tmp_path_factory.mktemp("whole"), base_folder, data_folder)(**LORA)
    assert train(config).step == 4
    return config.checkpoint.out


def test_the_base_is_locked_and_every_tensor_of_its_own_learns(settings: Settings, base: StableDiffusion) -> None:
    trainer = Trainer(settings(**LORA, probe_every=100), lambda _: None)
    before, born = copies(trainer.base.unet.state_dict().items()), copies(trainer.network.state_dict().items())
    trainer.fit()
    assert unchanged(trainer.base.unet, before) and unchanged(base.unet, before)
    assert not any(p.requires_grad or p.grad is not None for p in trainer.base.unet.parameters())
    assert [n for n, tensor in trainer.network.state_dict().items() if not torch.equal(tensor, born[n])] == list(born)


def test_resumed_is_uninterrupted(whole: Path, settings: Settings) -> None:
    config = settings(**LORA)

    def stop(event: Event) -> None:
        if isinstance(event, ProbeEvent) and event.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, stop)
    train(config)
    one, other = state(config.checkpoint.out), state(whole)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_only_its_own_tensors_are_saved(whole: Path, base: StableDiffusion) -> None:
    born = ControlNet.from_unet(base.unet, variant="lora", rank=4, conditioning_embedding_out_channels=(8, 16, 32, 64))
    names = {name.removeprefix("network.") for name in state(whole) if name.startswith("network.")}
    assert names == born.state_dict().keys()
    assert [p.name for p in (whole / "controlnet").glob("*.safetensors")] == ["control-lora.safetensors"]
    text = (whole / "README.md").read_text("utf-8")
    assert "Control-LoRA, offsets from" in text and "diffusers" not in text


@pytest.mark.filterwarnings("ignore:the embedded picture")  # whose map is no edges
def test_pictures_remember_it_and_are_made_again(whole: Path, base: StableDiffusion, tmp_path: Path) -> None:
    network = ControlNet.from_pretrained(whole, unet=base.unet)
    assert replace(network.config, variant="lora", rank=4, condition="canny") == network.config
    controls = [Control(network, image := build_map(), checked=image)]
    output = ControlPipeline(base)("red", controls, num_inference_steps=1)
    saved = save_images(output, controls, tmp_path, base)
    made, (control,), _ = reproduce(saved.pictures[0], base)  # a warning of other weights would be an error here
    assert fingerprint(control.network) == fingerprint(network) != fingerprint(base.unet)
    assert made.images[0].tobytes() == output.images[0].tobytes()


@pytest.mark.parametrize("command", ["generate", "evaluate"])
def test_commands_open_the_run(whole: Path, base_folder: Path, data_folder: Path, tmp_path: Path, command: str) -> None:
    build_map().save(tmp_path / "map.png")
    words = {
        "generate": ["--base", str(base_folder), "--condition", str(tmp_path / "map.png"), "--prompt", "red"],
        "evaluate": ["--data", str(data_folder), "--count", "1"],  # the base is the one the run names
    }[command]
    assert main([command, "--control", str(whole), *words, "--steps", "1", "--out", str(tmp_path / "out")]) == 0
    assert list((tmp_path / "out").glob("*.png"))


def test_a_run_can_begin_from_one(whole: Path, settings: Settings) -> None:
    trainer = Trainer(settings(control=str(whole)), lambda _: None)
    assert unchanged(trainer.network, ControlNet.from_pretrained(whole, unet=trainer.base.unet).state_dict())
    trainer.network.check_base(trainer.base.unet)
