"""Samplers and schedulers by the names of AUTOMATIC1111's web UI."""

from typing import Any

from zeroconv.diffusion import SAMPLERS, Sampler, canonical_sampler
from zeroconv.errors import InputError
from zeroconv.generation.parameters_text import sampler_title

__all__ = ["SCHEDULERS", "list_samplers", "list_schedulers", "read_sampler"]

AUTOMATIC = {"dpm++2m": "karras", "dpm++sde": "karras", "dpm++2m-sde": "exponential"}
"""By sampler the scheduler that "automatic" is there; of all others it is "uniform"."""
SCHEDULERS = {"automatic": "Automatic", "uniform": "Uniform", "karras": "Karras", "exponential": "Exponential"}
"""By name their label."""
PLAIN = ("", "none", "normal", "uniform")


def read_sampler(name: str, scheduler: str | None) -> Sampler:
    """A sampler with its scheduler.

    Args:
        name: such as "DPM++ 2M", or "DPM++ 2M Karras" as older clients write it.
        scheduler: such as "karras".

    Raises:
        InputError: for one that is not here.
    """
    try:
        found = canonical_sampler(name)
    except InputError as error:
        raise InputError(str(error), field="sampler_name") from None
    spacing = (scheduler or "automatic").strip().lower()
    spacing = AUTOMATIC.get(found, "") if spacing == "automatic" else spacing
    if spacing in PLAIN or found.endswith(f"-{spacing}"):
        return found
    if spacing not in SCHEDULERS or f"{found}-{spacing}" not in SAMPLERS:
        fitting = [one for one in SCHEDULERS if one in ("automatic", "uniform") or f"{found}-{one}" in SAMPLERS]
        said = f"scheduler is {scheduler!r:.40}; expected one of {', '.join(fitting)} for {sampler_title(found)}"
        raise InputError(said, field="scheduler")
    return canonical_sampler(f"{found}-{spacing}")


def list_samplers() -> list[dict[str, Any]]:
    """The body of `/samplers`."""
    plain = [name for name in SAMPLERS if not name.endswith(("-karras", "-exponential"))]
    options = {name: {"scheduler": AUTOMATIC[name]} if name in AUTOMATIC else {} for name in plain}
    return [{"name": sampler_title(name), "aliases": [name], "options": options[name]} for name in plain]


def list_schedulers() -> list[dict[str, Any]]:
    """The body of `/schedulers`."""
    more: dict[str, Any] = {"aliases": None, "default_rho": -1, "need_inner_model": False}
    return [{"name": name, "label": label, **more} for name, label in SCHEDULERS.items()]
