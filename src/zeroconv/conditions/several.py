"""Several conditions in one control, such as "canny+depth": one condition whose map holds theirs side by side."""

from collections.abc import Sequence
from functools import cache
from statistics import fmean
from typing import Any

from PIL import Image

from zeroconv.conditions.condition import Condition, Contract
from zeroconv.errors import InputError
from zeroconv.messages import Message

__all__ = ["PLUS", "combine", "is_left_out"]

PLUS = "+"
"""Between the names of several conditions."""


@cache
def combine(parts: tuple[Condition, ...]) -> Condition:
    """One condition of several, in the order in which a network reads their channels.

    Its fidelity is the mean of theirs, so that its share of a gap is the mean of their shares, weighted by their gaps. A
    picture has none where one of its maps asks for nothing.

    Args:
        parts: two or more different ones.

    Raises:
        InputError: when one comes twice.
    """
    names = [part.name for part in parts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"the condition {twice} comes twice in {PLUS.join(names)}; expected different ones", field="condition")
    listed = list_names(names)
    mode = "RGBA" if any(part.contract.mode == "RGBA" for part in parts) else "RGB"
    contracts = " ".join(f"{part.name}: {part.contract}" for part in parts)

    def score(generated: Image.Image, condition: Image.Image, **reextract: Any) -> dict[str, float]:
        found = [
            (part, part.metrics(generated, one, **several.of_part(part, reextract))) for part, one in several.split(condition)
        ]
        mean = fmean(next(iter(values.values())) for _, values in found)
        each = {f"{part.name}: {measure}": value for part, values in found for measure, value in values.items()}
        return {several.metric: mean, **each}

    def check(condition: Image.Image) -> list[Message]:
        return [message for part, one in several.split(condition) for message in check_part(part, one)]

    def extract(_: Image.Image) -> Image.Image:
        raise AssertionError("the maps of several conditions are extracted one by one, see `extraction`")

    several = Condition(
        name=PLUS.join(names),
        summary=f"the maps of {listed} together",
        contract=Contract(
            summary=f"{len(parts)} maps of the picture's size, {listed}, side by side in this order. {contracts}",
            mode=mode,
            channels=f"{3 * len(parts)}, three for each map",
        ),
        extract=extract,
        score=score,
        metric=f"mean fidelity to {listed}",
        check=check,
        general_purpose=all(part.general_purpose for part in parts),
        needs_mask=any(part.needs_mask for part in parts),
        weights=tuple(weights for part in parts for weights in part.weights),
        parts=parts,
    )
    return several


def check_part(part: Condition, condition: Image.Image) -> list[Message]:
    """What looks wrong about one of the maps, with its condition's name; of one that is left out only that it is."""
    if is_left_out(condition):
        return [Message(f"the map of {part.name} is black: it is left out", "map.left-out", "info")]
    return [message.about(part.name) for message in part.check(condition)]


def is_left_out(condition: Image.Image) -> bool:
    """Whether the network reads zeros alone, as where a map is left out on purpose."""
    opaque = condition.mode != "RGBA" or condition.getchannel("A").getextrema() == (255, 255)
    return opaque and condition.convert("RGB").getbbox() is None


def list_names(names: Sequence[str]) -> str:
    """Names in a sentence: "canny, depth and pose"."""
    return f"{', '.join(names[:-1])} and {names[-1]}"
