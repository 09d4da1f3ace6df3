"""What pictures of earlier versions carry, in today's layout."""

from collections.abc import Mapping
from typing import Any

from zeroconv.data_uri import PNG_URI

__all__ = ["upgrade"]


def upgrade(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of earlier versions, where request, fingerprints and maps stood side by side, in today's layout.

    Raises:
        KeyError: when something is missing.
    """
    shared = ("prompt", "negative_prompt", "seed", "num_inference_steps", "guidance_scale", "sampler", "weighting", "size")
    options: dict[str, Any] = dict(settings.get("base_options", {}))
    loras = [{"path": path, "weight": weight} for path, weight in options.pop("loras", ())]
    base = {"dtype": settings.get("dtype", "float32"), "device": settings.get("device", "cpu"), "loras": loras, **options}
    controls = [
        {
            "network": entry["control"],
            "condition": PNG_URI + entry["map"],
            "mask": PNG_URI + entry["mask"] if entry["mask"] else None,
            **{name: entry[name] for name in ("scale", "start", "end", "layers")},
        }
        for entry in settings["controls"]
    ]
    request = {**{name: settings[name] for name in shared}, "base": {"name": settings["base"], **base}, "controls": controls}
    marks = [{name: entry[name] for name in ("condition", "fingerprint", "map_sha256")} for entry in settings["controls"]]
    return {
        "request": request,
        "version": settings["version"],
        "base_fingerprint": settings["base_fingerprint"],
        "controls": marks,
    }
