"""A request becomes pictures, and a picture carries what makes it again."""

from zeroconv.generation.control import Control
from zeroconv.generation.pipeline import ControlPipeline, Output
from zeroconv.generation.png_metadata import SavedImages, parameters_text, reproduce, save_images

__all__ = ["Control", "ControlPipeline", "Output", "SavedImages", "parameters_text", "reproduce", "save_images"]
