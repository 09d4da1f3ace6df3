"""A whole run: open, resume, optimise, probe, announce, save."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from zeroconv import conditions
from zeroconv.control import ControlledUNet, ControlNet
from zeroconv.data import Pair, conditions_of, held_out, open_pairs
from zeroconv.data.latent_cache import Cache
from zeroconv.data.sampling_order import draw, visits_of_step
from zeroconv.generation import ControlPipeline
from zeroconv.images import to_masked_tensor, to_tensor, write_png
from zeroconv.training.config import TrainConfig
from zeroconv.training.defaults import (
    default_channels,
    default_learning_rate,
    given_parameters,
    judge_for,
    open_base,
    schedule_of,
)  # fmt: skip
from zeroconv.training.events import Event, Note, Probed, Progress
from zeroconv.training.loop import Batch, StepState, optimise, training_loss
from zeroconv.training.optimizer import build_optimizer
from zeroconv.training.probe import Probe, ProbeResult
from zeroconv.training.run_folder import RunFolder
from zeroconv.training.sudden_convergence import Jump, find_jump

__all__ = ["Summary", "train"]

PROGRESS_EVERY = 10  # steps between progress events


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
        step: optimizer steps done.
        fidelity: at the last probe.
        uncontrolled: without control.
        ceiling: the autoencoder's reconstruction of the truth.
        jump: where the control took hold, if it did.
        folder: the run folder.
    """

    step: int
    fidelity: float
    uncontrolled: float
    ceiling: float
    jump: Jump | None
    folder: Path


def train(config: TrainConfig, report: Callable[[Event], None] = lambda _: None) -> Summary:
    """Train a ControlNet; the same call again resumes from the run folder.

    Args:
        config: the settings.
        report: called with every event.

    Raises:
        ValueError: for settings, data or a folder that do not fit.
        FloatingPointError: when loss or gradient is not finite.
        KeyboardInterrupt: after the state was saved; an interrupt in the middle of an update leaves the last one.
    """
    return Run(config, report).go()


