"""What a page must know before it shows anything: networks, conditions, words and limits."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from zeroconv import conditions
from zeroconv.conditions.condition import Condition
from zeroconv.conditions.openpose.drawing import COLOURS, JOINTS, LIMBS
from zeroconv.conditions.palettes import PALETTE
from zeroconv.control.weighting import WEIGHTINGS
from zeroconv.diffusion import SAMPLERS
from zeroconv.generation import GenerationRequest
from zeroconv.generation.parameters_text import sampler_title
from zeroconv.service import Service
from zeroconv.service.catalogue import ControlEntry
from zeroconv.service.requests import open_parameters
from zeroconv.version import __version__
from zeroconv.web.api.class_names import CLASS_NAMES
from zeroconv.world.geometry.palette import Label

__all__ = ["options"]

WEIGHTING_WORDS = {
    "uniform": "every connection with its full weight, on both sides of guidance",
    "condition-only": "full weight on the conditional side of guidance alone: the map is followed more closely",
    "resolution": "deep connections more than shallow ones, as the paper says, on the conditional side alone",
    "decay": "shallow connections fade: the map is a hint more than an order, on the conditional side alone",
}
RESIZE_WORDS = {
    "crop": "cut the largest centred part of the right shape",
    "stretch": "fit width and height, whatever the shape",
    "fill": "show all of it, with nothing around it",
}
TINY_DEFAULTS: dict[str, Any] = {"guidance_scale": 4.0, "weighting": "condition-only", "num_inference_steps": 20}


def options(service: Service) -> dict[str, Any]:
    """All of it, for JSON.

    Raises:
        ServiceError: the service starts or stops.
    """
    known = service.known()
    first = known.bases[0]
    usual = {name: GenerationRequest.model_fields[name].default for name in (*TINY_DEFAULTS, "sampler")}
    defaults = {**usual, **(TINY_DEFAULTS if first.name == "tiny" else {}), "size": [first.width, first.height]}
    return {
        "version": __version__,
        "bases": [asdict(one) for one in known.bases],
        "controls": [describe_control(one) for one in known.controls],
        "conditions": [describe_condition(conditions.get(name)) for name in conditions.names()],
        **words(),
        "defaults": {**defaults, "base": first.name},
        "limits": service.settings.limits.to_json(),
    }


def describe_control(entry: ControlEntry) -> dict[str, Any]:
    """A ControlNet, with its conditions, and for each how its maps were extracted in training."""
    known, learnt = conditions.find(entry.condition), dict[str, dict[str, Any]]()
    for part in known.each if known else ():
        assert known is not None
        offered = open_parameters(part.name)["properties"]
        learnt[part.name] = {name: value for name, value in known.of_part(part, dict(entry.extract)).items() if name in offered}
    return {**asdict(entry), "conditions": list(learnt), "bases": list(entry.bases), "extract": learnt}


def describe_condition(known: Condition) -> dict[str, Any]:
    """A condition with its form and its contract."""
    contract: Mapping[str, Any] = {name: value for name, value in asdict(known.contract).items() if name != "suits"}
    return {
        "name": known.name,
        "title": known.name.replace("-", " ").capitalize(),
        "summary": known.summary,
        "parameters": open_parameters(known.name),
        "contract": contract,
        "measure": known.metric,
        "needs_mask": known.needs_mask,
    }


@cache
def words() -> dict[str, Any]:
    """What does not depend on the service."""
    own = [int(label) for label in Label]
    order = [*own, *(index for index in range(len(PALETTE)) if index not in own)]
    return {
        "samplers": [{"name": name, "title": sampler_title(name)} for name in SAMPLERS],
        "weightings": [{"name": name, "summary": WEIGHTING_WORDS[name]} for name in WEIGHTINGS],
        "resize_modes": [{"name": name, "summary": summary} for name, summary in RESIZE_WORDS.items()],
        "request": GenerationRequest.model_json_schema(),
        "palette": [{"index": i, "name": CLASS_NAMES[i], "color": hex_colour(PALETTE[i])} for i in order],
        "skeleton": {"points": JOINTS, "limbs": LIMBS, "colors": [hex_colour(colour) for colour in COLOURS]},
    }


def hex_colour(rgb: Any) -> str:
    """A colour as pages write it: "#rrggbb"."""
    red, green, blue = (int(channel) for channel in rgb)
    return f"#{red:02x}{green:02x}{blue:02x}"
