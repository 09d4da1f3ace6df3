"""A request as the text that Stable Diffusion web UI writes under its pictures, which many tools read."""

import json
from collections.abc import Sequence
from typing import Any

from zeroconv.generation.request import GenerationRequest
from zeroconv.version import __version__

__all__ = ["parameters_text", "sampler_title"]

SAMPLER_TITLES = {
    "ddim": "DDIM", "dpm++2m": "DPM++ 2M", "dpm++2m-sde": "DPM++ 2M SDE", "dpm++sde": "DPM++ SDE", "euler": "Euler",
    "euler-a": "Euler a", "heun": "Heun", "unipc": "UniPC", "lcm": "LCM",
}  # fmt: skip
SPACING_TITLES = {"-karras": " Karras", "-exponential": " Exponential"}
WEIGHTING_TITLES = {"uniform": "Balanced", "decay": "ControlNet is more important"}
"""The words of Stable Diffusion web UI; the other weightings keep their own names."""


def parameters_text(request: GenerationRequest, conditions: Sequence[str | None] = ()) -> str:
    """The text of one picture.

    ```
    a red house
    Negative prompt: blurry
    Steps: 20, Sampler: DPM++ 2M, CFG scale: 7.5, Seed: 7, Size: 128x128, Model: tiny, ControlNet 0: "…", Version: …
    ```

    Args:
        request: one entry of `Output.requests`.
        conditions: for each control which condition it follows, if that is known.
    """
    width, height = request.size or (0, 0)
    fields: dict[str, Any] = {
        "Steps": request.num_inference_steps,
        "Sampler": sampler_title(request.sampler),
        "CFG scale": request.guidance_scale,
        **({} if request.control_guidance_scale is None else {"Control CFG scale": request.control_guidance_scale}),
        "Seed": request.seed,
        "Size": f"{width}x{height}",
        "Model": quote(request.base.name),
        **({} if request.init_image is None else {"Denoising strength": request.strength}),
        **({} if request.tile is None else {"Tile": request.tile}),
    }
    for index, control in enumerate(request.controls):
        unit = {
            "Module": (conditions[index] if index < len(conditions) else None) or "none",
            "Model": control.network,
            "Weight": control.scale,
            "Guidance Start": control.start,
            "Guidance End": control.end,
            "Control Mode": WEIGHTING_TITLES.get(request.weighting, request.weighting),
        }
        fields[f"ControlNet {index}"] = quote(", ".join(f"{name}: {value}" for name, value in unit.items()))
    fields["Version"] = f"zeroconv {__version__}"
    last = ", ".join(f"{name}: {value}" for name, value in fields.items())
    negative = [f"Negative prompt: {request.negative_prompt}"] if request.negative_prompt else []
    return "\n".join([request.prompt, *negative, last])


def sampler_title(sampler: str) -> str:
    """A sampler in the words of Stable Diffusion web UI."""
    for ending, title in SPACING_TITLES.items():
        if sampler.endswith(ending):
            return SAMPLER_TITLES[sampler.removesuffix(ending)] + title
    return SAMPLER_TITLES[sampler]


def quote(text: str) -> str:
    """A value in quotes when it holds what separates values."""
    return json.dumps(text, ensure_ascii=False) if any(c in text for c in ',:"\n') else text
