"""A whole run on a tiny random base: it locks the base, resumes to the same bits, probes, and announces the jump."""

import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.tiny import copies, unchanged
from tests.training.conftest import Settings, settings_in
from zeroconv.control import ControlNet
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training import Event, Message, ProbeEvent, Progress, TrainConfig, Trainer, train
from zeroconv.training.data.batches import Batch
from zeroconv.training.optimization.timetable import Timetable
from zeroconv.training.probing.probe import ProbeResult
from zeroconv.training.probing.recorder import ProbeRecorder
from zeroconv.training.run_folder.checkpoints import Checkpoints


def state(folder: Path) -> dict[str, Tensor]:
    """Network and optimizer, as the newest state has them."""
    found = Checkpoints(folder / "state").load()
    assert found is not None
    return {**found.tensors, "step": torch.tensor(found.step)}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


MEASURED = {"samples_per_second", "seconds_left", "memory"}
"""What depends on the machine and the moment."""


def log(folder: Path) -> list[dict[str, Any]]:
    """Its lines without what depends on the moment."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in MEASURED} for row in rows]


def interrupted_by(error: type[BaseException], when: Callable[[Event], bool]) -> Callable[[Event], None]:
    """A caller that stops the run at an event."""

    def report(event: Event) -> None:
        if when(event):
            raise error

    return report


def at_probe(step: int) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, ProbeEvent) and event.step == step


@pytest.fixture(scope="module")
def whole(base_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """A run of four steps without interruption, and what it said; nobody goes on with it."""
    events: list[Event] = []
    config = settings_in(tmp_path_factory.mktemp("whole"), base_folder, data_folder)()
    summary = train(config, events.append)
    assert summary.step == 4 and summary.folder == config.checkpoint.out
    return config.checkpoint.out, events


def test_the_log_is_on_the_disk_before_the_state(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    run, synced, fsync = Trainer(settings(), lambda _: None), list[int](), os.fsync
    run.folder.log("progress", 0, loss=0.5)
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_ino), fsync(file)))
    run.saver.save(0)
    run.folder.checkpoints.wait()
    log_file, manifest = (run.folder.path / name for name in ("log.jsonl", "state/step-0000000/manifest.json"))
    assert synced.index(log_file.stat().st_ino) == 0 < synced.index(manifest.stat().st_ino)
    assert manifest.parent.stat().st_ino in synced and manifest.parent.parent.stat().st_ino in synced  # the folders' names


def test_files_and_events_of_a_run(whole: tuple[Path, list[Event]], settings: Settings) -> None:
    folder, events = whole
    assert [type(event) for event in events] == [ProbeEvent, ProbeEvent, Progress, ProbeEvent]
    assert [event.step for event in events if not isinstance(event, Message)] == [0, 2, 4, 4]
    for step in (0, 2, 4):
        with Image.open(folder / "samples" / f"step-{step:06d}.png") as sheet:
            assert sheet.width >= 2 * 128 and sheet.height >= 4 * 128  # two pairs; truth, map, without, with
    assert [(row["event"], row["step"]) for row in log(folder)] == [
        ("probe", 0), ("progress", 2), ("probe", 2), ("progress", 4), ("probe", 4),
    ]  # fmt: skip
    assert TrainConfig.build(folder / "config.toml") == settings(out=folder)
    assert (folder / "README.md").is_file() and not list(folder.rglob("*.part"))
    network = ControlNet.from_pretrained(folder)
    assert network.config.condition == "canny"
    probes = [event for event in events if isinstance(event, ProbeEvent)]
    assert json.loads((folder / "controlnet" / "probe.json").read_text())["fidelity"] == max(p.fidelity for p in probes)


def test_every_event_has_a_line(whole: tuple[Path, list[Event]]) -> None:
    lines = [event.line() for event in whole[1]]
    assert lines[0].startswith("probe at step 0: edge F1 ")
    assert lines[2].startswith("step 4/4  loss ") and lines[2].endswith(" 0:00 left")


def test_the_first_probe_is_the_base_without_control(whole: tuple[Path, list[Event]]) -> None:
    first = whole[1][0]
    assert isinstance(first, ProbeEvent)
    assert first.fidelity == first.uncontrolled and first.share in (0, pytest.approx(0))  # identity at initialisation
    assert 0 <= first.uncontrolled <= 1 and 0 <= first.ceiling <= 1


def change_parts(trainer: Trainer, wrong: int, change: Callable[[list[Batch]], list[Batch]]) -> None:
    """Another batch at one step."""
    each = trainer.batches.each

    def build(steps: range, *rest: Any) -> Iterator[list[Batch]]:
        for step, parts in zip(steps, each(steps, *rest), strict=True):
            yield change(parts) if step == wrong else parts

    setattr(trainer.batches, "each", build)  # noqa: B010


def poison(trainer: Trainer, wrong: int) -> None:
    """Latents of one step are not finite."""
    change_parts(trainer, wrong, lambda parts: [replace(batch, z_0=batch.z_0 * torch.nan) for batch in parts])


class Killed(BaseException):
    """What no run catches."""


@pytest.mark.parametrize(("error", "step"), [(KeyboardInterrupt, 2), (RuntimeError, 2), (Killed, 4)])
def test_resumed_is_uninterrupted(
    whole: tuple[Path, list[Event]], settings: Settings, error: type[BaseException], step: int
) -> None:
    """After an interrupt, and after a crash that lost two steps: the same weights, moments, log and sheets."""
    config, notes = settings(), list[str]()
    with pytest.raises(error):
        train(config, interrupted_by(error, at_probe(step)))
    train(config, lambda event: notes.append(event.line()) if isinstance(event, Message) else None)
    assert same(state(config.checkpoint.out), state(whole[0]))
    assert log(config.checkpoint.out) == log(whole[0])
    for sheet in (whole[0] / "samples").iterdir():
        assert (config.checkpoint.out / "samples" / sheet.name).read_bytes() == sheet.read_bytes()
    assert notes == [f"resuming {config.checkpoint.out} at step 2"]


def test_an_interrupt_saves_whole_steps_alone(whole: tuple[Path, list[Event]], settings: Settings) -> None:
    config = settings(probe_every=100)

    def after_update(*_: Any) -> None:
        if trainer.done == 2:
            raise KeyboardInterrupt

    trainer = Trainer(config, lambda _: None)
    trainer.optimizer.register_step_post_hook(after_update)  # the third update is made and not yet counted
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    assert int(state(config.checkpoint.out)["step"]) == 2

    def interrupt(_: list[Batch]) -> list[Batch]:
        raise KeyboardInterrupt

    trainer = Trainer(config, lambda _: None)
    change_parts(trainer, 3, interrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    assert int(state(config.checkpoint.out)["step"]) == 3
    train(config)
    assert same(state(config.checkpoint.out), state(whole[0]))


def test_a_longer_run_goes_on_from_the_shorter_to_the_same_bits(whole: tuple[Path, list[Event]], settings: Settings) -> None:
    torch.manual_seed(99)  # of no consequence
    train(settings(steps=2))
    config = settings()
    train(config)
    reached = state(config.checkpoint.out)
    assert same(reached, state(whole[0]))
    assert train(config).step == 4  # nothing left to do
    assert same(state(config.checkpoint.out), reached)


def test_the_base_is_locked_and_every_part_of_the_copy_learns(settings: Settings, base: StableDiffusion) -> None:
    trainer = Trainer(settings(learning_rate=1e-2, probe_every=100), lambda _: None)
    networks = {"unet": trainer.base.unet, "vae": trainer.base.vae, "text_encoder": trainer.base.text_encoder}
    before = {name: copies(network.state_dict().items()) for name, network in networks.items()}
    born = copies(trainer.network.state_dict().items())
    trainer.fit()
    for name, network in networks.items():
        assert unchanged(network, before[name]) and unchanged(getattr(base, name), before[name])
        assert not any(p.requires_grad or p.grad is not None for p in network.parameters())
    moved = [name for name, tensor in trainer.network.state_dict().items() if not torch.equal(tensor, born[name])]
    assert moved == list(born)


def test_a_loss_that_is_not_finite_keeps_the_last_good_state(settings: Settings) -> None:
    config = settings(probe_every=100, save_every=1)
    trainer = Trainer(config, lambda _: None)
    poison(trainer, 1)
    with pytest.raises(FloatingPointError, match="step 2: the loss is nan"):
        trainer.fit()
    saved = state(config.checkpoint.out)
    assert int(saved["step"]) == 1
    assert all(bool(tensor.isfinite().all()) for tensor in saved.values())


def test_where_looking_waits_a_bad_step_is_found_before_anything_is_kept(settings: Settings) -> None:
    """As on a GPU, whose losses are looked at before a report, a probe and a saved state alone."""
    config = settings(probe_every=100, save_every=2)
    trainer = Trainer(config, lambda _: None)
    poison(trainer, 2)
    trainer.timetable = Timetable(config, "cuda")
    assert [step for step in range(1, 5) if trainer.timetable.is_check_due(step)] == [2, 4]
    with pytest.raises(FloatingPointError, match=r"step 3: the loss is nan .*nothing since the last saved state can be kept"):
        trainer.fit()
    saved = state(config.checkpoint.out)
    assert trainer.done == 3 and int(saved["step"]) == 2
    assert all(bool(tensor.isfinite().all()) for tensor in saved.values())


def test_the_jump_is_announced_once(settings: Settings) -> None:
    """The marks are moved so that the real probe's fidelity, whatever it is, closes five sixths of the gap."""
    config, events = settings(), list[Event]()
    trainer = Trainer(config, events.append)
    fidelity = trainer.probe.run(trainer.network).fidelity
    recorder = ProbeRecorder(trainer.probe, config, trainer.folder, events.append)
    images = trainer.probe.run(None).images
    recorder.uncontrolled = ProbeResult([fidelity - 0.5] * 2, images)
    recorder.ceiling = ProbeResult([fidelity + 0.1] * 2, images)
    for step, value in ((0, fidelity - 0.5), (2, fidelity - 0.48)):
        recorder.remember({"step": step, "fidelity": value, "share": {"low": -0.1, "high": 0.1}})
    with torch.no_grad():
        next(trainer.network.controlnet_mid_block.parameters()).fill_(1e-12)  # zero connections are the base without control
    recorder.run(trainer.network, 4)
    recorder.run(trainer.network, 6)
    trainer.recorder = recorder
    told = [event.text for event in events if isinstance(event, Message)]
    bracket = "between the probes of step 2 and 4"
    assert told == [
        f"the control took hold at about step 3 (3 to 3, {bracket}): edge F1 {fidelity - 0.48:.2f} → {fidelity:.2f}"
    ]
    assert [row["event"] for row in log(config.checkpoint.out)] == ["probe", "jump", "probe"]
    assert log(config.checkpoint.out)[1] == {
        "event": "jump", "step": 4, "at": 3, "begin": 2, "end": 4, "before": fidelity - 0.48, "after": fidelity,
        "earliest": 3, "latest": 3,
    }  # fmt: skip
    summary = trainer.summarize(None)
    assert summary.jump is not None and (summary.jump.begin, summary.jump.end) == (2, 4)


