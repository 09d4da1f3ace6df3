"""The base's decoder, unlocked: it begins as the base's, learns, is kept with the control, and the base stays as it is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.tiny import copies, unchanged
from tests.training.conftest import Settings, settings_in
from tests.training.test_trainer import same, state
from zeroconv.checkpoints import read_safetensors
from zeroconv.checkpoints.inspect.describe import describe
from zeroconv.control import ControlNet
from zeroconv.conversion.controlnet import ConversionOptions, convert_control, original_of
from zeroconv.errors import InputError
from zeroconv.generation import Control, ControlPipeline
from zeroconv.messages import Message, listen
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training import Trainer, train

DECODER = ("up_blocks.", "conv_norm_out.", "conv_out.")


def pictures(base: StableDiffusion, *networks: ControlNet, scale: float = 1.0) -> list[bytes]:
    """One picture under controls, as bytes."""
    with listen(lambda _: None):
        controls = [Control(network, image=Image.new("RGB", (32, 32), "white"), scale=scale) for network in networks]
        output = ControlPipeline(base)("a", controls, num_inference_steps=2, size=(32, 32))
    return [image.tobytes() for image in output.images]


@pytest.fixture(scope="module")
def trained(base_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with an unlocked decoder."""
    build = settings_in(tmp_path_factory.mktemp("unlocked"), base_folder, data_folder)
    config = build(unlock_decoder=True, learning_rate=1e-2, probe_every=1, ema_decay=0.5)
    train(config)
    return config.checkpoint.out


def test_the_copy_learns_and_the_base_stays_as_it_is(settings: Settings, base: StableDiffusion) -> None:
    trainer = Trainer(settings(unlock_decoder=True, learning_rate=1e-2, probe_every=100), lambda _: None)
    before, born = copies(base.unet.state_dict().items()), copies(trainer.network.state_dict().items())
    for name, tensor in base.unet.state_dict().items():
        if name.startswith(DECODER):
            assert torch.equal(born[f"decoder.{name}"], tensor)
    trainer.fit()
    assert unchanged(base.unet, before) and not any(p.grad is not None for p in base.unet.parameters())
    assert all(not torch.equal(tensor, born[name]) for name, tensor in trainer.network.state_dict().items())


def test_at_step_0_it_changes_nothing(settings: Settings, base: StableDiffusion) -> None:
    losses: list[float] = []
    for unlocked in (False, True):
        trainer = Trainer(settings(unlock_decoder=unlocked, out=settings().checkpoint.out / str(unlocked)), lambda _: None)
        losses.append(trainer.loss(trainer.batches(0)).item())
        assert pictures(base, trainer.network) == pictures(base)
        trainer.folder.unlock()
    assert losses[0] == losses[1]


def test_a_saved_control_brings_its_decoder(trained: Path, base: StableDiffusion, tmp_path: Path) -> None:
    network, before = ControlNet.from_pretrained(trained), copies(base.unet.state_dict().items())
    assert network.decoder is not None and network.config.class_name == "ZeroconvControlNet"
    assert pictures(base, network) != pictures(base) == pictures(base, network, scale=0.0)
    locked = ControlNet.from_pretrained(trained)
    locked.decoder = None
    assert pictures(base, locked) != pictures(base, network)
    assert pictures(base, network, network) != pictures(base, network)
    with pytest.raises(InputError, match="two controls have unlocked the base's decoder, each its own"):
        pictures(base, network, ControlNet.from_pretrained(trained))
    network.save_pretrained(tmp_path)
    assert same(dict(ControlNet.from_pretrained(tmp_path).state_dict()), dict(network.state_dict()))
    assert unchanged(base.unet, before)
    found = describe(trained / "controlnet")
    assert found.refused is None and found.details["unlocked decoder"] == "True"
    assert "brings that decoder" in (trained / "controlnet" / "README.md").read_text()
    assert "diffusers has no class for that" in (trained / "README.md").read_text()


def test_the_state_has_it_and_a_resumed_run_ends_with_the_same_bits(settings: Settings) -> None:
    config = settings(unlock_decoder=True, steps=4)
    train(settings(unlock_decoder=True, steps=2))
    train(config)
    other = settings(unlock_decoder=True, out=config.checkpoint.out.with_name("straight"))
    train(other)
    found = state(config.checkpoint.out)
    assert same(found, state(other.checkpoint.out))
    assert {"network.decoder.conv_out.weight", "optimizer.decoder.conv_out.weight.exp_avg"} <= found.keys()
    with pytest.raises(InputError, match=r"model\.unlock_decoder = True, now False is asked for"):
        train(settings())


