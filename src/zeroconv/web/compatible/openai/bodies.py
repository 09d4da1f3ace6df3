"""What OpenAI's clients send, as a `GenerationRequest`: their fields by a table, all others are our own by their names.

Source: OpenAI's API reference, "Images".
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from zeroconv.errors import InputError
from zeroconv.generation import GenerationRequest
from zeroconv.service.catalogue import BaseEntry, Catalogue
from zeroconv.service.failure import MissingError
from zeroconv.web.api.options import TINY_DEFAULTS
from zeroconv.web.compatible.jobs import random_seed

__all__ = ["find_base", "read_request"]

IDLE: Mapping[str, tuple[Any, ...]] = {
    "response_format": ("b64_json", None), "background": ("auto", "opaque", None), "quality": ("auto", "standard", None),
    "style": (None,), "stream": (False, None), "partial_images": (0, None), "output_format": ("png", None), "svg": (None,),
    "output_compression": (100, None), "input_fidelity": (None,), "markup": (None,), "complexity": (None,),
    "frame_count": (None,), "frame_duration_ms": (None,),
}  # fmt: skip
"""By field of theirs the values that can be had."""
HARMLESS = ("user", "moderation", "safety_identifier")
OWN = ("prompt", "model", "n", "size", "control")
CLOSED = ("controls", "base", "num_images", "init_image", "mask_image")
"""Fields of ours that theirs stand for."""


def find_base(name: object, known: Catalogue) -> BaseEntry:
    """A base by its name; the first where none is said.

    Raises:
        MissingError: there is none of that name.
    """
    found = next((one for one in known.bases if name in (None, "", one.name)), None)
    if found is None:
        listed = ", ".join(one.name for one in known.bases)
        raise MissingError(f"The model {str(name)[:60]!r} does not exist; expected one of {listed}", "model")
    return found


def read_request(values: Mapping[str, Any], known: Catalogue, start: Mapping[str, Any] | None = None) -> GenerationRequest:
    """A request in our words.

    Args:
        values: what was sent, by name.
        known: what there is.
        start: `init_image` and `mask_image`, and the `strength` and `size` where nothing else is said.

    Raises:
        InputError: for what cannot be used, by their name of the field.
        MissingError: there is no such model.
    """
    base = find_base(values.get("model"), known)
    if not isinstance(values.get("prompt"), str):
        raise InputError("prompt is missing", field="prompt")
    own: dict[str, Any] = {}
    for name, value in values.items():
        if name in IDLE:
            if value not in IDLE[name]:
                usual = IDLE[name][0]
                raise InputError(f"{name} is {value!r:.60}; expected {usual!r}, or leave it out", field=name)
        elif name not in (*HARMLESS, *OWN):
            if name not in GenerationRequest.model_fields or name in CLOSED:
                raise InputError(f"Unknown parameter: {name!r:.60}", field=name[:60])
            own[name] = value
    defaults = TINY_DEFAULTS if base.name == "tiny" else {}
    size = read_size(values.get("size")) or (start or {}).get("size") or (base.width, base.height)
    fields: dict[str, Any] = {**defaults, "seed": random_seed(), **(start or {}), **own, "base": base.name, "size": size}
    count = values.get("n")
    fields |= {"prompt": values["prompt"], "num_images": 1 if count is None else count}
    fields |= {"controls": read_controls(values.get("control"))}
    try:
        return GenerationRequest.model_validate(fields)
    except InputError as error:
        raise in_their_words(error) from error


def read_size(size: object) -> tuple[int, int] | None:
    """Width and height; None for "auto".

    Raises:
        InputError: it is neither.
    """
    if size in (None, "auto"):
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", size) if isinstance(size, str) else None
    if match is None:
        raise InputError(f"size is {size!r:.40}; expected auto, or width and height such as 512x512", field="size")
    return int(match[1]), int(match[2])


def read_controls(control: object) -> list[Any]:
    """Controls: one or a list, in a form as JSON.

    Raises:
        InputError: it is no JSON.
    """
    if isinstance(control, str):
        try:
            control = json.loads(control)
        except (ValueError, RecursionError) as error:
            raise InputError("control is no JSON", field="control") from error
    if control is None:
        return []
    return list(control) if isinstance(control, list) else [control]


def in_their_words(error: InputError) -> InputError:
    """An error about one of our fields as one about theirs."""
    first, dot, rest = (error.field or "").partition(".")
    name = {"controls": "control", "num_images": "n", "init_image": "image", "mask_image": "mask", "base": "model"}.get(first)
    if name is None:
        return error
    found = InputError(str(error).replace(first, name, 1), field=f"{name}{dot}{rest}")
    found.hint = error.hint
    return found
