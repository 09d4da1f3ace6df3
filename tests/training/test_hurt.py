"""What hurts a run: numbers that are not finite, damaged files, full disks, other settings; nothing good is lost."""

import json
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.training.conftest import Settings
from tests.training.test_trainer import change_parts, log, same, state
from zeroconv.checkpoints import read_safetensors
from zeroconv.control import ControlNet
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training import Event, Message, TrainConfig, Trainer, train
from zeroconv.training.data.batches import Batch
from zeroconv.training.run_folder.checkpoints import Checkpoints


def poisoned(name: str) -> Callable[[list[Batch]], list[Batch]]:
    """A batch with one number that is none, in one of its tensors."""

    def change(parts: list[Batch]) -> list[Batch]:
        tensor = getattr(parts[0], name).clone()
        tensor[1].view(-1)[0] = torch.nan
        return [replace(parts[0], **{name: tensor}), *parts[1:]]

    return change


NAMES = {"z_0": "latents", "text": "text", "condition": "condition image", "epsilon": "noise"}


@pytest.mark.parametrize("name", NAMES)
def test_a_poisoned_batch_is_named_with_its_pair_and_nothing_is_updated(settings: Settings, name: str) -> None:
    config = settings(save_every=1, probe_every=100)
    trainer = Trainer(config, lambda _: None)
    change_parts(trainer, 2, poisoned(name))
    with pytest.raises(FloatingPointError, match=rf"step 3: .*\(first: the {NAMES[name]} of '\d\.png'\)"):
        trainer.fit()
    assert int(state(config.checkpoint.out)["step"]) == 2
    assert train(config).step == 4  # the poison is gone


@pytest.mark.parametrize("name", NAMES)
def test_a_poisoned_batch_can_be_left_out(settings: Settings, name: str) -> None:
    config, events = settings(probe_every=100, nonfinite="skip"), list[Event]()
    trainer = Trainer(config, events.append)
    change_parts(trainer, 1, poisoned(name))
    assert trainer.fit().step == 4
    told = [event for event in events if isinstance(event, Message) and event.code == "run.skipped-step"]
    assert len(told) == 1 and told[0].text.startswith("step 2 is left out: the loss is nan")
    assert f"(first: the {NAMES[name]} of " in told[0].text
    assert len([loss for row in log(config.checkpoint.out) for loss in row.get("losses", [])]) == 3
    assert all(bool(tensor.isfinite().all()) for tensor in state(config.checkpoint.out).values())


def test_a_run_of_poisoned_batches_ends_though_they_are_left_out(settings: Settings) -> None:
    trainer = Trainer(settings(steps=20, probe_every=100, nonfinite="skip"), lambda _: None)
    each = trainer.batches.each

    def build(*arguments: Any) -> Any:
        return map(poisoned("z_0"), each(*arguments))

    setattr(trainer.batches, "each", build)  # noqa: B010
    with pytest.raises(FloatingPointError, match=r"step 11: .*10 steps before it were left out, too"):
        trainer.fit()


def test_a_gradient_that_is_not_finite_updates_nothing(settings: Settings) -> None:
    config = settings(save_every=1, probe_every=100)
    trainer = Trainer(config, lambda _: None)
    parameter: Any = trainer.network.get_parameter("conv_in.weight")
    parameter.register_hook(lambda gradient: gradient * torch.nan if trainer.done == 2 else gradient)
    with pytest.raises(
        FloatingPointError, match=r"step 3: .*gradient's norm nan.*first: the gradient of network\.conv_in\.weight"
    ):
        trainer.fit()
    assert int(state(config.checkpoint.out)["step"]) == 2


def test_weights_that_a_step_has_blown_up_are_never_saved(settings: Settings) -> None:
    """A rate of 1e30: the update is finite, what it leaves is of no use."""
    config = settings(save_every=1, probe_every=100, learning_rate=1e30, warmup_steps=0)
    with pytest.raises(FloatingPointError, match=r"the weights cannot be kept \(.* is not finite\).*: lower learning_rate"):
        train(config)
    assert Checkpoints(config.checkpoint.out / "state").load() is None
    good = settings(save_every=1, probe_every=100, out=config.checkpoint.out, learning_rate=1e-3)
    assert train(good).step == 4


def test_a_good_state_outlives_a_run_that_diverges_later(settings: Settings) -> None:
    config = settings(steps=2, save_every=1, probe_every=100)
    train(config)
    before = state(config.checkpoint.out)
    with pytest.raises(FloatingPointError, match=r"the state of step 2 stays|step 3: the loss is"):
        train(settings(steps=4, save_every=1, probe_every=100, learning_rate=1e30, warmup_steps=0))
    assert same(state(config.checkpoint.out), before)


