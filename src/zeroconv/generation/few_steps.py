"""What the LoRA for few steps was made for, and what is said where it is used otherwise."""

from collections.abc import Mapping
from typing import Any

from zeroconv.messages import Message

__all__ = ["FEW_STEPS", "few_step_messages"]

FEW_STEPS = "tiny-few-steps"
"""The LoRA that turns the tiny base into one of four steps: latent consistency, guidance built in."""
SAMPLER = "lcm"
MOST_GUIDANCE, MOST_STEPS = 2.0, 8


def few_step_messages(options: Mapping[str, Any], sampler: str, steps: int, guidance_scale: float) -> list[Message]:
    """What spoils pictures of a base with `FEW_STEPS`; nothing for other bases.

    Args:
        options: of the base; its LoRAs are there, see `StableDiffusion.add_lora`.
        sampler: as `canonical_sampler` writes it.
        steps: of denoising.
        guidance_scale: of classifier-free guidance.
    """
    if abs(sum(weight for path, weight in options.get("loras", ()) if path == FEW_STEPS)) < 0.5:
        return []
    wrong = [
        *([f"sampler {sampler}"] if sampler != SAMPLER else []),
        *([f"guidance {guidance_scale:g}"] if guidance_scale > MOST_GUIDANCE else []),
        *([f"{steps} steps"] if steps > MOST_STEPS else []),
    ]
    if not wrong:
        return []
    made_for = f"sampler {SAMPLER}, guidance 1 and up to {MOST_STEPS} steps"
    return [Message(f"{FEW_STEPS} is made for {made_for}; {' and '.join(wrong)} spoils pictures", "few-steps.settings")]
