"""Scenes that somebody arranges: things, camera and light as plain values, rendered with all that is true about them.

`StageDescription.from_seed(seed)` reads the scene of a seed; change it, and `photograph(stage, 512, 512)` renders it.
"""

from zeroconv.world.staging.description import CameraPlace, GroundLook, LightPlace, PlacedThing, RoomLook, StageDescription
from zeroconv.world.staging.photograph import StagePicture, photograph
from zeroconv.world.staging.seeds import describe_seed

__all__ = [
    "CameraPlace", "GroundLook", "LightPlace", "PlacedThing", "RoomLook", "StageDescription", "StagePicture", "describe_seed",
    "photograph",
]  # fmt: skip
