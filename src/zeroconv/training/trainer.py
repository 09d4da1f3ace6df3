"""A whole run: open, resume, optimise, probe, announce, save."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from zeroconv import conditions
from zeroconv.control import ControlledUNet, ControlNet
from zeroconv.data import FolderPairs, get_maps, open_pairs, split_held_out
from zeroconv.data.latent_cache import LatentCache
from zeroconv.data.map_messages import look_at_maps
from zeroconv.data.readiness import check_ready
from zeroconv.generation import ControlPipeline
from zeroconv.images import write_png
from zeroconv.messages import listen
from zeroconv.training.batches import Batches, make_maps
from zeroconv.training.config import TrainConfig
from zeroconv.training.defaults import (
    build_schedule,
    default_channels,
    default_learning_rate,
    extractor_parameters,
    open_base,
    reextract_parameters,
)  # fmt: skip
from zeroconv.training.events import Event, Message, ProbeEvent, Progress
from zeroconv.training.loop import StepMetrics, optimize, training_loss
from zeroconv.training.optimizer import build_optimizer
from zeroconv.training.probe import Probe
from zeroconv.training.run_folder import RunFolder
from zeroconv.training.state import load_state, save_state
from zeroconv.training.sudden_convergence import SuddenConvergence, find_sudden_convergence

__all__ = ["Summary", "Trainer", "train"]

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
    jump: SuddenConvergence | None
    folder: Path


def train(config: TrainConfig, report: Callable[[Event], None] = lambda _: None) -> Summary:
    """Train a ControlNet; the same call again resumes from the run folder.

    Args:
        config: the settings.
        report: called with every event.

    Raises:
        InputError: for settings, data or a folder that do not fit.
        FloatingPointError: when loss or gradient is not finite.
        KeyboardInterrupt: after the state was saved, as it is before any error goes on; one in the middle of an update
            leaves the last state.
    """
    return Trainer(config, report).fit()


class Trainer:
    """The parts of a run and what it has learnt so far.

    Args:
        config: the settings.
        report: called with every event.

    Raises:
        InputError: for settings or data that cannot be used, before the run folder is made.
    """

    def __init__(self, config: TrainConfig, report: Callable[[Event], None]) -> None:
        self.config, self.report, self.folder = config, report, RunFolder(config.checkpoint.out)
        data, optimization = config.data, config.optimization
        found = open_pairs(data.source, data.condition)
        if isinstance(found, FolderPairs):  # all that is wrong with its files is said now
            check_ready(found, config.probe.count, data.extract)
        pairs, probe_pairs = split_held_out(found, config.probe.count)
        make_maps(config, [pairs[0]], [np.random.default_rng(0)])  # what is wrong with them is said now
        parameters = [extractor_parameters(config)] * len(probe_pairs)
        maps = get_maps(probe_pairs, data.condition, parameters, ready=not data.extract)
        self.base = open_base(config)
        sampling = config.probe.steps, config.probe.guidance
        self.probe = Probe(
            ControlPipeline(self.base), data.condition, probe_pairs, *sampling, maps, reextract_parameters(config)
        )
        self.network = self.build_network().to(optimization.device).train()
        self.network.check_base(self.base.unet)
        rate = optimization.learning_rate or default_learning_rate(self.base)
        self.optimizer = build_optimizer(self.network, optimization.optimizer, rate, optimization.weight_decay)
        self.folder.open(config)
        try:
            self.done = load_state(self.folder.state, self.network, self.optimizer)
            size = self.probe.held_out.size
            self.cache = LatentCache(self.folder.path / "cache", self.base, len(pairs), size, pairs.max_captions)
        except BaseException:
            self.folder.unlock()
            raise
        self.pairs = found
        self.unet, self.schedule = ControlledUNet(self.base.unet), build_schedule(self.base).to(optimization.device)
        self.batches = Batches(config, self.base, pairs, self.cache, size, len(self.schedule))
        self.curve: list[tuple[int, float]] = []
        self.jump: SuddenConvergence | None = None

    def build_network(self) -> ControlNet:
        """A ControlNet initialised from the base, or the one to begin from."""
        config = self.config.model
        torch.manual_seed(self.config.optimization.seed)  # the condition encoder's start; every later draw is keyed
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
        data = self.config.data
        extract = {key: value for key, value in data.extract.items() if key != "device"}
        network.config = replace(network.config, base=config.base, condition=data.condition, extract=extract)
        return network

    def fit(self) -> Summary:
        """Optimise to the end; raises as `train`."""
        try:
            with listen(self.tell):
                return self.resume()
        finally:
            self.folder.unlock()

    def resume(self) -> Summary:
        """Optimise from where the run is; raises as `train`."""
        if self.done:
            self.report(Message(f"resuming {self.folder.path} at step {self.done}", "run.resumed", "info"))
        before = self.folder.rewind_log(self.done)
        self.curve = [(row["step"], row["fidelity"]) for row in before if row["event"] == "probe"]
        self.warn_of_annotator()
        self.check_maps()
        self.uncontrolled, self.ceiling = self.probe.run(None), self.probe.ceiling()
        self.jump = find_sudden_convergence(self.curve, self.uncontrolled.fidelity, self.ceiling)
        if self.is_probe_due(self.done) and self.done not in dict(self.curve):  # initialised, or interrupted while probing
            self.run_probe(self.done)
        optimization = self.config.optimization
        states = optimize(
            lambda batch: training_loss(self.unet, self.network, batch, self.schedule, self.base.prediction_type),
            self.batches,
            self.optimizer,
            optimization.scale_learning_rate,
            optimization.max_gradient_norm,
            range(self.done, optimization.steps),
            self.is_check_due,
        )
        try:
            self.run_steps(states)
        except (KeyboardInterrupt, Exception) as error:
            if self.is_state_whole():
                self.save_despite(error)
            raise
        self.save()
        return self.summarize()

    def tell(self, message: Message) -> None:
        """Say what a user should know, and log it."""
        self.folder.log("message", self.done, code=message.code, level=message.level, text=message.text)
        self.report(message)

    def check_maps(self) -> None:
        """Look at some of the maps that came with the pairs, and say what looks wrong about them."""
        data = self.config.data
        if isinstance(self.pairs, FolderPairs) and not data.extract:
            for message in look_at_maps(self.pairs):
                self.tell(message)

    def warn_of_annotator(self) -> None:
        """Say so when the embedded annotator reads pictures that need not be of the tiny world."""
        data, reextract = self.config.data, self.config.probe.judge
        warning = conditions.get(data.condition).domain_warning(data.extract | reextract, "--set judge.method=…")
        if warning and not data.source.startswith("world:"):
            self.report(Message(f"in probes {warning}", "probe.domain"))

    def run_steps(self, states: Iterator[StepMetrics]) -> None:
        """Count, log, probe and save while the optimisation goes on; losses are read where they are logged."""
        config, first, started, probing = self.config.optimization, self.done, time.monotonic(), 0.0
        running: float | None = None
        unread: list[torch.Tensor] = []
        for state in states:
            self.done = state.step
            unread.append(state.loss)
            if self.is_progress_due(state.step):
                for loss in torch.stack(unread).tolist():
                    running = loss if running is None else 0.98 * running + 0.02 * loss
                unread.clear()
                assert running is not None
                elapsed, count = time.monotonic() - started, state.step - first
                speed = config.batch_size * count / max(elapsed - probing, 1e-9)
                left = elapsed / count * (config.steps - state.step)
                self.report(Progress(state.step, config.steps, running, speed, left))
                self.folder.log("progress", state.step, loss=running, samples_per_second=speed)
            if self.is_probe_due(state.step):
                begun = time.monotonic()
                self.run_probe(state.step)
                probing += time.monotonic() - begun
            if self.is_save_due(state.step):
                self.save()

    def is_progress_due(self, step: int) -> bool:
        """Whether progress is reported after `step`."""
        return step % PROGRESS_EVERY == 0 or step == self.config.optimization.steps

    def is_probe_due(self, step: int) -> bool:
        """Whether a probe belongs to `step`: the regular ones and the last."""
        return step % self.config.probe.every == 0 or step == self.config.optimization.steps

    def is_save_due(self, step: int) -> bool:
        """Whether the state is saved after `step`; the last one is saved by `fit`."""
        return step % self.config.checkpoint.every == 0

    def is_check_due(self, step: int) -> bool:
        """Whether losses are looked at before `step` is done: always where it costs nothing, else before they matter."""
        due = self.is_progress_due(step) or self.is_probe_due(step) or self.is_save_due(step)
        return due or torch.device(self.config.optimization.device).type == "cpu"

    def is_state_whole(self) -> bool:
        """Whether network and optimizer are those after `done` whole updates, and finite."""
        counts = (int(moments.get("step", -1)) for moments in self.optimizer.state.values())
        return all(count == self.done for count in counts) and all(bool(p.isfinite().all()) for p in self.network.parameters())

    def save(self) -> None:
        """Write the state from which the same command resumes; the log of its steps is on the disk before it."""
        self.folder.sync_log()
        save_state(self.folder.state, self.network, self.optimizer, self.done)

    def save_despite(self, error: BaseException) -> None:
        """Save although the run ends with an error; when that fails, too, the error says so."""
        try:
            self.save()
        except OSError as failed:
            error.add_note(f"the state of step {self.done} could not be saved: {failed}")

    def run_probe(self, step: int) -> None:
        """Probe: measure, draw the sheet, keep the best network, announce sudden convergence once."""
        result = self.probe.run(self.network)
        uncontrolled = self.uncontrolled.fidelity
        event = ProbeEvent(step, result.fidelity, uncontrolled, self.ceiling, self.measure)
        self.curve.append((step, result.fidelity))
        sheet = self.probe.sheet(self.uncontrolled.images, result.images, event.line())
        path = write_png(sheet, self.folder.path / "samples" / f"step-{step:06d}.png")
        if result.fidelity > self.folder.read_best():
            licence = self.config.checkpoint.licence
            self.folder.save_best(self.network, step, result.fidelity, path, self.describe(event), licence)
            self.folder.write_readme(self.config, f"Kept: step {step}, the best probe so far. {event.line()}")
        self.folder.log("probe", step, fidelity=result.fidelity, uncontrolled=uncontrolled, ceiling=self.ceiling)
        self.report(event)  # when sheet, network and log are written: a caller may stop here
        jump = find_sudden_convergence(self.curve, uncontrolled, self.ceiling)
        if jump is not None and self.jump is None:
            self.jump = jump
            self.folder.log("jump", step, begin=jump.begin, end=jump.end, before=jump.before, after=jump.after)
            self.report(Message(jump.sentence(self.measure), "run.sudden-convergence", "info"))

    @property
    def measure(self) -> str:
        """The name of the fidelity measure."""
        return conditions.get(self.config.data.condition).metric

    def describe(self, event: ProbeEvent) -> dict[str, str | float]:
        """What the model card says of a probe."""
        return {
            f"{self.measure}, mean of {self.config.probe.count} held-out pairs": round(event.fidelity, 3),
            "the same without control": round(event.uncontrolled, 3),
            "of the autoencoder's reconstruction of the truth": round(event.ceiling, 3),
            "optimizer steps": event.step,
            "samples per step": self.config.optimization.batch_size,
        }

    def summarize(self) -> Summary:
        """How the run ended."""
        uncontrolled = self.uncontrolled.fidelity
        last = self.curve[-1][1] if self.curve else uncontrolled
        return Summary(self.done, last, uncontrolled, self.ceiling, self.jump, self.folder.path)
