"""LoRAs for bases that this project does not open: whose they are, and which of them are controls."""

from collections.abc import Iterable, Mapping

from zeroconv.checkpoints.formats.foreign_models import ForeignModel
from zeroconv.checkpoints.keys.lora import ENDINGS, split

__all__ = ["foreign_base", "foreign_control_lora", "is_update"]

FAMILIES = {
    "img_mlp": "Qwen-Image",
    "text_fusion": "Krea-2",
    "txtfusion": "Krea-2",
    "attn.to_gate": "Krea-2",
    "attn.wq": "Krea-2",
    "double_blocks": "FLUX",
    "single_blocks": "FLUX",
    "single_transformer_blocks": "FLUX",
    "joint_blocks": "Stable Diffusion 3",
    "context_embedder": "Stable Diffusion 3 or FLUX",
    "prior_unet": "Stable Cascade or Kandinsky",
    "motion_modules": "AnimateDiff",
    "noise_refiner": "Z-Image or Lumina",
    "context_refiner": "Z-Image or Lumina",
    "adaln_single": "PixArt",
    "lora_te3_": "Stable Diffusion 3",
    "transformer_blocks.0.attn.add_": "Stable Diffusion 3 or FLUX",
    "transformer.transformer_blocks.": "a transformer, such as Stable Diffusion 3 or FLUX",
    "lora_transformer_": "a transformer, such as Stable Diffusion 3 or FLUX",
    "cross_attn": "Wan, or another video transformer",
}
"""Pieces of the names of modules that no base of ours has -> whose they are."""
INPUTS = ("img_in", "x_embedder", "first")
"""What FLUX.1 and Krea-2 call the layer that latents go in by, in diffusers' names and in their own."""
LATENT_WIDTH = 64
"""What that layer reads: four places of 16 latent channels. A Control-LoRA reads a map's latents beside them."""
CONTROLS = {
    "FLUX.1": ("double_blocks.", "single_blocks.", "single_transformer_blocks."),
    "Krea-2": ("text_fusion.", "txtfusion.", ".attn.wq.", ".attn.to_gate."),
}
"""Families that Control-LoRAs are made for -> pieces of names that only their LoRAs have."""


def foreign_base(names: Iterable[str]) -> tuple[str, str] | None:
    """Whose modules a LoRA changes, and the first name that says so; None when no name does.

    Args:
        names: of its tensors, or of those that are in no base of ours.
    """
    found = ((whose, name) for name in names for mark, whose in FAMILIES.items() if mark in name)
    return next(found, None)


def is_update(name: str) -> bool:
    """Whether a tensor is a part of an update, of whatever kind, and not its scale alone."""
    both = split(name)
    return both is not None and ENDINGS[both[1]][0] != "alpha"


def foreign_control_lora(shapes: Mapping[str, tuple[int, ...]]) -> ForeignModel | None:
    """The Control-LoRA of a transformer that a file is: a LoRA that widens the layer latents go in by; else None.

    A LoRA of the same layer that reads latents alone is none: its name is the same, its width is not.

    Args:
        shapes: of its tensors.
    """
    if not any(is_update(name) for name in shapes):
        return None
    wide = [name for name, shape in shapes.items() if input_width(name, shape) > LATENT_WIDTH]
    for family, marks in CONTROLS.items() if wide else ():
        if any(mark in name for mark in marks for name in shapes):
            return ForeignModel(f"a Control-LoRA for {family}", family, ())
    return None


def input_width(name: str, shape: tuple[int, ...]) -> int:
    """How many numbers the first layer reads, by its own weight or the first factor of its update; 0 of other tensors."""
    both = split(name)
    if both is not None and ENDINGS[both[1]][0] != "down":
        return 0
    module = name.removesuffix(".weight") if both is None else both[0]
    return shape[1] if len(shape) == 2 and module.rpartition(".")[2] in INPUTS else 0
