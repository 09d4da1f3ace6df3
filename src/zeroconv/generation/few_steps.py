"""What the LoRA for few steps was made for, and what is said where it is used otherwise."""

from collections.abc import Mapping
from typing import Any

from zeroconv.messages import Message

__all__ = ["FEW_STEPS", "few_step_messages"]

FEW_STEPS = "tiny-few-steps"
"""The LoRA that turns the tiny base into one of four steps: latent consistency, guidance built in."""
MOST_GUIDANCE = 2.0


def few_step_messages(options: Mapping[str, Any], guidance_scale: float) -> list[Message]:
    """What spoils pictures of a base with `FEW_STEPS`; nothing for other bases.

    Other samplers than "lcm" and more steps than four do not: they cost what they always cost.

    Args:
        options: of the base; its LoRAs are there, see `StableDiffusion.add_lora`.
        guidance_scale: of classifier-free guidance.
    """
    weight = sum(weight for path, weight in options.get("loras", ()) if path == FEW_STEPS)
    if weight < 0.5 or guidance_scale <= MOST_GUIDANCE:
        return []
    said = f"{FEW_STEPS} has guidance built in, and guidance {guidance_scale:g} spoils its pictures"
    return [Message(f"{said}: guidance 1, 4 steps and sampler lcm are what it is made for", "few-steps.guidance")]
