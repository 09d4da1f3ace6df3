"""A request becomes pictures, and a picture carries what makes it again."""

from zeroconv.generation.base import open_base
from zeroconv.generation.control import Control
from zeroconv.generation.denoiser import ControlledDenoiser
from zeroconv.generation.from_request import generate
from zeroconv.generation.parameters_text import parameters_text
from zeroconv.generation.pipeline import ControlPipeline, Output
from zeroconv.generation.png_metadata import SavedImages, read_metadata, reproduce, save_images
from zeroconv.generation.request import BaseRequest, ControlRequest, GenerationRequest, LoRARequest

__all__ = [
    "BaseRequest",
    "Control",
    "ControlPipeline",
    "ControlRequest",
    "ControlledDenoiser",
    "GenerationRequest",
    "LoRARequest",
    "Output",
    "SavedImages",
    "generate",
    "open_base",
    "parameters_text",
    "read_metadata",
    "reproduce",
    "save_images",
]
