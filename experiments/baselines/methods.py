"""The baselines by name, in the order of the table."""

from experiments.baselines.common import Method
from experiments.baselines.concatenation import ConcatenationLora, LatentDiffusion, WholeBase
from experiments.baselines.controlnet import ControlNetGaussian, ControlNetLite, ControlNetZero
from experiments.baselines.lora import BaseLora
from experiments.baselines.no_control import NoControl
from experiments.baselines.piti import Piti
from experiments.baselines.sketch_guided import SketchGuided
from experiments.baselines.t2i_adapter import Adapter
from experiments.baselines.taming import Taming

__all__ = ["METHODS", "UNTRAINED"]

ALL: list[Method] = [
    NoControl(),
    BaseLora(),
    Taming(),
    LatentDiffusion(),
    Piti(),
    SketchGuided(1.6),
    SketchGuided(3.2),
    WholeBase(),
    ConcatenationLora(),
    Adapter(),
    ControlNetLite(),
    ControlNetGaussian(),
    ControlNetZero(),
]
METHODS: dict[str, Method] = {method.name: method for method in ALL}
UNTRAINED = {"no-control"}
"""Those that no seed of a training changes."""
