"""What a run tells its caller; the caller decides what to print, log or draw."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zeroconv.evaluation import share_of_gap
from zeroconv.messages import Message
from zeroconv.training.probing.sudden_convergence import SuddenConvergence

__all__ = ["Event", "Message", "ProbeEvent", "Progress", "Summary"]


@dataclass(frozen=True)
class Progress:
    """Optimizer steps went by.

    Attributes:
        step: steps done.
        steps: steps in all.
        loss: running mean of the loss.
        samples_per_second: since the run was started or resumed, probes left out.
        seconds_left: estimate for the rest, probes included.
    """

    step: int
    steps: int
    loss: float
    samples_per_second: float
    seconds_left: float

    def line(self) -> str:
        """One line for a person."""
        minutes, seconds = divmod(int(self.seconds_left), 60)
        return (
            f"step {self.step}/{self.steps}  loss {self.loss:.4f}  "
            f"{self.samples_per_second:.1f} samples/s  {minutes}:{seconds:02d} left"
        )


@dataclass(frozen=True)
class ProbeEvent:
    """A fidelity probe was made.

    Attributes:
        step: steps done.
        fidelity: of the controlled pictures.
        uncontrolled: without control, the same noise.
        ceiling: the autoencoder's reconstruction of the truth.
        measure: name of the measure.
        interval: ends of the fidelity's 95 % interval over the pictures.
        without_prompt: fidelity of pictures made with the control and empty prompts.
        held_out_loss: on the probe's pairs, always of the same time steps and noise; None where it is not taken.
        made: how the pictures were made, in words.
        conditions: of several, for each its own fidelity with the control, without it, and of the ceiling, by name.
    """

    step: int
    fidelity: float
    uncontrolled: float
    ceiling: float
    measure: str
    interval: tuple[float, float]
    without_prompt: float
    held_out_loss: float | None = None
    made: str = ""
    conditions: Mapping[str, tuple[float, float, float]] = field(default_factory=dict[str, tuple[float, float, float]])

    @property
    def share(self) -> float:
        """Share of the gap between uncontrolled and ceiling that the control closes; 0 when there is no gap."""
        return share_of_gap(self.fidelity, self.uncontrolled, self.ceiling) or 0.0

    def line(self) -> str:
        """One line for a person."""
        low, high = self.interval
        each = "".join(f", {name} {value:.3f}" for name, (value, _, _) in self.conditions.items())
        return (
            f"probe at step {self.step}: {self.measure} {self.fidelity:.3f} [{low:.3f}, {high:.3f}] "
            f"(without control {self.uncontrolled:.3f}, ceiling {self.ceiling:.3f}, {self.share:.0%} of the gap){each}; "
            f"without prompt {self.without_prompt:.3f}{self.made and f'; {self.made}'}"
        )


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
        step: optimizer steps done.
        fidelity: at the last probe; None when the run was stopped before the first.
        uncontrolled: without control; None likewise.
        ceiling: the autoencoder's reconstruction of the truth; None likewise.
        jump: where the control took hold, if it did.
        folder: the run folder.
        stopped: why it ended before its last step: a signal's name, or the file that asked for it.
        is_first: whether this is the first of the processes that trained, which knows the rest.
        interval: ends of the fidelity's 95 % interval; None likewise, and for a probe of an earlier version.
        without_prompt: fidelity with the control and empty prompts; None likewise.
    """

    step: int
    fidelity: float | None
    uncontrolled: float | None
    ceiling: float | None
    jump: SuddenConvergence | None
    folder: Path
    stopped: str | None = None
    is_first: bool = True
    interval: tuple[float, float] | None = None
    without_prompt: float | None = None


Event = Progress | ProbeEvent | Message
