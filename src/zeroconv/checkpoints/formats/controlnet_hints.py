"""What a ControlNet's file cannot say in tensors: its condition, shuffle's pooling, the order of channels."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from zeroconv.checkpoints.architecture.families import FamilyKey
from zeroconv.checkpoints.formats.controlnet_config import ChannelOrder

__all__ = ["METADATA", "NO_HINTS", "ControlNetHints", "config_in_metadata", "guess_hints", "split_condition"]

METADATA = "zeroconv"
"""Key of the safetensors metadata under which single files of ours carry their settings."""

CONDITIONS = {
    "canny": "canny", "hed": "soft-edge", "softedge": "soft-edge", "pidi": "soft-edge", "scribble": "scribble",
    "sketch": "scribble", "mlsd": "lines", "openpose": "pose", "pose": "pose", "seg": "segmentation",
    "ade20k": "segmentation", "depth": "depth", "midas": "depth", "zoe": "depth", "normalbae": "normal", "normal": "normal",
    "lineart": "lineart", "shuffle": "shuffle", "tile": "tile", "inpaint": "inpaint",
}  # fmt: skip
"""Words in the names of published files, and the condition they mean."""


FIRST_NORMAL = re.compile(r"(diff_)?(control_sd15_normal|sd-controlnet-normal|control_normal)([-_.]?(fp16|pruned|difference))*")
"""Names under which ControlNet 1.0's network for normal maps is published; it alone reads them blue first."""


@dataclass(frozen=True)
class ControlNetHints:
    """What must be known beside the tensors; None where nobody said it.

    Attributes:
        condition: the condition it follows.
        global_pool_conditions: whether each residual is replaced by its mean (ControlNet 1.1 "shuffle").
        channel_order: "rgb" or "bgr" (the normal maps of ControlNet 1.0).
    """

    condition: str | None = None
    global_pool_conditions: bool | None = None
    channel_order: ChannelOrder | None = None

    def or_else(self, other: "ControlNetHints") -> "ControlNetHints":
        """These hints, and `other`'s where these say nothing."""
        mine, theirs = vars(self), vars(other)
        return ControlNetHints(**{f.name: mine[f.name] if mine[f.name] is not None else theirs[f.name] for f in fields(self)})

    def sentences(self) -> list[str]:
        """What they say, for people."""
        said = []
        if self.condition is not None:
            said.append(f"its condition is {self.condition!r}")
        if self.global_pool_conditions:
            said.append("its residuals are pooled over the picture (global_pool_conditions)")
        if self.channel_order == "bgr":
            said.append("it reads the channels reversed (channel order bgr)")
        return said


NO_HINTS = ControlNetHints()


def guess_hints(stem: str, family: FamilyKey | None = None) -> ControlNetHints:
    """Hints guessed from a file's name, such as `control_v11e_sd15_shuffle`: to be announced, and overruled by the user.

    Args:
        stem: the name without its ending.
        family: of the network by its shapes, where they are known: ControlNet 1.0 is of SD 1.5.
    """
    words = re.split(r"[^a-z0-9]+", stem.lower())
    condition = next((CONDITIONS[word] for word in words if word in CONDITIONS), None)
    return ControlNetHints(
        condition,
        True if condition == "shuffle" else None,
        "bgr" if family in (None, "sd15") and FIRST_NORMAL.fullmatch(stem.lower()) else None,
    )


def split_condition(name_or_path: str | Path) -> tuple[str | Path, str | None]:
    """Name and condition of "name#condition": which of its conditions a ControlNet-Union is to follow, or what another does.

    Words of published files' names are understood too: "hed" is "soft-edge". A file that is called so is meant as it is.
    """
    name, mark, word = str(name_or_path).rpartition("#")
    if not mark or not name or Path(name_or_path).exists():
        return name_or_path, None
    return name, CONDITIONS.get(word.lower(), word)


def config_in_metadata(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """The settings that a file of ours carries in its metadata; None for other files, or when they are broken."""
    try:
        found = json.loads(metadata[METADATA])
    except (KeyError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found else None
