"""Kinds of files that this project does not open, each told by pieces of its tensors' names that only it has.

The names are those of the networks in diffusers, and of the files that their authors published.
"""

from collections.abc import Collection
from typing import NamedTuple

__all__ = ["PARTS", "STRANGERS", "Stranger", "find"]


class Stranger(NamedTuple):
    """A kind of file that is not opened.

    Attributes:
        what: it is, for the sentence "it is …, which this project does not open".
        family: of bases that it belongs to; empty where it is of several, or of none.
        marks: pieces of names, each from the beginning of a word between dots; all of them are in such a file.
    """

    what: str
    family: str
    marks: tuple[str, ...]


CONTROLS = (
    Stranger("a ControlNet for FLUX.2 (Fun)", "FLUX.2", ("control_transformer_blocks.",)),
    Stranger("a ControlNet for Qwen-Image (Fun)", "Qwen-Image", ("control_blocks.0.", "control_img_in.")),
    Stranger("a ControlNet for Qwen-Image (Fun)", "Qwen-Image", ("control_blocks.0.img_mlp.",)),
    Stranger("a ControlNet for MiniMax-H3 (Fun)", "MiniMax-H3", ("control_blocks.0.", "control_proj_in.")),
    Stranger("a ControlNet for Cosmos (Transfer)", "Cosmos", ("control_blocks.0.", "patch_embed_base.")),
    Stranger("a ControlNet for Z-Image (Fun)", "Z-Image", ("control_all_x_embedder.",)),
    Stranger("a ControlNet for Z-Image (Fun)", "Z-Image", ("control_noise_refiner.",)),
    Stranger("a ControlNet for Z-Image (Fun)", "Z-Image", ("control_layers.0.", "adaLN_modulation.0.")),
    Stranger("a blockwise ControlNet for Qwen-Image (DiffSynth)", "Qwen-Image", ("controlnet_blocks.0.x_rms.",)),
    Stranger("a ControlNet for Qwen-Image (InstantX)", "Qwen-Image", ("controlnet_blocks.0.", "transformer_blocks.0.img_mlp.")),
    Stranger("a ControlNet for Qwen-Image (InstantX)", "Qwen-Image", ("controlnet_x_embedder.", "txt_norm.")),
    Stranger("a ControlNet for FLUX.1 (XLabs)", "FLUX.1", ("controlnet_blocks.0.", "double_blocks.0.")),
    Stranger("a ControlNet-Union for FLUX.1", "FLUX.1", ("controlnet_mode_embedder.",)),
    Stranger("a ControlNet for FLUX.1", "FLUX.1", ("controlnet_x_embedder.",)),
    Stranger("a ControlNet for FLUX.1", "FLUX.1", ("controlnet_single_blocks.0.",)),
    Stranger("a ControlNet for Stable Diffusion 3", "Stable Diffusion 3", ("pos_embed_input.",)),
    Stranger(
        "a ControlNet for Stable Diffusion 3",
        "Stable Diffusion 3",
        ("controlnet_blocks.0.", "transformer_blocks.0.attn.", "pos_embed."),
    ),
    Stranger("a ControlNet for Sana", "Sana", ("controlnet_blocks.0.", "transformer_blocks.0.ff.conv_inverted.")),
    Stranger("a ControlNet for HunyuanDiT", "HunyuanDiT", ("controlnet_blocks.0.", "text_embedding_padding")),
    Stranger("a ControlNet for PixArt", "PixArt", ("controlnet.0.copied_block.",)),
    Stranger("a ControlNet for PixArt", "PixArt", ("controlnet_blocks.0.", "adaln_single.")),
    Stranger("a VACE model for Wan, which makes videos", "Wan", ("vace_blocks.0.",)),
    Stranger("a VACE model for Wan, which makes videos", "Wan", ("vace_patch_embedding.",)),
    Stranger("a ControlNet for a transformer", "", ("control_layers.0.after_proj.",)),
    Stranger("a ControlNet for a transformer", "", ("control_blocks.0.after_proj.",)),
    Stranger("a ControlNet for a transformer", "", ("controlnet_blocks.0.",)),
    Stranger("a ControlNet for Kolors", "Kolors", ("controlnet_cond_embedding.", "encoder_hid_proj.")),
    Stranger("a SparseCtrl network of AnimateDiff", "SD 1.5", ("controlnet_cond_embedding.", "motion_modules.")),
    Stranger("a SparseCtrl network of AnimateDiff", "SD 1.5", ("controlnet_down_blocks.0.", "motion_modules.")),
    Stranger("a SparseCtrl network of AnimateDiff", "SD 1.5", ("input_hint_block.0.", "motion_modules.")),
    Stranger("a ControlNet-XS", "", ("control_to_base_for_conv_in.",)),
    Stranger("a ControlNet-XS", "", ("down_blocks.0.ctrl_to_base.",)),
    Stranger("a BrushNet", "", ("brushnet_down_blocks.0.",)),
    Stranger("a BrushNet", "", ("brushnet_mid_block.",)),
    Stranger("a BrushNet", "", ("conv_in_condition.",)),
)  # fmt: skip
"""Networks that act on a base; before the bases whose blocks they copy."""

