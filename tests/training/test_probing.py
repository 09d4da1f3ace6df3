"""What probes say: intervals, the held-out loss, what older runs keep, and the warning that training longer does harm."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.conftest import Settings
from tests.training.test_trainer import log, state
from zeroconv.metrics.bootstrap import bootstrap_mean
from zeroconv.training import Event, Message, ProbeEvent, TrainConfig, Trainer, train
from zeroconv.training.config.defaults import default_probe_count
from zeroconv.training.probing.overfit import MeasuredProbe, find_overfit
from zeroconv.training.probing.recorder import ProbeRecorder
from zeroconv.training.run_folder.folder import RunFolder


def test_how_many_are_held_out() -> None:
    assert [default_probe_count(False, pairs) for pairs in (9, 80, 100, 2000)] == [8, 8, 10, 32]
    assert default_probe_count(True, 2000) == 8


def test_a_row_of_the_log_says_how_its_pictures_were_made_and_how_sure_it_is(settings: Settings) -> None:
    config, events = settings(steps=2, probe_guidance=3.0), list[Event]()
    summary = train(config, events.append)
    first, last = (row for row in log(config.checkpoint.out) if row["event"] == "probe")
    for row in (first, last):
        assert row["low"] <= row["fidelity"] <= row["high"]
        assert row["without_prompt"]["low"] <= row["without_prompt"]["value"] <= row["without_prompt"]["high"]
        assert (row["pictures"], row["strength"], row["guidance"], row["denoising_steps"]) == (2, 1.0, 3.0, 1)
        assert len(row["held_out_losses"]) == 2 and row["held_out_loss"] == pytest.approx(np.mean(row["held_out_losses"]))
        assert (config.checkpoint.out / "samples" / row["sheet"]).is_file()
    assert summary.interval == (last["low"], last["high"]) and summary.without_prompt == last["without_prompt"]["value"]
    probe = next(event for event in events if isinstance(event, ProbeEvent))
    assert probe.line().endswith("2 pictures, strength 1, guidance 3, 1 steps")
    made = (config.checkpoint.out / "controlnet" / "README.md").read_text("utf-8")
    assert "2 held-out pairs" in made and "strength 1, guidance 3, 1 steps" in made


def test_scores_and_interval_of_a_probe(settings: Settings) -> None:
    trainer = Trainer(settings(), lambda _: None)
    found = trainer.probe.run(None)
    assert found.interval == bootstrap_mean(found.scores) and found.fidelity == found.interval.value
    emptied = trainer.probe.run(None, prompts=False)
    assert [image.tobytes() for image in emptied.images] != [image.tobytes() for image in found.images]
    assert [pair.caption for pair in trainer.probe.without_prompts.pairs] == ["", ""]
    trainer.folder.unlock()


def test_the_held_out_loss_is_the_loss_and_draws_nothing(settings: Settings) -> None:
    trainer = Trainer(settings(), lambda _: None)
    held_out_loss: Any = trainer.probe.held_out_loss
    before = torch.get_rng_state()
    once, twice = held_out_loss(trainer.network), held_out_loss(trainer.network)
    assert once == twice and len(once) == 2 and torch.equal(torch.get_rng_state(), before)
    batch = held_out_loss.batches[0]
    assert float(trainer.loss(batch).detach()) == pytest.approx(sum(once) / 2)
    assert all(p.grad is None for p in trainer.network.parameters())
    assert list(batch.t) == [
        trainer.loss.schedule.alphas_cumprod.numel() // 4,
        3 * trainer.loss.schedule.alphas_cumprod.numel() // 4,
    ]
    trainer.folder.unlock()


def test_probes_do_not_change_what_is_learnt(settings: Settings, tmp_path: Path) -> None:
    states: list[dict[str, torch.Tensor]] = []
    for name, every, steps in (("a", 1, 2), ("b", 100, 1)):
        train(settings(out=tmp_path / name, probe_every=every, probe_steps=steps))
        states.append(state(tmp_path / name))
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_an_older_run_keeps_its_held_out_pairs_and_its_probes_steps(settings: Settings) -> None:
    """Its settings name the count and the steps; the same command of today names neither."""
    old = settings(steps=2, probe_count=3, probe_steps=2)
    train(old)
    rows = [json.loads(line) for line in (old.checkpoint.out / "log.jsonl").read_text().splitlines()]
    for row in rows:  # as an earlier version wrote them
        if row["event"] == "probe":
            for key in row.keys() - {"event", "step", "fidelity", "uncontrolled", "ceiling"}:
                del row[key]
    (old.checkpoint.out / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    opened, events = settings(probe_count=None, probe_steps=None), list[Event]()
    assert opened.probe.count is None and opened.probe.steps is None
    summary = train(opened, events.append)
    assert summary.step == 4 and len(json.loads((old.checkpoint.out / "held-out.json").read_text())["names"]) == 3
    kept = TrainConfig.build(old.checkpoint.out / "config.toml").probe
    assert (kept.count, kept.steps) == (3, 2)
    changed = [event.text for event in events if isinstance(event, Message) and event.code == "run.other-settings"]
    assert all("probe." not in text for text in changed)
    with pytest.raises(ValueError, match=r"probe\.count = 3, now 2 is asked for"):
        train(settings(probe_count=2))


def test_probes_that_were_made_otherwise_are_not_compared(settings: Settings) -> None:
    """Guidance changes fidelity: the network that is kept, the jump and the turn are found among pictures made alike."""
    old = settings(steps=2)
    train(old)
    kept = old.checkpoint.out / "controlnet" / "probe.json"
    best = json.loads(kept.read_text())
    assert (best["guidance"], best["denoising_steps"], best["pictures"], best["strength"]) == (4.0, 1, 2, 1.0)
    kept.write_text(json.dumps({**best, "fidelity": 2.0}))
    train(settings(steps=4))
    assert json.loads(kept.read_text())["fidelity"] == 2.0  # the best of those made alike stays
    train(settings(steps=6, probe_guidance=1.0))
    now = json.loads(kept.read_text())
    assert (now["step"], now["guidance"]) == (4, 1.0) or now["step"] == 6
    rows = [row for row in log(old.checkpoint.out) if row["event"] == "probe"]
    trainer = Trainer(settings(steps=6, probe_guidance=1.0), lambda _: None)
    recorder = ProbeRecorder(trainer.probe, trainer.config, trainer.folder, lambda _: None, rows)
    assert [step for step, _ in recorder.curve] == [row["step"] for row in rows if row["guidance"] == 1.0]
    assert 0 < len(recorder.curve) < len(rows)
    trainer.folder.unlock()


def test_held_out_losses_of_other_time_steps_are_not_compared(settings: Settings) -> None:
    """Low ones have larger losses: a change of the range would look like a network that learns by heart."""
    train(settings(steps=2))
    for changed, count in (({}, 2), ({"max_timestep": 100}, 0)):
        trainer = Trainer(settings(steps=2, **changed), lambda _: None)
        rows = [row for row in log(trainer.folder.path) if row["event"] == "probe"]
        recorder = ProbeRecorder(trainer.probe, trainer.config, trainer.folder, lambda _: None, rows)
        assert (len(recorder.curve), len(recorder.measured)) == (2, count)
        trainer.folder.unlock()


def probes(*means: float, fidelities: tuple[float, ...] = (), spread: float = 0.001, seed: int = 0) -> list[MeasuredProbe]:
    """Probes of 32 pairs, some hard and some easy, with these mean losses."""
    drawn = np.random.default_rng(seed)
    hard = drawn.uniform(0.01, 0.3, 32)
    fidelities = fidelities or tuple(0.5 for _ in means)
    return [
        MeasuredProbe(100 * i, fidelity, fidelity - 0.05, fidelity + 0.05, list(hard + mean + drawn.normal(0, spread, 32)))
        for i, (mean, fidelity) in enumerate(zip(means, fidelities, strict=True))
    ]


def test_a_held_out_loss_that_turns_is_found_at_its_second_probe() -> None:
    turned = probes(0.1, 0.05, 0.01, 0.04, 0.05, 0.1, fidelities=(0.3, 0.3, 0.4, 0.5, 0.55, 0.6))
    assert [find_overfit(turned[: i + 1]) is not None for i in range(6)] == [False] * 4 + [True] * 2
    found = find_overfit(turned)
    assert found is not None and (found.best.step, found.now.step) == (200, 500)
    text = found.sentence("edge F1")
    assert "at step 200" in text and "edge F1" in text and "\n" not in text


def test_what_is_no_overfit() -> None:
    assert find_overfit([]) is None
    assert find_overfit(probes(0.1, 0.08, 0.05, 0.03, 0.03)) is None
    assert find_overfit(probes(0.1, 0.05, 0.1, 0.049)) is None  # one probe above the best
    assert find_overfit(probes(0.1, 0.05, 0.1, 0.12, fidelities=(0.3, 0.7, 0.6, 0.4))) is None  # that is a run that breaks


def test_noise_is_not_taken_for_it_in_a_long_run() -> None:
    for seed in range(5):
        flat = probes(*[0.1] * 60, spread=0.01, seed=seed)
        assert not any(find_overfit(flat[: i + 1]) for i in range(60))


def test_the_warning_is_given_once_and_logged(settings: Settings) -> None:
    """A made-up log in which the loss turned, and probes whose losses are higher still."""
    config, events = settings(), list[Event]()
    trainer = Trainer(config, lambda _: None)
    rows = [
        {"event": "probe", "step": step, "fidelity": 0.0, "low": 0.0, "high": 0.0, "held_out_losses": losses}
        for step, losses in ((0, [1e-4, 2e-4]), (1, [2e-4, 3e-4]))
    ]
    recorder = ProbeRecorder(trainer.probe, config, trainer.folder, events.append, rows)
    recorder.run(trainer.network, 2)
    recorder.run(trainer.network, 3)
    told = [event for event in events if isinstance(event, Message)]
    assert [message.code for message in told] == ["run.overfit"] and told[0].level == "warning"
    logged = [row for row in log(config.checkpoint.out) if row["event"] == "message"]
    assert [row["code"] for row in logged] == ["run.overfit"]
    again = ProbeRecorder(trainer.probe, config, trainer.folder, events.append, [*rows, *logged])
    again.run(trainer.network, 4)
    assert len([event for event in events if isinstance(event, Message)]) == 1
    trainer.folder.unlock()


def test_files_ask_for_a_probe_and_a_state(settings: Settings) -> None:
    config, whole = settings(steps=4, probe_every=4, save_every=100), settings(steps=4, probe_every=4, save_every=100)
    saved: list[tuple[str, int]] = []
    trainer = Trainer(config, lambda _: None)

    def ask(*_: Any) -> None:
        if trainer.done == 0:
            (config.checkpoint.out / "probe").touch()
        if trainer.done == 1:
            (config.checkpoint.out / "save").touch()
        saved.extend(("step", step) for step in trainer.folder.checkpoints.good)

    trainer.optimizer.register_step_post_hook(ask)
    for name in ("probe", "save"):
        (config.checkpoint.out / name).touch()  # left over: asked of a run that had ended
    trainer.fit()
    assert [row["step"] for row in log(config.checkpoint.out) if row["event"] == "probe"] == [0, 1, 4]
    assert (config.checkpoint.out / "samples" / "step-000001.png").is_file()
    assert trainer.folder.checkpoints.good == [2, 4]
    assert not any((config.checkpoint.out / name).exists() for name in ("probe", "save"))
    reached = state(config.checkpoint.out)
    shutil.rmtree(config.checkpoint.out)
    train(whole)
    assert all(torch.equal(reached[name], tensor) for name, tensor in state(whole.checkpoint.out).items())


def test_a_begun_anew_folder_keeps_no_requests(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for name in ("lock", "probe", "save", "stop", "trackers.json"):
        (tmp_path / name).touch()
    folder.clear()
    assert {path.name for path in tmp_path.iterdir()} == {"lock"}


@pytest.mark.soak
def test_sixteen_pairs_are_learnt_by_heart_and_the_run_says_so(tmp_path: Path) -> None:
    """The tiny base, begun from another control so that it takes hold at once."""
    events: list[Event] = []
    config = TrainConfig.build(
        data="world:24@500000", control="tiny-depth", out=tmp_path, steps=140, batch_size=4, probe_count=8, probe_every=20,
        probe_steps=2, save_every=1000, prompt_dropout=0.0,
    )  # fmt: skip
    train(config, events.append)
    assert "run.overfit" in [event.code for event in events if isinstance(event, Message)]
