"""The U-Nets that were published, one of each family: every community model of a family has the same."""

from types import MappingProxyType

from zeroconv.checkpoints.architecture.families import FamilyKey
from zeroconv.checkpoints.architecture.unet_shape import UNetShape

__all__ = ["PUBLISHED"]

PUBLISHED: MappingProxyType[FamilyKey, UNetShape] = MappingProxyType(
    {
        "sd15": UNetShape(4, 4, (320, 640, 1280, 1280), 2, (1, 1, 1, 0), 1, 768, False, None),
        "sd21": UNetShape(4, 4, (320, 640, 1280, 1280), 2, (1, 1, 1, 0), 1, 1024, True, None),
        "sdxl": UNetShape(4, 4, (320, 640, 1280), 2, (0, 2, 10), 10, 2048, True, 2816),
    }
)
"""By the key of the family."""