ADAPTERS = (
    Stranger("a textual inversion", "", ("emb_params",)),
    Stranger("a textual inversion", "", ("string_to_param",)),
    Stranger("a T2I-Adapter", "", ("adapter.body.",)),
    Stranger("a T2I-Adapter", "", ("body.0.block1.weight",)),
    Stranger("a T2I-Adapter", "", ("body.0.resnets.0.block1.",)),
    Stranger("a T2I-Adapter", "", ("body.0.in_conv.weight",)),
    Stranger("a ControlNet-LLLite", "SDXL", ("lllite_unet_",)),
    Stranger("a ControlNet-LLLite for Anima", "Anima", ("lllite_dit_",)),
    Stranger("an IP-Adapter", "", ("image_proj.proj.",)),
    Stranger("an IP-Adapter", "", ("image_proj.latents",)),
    Stranger("an IP-Adapter", "", ("ip_adapter.",)),
    Stranger("an IP-Adapter for FLUX.1 (XLabs)", "FLUX.1", ("ip_adapter_proj_model.",)),
    Stranger("an AnimateDiff motion module", "SD 1.5", ("motion_modules.",)),
)
"""What is added to a base otherwise than as a ControlNet or a LoRA."""

BASES = (
    Stranger("Kolors, an SDXL with another text encoder", "Kolors", ("encoder_hid_proj.",)),
    Stranger("a Qwen-Image transformer", "Qwen-Image", ("transformer_blocks.0.img_mlp.",)),
    Stranger("a FLUX.2 transformer", "FLUX.2", ("double_stream_modulation_img.",)),
    Stranger("a Chroma transformer", "Chroma", ("distilled_guidance_layer.",)),
    Stranger("a FLUX.1 checkpoint", "FLUX.1", ("model.diffusion_model.double_blocks.0.img_attn.",)),
    Stranger("a FLUX.1 transformer", "FLUX.1", ("double_blocks.0.img_attn.",)),
    Stranger("a HunyuanVideo transformer", "HunyuanVideo", ("double_blocks.0.img_attn_qkv.",)),
    Stranger("a HunyuanVideo transformer", "HunyuanVideo", ("context_embedder.token_refiner.",)),
    Stranger("a HiDream transformer", "HiDream", ("double_stream_blocks.0.",)),
    Stranger("an AuraFlow transformer", "AuraFlow", ("joint_transformer_blocks.0.",)),
    Stranger("an AuraFlow transformer", "AuraFlow", ("double_layers.0.",)),
    Stranger("a FLUX.1 transformer", "FLUX.1", ("single_transformer_blocks.0.",)),
    Stranger("a Stable Diffusion 3 checkpoint", "Stable Diffusion 3", ("model.diffusion_model.joint_blocks.0.",)),
    Stranger("a Stable Diffusion 3 transformer", "Stable Diffusion 3", ("joint_blocks.0.x_block.",)),
    Stranger("a Stable Diffusion 3 transformer", "Stable Diffusion 3", ("transformer_blocks.0.attn.add_k_proj.", "pos_embed.")),
    Stranger("a FLUX.1 transformer", "FLUX.1", ("transformer_blocks.0.attn.add_k_proj.", "x_embedder.")),
    Stranger("a transformer, such as Stable Diffusion 3 or FLUX.1", "", ("transformer_blocks.0.attn.add_k_proj.",)),
    Stranger("a Z-Image transformer", "Z-Image", ("cap_pad_token",)),
    Stranger("a Lumina transformer", "Lumina", ("noise_refiner.0.",)),
    Stranger("a Krea-2 transformer", "Krea-2", ("text_fusion.",)),
    Stranger("an ERNIE-Image transformer", "ERNIE-Image", ("layers.0.adaLN_sa_ln.",)),
    Stranger("an Ideogram 4 transformer", "Ideogram 4", ("llm_cond_proj.",)),
    Stranger("a Kandinsky 5 transformer", "Kandinsky 5", ("visual_transformer_blocks.0.",)),
    Stranger("a Sana transformer", "Sana", ("transformer_blocks.0.ff.conv_inverted.",)),
    Stranger("a Sana transformer", "Sana", ("blocks.0.mlp.inverted_conv.",)),
    Stranger("a HunyuanDiT transformer", "HunyuanDiT", ("text_embedding_padding",)),
    Stranger("an LTX transformer, which makes videos", "LTX", ("patchify_proj.",)),
    Stranger("an LTX transformer, which makes videos", "LTX", ("time_embed.emb.", "transformer_blocks.0.attn1.norm_q.")),
    Stranger("a PixArt transformer", "PixArt", ("adaln_single.",)),
    Stranger("a PixArt transformer", "PixArt", ("t_block.1.", "y_embedder.")),
    Stranger("a Wan transformer, which makes videos", "Wan", ("condition_embedder.time_proj.",)),
    Stranger("a Wan transformer, which makes videos", "Wan", ("time_projection.1.", "blocks.0.self_attn.")),
    Stranger("a CogView4 transformer", "CogView4", ("time_condition_embed.",)),
    Stranger("a CogVideoX transformer, which makes videos", "CogVideoX", ("patch_embed.text_proj.",)),
    Stranger("a Mochi transformer, which makes videos", "Mochi", ("pos_frequencies", "patch_embed.")),
    Stranger("a Cosmos transformer", "Cosmos", ("time_embed.t_embedder.",)),
    Stranger("a Stable Cascade", "Stable Cascade", ("clip_txt_pooled_mapper.",)),
)  # fmt: skip
"""Networks that make the picture."""