def test_a_poisoned_weight_is_named(settings: Settings) -> None:
    trainer = Trainer(settings(probe_every=100, save_every=100), lambda _: None)

    def poison(*_: object) -> None:
        if trainer.done == 1:
            trainer.network.get_parameter("conv_in.weight").data[0] = torch.nan

    trainer.optimizer.register_step_post_hook(poison)
    with pytest.raises(FloatingPointError, match=r"first: the weight network\.conv_in\.weight"):
        trainer.fit()


def test_a_broken_base_autoencoder_or_beginning_is_named_before_anything_is_learnt(
    settings: Settings, base_folder: Path, tmp_path: Path
) -> None:
    for part, weight, match in (
        ("unet", "conv_in.weight", r"^the U-Net of the base .* holds weights that are not finite \(first: conv_in\.weight\)"),
        ("vae", "encoder.conv_in.weight", r"the autoencoder of the base '.*' holds weights that are not finite"),
    ):
        shutil.copytree(base_folder, copy := tmp_path / part)
        break_weight(copy / part / "diffusion_pytorch_model.safetensors", weight)
        with pytest.raises(FloatingPointError, match=match):
            train(settings(base=str(copy), out=tmp_path / f"run-{part}", probe_every=100))
    base = StableDiffusion.from_pretrained(base_folder)
    ControlNet.from_unet(base.unet).save_pretrained(tmp_path / "control")
    break_weight(tmp_path / "control" / "diffusion_pytorch_model.safetensors", "conv_in.weight")
    with pytest.raises(InputError, match=r"^the ControlNet '.*control' holds weights that are not finite \(first: conv_in"):
        train(settings(control=str(tmp_path / "control"), out=tmp_path / "run-control"))


def break_weight(file: Path, name: str) -> None:
    """Put a number that is none into a tensor of a file."""
    tensors = read_safetensors(file)
    tensors[name].view(-1)[0] = torch.nan
    save_file(tensors, file)


def test_no_global_generator_is_touched(settings: Settings) -> None:
    """Neither by a run nor by a resumed one, with workers and without."""
    import random

    config = settings(steps=2, workers=2)
    for steps in (2, 4):
        torch.manual_seed(5)
        before = torch.get_rng_state(), pickle.dumps(np.random.get_state(legacy=False)), random.getstate()
        train(settings(steps=steps, workers=2, out=config.checkpoint.out))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert pickle.dumps(np.random.get_state(legacy=False)) == before[1] and random.getstate() == before[2]


def damage_config(out: Path) -> None:
    (out / "config.toml").write_bytes(b"[optimization\nsteps =")


def empty_config(out: Path) -> None:
    (out / "config.toml").write_bytes(b"")


def damage_newest(out: Path) -> None:
    newest = max((out / "state").iterdir())
    path = newest / "state.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def damage_probe(out: Path) -> None:
    (out / "controlnet" / "probe.json").write_text("{")


def damage_log(out: Path) -> None:
    with (out / "log.jsonl").open("a") as file:
        file.write('5\n[]\n{"event": "probe"}\n\x00\xff half')


def damage_cache(out: Path) -> None:
    path = out / "cache" / "latents.npy"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(64))


def lose_cache(out: Path) -> None:
    shutil.rmtree(out / "cache")


DAMAGES = (damage_config, empty_config, damage_newest, damage_probe, damage_log, damage_cache, lose_cache)