def test_other_settings_do_not_touch_a_run(whole: tuple[Path, list[Event]], settings: Settings) -> None:
    before = state(whole[0])
    with pytest.raises(ValueError, match=r"holds a run with optimization\.batch_size = 2, now 3 is asked for"):
        train(settings(out=whole[0], batch_size=3))
    assert same(state(whole[0]), before)


def test_ablations_train(settings: Settings) -> None:
    changed = {"variant": "lite", "connection": "gaussian", "condition_encoder": "paper"}
    config = settings(**changed, steps=1)
    assert train(config).step == 1
    saved = ControlNet.from_pretrained(config.checkpoint.out).config
    assert replace(saved, **changed) == saved


def test_a_control_can_be_trained_on(whole: tuple[Path, list[Event]], settings: Settings) -> None:
    trainer = Trainer(settings(control=str(whole[0])), lambda _: None)
    assert unchanged(trainer.network, copies(ControlNet.from_pretrained(whole[0]).state_dict().items()))
    assert trainer.done == 0 and trainer.network.training


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"condition": "depht"}, "unknown condition 'depht'"),
        (
            {"condition": "depth"},
            r"9 of 9 pairs have no depth map .*: add the maps, as depth is read by the embedded annotator",
        ),
        (
            {"condition": "normal"},
            r"9 of 9 pairs have no normal map .*: add the maps, as normal is read by the embedded annotator",
        ),
        ({"probe_count": 9}, "the data set has 9 pairs and 9 are held out"),
        ({"data": "nowhere"}, "no data folder at nowhere"),
        ({"base": "nowhere"}, "no base called 'nowhere'"),
        ({"control": "nowhere"}, "no ControlNet called 'nowhere'"),
    ],
)
def test_wrong_requests_end_in_one_line_and_write_nothing(settings: Settings, changed: dict[str, Any], message: str) -> None:
    out = settings().checkpoint.out
    with pytest.raises((ValueError, OSError), match=message) as caught:
        train(settings(**changed))
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_a_run_on_a_base_of_the_xl_family(xl_folder: Path, settings: Settings) -> None:
    config = settings(base=str(xl_folder), steps=2, prompt_dropout=0.5)
    trainer = Trainer(config, lambda _: None)
    batches = [trainer.batches(epoch) for epoch in range(20)]
    emptied: list[bool] = []
    for batch in batches:
        assert batch.added_conditions is not None
        assert torch.equal(batch.added_conditions.time_ids, torch.tensor([[32.0, 32, 0, 0, 32, 32]] * 2))
        for states, vector in zip(batch.text, batch.added_conditions.text_embeds, strict=True):
            assert bool(states.any()) == bool(vector.any())  # an emptied prompt is zeros in both
            emptied.append(not vector.any())
    assert 8 < sum(emptied) < 32
    assert trainer.fit().step == 2
    network = ControlNet.from_pretrained(config.checkpoint.out)
    assert all(tensor.any() for name, tensor in network.state_dict().items() if name.startswith("add_embedding"))


