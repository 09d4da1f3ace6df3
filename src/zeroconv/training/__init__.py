"""Training a ControlNet: settings, loop, state, probe and sudden convergence (section 3.3)."""

from zeroconv.training.config import TrainConfig
from zeroconv.training.convergence import Jump, find_jump
from zeroconv.training.events import Event, Note, Probed, Progress
from zeroconv.training.run import Summary, train

__all__ = ["Event", "Jump", "Note", "Probed", "Progress", "Summary", "TrainConfig", "find_jump", "train"]
