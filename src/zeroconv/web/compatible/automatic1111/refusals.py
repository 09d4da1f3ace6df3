"""Fields and options that would change the picture and are not here: they are refused unless they ask for nothing.

Whatever stands neither here nor in `bodies` changes no picture, or is not known to: it is let in, and named in the answer.
"""

from collections.abc import Mapping
from typing import Any

from zeroconv.errors import InputError

__all__ = [
    "HARMLESS",
    "HARMLESS_UNIT",
    "IDLE_FIELDS",
    "IDLE_OPTIONS",
    "IDLE_UNIT",
    "KNOWN_OPTIONS",
    "check_eta",
    "check_idle",
    "ignored",
]

Idle = Mapping[str, tuple[Any, ...]]

IDLE_FIELDS: Idle = {
    "enable_hr": (False, None), "restore_faces": (False, None), "tiling": (False, None), "subseed_strength": (0, None),
    "seed_resize_from_h": (0, -1, None), "seed_resize_from_w": (0, -1, None), "styles": ([], None),
    "s_churn": (0, None), "s_tmin": (0, None), "s_noise": (1, None), "s_min_uncond": (0, None),
    "script_name": ("", None), "refiner_checkpoint": ("", "None", None), "firstphase_width": (0, None),
    "firstphase_height": (0, None), "initial_noise_multiplier": (1, None), "latent_mask": ("", None),
    "controlnet_units": ([], None),
}  # fmt: skip
"""By field of `txt2img` and `img2img` the values that ask for nothing."""

IDLE_OPTIONS: Idle = {
    "CLIP_stop_at_last_layers": (1,), "sd_vae": ("Automatic", "None", "", None), "eta_noise_seed_delta": (0, None),
    "always_discard_next_to_last_sigma": (False,), "initial_noise_multiplier": (1,), "img2img_color_correction": (False,),
    "img2img_extra_noise": (0,), "token_merging_ratio": (0,), "token_merging_ratio_img2img": (0,),
    "token_merging_ratio_hr": (0,), "s_min_uncond": (0,), "s_churn": (0,), "s_tmin": (0,), "s_noise": (1,),
    "eta_ddim": (0,), "eta_ancestral": (1,), "randn_source": ("CPU",), "emphasis": ("Original",),
    "enable_emphasis": (True,), "sd_hypernetwork": ("None", "", None), "sd_lora": ("None", "", None),
    "face_restoration": (False,), "tiling": (False,), "sd_noise_schedule": ("Default",), "CLIP_skip": (1,),
    "use_old_emphasis_implementation": (False,), "use_old_scheduling": (False,), "sd_unet": ("Automatic", "None", "", None),
}  # fmt: skip
"""By option the values that are so here anyway."""
KNOWN_OPTIONS = ("sd_model_checkpoint", *IDLE_OPTIONS)
IDLE_UNIT: Idle = {
    "guess_mode": (False, None), "guessmode": (False, None), "advanced_weighting": (None, []), "batch_images": ("", [], None),
    "ipadapter_input": ([], None), "pulid_mode": (None, "Fidelity"),
    "input_mode": (None, "simple"), "batch_modifiers": ([], None),
}  # fmt: skip
"""By field of a unit the same."""
HARMLESS = (
    "do_not_save_samples", "do_not_save_grid", "save_images", "script_args", "subseed", "image_cfg_scale", "s_tmax",
    "disable_extra_networks", "comments", "force_task_id", "infotext", "refiner_switch_at", "hr_scale", "hr_upscaler",
    "hr_second_pass_steps", "hr_resize_x", "hr_resize_y", "hr_checkpoint_name", "hr_sampler_name", "hr_scheduler", "hr_prompt",
    "hr_negative_prompt", "denoising_strength", "sampler_noise_scheduler_override", "inpainting_fill", "mask_blur",
)  # fmt: skip
"""Fields that do nothing here, and nothing there either where those of `IDLE_FIELDS` ask for nothing."""
HARMLESS_UNIT = (
    "low_vram", "lowvram", "is_ui", "hr_option", "output_dir", "loopback", "batch_mask_dir", "batch_input_gallery",
    "batch_mask_gallery", "generated_image", "use_preview_as_input", "inpaint_crop_input_image", "mask_image", "input_image",
    "animatediff_batch", "batch_keyframe_idx",
)  # fmt: skip
"""Fields of a unit that do nothing here, and change no picture of one."""
NOISY = ("euler-a", "dpm++sde", "dpm++2m-sde")
"""Samplers that add noise, in full: η is 1."""


def check_idle(values: Mapping[str, Any], idle: Idle, place: str = "") -> None:
    """That nothing is asked for that is not here.

    Args:
        values: by name.
        idle: the values that ask for nothing.
        place: of the values in the request, with a dot behind it.

    Raises:
        InputError: naming the field.
    """
    for name, value in values.items():
        if name in idle and value not in idle[name]:
            field = place + name
            usual = idle[name][0]
            raise InputError(f"{field} is {value!r:.60}, which is not available here; leave it out, or {usual!r}", field=field)


def check_eta(eta: float | None, sampler: str) -> None:
    """That the noise which a sampler adds is what is asked for: 1 for ancestral and SDE samplers, 0 for DDIM.

    Raises:
        InputError: it is not.
    """
    wanted = 1.0 if sampler.startswith(NOISY) else 0.0 if sampler == "ddim" else None
    if eta is not None and wanted is not None and eta != wanted:
        raise InputError(f"eta is {eta:g}; with {sampler} it is {wanted:g} here, or left out", field="eta")


def ignored(values: Mapping[str, Any] | None, known: tuple[str, ...] | Idle, harmless: tuple[str, ...] = ()) -> list[str]:
    """The names that are neither known nor harmless, for the answer."""
    return [name[:80] for name in values or {} if name not in known and name not in harmless][:50]
