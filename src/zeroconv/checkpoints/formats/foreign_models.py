"""Kinds of files that this project does not open, each told by pieces of its tensors' names that only it has.

The names are those of the networks in diffusers, and of the files that their authors published.
"""

from collections.abc import Collection
from typing import NamedTuple

__all__ = ["FOREIGN_MODELS", "PARTS", "ForeignModel", "find"]


class ForeignModel(NamedTuple):
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
    ForeignModel("a ControlNet for FLUX.2 (Fun)", "FLUX.2", ("control_transformer_blocks.",)),
    ForeignModel("a ControlNet for Qwen-Image (Fun)", "Qwen-Image", ("control_blocks.0.", "control_img_in.")),
    ForeignModel("a ControlNet for Qwen-Image (Fun)", "Qwen-Image", ("control_blocks.0.img_mlp.",)),
    ForeignModel("a ControlNet for MiniMax-H3 (Fun)", "MiniMax-H3", ("control_blocks.0.", "control_proj_in.")),
    ForeignModel("a ControlNet for Cosmos (Transfer)", "Cosmos", ("control_blocks.0.", "patch_embed_base.")),
    ForeignModel("a ControlNet for Z-Image (Fun)", "Z-Image", ("control_all_x_embedder.",)),
    ForeignModel("a ControlNet for Z-Image (Fun)", "Z-Image", ("control_noise_refiner.",)),
    ForeignModel("a ControlNet for Z-Image (Fun)", "Z-Image", ("control_layers.0.", "adaLN_modulation.0.")),
    ForeignModel("a blockwise ControlNet for Qwen-Image (DiffSynth)", "Qwen-Image", ("controlnet_blocks.0.x_rms.",)),
    ForeignModel(
        "a ControlNet for Qwen-Image (InstantX)",
        "Qwen-Image",
        ("controlnet_blocks.0.", "transformer_blocks.0.img_mlp."),
    ),
    ForeignModel("a ControlNet for Qwen-Image (InstantX)", "Qwen-Image", ("controlnet_x_embedder.", "txt_norm.")),
    ForeignModel("a ControlNet for FLUX.1 (XLabs)", "FLUX.1", ("controlnet_blocks.0.", "double_blocks.0.")),
    ForeignModel("a ControlNet-Union for FLUX.1", "FLUX.1", ("controlnet_mode_embedder.",)),
    ForeignModel("a ControlNet for FLUX.1", "FLUX.1", ("controlnet_x_embedder.",)),
    ForeignModel("a ControlNet for FLUX.1", "FLUX.1", ("controlnet_single_blocks.0.",)),
    ForeignModel("a ControlNet for Stable Diffusion 3", "Stable Diffusion 3", ("pos_embed_input.",)),
    ForeignModel(
        "a ControlNet for Stable Diffusion 3",
        "Stable Diffusion 3",
        ("controlnet_blocks.0.", "transformer_blocks.0.attn.", "pos_embed."),
    ),
    ForeignModel("a ControlNet for Sana", "Sana", ("controlnet_blocks.0.", "transformer_blocks.0.ff.conv_inverted.")),
    ForeignModel("a ControlNet for HunyuanDiT", "HunyuanDiT", ("controlnet_blocks.0.", "text_embedding_padding")),
    ForeignModel("a ControlNet for HunyuanDiT", "HunyuanDiT", ("after_proj_list.0.", "mlp_t5.0.")),
    ForeignModel("a ControlNet for PixArt", "PixArt", ("controlnet.0.copied_block.",)),
    ForeignModel("a ControlNet for PixArt", "PixArt", ("controlnet_blocks.0.", "adaln_single.")),
    ForeignModel("a VACE model for Wan, which makes videos", "Wan", ("vace_blocks.0.",)),
    ForeignModel("a VACE model for Wan, which makes videos", "Wan", ("vace_patch_embedding.",)),
    ForeignModel("a ControlNet for a transformer", "", ("control_layers.0.after_proj.",)),
    ForeignModel("a ControlNet for a transformer", "", ("control_blocks.0.after_proj.",)),
    ForeignModel("a ControlNet for a transformer", "", ("controlnet_blocks.0.",)),
    ForeignModel("a ControlNet for Kolors", "Kolors", ("controlnet_cond_embedding.", "encoder_hid_proj.")),
    ForeignModel("a SparseCtrl network of AnimateDiff", "SD 1.5", ("controlnet_cond_embedding.", "motion_modules.")),
    ForeignModel("a SparseCtrl network of AnimateDiff", "SD 1.5", ("controlnet_down_blocks.0.", "motion_modules.")),
    ForeignModel("a SparseCtrl network of AnimateDiff", "SD 1.5", ("input_hint_block.0.", "motion_modules.")),
    ForeignModel("a ControlNet-XS", "", ("control_to_base_for_conv_in.",)),
    ForeignModel("a ControlNet-XS", "", ("down_blocks.0.ctrl_to_base.",)),
    ForeignModel("a BrushNet", "", ("brushnet_down_blocks.0.",)),
    ForeignModel("a BrushNet", "", ("brushnet_mid_block.",)),
    ForeignModel("a BrushNet", "", ("conv_in_condition.",)),
)  # fmt: skip
"""Networks that act on a base; before the bases whose blocks they copy."""