def test_a_poisoned_weight_of_the_decoder_is_named(settings: Settings) -> None:
    trainer = Trainer(settings(unlock_decoder=True, probe_every=100, save_every=100), lambda _: None)

    def poison(*_: object) -> None:
        trainer.network.get_parameter("decoder.conv_out.weight").data[0] = torch.nan

    trainer.optimizer.register_step_post_hook(poison)
    with pytest.raises(FloatingPointError, match=r"first: the weight network\.decoder\.conv_out\.weight"):
        trainer.fit()


def test_the_authors_file_holds_it_in_the_place_of_the_bases(trained: Path, base: StableDiffusion, tmp_path: Path) -> None:
    told: list[Message] = []
    with listen(told.append):
        convert_control(trained, tmp_path / "full.safetensors", ConversionOptions("lllyasviel-full"), base=base)
    assert any("give it as base, too" in message.text for message in told)
    network = ControlNet.from_pretrained(trained)
    tensors = read_safetensors(tmp_path / "full.safetensors")
    assert network.decoder is not None
    assert torch.equal(tensors["model.diffusion_model.out.2.weight"], network.decoder.conv_out.weight)
    changed = [name for name, tensor in original_of(base).items() if not torch.equal(tensors[name], tensor)]
    assert all(name.startswith(("model.diffusion_model.output_blocks.", "model.diffusion_model.out.")) for name in changed)
    assert len(changed) == len(network.decoder.state_dict())
    assert ControlNet.from_pretrained(tmp_path / "full.safetensors").decoder is None
    for layout in ("webui", "lllyasviel"):
        with pytest.raises(ValueError, match="has no place in the layout"):
            convert_control(trained, tmp_path / "other.safetensors", ConversionOptions(layout))
    convert_control(trained, tmp_path / "folder", ConversionOptions("diffusers"))
    assert same(dict(ControlNet.from_pretrained(tmp_path / "folder").state_dict()), dict(network.state_dict()))


def test_it_moves_to_another_base_as_the_copy_does(trained: Path, base: StableDiffusion) -> None:
    network = ControlNet.from_pretrained(trained)
    assert same(dict(network.transfer(base, base).state_dict()), dict(network.state_dict()))
    other: Any = StableDiffusion.from_pretrained(base.name)
    with torch.no_grad():
        other.unet.conv_out.weight += 1
    moved = network.transfer(base, other)
    assert moved.decoder is not None and network.decoder is not None
    assert torch.allclose(moved.decoder.conv_out.weight, network.decoder.conv_out.weight + 1, atol=1e-6)


def test_what_has_no_place_for_it_is_refused(settings: Settings, trained: Path) -> None:
    with pytest.raises(InputError, match=r"a low-rank copy has no place for an unlocked decoder"):
        train(settings(unlock_decoder=True, variant="lora"))
    assert not settings().checkpoint.out.exists()
    with pytest.raises(InputError, match="go on with unlock_decoder=true"):
        train(settings(control=str(trained)))
    going_on = Trainer(settings(control=str(trained), unlock_decoder=True), lambda _: None)
    assert same(dict(going_on.network.state_dict()), dict(ControlNet.from_pretrained(trained).state_dict()))
    going_on.folder.unlock()


def test_it_learns_in_half_precision_on_a_base_of_the_same(settings: Settings) -> None:
    trainer = Trainer(settings(unlock_decoder=True, precision="fp16", learning_rate=1e-2, probe_every=100), lambda _: None)
    born = copies(trainer.network.state_dict().items())
    trainer.fit()
    assert all(not torch.equal(tensor, born[name]) for name, tensor in trainer.network.state_dict().items())
    assert all(tensor.dtype == torch.float32 for tensor in trainer.network.state_dict().values())
    with pytest.raises(InputError, match="an unlocked decoder goes on from the base's encoder: base_dtype is 'float32'"):
        Trainer(settings(unlock_decoder=True, precision="fp16", base_dtype="float32"), lambda _: None)
