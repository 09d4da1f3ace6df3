"""A service on a base of a few thousand numbers, with a ControlNet that fits it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.tiny import NANO, SD15, build_base, build_control
from zeroconv.service import Limits, ServiceSettings

__all__ = ["PIXELS", "Small", "build_small"]

PIXELS = 64
"""The side of its pictures."""


class Small:
    """Where base and ControlNet are, and settings of a service with them.

    Args:
        folder: for all of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        opened = build_base(folder / "nano", config={**SD15, **NANO, "sample_size": PIXELS // 8})
        self.base = opened.name
        self.control = str(folder / "control")
        network = build_control(opened.unet, 1)
        network.config = replace(network.config, condition="canny", base=self.base)
        network.save_pretrained(self.control)

    def settings(self, name: str = "state", **limits: Any) -> ServiceSettings:
        """Settings of a service whose state is in a folder of that name."""
        longest = {"steps": 999, **limits}
        return ServiceSettings(self.folder / name, (self.base,), (self.control,), ("cpu",), threads=1, limits=Limits(**longest))


def build_small(folder: Path) -> Small:
    """Base and ControlNet in a folder."""
    return Small(folder)