ADAPTERS = (
    ForeignModel("a T2I-Adapter", "", ("adapter.body.",)),
    ForeignModel("a T2I-Adapter", "", ("body.0.block1.weight",)),
    ForeignModel("a T2I-Adapter", "", ("body.0.resnets.0.block1.",)),
    ForeignModel("a T2I-Adapter", "", ("body.0.in_conv.weight",)),
    ForeignModel("a ControlNet-LLLite", "SDXL", ("lllite_unet_",)),
    ForeignModel("a ControlNet-LLLite for Anima", "Anima", ("lllite_dit_",)),
    ForeignModel("an IP-Adapter", "", ("image_proj.proj.",)),
    ForeignModel("an IP-Adapter", "", ("image_proj.latents",)),
    ForeignModel("an IP-Adapter", "", ("ip_adapter.",)),
    ForeignModel("an IP-Adapter for FLUX.1 (XLabs)", "FLUX.1", ("ip_adapter_proj_model.",)),
    ForeignModel("a PhotoMaker", "SDXL", ("fuse_module.mlp1.",)),
    ForeignModel("a GLIGEN", "SD 1.5 or SD 2.1", ("position_net.",)),
    ForeignModel("a GLIGEN", "SD 1.5 or SD 2.1", ("transformer_blocks.0.fuser.",)),
    *(ForeignModel("a hypernetwork", "", (f"{width}.0.linear",)) for width in (320, 640, 768, 1024, 1280, 2048)),
    ForeignModel("an AnimateDiff motion module", "SD 1.5", ("motion_modules.",)),
)
"""What is added to a base otherwise than as a ControlNet or a LoRA."""

