"""What kind of file this is, told by the names of its tensors: for errors about a file that was given as another kind."""

from collections.abc import Collection

from zeroconv.checkpoints.keys.lora import ENDINGS, split

__all__ = ["foreign_model_type", "identify"]

UNSUPPORTED_MODELS = {
    "model.diffusion_model.double_blocks.0.": "a Flux checkpoint",
    "double_blocks.0.img_attn.": "a Flux transformer",
    "single_transformer_blocks.0.": "a Flux transformer",
    "joint_blocks.0.x_block.attn.qkv.weight": "a Stable Diffusion 3 checkpoint",
    "transformer_blocks.0.attn.add_k_proj.weight": "a Stable Diffusion 3 transformer",
    "emb_params": "a textual inversion",
    "string_to_param": "a textual inversion",
    "adapter.body.": "a T2I-Adapter",
    "body.0.block1.weight": "a T2I-Adapter",
    "body.0.in_conv.weight": "a T2I-Adapter",
    "lllite_unet_": "a ControlNet-LLLite",
    "image_proj.proj.": "an IP-Adapter",
    "image_proj.latents": "an IP-Adapter",
    "ip_adapter.": "an IP-Adapter",
    "motion_modules.": "an AnimateDiff motion module",
}
"""A piece of a tensor's name -> a kind of file that this project does not open."""

CONTROLS = ("lora_controlnet", "input_hint_block.0.", "control_model.input_hint_block.0.", "controlnet_cond_embedding.conv_in.")
BASES = ("model.diffusion_model.input_blocks.",)
AUTOENCODERS = ("first_stage_model.decoder.conv_in.", "decoder.conv_in.")
UNETS = ("input_blocks.0.0.", "down_blocks.0.resnets.")


def foreign_model_type(names: Collection[str]) -> str | None:
    """The kind of file that this project does not open, by a name that only it has; None if there is no such name.

    Args:
        names: of its tensors; those of a LoRA are passed over, for it names what it changes.
    """
    own = [name for name in names if split(name) is None]
    return next((what for mark, what in UNSUPPORTED_MODELS.items() if any(mark in name for name in own)), None)


def identify(names: Collection[str]) -> str:
    """The end of a sentence about a file of the wrong kind: what it is instead, and what to do with it.

    Args:
        names: of its tensors.
    """
    if any(name.startswith(CONTROLS) for name in names):
        return "it is a ControlNet: open it with ControlNet.from_pretrained, or --control"
    if any(name.startswith(BASES) for name in names):
        return "it is a Stable Diffusion: open it with StableDiffusion.from_pretrained, or --base"
    if stranger := foreign_model_type(names):
        return f"it is {stranger}, which this project does not open"
    if {ENDINGS[found[1]][0] for name in names if (found := split(name)) is not None} & {"down", "up"}:
        return "it is a LoRA: add it to a base with add_lora, or --lora"
    if any(name.startswith(AUTOENCODERS) for name in names):
        return "it is an autoencoder (VAE): give it beside a base as `vae`, or --vae"
    if any(name.startswith(UNETS) for name in names):
        return "it is a U-Net alone: open the whole base that it belongs to"
    first = f", the first is {next(iter(names))!r}" if names else ""
    return f"it has {len(names)} tensors{first}; expected a base, ControlNet, LoRA or autoencoder of SD 1.5, SD 2.1 or SDXL"
