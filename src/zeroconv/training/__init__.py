"""Training a ControlNet: settings, loop, state, probe and sudden convergence (section 3.3)."""

from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.events import Event, Message, ProbeEvent, Progress, Summary
from zeroconv.training.probing.sudden_convergence import SuddenConvergence, find_sudden_convergence
from zeroconv.training.trainer import Trainer, train

__all__ = [
    "Event",
    "Message",
    "ProbeEvent",
    "Progress",
    "SuddenConvergence",
    "Summary",
    "TrainConfig",
    "Trainer",
    "find_sudden_convergence",
    "train",
]