AUTOENCODERS = (
    Stranger("the autoencoder of Wan or Qwen-Image", "Wan", ("decoder.mid_block.resnets.0.norm1.gamma",)),
    Stranger("the autoencoder of Wan or Qwen-Image", "Wan", ("decoder.middle.0.residual.",)),
    Stranger("a tiny autoencoder (TAESD)", "", ("encoder.layers.0.", "decoder.layers.2.")),
)
"""What makes latents of pictures, other than Stable Diffusion's."""

STRANGERS = CONTROLS + ADAPTERS + BASES + AUTOENCODERS
"""Looked for before anything that is opened; the first that has all its marks in a file is what it is."""

PARTS = (
    Stranger("a T5 text encoder alone", "", ("encoder.block.0.layer.0.SelfAttention.",)),
    Stranger("a CLIP image encoder alone", "", ("vision_model.encoder.layers.0.",)),
    Stranger("a CLIP text encoder alone", "", ("text_model.encoder.layers.0.",)),
    Stranger("a CLIP text encoder alone", "", ("transformer.resblocks.0.",)),
    Stranger("a language model alone", "", ("layers.0.self_attn.q_proj.",)),
    Stranger("a textual inversion of SDXL", "SDXL", ("clip_g", "clip_l")),
    Stranger("an upscaler (ESRGAN)", "", ("body.0.rdb1.",)),
    Stranger("an upscaler (ESRGAN)", "", ("model.1.sub.0.RDB1.",)),
    Stranger("an upscaler (ESRGAN)", "", ("RRDB_trunk.0.RDB1.",)),
)
"""Looked for after everything that is opened: a whole base holds some of them too."""


def find(names: Collection[str], among: tuple[Stranger, ...]) -> Stranger | None:
    """The first kind that has all its marks in the names; None if none has.

    Args:
        names: of a file's tensors.
        among: kinds, `STRANGERS` or `PARTS`.
    """
    text = "\n" + "\n".join("." + name for name in names)
    return next((kind for kind in among if all("." + mark in text for mark in kind.marks)), None)
