"""A request becomes pictures, and a picture carries what makes it again."""

from zeroconv.generation.control import Control
from zeroconv.generation.pipeline import ControlPipeline, Output
from zeroconv.generation.png_metadata import Saved, again, parameters_text, save

__all__ = ["Control", "ControlPipeline", "Output", "Saved", "again", "parameters_text", "save"]
