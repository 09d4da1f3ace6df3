"""Samplers by name: the class in diffusers, the spacing of its steps, and every way that people write the name."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any, Literal, get_args

import diffusers
import torch

from zeroconv.errors import InputError

__all__ = ["SAMPLERS", "Sampler", "build_scheduler", "canonical_sampler"]

Sampler = Literal[
    "ddim", "dpm++2m", "dpm++2m-karras", "dpm++2m-exponential", "dpm++2m-sde", "dpm++2m-sde-karras", "dpm++2m-sde-exponential",
    "dpm++sde", "dpm++sde-karras", "dpm++sde-exponential", "euler", "euler-karras", "euler-exponential", "euler-a",
    "heun", "heun-karras", "heun-exponential", "unipc", "unipc-karras", "unipc-exponential", "lcm",
]  # fmt: skip
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)

CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}),
    "dpm++2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "steps_offset": 1}),
    "dpm++2m-sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "steps_offset": 1}),
    "dpm++sde": ("DPMSolverSinglestepScheduler", {"algorithm_type": "sde-dpmsolver++", "lower_order_final": True}),
    "euler": ("EulerDiscreteScheduler", {"steps_offset": 1}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {"steps_offset": 1}),
    "heun": ("HeunDiscreteScheduler", {"steps_offset": 1}),
    "unipc": ("UniPCMultistepScheduler", {"steps_offset": 1}),
    "lcm": ("LCMScheduler", {"clip_sample": False, "set_alpha_to_one": False}),
}
"""The class in diffusers, and the settings that Stable Diffusion uses with it."""

SPACINGS = {"karras": "use_karras_sigmas", "exponential": "use_exponential_sigmas"}
"""Noise levels as Karras et al., 2022, arXiv 2206.00364, equation 5, or evenly spaced in their logarithm."""

SCHEDULE_SETTINGS = (
    "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type",
    "rescale_betas_zero_snr", "timestep_spacing", "steps_offset", *SPACINGS.values(),
)  # fmt: skip
"""What the configuration of a base's scheduler says for every sampler."""

OTHER_WORDS = {
    "dpmpp": "dpm", "dpmsolver": "dpm", "eulerancestral": "eulera", "keuler": "euler", "kheun": "heun", "kdpm": "dpm",
    "unipcbh2": "unipc", "multistep": "2m", "gpu": "",
}  # fmt: skip
"""In names without spaces and signs: what other programs write -> what we do."""
SILENT = ("automatic", "normal", "default")
"""Words at the end of a name by which other programs say "as usual"."""
OTHER_SPACINGS = ("sgmuniform", "simple", "beta", "ddimuniform", "klopt", "alignyoursteps", "turbo", "polyexponential")
"""Spacings of other programs that there are none of here; at the end of a name."""


def plain(name: str) -> str:
    """A name without capitals, spaces and signs: "DPM++ 2M Karras" is "dpm2mkarras"."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


BY_PLAIN_NAME: dict[str, Sampler] = {plain(name): name for name in SAMPLERS}
BY_CLASS: dict[str, Sampler] = {plain(CLASSES[name][0]): name for name in SAMPLERS if name in CLASSES and "sde" not in name}
"""By the class as diffusers makes it when nothing else is said; its single-step class is none of ours then."""


def canonical_sampler(name: str) -> Sampler:
    """A sampler's name as we write it, from any way that people write it: "DPM++ 2M Karras" is "dpm++2m-karras".

    Capitals, spaces, `_`, `-` and `+` do not count; "dpmpp_2m", "k_euler", "euler_ancestral" and the classes of diffusers
    ("EulerDiscreteScheduler") are understood too, and "Automatic", "Normal" or "GPU" behind a name changes nothing.

    Raises:
        InputError: for an unknown name, with the nearest one and a list.
    """
    key = plain(name)
    if key in BY_CLASS:
        return BY_CLASS[key]
    while (word := next((word for word in SILENT if key.endswith(word)), None)) is not None:
        key = key.removesuffix(word)
    if other := next((word for word in OTHER_SPACINGS if key.endswith(word)), None):
        known = " and ".join(SPACINGS)
        message = f"sampler is {name!r:.40}: there is no spacing {other!r} here; expected one of {known}, or none"
        raise InputError(message, field="sampler")
    for theirs, ours in OTHER_WORDS.items():
        key = key.replace(theirs, ours)
    if key in BY_PLAIN_NAME:
        return BY_PLAIN_NAME[key]
    nearest = difflib.get_close_matches(key, BY_PLAIN_NAME, n=1, cutoff=0.75)
    guess = f"; perhaps {BY_PLAIN_NAME[nearest[0]]}" if nearest else ""
    known = f"{', '.join(CLASSES)}, most of them with {' or '.join(f'-{word}' for word in SPACINGS)} behind"
    raise InputError(f"sampler is {name!r:.40}; expected one of {known}{guess}", field="sampler")


def build_scheduler(sampler: str, scheduler_config: Mapping[str, Any], steps: int | None = None) -> Any:
    """A scheduler of diffusers by the sampler's name, for a base's noise schedule.

    Args:
        sampler: one of `SAMPLERS`, in any spelling.
        scheduler_config: of the base; its betas, prediction type, zero terminal SNR and the spacing of its steps are used,
            as `from_config` of diffusers' class uses them.
        steps: of denoising. A single one begins on pure noise (step 999 of 1000), which most spacings do not.

    Raises:
        InputError: for an unknown name, listing the known ones.
    """
    base, spacing = split_spacing(canonical_sampler(sampler))
    name, settings = CLASSES[base]
    scheduler: Any = getattr(diffusers, name)
    known = inspect.signature(scheduler).parameters
    said = {key: scheduler_config[key] for key in SCHEDULE_SETTINGS if key in known and scheduler_config.get(key) is not None}
    settings = {**settings, **said}
    if spacing is not None:
        settings |= {setting: word == spacing for word, setting in SPACINGS.items()}
    if (steps == 1 or scheduler_config.get("rescale_betas_zero_snr")) and "timestep_spacing" in known:
        settings["timestep_spacing"] = "trailing"  # with a last step of pure noise, sampling must begin on it
    if scheduler_config.get("rescale_betas_zero_snr") and "rescale_betas_zero_snr" not in known:
        settings["trained_betas"] = zero_snr_betas(scheduler(**settings))
    return scheduler(**settings)


def zero_snr_betas(scheduler: Any) -> list[float]:
    """Betas whose last step is all but pure noise, for classes that do not rescale them themselves.

    Lin, Liu, Li, Yang, "Common Diffusion Noise Schedules and Sample Steps are Flawed", 2023, arXiv 2305.08891, algorithm 1;
    ᾱ of the last step is 2⁻²⁴ and not 0, as in diffusers' Euler, whose noise level would be infinite.

    Args:
        scheduler: with the betas as they were, in `alphas_cumprod`.
    """
    roots = scheduler.alphas_cumprod.double().sqrt()
    alphas = ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2
    alphas[-1] = 2.0**-24
    return (1 - alphas / torch.cat([torch.ones(1, dtype=alphas.dtype), alphas[:-1]])).tolist()


def split_spacing(sampler: Sampler) -> tuple[str, str | None]:
    """The sampler, and the spacing behind it: ("euler", "karras")."""
    base, _, spacing = sampler.rpartition("-")
    return (base, spacing) if spacing in SPACINGS else (sampler, None)