def test_a_second_trainer_is_refused_while_the_first_one_lives(settings: Settings) -> None:
    config = settings()
    first = Trainer(config, lambda _: None)
    with pytest.raises(
        InputError, match=rf"process {os.getpid()} on {platform.node()} is training in .*: wait for it, stop it"
    ) as caught:
        Trainer(config, lambda _: None)
    assert caught.value.field == "checkpoint.out"
    first.fit()
    Trainer(config, lambda _: None)  # the file that is left blocks nobody


def test_a_picture_lost_while_training_costs_no_step(settings: Settings, data_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data_folder, folder)
    config = settings(data=str(folder), probe_every=3, save_every=100)

    def lose(event: Event) -> None:
        if isinstance(event, ProbeEvent) and event.step == 3:
            for path in folder.glob("*.png"):
                path.unlink()

    with pytest.raises(InputError, match=r"2 of 7 pairs cannot be used, 1 may be left out \(first: no such file"):
        train(config, lose)
    assert int(state(config.checkpoint.out)["step"]) == 3
    with pytest.raises(InputError, match=r"no such file: .*7\.png"):
        train(config)


def test_maps_of_users_are_looked_at_and_the_log_says_so(settings: Settings, data_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data_folder, folder)
    Image.new("RGB", (32, 32), (255, 255, 255)).save(folder / "white.png")
    rows = [{"file_name": f"{i}.png", "text": ["a", "b"], "canny": "white.png"} for i in range(9)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config, events = settings(data=str(folder), steps=1), list[Event]()
    train(config, events.append)
    messages = [event for event in events if isinstance(event, Message)]
    logged = [row["code"] for row in log(config.checkpoint.out) if row["event"] == "message"]
    assert "map.inverted" in logged and logged == [message.code for message in messages]
    assert any("9 of 9 canny maps, first that of '0.png'" in message.text for message in messages)


def test_a_map_that_no_score_can_be_given_by_is_named_with_its_pair(
    settings: Settings, data_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data_folder, folder)
    Image.new("RGB", (32, 32), (31, 241, 12)).save(folder / "green.png")
    rows = [{"file_name": f"{i}.png", "text": "a", "segmentation": "green.png"} for i in range(9)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError, match=r"^the map of \d\.png: .*palette") as caught:
        train(settings(data=str(folder), condition="segmentation", steps=1))
    assert caught.value.field == "data.source"


def test_a_small_base_is_trained_by_one_thread(settings: Settings) -> None:
    seen = set[int]()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train(settings(steps=1), lambda _: seen.add(torch.get_num_threads()))
        assert seen == {1} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