BASES = (
    ForeignModel("Kolors, an SDXL with another text encoder", "Kolors", ("encoder_hid_proj.",)),
    ForeignModel("a Qwen-Image transformer", "Qwen-Image", ("transformer_blocks.0.img_mlp.",)),
    ForeignModel("a FLUX.2 transformer", "FLUX.2", ("double_stream_modulation_img.",)),
    ForeignModel("a Chroma transformer", "Chroma", ("distilled_guidance_layer.",)),
    ForeignModel("a FLUX.1 checkpoint", "FLUX.1", ("model.diffusion_model.double_blocks.0.img_attn.",)),
    ForeignModel("a FLUX.1 transformer", "FLUX.1", ("double_blocks.0.img_attn.",)),
    ForeignModel("a HunyuanVideo transformer", "HunyuanVideo", ("double_blocks.0.img_attn_qkv.",)),
    ForeignModel("a HunyuanVideo transformer", "HunyuanVideo", ("context_embedder.token_refiner.",)),
    ForeignModel("a HiDream transformer", "HiDream", ("double_stream_blocks.0.",)),
    ForeignModel("an AuraFlow transformer", "AuraFlow", ("joint_transformer_blocks.0.",)),
    ForeignModel("an AuraFlow transformer", "AuraFlow", ("double_layers.0.",)),
    ForeignModel("a FLUX.1 transformer", "FLUX.1", ("single_transformer_blocks.0.",)),
    ForeignModel("a Stable Diffusion 3 checkpoint", "Stable Diffusion 3", ("model.diffusion_model.joint_blocks.0.",)),
    ForeignModel("a Stable Diffusion 3 transformer", "Stable Diffusion 3", ("joint_blocks.0.x_block.",)),
    ForeignModel(
        "a Stable Diffusion 3 transformer",
        "Stable Diffusion 3",
        ("transformer_blocks.0.attn.add_k_proj.", "pos_embed."),
    ),
    ForeignModel("a FLUX.1 transformer", "FLUX.1", ("transformer_blocks.0.attn.add_k_proj.", "x_embedder.")),
    ForeignModel("a transformer, such as Stable Diffusion 3 or FLUX.1", "", ("transformer_blocks.0.attn.add_k_proj.",)),
    ForeignModel("a Z-Image transformer", "Z-Image", ("cap_pad_token",)),
    ForeignModel("a Lumina transformer", "Lumina", ("noise_refiner.0.",)),
    ForeignModel("a Krea-2 transformer", "Krea-2", ("text_fusion.",)),
    ForeignModel("a Krea-2 transformer", "Krea-2", ("txtfusion.",)),
    ForeignModel("an ERNIE-Image transformer", "ERNIE-Image", ("layers.0.adaLN_sa_ln.",)),
    ForeignModel("an Ideogram 4 transformer", "Ideogram 4", ("llm_cond_proj.",)),
    ForeignModel("a Kandinsky 5 transformer", "Kandinsky 5", ("visual_transformer_blocks.0.",)),
    ForeignModel("a Sana transformer", "Sana", ("transformer_blocks.0.ff.conv_inverted.",)),
    ForeignModel("a Sana transformer", "Sana", ("blocks.0.mlp.inverted_conv.",)),
    ForeignModel("a HunyuanDiT transformer", "HunyuanDiT", ("text_embedding_padding",)),
    ForeignModel("a HunyuanDiT transformer", "HunyuanDiT", ("mlp_t5.0.",)),
    ForeignModel("an LTX transformer, which makes videos", "LTX", ("patchify_proj.",)),
    ForeignModel("an LTX transformer, which makes videos", "LTX", ("time_embed.emb.", "transformer_blocks.0.attn1.norm_q.")),
    ForeignModel("a PixArt transformer", "PixArt", ("adaln_single.",)),
    ForeignModel("a PixArt transformer", "PixArt", ("t_block.1.", "y_embedder.")),
    ForeignModel("a Wan transformer, which makes videos", "Wan", ("condition_embedder.time_proj.",)),
    ForeignModel("a Wan transformer, which makes videos", "Wan", ("time_projection.1.", "blocks.0.self_attn.")),
    ForeignModel("a CogView4 transformer", "CogView4", ("time_condition_embed.",)),
    ForeignModel("a CogVideoX transformer, which makes videos", "CogVideoX", ("patch_embed.text_proj.",)),
    ForeignModel("a Mochi transformer, which makes videos", "Mochi", ("pos_frequencies", "patch_embed.")),
    ForeignModel("a Cosmos transformer", "Cosmos", ("time_embed.t_embedder.",)),
    ForeignModel("a Stable Cascade", "Stable Cascade", ("clip_txt_pooled_mapper.",)),
)  # fmt: skip
"""Networks that make the picture."""

AUTOENCODERS = (
    ForeignModel("the autoencoder of Wan or Qwen-Image", "Wan", ("decoder.mid_block.resnets.0.norm1.gamma",)),
    ForeignModel("the autoencoder of Wan or Qwen-Image", "Wan", ("decoder.middle.0.residual.",)),
    ForeignModel("a tiny autoencoder (TAESD)", "", ("encoder.layers.0.", "decoder.layers.2.")),
)
"""What makes latents of pictures, other than Stable Diffusion's."""

FOREIGN_MODELS = CONTROLS + ADAPTERS + BASES + AUTOENCODERS
"""Looked for before anything that is opened; the first that has all its marks in a file is what it is."""

PARTS = (
    ForeignModel("a T5 text encoder alone", "", ("encoder.block.0.layer.0.SelfAttention.",)),
    ForeignModel("a CLIP image encoder alone", "", ("vision_model.encoder.layers.0.",)),
    ForeignModel("a CLIP text encoder alone", "", ("text_model.encoder.layers.0.",)),
    ForeignModel("a CLIP text encoder alone", "", ("transformer.resblocks.0.",)),
    ForeignModel("a CLIP text encoder alone", "", ("encoder.layers.0.", "embeddings.position_embedding.")),
    ForeignModel("a language model alone", "", ("layers.0.self_attn.q_proj.",)),
    ForeignModel("an upscaler (ESRGAN)", "", ("body.0.rdb1.",)),
    ForeignModel("an upscaler (ESRGAN)", "", ("model.1.sub.0.RDB1.",)),
    ForeignModel("an upscaler (ESRGAN)", "", ("RRDB_trunk.0.RDB1.",)),
)
"""Looked for after everything that is opened: a whole base holds some of them too."""


def find(names: Collection[str], among: tuple[ForeignModel, ...]) -> ForeignModel | None:
    """The first kind that has all its marks in the names; None if none has.

    Args:
        names: of a file's tensors.
        among: kinds, `FOREIGN_MODELS` or `PARTS`.
    """
    text = "\n" + "\n".join("." + name for name in names)
    return next((kind for kind in among if all("." + mark in text for mark in kind.marks)), None)