class Run:
    """The parts of one run and what it has learnt so far."""

    def __init__(self, config: TrainConfig, report: Callable[[Event], None]) -> None:
        self.config, self.report, self.folder = config, report, RunFolder(config.out)
        pairs = open_pairs(config.data, config.condition)
        self.pairs, probe_pairs = held_out(pairs, config.probe_count)
        self.given = given_parameters(config)
        self.maps_for_training([self.pairs[0]], [np.random.default_rng(0)])  # what is wrong with them is said now
        maps = conditions_of(probe_pairs, config.condition, [self.given] * len(probe_pairs), not config.extract)
        self.base = open_base(config)
        self.pipeline = ControlPipeline(self.base)
        looks = config.probe_steps, config.probe_guidance
        self.probe = Probe(self.pipeline, config.condition, probe_pairs, *looks, maps, judge_for(config))
        self.network = self.fresh_network().to(config.device).train()
        self.network.check_base(self.base.unet)
        rate = config.learning_rate or default_learning_rate(self.base)
        self.optimizer = build_optimizer(self.network, config.optimizer, rate, config.weight_decay)
        self.folder.open(config)
        self.done = self.folder.load_state(self.network, self.optimizer)
        self.cache = Cache(config.out / "cache", self.base, [pair for pair in self.pairs.names], self.size)
        self.unet, self.schedule = ControlledUNet(self.base.unet), schedule_of(self.base)
        self.empty_text = self.base.encode_text([""]).map(lambda tensor: tensor.float().cpu())
        self.curve: list[tuple[int, float]] = []
        self.jump: Jump | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        return self.probe.pairs[0].image.size

    def fresh_network(self) -> ControlNet:
        """A ControlNet at birth from the base, or the one to begin from."""
        config = self.config
        torch.manual_seed(config.seed)  # the condition encoder's start; every later draw is keyed
        if config.control is not None:
            network = ControlNet.from_pretrained(config.control, unet=self.base.unet)
        else:
            network = ControlNet.from_unet(
                self.base.unet,
                variant=config.variant,
                rank=config.rank,
                connection=config.connection,
                condition_encoder=config.condition_encoder,
                conditioning_embedding_out_channels=config.condition_encoder_channels or default_channels(self.base),
            )
        extract = {key: value for key, value in config.extract.items() if key != "device"}
        network.config = replace(network.config, base=config.base, condition=config.condition, extract=extract)
        return network

    def batch(self, step: int) -> Batch:
        """The batch of a step, from the cache, with conditions extracted for this visit."""
        config = self.config
        visits = visits_of_step(step, config.batch_size, len(self.pairs), config.seed)
        pairs = [self.pairs[visit.sample] for visit in visits]
        for pair in pairs:
            if pair.image.size != self.size:
                (width, height), (w, h) = pair.image.size, self.size
                raise ValueError(f"pair {pair.name!r} is {width}x{height}, others {w}x{h}: train on pictures of one size")
        z_0, text = self.cache.read([visit.sample for visit in visits], pairs)
        draws = [draw(v, config.seed, tuple(z_0.shape[1:]), len(self.schedule), config.prompt_dropout) for v in visits]
        text = text.replace_rows(torch.tensor([d.empty_prompt for d in draws]), self.empty_text)
        maps = self.maps_for_training(pairs, [d.extraction for d in draws])
        made = Batch(
            z_0,
            text.hidden_states,
            torch.stack([to_masked_tensor(m) if m.mode == "RGBA" else to_tensor(m) for m in maps]),
            torch.tensor([d.t for d in draws]),
            torch.stack([d.epsilon for d in draws]),
            self.base.added_conditions(text, *self.size),
        )
        return made.to(config.device)

    def maps_for_training(self, pairs: Sequence[Pair], generators: Sequence[np.random.Generator]) -> list[Image.Image]:
        """The maps of pairs; what the settings do not give of the extractor's parameters is drawn for each visit."""
        name = self.config.condition
        parameters = [
            conditions.draw_parameters(name, generator, pair.image.size, self.given)
            for pair, generator in zip(pairs, generators, strict=True)
        ]
        return conditions_of(pairs, name, parameters, ready=not self.config.extract)

    def go(self) -> Summary:
        """Optimise to the end."""
        config = self.config
        if self.done:
            self.report(Note(f"resuming {config.out} at step {self.done}"))
        before = self.folder.rewind_log(self.done)
        self.curve = [(row["step"], row["fidelity"]) for row in before if row["event"] == "probe"]
        tiny_alone = not conditions.get(config.condition).of_any_picture
        if tiny_alone and "method" not in config.extract | config.judge and not config.data.startswith("world:"):
            self.report(Note("probes are judged by the embedded annotator, which knows the tiny world alone: "
                             "for other pictures name a network with --set judge.method=…"))  # fmt: skip
        self.uncontrolled = self.probe.run(None)
        self.ceiling = self.probe.ceiling()
        self.jump = find_jump(self.curve, self.uncontrolled.fidelity, self.ceiling)
        if self.probe_is_due(self.done) and self.done not in dict(self.curve):  # at birth, or interrupted while probing
            self.look(self.done)
        states = optimise(
            lambda batch: training_loss(self.unet, self.network, batch, self.schedule, self.base.prediction_type),
            self.batch,
            self.optimizer,
            config.rate,
            config.max_gradient_norm,
            range(self.done, config.steps),
        )
        try:
            self.follow(states)
        except (KeyboardInterrupt, FloatingPointError):
            if all(int(moments.get("step", -1)) == self.done for moments in self.optimizer.state.values()):
                self.folder.save_state(self.network, self.optimizer, self.done)
            raise
        self.folder.save_state(self.network, self.optimizer, self.done)
        return self.summary()

    def follow(self, states: Iterator[StepState]) -> None:
        """Count, log, probe and save while the optimisation goes on."""
        config, first, started, probing = self.config, self.done, time.monotonic(), 0.0
        running: float | None = None
        for state in states:
            self.done = state.step
            running = state.loss if running is None else 0.98 * running + 0.02 * state.loss
            if state.step % PROGRESS_EVERY == 0 or state.step == config.steps:
                elapsed, count = time.monotonic() - started, state.step - first
                speed = config.batch_size * count / max(elapsed - probing, 1e-9)
                left = elapsed / count * (config.steps - state.step)
                self.report(Progress(state.step, config.steps, running, speed, left))
                self.folder.log("progress", state.step, loss=running, samples_per_second=speed)
            if self.probe_is_due(state.step):
                begun = time.monotonic()
                self.look(state.step)
                probing += time.monotonic() - begun
            if state.step % config.save_every == 0:
                self.folder.save_state(self.network, self.optimizer, state.step)

    def probe_is_due(self, step: int) -> bool:
        """Whether a probe belongs to `step`: the regular ones and the last."""
        return step % self.config.probe_every == 0 or step == self.config.steps

    def look(self, step: int) -> None:
        """Probe: measure, draw the sheet, keep the best network, announce the jump once."""
        result = self.probe.run(self.network)
        probed = Probed(step, result.fidelity, self.uncontrolled.fidelity, self.ceiling, self.measure)
        self.curve.append((step, result.fidelity))
        self.draw_sheet(step, result, probed)
        if result.fidelity > self.folder.best():
            sheet = self.sheet_path(step)
            self.folder.save_best(self.network, step, result.fidelity, sheet, self.measured(probed), self.config.licence)
            self.folder.write_readme(self.config, f"Kept: step {step}, the best probe so far. {probed.line()}")
        self.folder.log("probe", step, fidelity=result.fidelity, uncontrolled=probed.uncontrolled, ceiling=self.ceiling)
        self.report(probed)  # when sheet, network and log are written: a caller may stop here
        jump = find_jump(self.curve, self.uncontrolled.fidelity, self.ceiling)
        if jump is not None and self.jump is None:
            self.jump = jump
            self.folder.log("jump", step, begin=jump.begin, end=jump.end, before=jump.before, after=jump.after)
            self.report(Note(jump.sentence(self.measure)))

    @property
    def measure(self) -> str:
        """The name of the fidelity measure."""
        return conditions.get(self.config.condition).measure

    def draw_sheet(self, step: int, result: ProbeResult, probed: Probed) -> None:
        """Write the sample sheet of a probe."""
        sheet = self.probe.sheet(self.uncontrolled.images, result.images, probed.line())
        write_png(sheet, self.sheet_path(step))

    def sheet_path(self, step: int) -> Path:
        """Where the sample sheet of a probe lies."""
        return self.folder.path / "samples" / f"step-{step:06d}.png"

    def measured(self, probed: Probed) -> dict[str, str | float]:
        """What the model card says of a probe."""
        return {
            f"{self.measure}, mean of {self.config.probe_count} held-out pairs": round(probed.fidelity, 3),
            "the same without control": round(probed.uncontrolled, 3),
            "of the autoencoder's reconstruction of the truth": round(probed.ceiling, 3),
            "optimizer steps": probed.step,
            "samples per step": self.config.batch_size,
        }

    def summary(self) -> Summary:
        """How the run ended."""
        last = self.curve[-1][1] if self.curve else self.uncontrolled.fidelity
        return Summary(self.done, last, self.uncontrolled.fidelity, self.ceiling, self.jump, self.folder.path)
