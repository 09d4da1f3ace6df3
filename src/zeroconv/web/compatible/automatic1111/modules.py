"""The preprocessors ("modules") of the ControlNet extension, as conditions and parameters of their extractors.

A name of theirs is here if the same kind of map is made here. Where the name says which network makes it, the network here is
the same, or the nearest that there is; on the tiny base all of them are the tiny world's own, which no other network knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zeroconv.errors import InputError

__all__ = ["CONTROL_TYPES", "MODULES", "NONE", "Module", "Threshold", "find_module"]

NONE = "none"
TINY = {"depth": "tiny", "pose": "tiny", "segmentation": "tiny", "normal": "tiny", "soft-edge": "gradient"}
"""By condition the method for pictures of the tiny world."""


@dataclass(frozen=True)
class Threshold:
    """What a slider of theirs is here.

    Attributes:
        parameter: of the extractor.
        default: where nothing is said, or what is said is out of range.
        least: the slider's.
        most: the slider's.
    """

    parameter: str
    default: float
    least: float
    most: float

    def read(self, value: float | None) -> float:
        """The slider's value: as said, if it is in its range."""
        return value if value is not None and self.least <= value <= self.most else self.default


@dataclass(frozen=True)
class Module:
    """A preprocessor.

    Attributes:
        condition: whose map it makes; None for a map that is ready.
        control_type: of the extension, for lists.
        parameters: of the extractor.
        sliders: "threshold_a" and "threshold_b", as far as they are something here.
    """

    condition: str | None
    control_type: str
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sliders: tuple[Threshold, ...] = ()

    def extraction(self, base: str, sliders: tuple[float | None, float | None], resolution: int | None) -> dict[str, Any]:
        """The parameters of the extractor for a unit.

        Args:
            base: name of the base.
            sliders: "threshold_a" and "threshold_b".
            resolution: pixels of the shorter side at which the picture is seen; None is its own.
        """
        found = dict(self.parameters)
        if base == "tiny" and self.condition in TINY:
            found = {**{name: value for name, value in found.items() if name == "safe"}, "method": TINY[self.condition]}
        found |= {one.parameter: one.read(value) for one, value in zip(self.sliders, sliders, strict=False)}
        return found if resolution is None else {**found, "resolution": resolution}


CANNY = (Threshold("low", 100, 1, 255), Threshold("high", 200, 1, 255))
MODULES: dict[str, Module] = {
    NONE: Module(None, "All"),
    "canny": Module("canny", "Canny", sliders=CANNY),
    "depth": Module("depth", "Depth", {"method": "dpt"}),
    "depth_midas": Module("depth", "Depth", {"method": "dpt"}),
    "depth_anything_v2": Module("depth", "Depth", {"method": "depth-anything"}),
    "inpaint": Module("inpaint", "Inpaint"),
    "inpaint_only": Module("inpaint", "Inpaint"),
    "inpaint_global_harmonious": Module("inpaint", "Inpaint"),
    "lineart": Module("lineart", "Lineart"),
    "lineart_standard": Module("lineart", "Lineart"),
    "lineart_realistic": Module("lineart", "Lineart"),
    "lineart_coarse": Module("lineart", "Lineart", {"coarse": True}),
    "mlsd": Module("lines", "MLSD"),
    "normal_bae": Module("normal", "NormalMap", {"method": "marigold", "convention": "bae"}),
    "openpose": Module("pose", "OpenPose", {"method": "vitpose"}),
    "openpose_hand": Module("pose", "OpenPose", {"method": "sapiens2", "hands": True}),
    "openpose_face": Module("pose", "OpenPose", {"method": "sapiens2", "face": True}),
    "openpose_full": Module("pose", "OpenPose", {"method": "sapiens2", "hands": True, "face": True}),
    "dw_openpose_full": Module("pose", "OpenPose", {"method": "sapiens2", "hands": True, "face": True}),
    "scribble_hed": Module("scribble", "Scribble", {"method": "edges"}),
    "scribble_pidinet": Module("scribble", "Scribble", {"method": "edges"}),
    "scribble_xdog": Module("scribble", "Scribble", {"method": "xdog"}),
    "segmentation": Module("segmentation", "Segmentation", {"method": "oneformer"}),
    "seg_ofade20k": Module("segmentation", "Segmentation", {"method": "oneformer"}),
    "shuffle": Module("shuffle", "Shuffle"),
    "softedge_hed": Module("soft-edge", "SoftEdge", {"method": "hed", "fusion": "mean"}),
    "softedge_hedsafe": Module("soft-edge", "SoftEdge", {"method": "hed", "fusion": "mean", "safe": True}),
    "softedge_pidinet": Module("soft-edge", "SoftEdge", {"method": "pidinet"}),
    "softedge_pidisafe": Module("soft-edge", "SoftEdge", {"method": "pidinet", "safe": True}),
    "tile_resample": Module("tile", "Tile", sliders=(Threshold("factor", 1, 1, 8),)),
}
"""By their name."""
ALIASES = {
    "hed": "softedge_hed", "hed_safe": "softedge_hedsafe", "pidinet": "softedge_pidinet", "pidinet_safe": "softedge_pidisafe",
    "pidinet_scribble": "scribble_pidinet", "oneformer_ade20k": "seg_ofade20k",
}  # fmt: skip
"""The extension's own names of some, where it shows another."""
CONTROL_TYPES = tuple(dict.fromkeys(module.control_type for module in MODULES.values()))
"""Their groups, "All" first."""


def find_module(name: str, field: str) -> Module:
    """A preprocessor by its name, in any capitals.

    Args:
        name: such as "canny".
        field: of the request.

    Raises:
        InputError: there is none of that name here.
    """
    plain = name.partition(" (")[0].strip().lower() or NONE  # "lineart_standard (from white bg & black line)"
    known = MODULES.get(ALIASES.get(plain, plain))
    if known is None:
        raise InputError(f"{field} is {name!r:.60}; expected one of {', '.join(MODULES)}", field=field)
    return known
