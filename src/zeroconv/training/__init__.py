"""Training a ControlNet: settings, loop, state, probe and sudden convergence (section 3.3)."""

from zeroconv.training.config import TrainConfig
from zeroconv.training.events import Event, Note, Probed, Progress
from zeroconv.training.sudden_convergence import Jump, find_jump
from zeroconv.training.trainer import Summary, train

__all__ = ["Event", "Jump", "Note", "Probed", "Progress", "Summary", "TrainConfig", "find_jump", "train"]
