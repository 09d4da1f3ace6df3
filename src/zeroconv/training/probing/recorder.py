"""What is kept of each probe: its sheet, its line in the log, the best network, and the announcement of the jump."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zeroconv import conditions
from zeroconv.control import ControlNet
from zeroconv.images import write_png
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.events import Event, Message, ProbeEvent
from zeroconv.training.probing.probe import Probe
from zeroconv.training.probing.sudden_convergence import SuddenConvergence, find_sudden_convergence
from zeroconv.training.run_folder.folder import RunFolder

__all__ = ["ProbeRecorder"]


class ProbeRecorder:
    """The probes of a run.

    Args:
        probe: on held-out pairs.
        config: of the run.
        folder: of the run.
        report: called with every event.
        rows: of the log so far.
    """

    def __init__(
        self,
        probe: Probe,
        config: TrainConfig,
        folder: RunFolder,
        report: Callable[[Event], None],
        rows: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.probe, self.config, self.folder, self.report = probe, config, folder, report
        self.curve = [(int(row["step"]), float(row["fidelity"])) for row in rows if row["event"] == "probe"]
        self.uncontrolled, self.ceiling = probe.run(None), probe.ceiling()
        self.jump = find_sudden_convergence(self.curve, self.uncontrolled.fidelity, self.ceiling)

    @property
    def measure(self) -> str:
        """The name of the fidelity measure."""
        return conditions.get(self.config.data.condition).metric

    @property
    def newest(self) -> float:
        """Fidelity at the last probe; without control before the first."""
        return self.curve[-1][1] if self.curve else self.uncontrolled.fidelity

    def has(self, step: int) -> bool:
        """Whether there is a probe of `step`."""
        return step in dict(self.curve)

    def run(self, network: ControlNet, step: int) -> None:
        """Probe: measure, draw the sheet, keep the best network, announce sudden convergence once."""
        result = self.probe.run(network)
        uncontrolled = self.uncontrolled.fidelity
        event = ProbeEvent(step, result.fidelity, uncontrolled, self.ceiling, self.measure)
        sheet = self.probe.sheet(self.uncontrolled.images, result.images, event.line())
        path = write_png(sheet, self.folder.path / "samples" / f"step-{step:06d}.png")
        if result.fidelity > self.folder.read_best():
            licence = self.config.checkpoint.licence
            self.folder.save_best(network, step, result.fidelity, path, self.describe(event), licence)
            self.folder.write_readme(self.config, f"Kept: step {step}, the best probe so far. {event.line()}")
        self.folder.log("probe", step, fidelity=result.fidelity, uncontrolled=uncontrolled, ceiling=self.ceiling)
        self.curve.append((step, result.fidelity))
        self.report(event)  # when sheet, network and log are written: a caller may stop here
        jump = find_sudden_convergence(self.curve, uncontrolled, self.ceiling)
        if jump is not None and self.jump is None:
            self.announce(step, jump)

    def announce(self, step: int, jump: SuddenConvergence) -> None:
        """Say that the control took hold."""
        self.jump = jump
        self.folder.log("jump", step, begin=jump.begin, end=jump.end, before=jump.before, after=jump.after)
        self.report(Message(jump.sentence(self.measure), "run.sudden-convergence", "info"))

    def describe(self, event: ProbeEvent) -> dict[str, str | float]:
        """What the model card says of a probe."""
        return {
            f"{self.measure}, mean of {self.config.probe.count} held-out pairs": round(event.fidelity, 3),
            "the same without control": round(event.uncontrolled, 3),
            "of the autoencoder's reconstruction of the truth": round(event.ceiling, 3),
            "optimizer steps": event.step,
            "samples per step": self.config.optimization.batch_size,
        }
