"""A whole run: open, resume, optimise, probe, save, stop."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial

from zeroconv.control import ControlNet
from zeroconv.messages import listen
from zeroconv.run_files import PROBE, SAVE, STOP
from zeroconv.runtime.threads import suited_threads
from zeroconv.training.config.defaults import default_learning_rate, is_wide, settle_probe
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.data.batches import Batch, Batches
from zeroconv.training.data.run_data import RunData
from zeroconv.training.events import Event, Message, Summary
from zeroconv.training.learner import Learner
from zeroconv.training.loop import StepMetrics, optimize
from zeroconv.training.measurements import measure
from zeroconv.training.nonfinite import SkippedSteps, explain_nonfinite
from zeroconv.training.optimization.timetable import Timetable
from zeroconv.training.parts import build_probe, open_base
from zeroconv.training.probing.diagnosis import diagnose_rate
from zeroconv.training.probing.recorder import ProbeRecorder
from zeroconv.training.processes import join_processes
from zeroconv.training.requests import FileRequests
from zeroconv.training.run_folder.folder import RunFolder
from zeroconv.training.run_folder.progress_log import ProgressLog
from zeroconv.training.run_folder.saver import Saver, load_divided
from zeroconv.training.sharding import probed_network
from zeroconv.training.stopping import Stopped, StopRequest
from zeroconv.training.tracking.trackers import Trackers

__all__ = ["Trainer", "train"]


def train(config: TrainConfig, report: Callable[[Event], None] = lambda _: None) -> Summary:
    """Train a ControlNet; the same call again resumes from the run folder.

    SIGINT, SIGTERM, SIGHUP and a file called `stop` in the run folder end it after the step, its state saved.

    Args:
        config: the settings.
        report: called with every event.

    Raises:
        InputError: for settings, data or a folder that do not fit.
        FloatingPointError: when loss or gradient is not finite; the states saved before stay.
        Exception: any other goes on after the state was saved, unless it came in the middle of an update.
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
        self.processes = join_processes(config.optimization.device)
        self.folder, self.trackers = RunFolder(config.checkpoint.out), Trackers(config)
        self.report = report if self.processes.is_first else lambda _: None
        self.stop = StopRequest(self.folder.path / STOP)
        self.requests = FileRequests(self.folder.path if self.processes.is_first else None)
        self.device = self.processes.device(config.optimization.device)
        opened = cache(partial(open_base, config))  # data are looked at first: that takes less time
        self.data = RunData(config, self.folder.read_held_out(), opened)
        self.learner = learner = Learner(config, opened(), self.processes, self.data.size)
        self.base, self.network, self.loss = learner.base, learner.network, learner.loss
        self.optimizer, self.average, self.shards = learner.optimizer, learner.average, learner.shards
        settled = self.folder.earlier_settings(), is_wide(self.base), len(self.data.held_out)
        self.config = config = settle_probe(config, *settled)
        self.data.check_base(learner.encoders)
        self.probe = build_probe(config, self.base, self.data.probe_pairs, self.data.probe_maps)
        self.opening: list[Message] = []
        with self.processes.together(), listen(self.opening.append):
            if self.processes.is_first:
                self.data.check_files()
                self.folder.open(config, tensors=self.shards is None)
        try:
            with self.processes.together(), listen(self.opening.append):
                self.done = self.load()
                if self.processes.is_first:
                    self.folder.write_held_out(self.data.held_out, len(self.data.found))
                    self.data.open_cache(self.folder.path / "cache", learner.encoders)
            self.cache = self.data.open_cache(self.folder.path / "cache", learner.encoders)
        except BaseException:
            self.folder.unlock()
            raise
        known = self.data.pairs, self.cache, self.data.size, len(self.loss.schedule)
        self.batches = Batches(config, learner.encoders, *known, self.device, self.leave_out, self.data.views)
        self.timetable = Timetable(config, self.device)
        divided = self.shards and self.processes
        self.saver = Saver(
            config, self.folder, self.loss, self.optimizer, self.average, self.batches, learner.loss_scale, divided
        )
        self.saves = self.processes.is_first or self.shards is not None
        self.skipped, self.newest = SkippedSteps(self.loss, self.processes.first_of), list[Batch]()
        self.recorder: ProbeRecorder | None = None

    def load(self) -> int:
        """Fill everything from the newest state, in every process; the step reached, 0 without one."""
        saved, self.folder.saved = self.folder.saved, None
        if self.shards is not None:
            return load_divided(self.folder, saved and saved.step, self.processes, self.network, self.learner.restore)
        step, tensors = self.processes.spread(None if saved is None else (saved.step, saved.tensors), self.device)
        if tensors is not None:
            self.learner.restore(tensors)
        return step

    def fit(self) -> Summary:
        """Optimise to the end, or until it is asked to stop; raises as `train`."""
        try:
            with listen(self.tell), self.stop.listening(), suited_threads(self.base, self.data.size):
                return self.resume()
        finally:
            self.trackers.close()
            self.folder.unlock()
            self.processes.leave()

    def resume(self) -> Summary:
        """Optimise from where the run is; raises as `train`."""
        try:
            with self.probed() as self.whole, self.processes.together():
                if self.processes.is_first:
                    self.begin()
            self.run_steps(explain_nonfinite(self.optimize(), self.loss, self.newest, self.processes.first_of))
        except Stopped:
            pass
        except FloatingPointError:  # nothing that might be poisoned is saved
            raise
        except (KeyboardInterrupt, Exception) as error:
            if self.processes.is_first and self.shards is None:  # the others could not write their parts
                self.save_despite(error)
            raise
        stopped = None if self.done >= self.config.optimization.steps else self.stop.reason()
        self.stop.clear()
        self.save(wait=True)
        return self.summarize(stopped)

    def begin(self) -> None:
        """Say what there is to say, and take the marks that fidelity lies between.

        Raises:
            Stopped: when a signal comes.
        """
        self.stop.clear()
        self.requests.clear()
        rows = self.folder.rewind_log(self.done)
        self.trackers.open(self.folder, self.done, rows, self.tell)
        if self.done:
            self.report(Message(f"resuming {self.folder.path} at step {self.done}", "run.resumed", "info"))
        optimization = self.config.optimization
        usual = default_learning_rate(self.base, optimization.optimizer, self.config.model.unlock_decoder)
        unusual = None if optimization.learning_rate is None else diagnose_rate(optimization.learning_rate, usual)
        for message in (*self.opening, *self.data.messages(), *([unusual] if unusual else ())):
            self.tell(message)
        self.folder.write_skipped(self.data.left_out)
        sizes, measured = (optimization.steps, optimization.batch_size), partial(measure, self.optimizer, self.device)
        self.progress = ProgressLog(self.folder, *sizes, rows, self.report, measured)
        with self.interruptible():
            self.recorder = ProbeRecorder(self.probe, self.config, self.folder, self.report, rows)
        if self.timetable.is_probe_due(self.done) and not self.recorder.has(self.done):  # new, or interrupted while probing
            self.run_probe(self.done)
        self.progress.start()

    def optimize(self) -> Iterator[StepMetrics]:
        """The steps that are left."""
        optimization, processes = self.config.optimization, self.processes
        steps = range(self.done, optimization.steps)
        parts = optimization.accumulation * processes.size
        mine = range(processes.rank * optimization.accumulation, (processes.rank + 1) * optimization.accumulation)
        prepared = self.batches.each(steps, mine, parts)
        module = processes.share_gradients(self.loss) if self.shards is None else self.loss
        return optimize(
            module,
            self.take_parts(prepared),
            self.optimizer,
            optimization.scale_learning_rate,
            optimization.max_gradient_norm,
            steps,
            self.timetable.is_check_due,
            optimization.nonfinite == "skip",
            getattr(module, "no_sync", nullcontext),
            processes.mean,
            self.learner.loss_scale,
        )

    def take_parts(self, prepared: Iterator[list[Batch]]) -> Callable[[int], list[Batch]]:
        """The parts of each step, those of the newest kept: they are looked at when something is not finite."""

        def take(_: int) -> list[Batch]:
            self.newest[:] = next(prepared)
            return self.newest

        return take

    def run_steps(self, states: Iterator[StepMetrics]) -> None:
        """Count, log, probe and save while the optimisation goes on; losses are read where they are logged."""
        for state in states:
            self.done = state.step
            if self.average is not None and not state.skipped:
                self.average.update(self.done)
            self.saver.is_updating = False
            if message := self.skipped.count(state, self.newest):
                self.tell(message)
            if self.processes.is_first:
                self.record(state)
            is_check_due = self.timetable.is_check_due(state.step)
            asked = self.processes.first_of(self.requests.take()) if is_check_due else None
            if self.timetable.is_probe_due(state.step) or asked == PROBE:
                with self.probed() as self.whole, self.processes.together():
                    if self.processes.is_first:
                        self.run_probe(state.step)
            if self.timetable.is_save_due(state.step) or asked == SAVE:
                self.save()
            if is_check_due and self.processes.first_of(self.stop.reason()):
                return

    def record(self, state: StepMetrics) -> None:
        """Keep a step's loss, and write those that wait where it is time."""
        if not state.skipped:
            self.progress.add(state.loss, state.gradient_norm)
        if self.timetable.is_progress_due(state.step):
            self.progress.write(state.step)

    def save(self, wait: bool = False) -> None:
        """Write the state from which the same command resumes; the log of its steps is on the disk before it.

        Args:
            wait: until it is on the disk.

        Raises:
            FloatingPointError: when the weights give no finite loss any more; then nothing is written.
            OSError: when this state, or the one before it, cannot be written.
            PeerFailedError: when that was so in another process.
        """
        with self.processes.together():
            for name, problem in self.data.left_out_by_others(self.processes):
                self.leave_out(name, problem)
            if self.processes.is_first:
                self.progress.write(self.done, report=False)
            if self.saves:
                self.saver.check_weights(self.done)
                self.saver.save(self.done)
            if wait:
                self.folder.checkpoints.wait()

    def save_despite(self, error: BaseException) -> None:
        """Save although the run ends with an error; when that fails, too, the error says so."""
        if not self.saver.is_state_whole():
            return
        try:
            self.progress.write(self.done, report=False)
            self.saver.save(self.done)
            self.folder.checkpoints.wait()
        except OSError as failed:
            error.add_note(f"the state of step {self.done} could not be saved: {failed}")

    def probed(self) -> AbstractContextManager[ControlNet]:
        """The network as it is probed, which is whole and has the averaged weights, if there are any."""
        return probed_network(self.network, self.average, self.shards, self.probe)

    def run_probe(self, step: int) -> None:
        """Probe; raises `Stopped` when a signal comes."""
        begun = time.monotonic()
        assert self.recorder is not None
        self.progress.write(step, report=False)  # the log goes forward: trackers refuse an earlier step after a later one
        with self.interruptible():
            self.recorder.run(self.whole, step)
        self.progress.leave_out(time.monotonic() - begun)

    def interruptible(self) -> AbstractContextManager[None]:
        """Where a signal may stop the run at once: alone; with others, the first process finishes what they wait for."""
        return self.stop.interruptible() if self.processes.size == 1 else nullcontext()

    def tell(self, message: Message) -> None:
        """Say what a user should know, and log it."""
        if self.processes.is_first:
            self.folder.log("message", self.done, **message.to_json())
        self.report(message)

    def leave_out(self, name: str, problem: str) -> None:
        """List a pair that turned out to be unusable, here or in another process."""
        self.data.left_out.append((name, problem))
        if self.processes.is_first:
            self.folder.write_skipped(self.data.left_out)
            self.tell(Message(f"pair {name!r} cannot be used and is left out from now on: {problem}", "data.left-out"))

    def summarize(self, stopped: str | None) -> Summary:
        """How the run ended."""
        if self.recorder is not None:
            return self.recorder.summarize(self.done, stopped)
        return Summary(self.done, None, None, None, None, self.folder.path, stopped, self.processes.is_first)