@pytest.fixture(scope="module")
def half(base_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of a run that was stopped in the middle, and of one that was not."""
    from tests.training.conftest import settings_in

    first, whole = (tmp_path_factory.mktemp(name) for name in ("half", "whole"))
    train(settings_in(first, base_folder, data_folder)(steps=3, save_every=1))
    train(settings_in(whole, base_folder, data_folder)())
    return first / "run", whole / "run"


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_folder_resumes_to_the_same_bits(
    settings: Settings, half: tuple[Path, Path], damage: Callable[[Path], None]
) -> None:
    config, events = settings(), list[Event]()
    shutil.copytree(half[0], config.checkpoint.out)
    damage(config.checkpoint.out)
    train(config, events.append)
    assert same(state(config.checkpoint.out), state(half[1]))
    codes = {event.code for event in events if isinstance(event, Message)}
    expected = {
        "damage_config": "run.damaged-settings",
        "empty_config": "run.damaged-settings",
        "damage_newest": "run.damaged-state",
    }
    assert expected.get(damage.__name__, "run.resumed") in codes


def test_other_settings_are_said_and_what_must_not_change_is_refused(settings: Settings) -> None:
    config, events = settings(steps=2), list[Event]()
    train(config)
    train(settings(learning_rate=5e-4, prompt_dropout=0.25, workers=1), events.append)
    (told,) = [event.text for event in events if isinstance(event, Message) and event.code == "run.other-settings"]
    assert "optimization.learning_rate = 0.0005 (was None)" in told and "data.prompt_dropout = 0.25 (was 0.5)" in told
    assert "optimization.steps = 4 (was 2)" in told and "workers" not in told
    with pytest.raises(InputError, match=r"holds a run with optimization\.seed = 0, now 1 is asked for.*--fresh to begin anew"):
        train(settings(seed=1))


def test_a_run_can_be_cleared(settings: Settings) -> None:
    config = settings()
    train(config)
    out = config.checkpoint.out
    (out / "mine.txt").write_text("stays")
    Trainer(config, lambda _: None).folder.unlock()
    from zeroconv.training.run_folder.folder import RunFolder

    RunFolder(out).clear()
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "lock", "mine.txt"]
    assert train(settings(seed=1)).step == 4


def mount_tmpfs(path: Path, size: str) -> None:
    """A file system of its own, where the machine lets tests make one."""
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")


def test_a_disk_that_fills_up_costs_nothing_that_was_saved(settings: Settings, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    mount_tmpfs(disk, "64m")
    try:
        config = settings(out=disk / "run", steps=2, save_every=1, probe_every=100)
        train(config)
        before = state(config.checkpoint.out)
        free = os.statvfs(disk)
        (disk / "filler").write_bytes(bytes(free.f_bavail * free.f_bsize - 200_000))
        with pytest.raises(OSError, match=r"cannot (save the state of step \d in|write) .*disk/run") as caught:
            train(settings(out=disk / "run", steps=6, save_every=1, probe_every=100))
        assert "\n" not in str(caught.value)
        assert same(state(config.checkpoint.out), before)
        (disk / "filler").unlink()
        assert train(settings(out=disk / "run", steps=6, save_every=1, probe_every=100)).step == 6
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_averaged_weights_are_what_is_probed_and_kept(settings: Settings) -> None:
    from zeroconv.control import ControlNet

    config = settings(ema_decay=0.9, probe_every=4, learning_rate=1e-2)
    trainer = Trainer(config, lambda _: None)
    assert trainer.average is not None
    decays, weights = list[float](), dict[str, list[Tensor]]()

    def note(*_: object) -> None:
        for name, parameter in trainer.network.named_parameters():
            weights.setdefault(name, []).append(parameter.detach().clone())

    trainer.optimizer.register_step_post_hook(note)
    first = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    trainer.fit()
    name = "controlnet_mid_block.weight"
    expected = first[name]
    for step, tensor in enumerate(weights[name], start=1):
        decays.append(min(0.9, (1 + step) / (10 + step)))
        expected = decays[-1] * expected + (1 - decays[-1]) * tensor
    assert torch.allclose(trainer.average.tensors[name], expected, atol=1e-7)
    probed = [row for row in log(config.checkpoint.out) if row["event"] == "probe"]
    if json.loads((config.checkpoint.out / "controlnet" / "probe.json").read_text())["step"] == 4:
        kept = ControlNet.from_pretrained(config.checkpoint.out).state_dict()[name]
        assert torch.allclose(kept, expected, atol=1e-7)
    assert [row["step"] for row in probed] == [0, 4]
    assert torch.equal(trainer.network.state_dict()[name], weights[name][-1])  # the weights themselves go on


def test_the_default_recipe_is_the_one_that_learns_from_the_fewest_samples(settings: Settings) -> None:
    """Muon and high time steps first for a narrow base; settings say otherwise."""
    config = TrainConfig.build(base="tiny")
    assert config.optimization.optimizer is None and config.optimization.timesteps is None
    trainer = Trainer(settings(optimizer=None, timesteps=None, steps=30, batch_size=6), lambda _: None)
    assert type(trainer.optimizer).__name__ == "Muon"
    early = torch.cat([trainer.batches(step).t for step in range(20)])
    late = torch.cat([trainer.batches(step).t for step in range(20, 30)])
    assert early.min() >= 400 and early.max() > 900 and late.min() < 300
    trainer.folder.unlock()
