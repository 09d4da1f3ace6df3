"""What kind of file this is, told by the names of its tensors: for errors about a file that was given as another kind."""

from collections.abc import Collection, Mapping

from zeroconv.checkpoints.formats.controlnet_union import UNION, is_union
from zeroconv.checkpoints.formats.foreign_loras import foreign_base, foreign_control_lora, is_update
from zeroconv.checkpoints.formats.foreign_models import FOREIGN_MODELS, PARTS, ForeignModel, find
from zeroconv.checkpoints.keys.lora import split

__all__ = ["UNET_ALONE", "foreign_model", "foreign_network", "identify", "part_alone"]

Shapes = Mapping[str, tuple[int, ...]]

CONTROLS = ("lora_controlnet", "input_hint_block.0.", "control_model.input_hint_block.0.", "controlnet_cond_embedding.conv_in.")
BASES = ("model.diffusion_model.input_blocks.",)
AUTOENCODERS = ("first_stage_model.decoder.conv_in.", "decoder.conv_in.")
UNET_ALONE = "it is a U-Net alone: open the whole base that it belongs to"
UNETS = ("input_blocks.0.0.", "down_blocks.0.resnets.")


def foreign_model(shapes: Shapes) -> ForeignModel | None:
    """The kind of file that this project does not open; None if it is no such kind.

    Args:
        shapes: of its tensors.
    """
    return foreign_control_lora(shapes) or foreign_network(shapes)


def foreign_network(names: Collection[str]) -> ForeignModel | None:
    """The kind of network that this project does not open, by names that only it has; None if there are no such names.

    Args:
        names: of its tensors; those of a LoRA are passed over, for it names what it changes.
    """
    return find([name for name in names if split(name) is None], FOREIGN_MODELS)


def part_alone(names: Collection[str]) -> ForeignModel | None:
    """A network that is a part of a base and not opened by itself, or belongs to none; for files that hold nothing else."""
    return find([name for name in names if split(name) is None], PARTS)


def identify(names: Shapes) -> str:
    """The end of a sentence about a file of the wrong kind: what it is instead, and what to do with it.

    Args:
        names: of its tensors, with their shapes.
    """
    if foreign := foreign_model(names):
        return f"it is {foreign.what}, which this project does not open"
    if any(name.startswith(CONTROLS) for name in names):
        kind = UNION if is_union(names) else "a ControlNet"
        return f"it is {kind}: open it with ControlNet.from_pretrained, or --control"
    if any(name.startswith(BASES) for name in names):
        return "it is a Stable Diffusion: open it with StableDiffusion.from_pretrained, or --base"
    if any(is_update(name) for name in names):
        whose = foreign_base(names)
        if whose is not None:
            return f"it is a LoRA for {whose[0]}, which this project does not open"
        return "it is a LoRA: add it to a base with add_lora, or --lora"
    if any(name.startswith(AUTOENCODERS) for name in names):
        return "it is an autoencoder (VAE): give it beside a base as `vae`, or --vae"
    if any(name.startswith(UNETS) for name in names):
        return UNET_ALONE
    if set(names) & {"emb_params", "string_to_param.*"} or {"clip_l", "clip_g"} <= set(names):
        return "it is a textual-inversion embedding: a word of prompts, with --embedding"
    if part := part_alone(names):
        return f"it is {part.what}, which this project does not open"
    first = f", the first is {next(iter(names))!r}" if names else ""
    return f"it has {len(names)} tensors{first}; expected a base, ControlNet, LoRA or autoencoder of SD 1.5, SD 2.1 or SDXL"
