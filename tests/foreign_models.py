"""Files of networks that this project does not open, with the names that diffusers' own classes or their authors gave them."""

from collections.abc import Callable
from typing import Any

import diffusers
import torch

__all__ = ["BUILT", "CONTROL_LORAS", "PUBLISHED", "names_of", "tensors_of"]

ONE = {"num_layers": 1}
BUILT: dict[str, tuple[str, dict[str, Any]]] = {
    "a Stable Diffusion 3 transformer": ("SD3Transformer2DModel", ONE),
    "a ControlNet for Stable Diffusion 3": ("SD3ControlNetModel", ONE),
    "a FLUX.1 transformer": ("FluxTransformer2DModel", {"num_layers": 1, "num_single_layers": 0}),
    "a ControlNet for FLUX.1": ("FluxControlNetModel", {"num_layers": 1, "num_single_layers": 0}),
    "a ControlNet-Union for FLUX.1": ("FluxControlNetModel", {"num_layers": 1, "num_single_layers": 1, "num_mode": 3}),
    "a FLUX.2 transformer": ("Flux2Transformer2DModel", {"num_layers": 1, "num_single_layers": 1}),
    "a Qwen-Image transformer": ("QwenImageTransformer2DModel", ONE),
    "a ControlNet for Qwen-Image (InstantX)": ("QwenImageControlNetModel", ONE),
    "a Z-Image transformer": ("ZImageTransformer2DModel", {"n_layers": 1, "n_refiner_layers": 1}),
    "a ControlNet for Z-Image (Fun)": ("ZImageControlNetModel", {
        "control_layers_places": [0], "control_refiner_layers_places": [0], "control_in_dim": 4, "dim": 32, "n_heads": 2,
        "n_refiner_layers": 1}),
    "a HunyuanDiT transformer": ("HunyuanDiT2DModel", {"num_layers": 4, "in_channels": 4, "patch_size": 2, "sample_size": 8}),
    "a ControlNet for HunyuanDiT": ("HunyuanDiT2DControlNetModel", {
        "transformer_num_layers": 4, "in_channels": 4, "patch_size": 2, "sample_size": 8}),
    "a PixArt transformer": ("PixArtTransformer2DModel", ONE),
    "a Sana transformer": ("SanaTransformer2DModel", ONE),
    "a ControlNet for Sana": ("SanaControlNetModel", ONE),
    "a Wan transformer": ("WanTransformer3DModel", ONE),
    "a VACE model for Wan": ("WanVACETransformer3DModel", {"num_layers": 1, "vace_layers": [0]}),
    "a Chroma transformer": ("ChromaTransformer2DModel", {"num_layers": 1, "num_single_layers": 1}),
    "an AuraFlow transformer": ("AuraFlowTransformer2DModel", {"num_mmdit_layers": 1, "num_single_dit_layers": 1}),
    "a Lumina transformer": ("Lumina2Transformer2DModel", {"num_layers": 1, "num_refiner_layers": 1}),
    "a CogView4 transformer": ("CogView4Transformer2DModel", ONE),
    "an LTX transformer": ("LTXVideoTransformer3DModel", ONE),
    "a HunyuanVideo transformer": ("HunyuanVideoTransformer3DModel", {"num_layers": 1, "num_single_layers": 1}),
    "a Krea-2 transformer": ("Krea2Transformer2DModel", ONE),
    "a ControlNet for Cosmos": ("CosmosControlNetModel", {}),
    "a SparseCtrl network": ("SparseControlNetModel", {}),
    "a ControlNet-XS": ("ControlNetXSAdapter", {}),
    "a T2I-Adapter": ("T2IAdapter", {}),
    "an AnimateDiff motion module": ("MotionAdapter", {}),
    "Kolors": ("UNet2DConditionModel", {"encoder_hid_dim": 8, "encoder_hid_dim_type": "text_proj"}),
    "a ControlNet for Kolors": ("ControlNetModel", {"encoder_hid_dim": 8, "encoder_hid_dim_type": "text_proj"}),
    "a tiny autoencoder": ("AutoencoderTiny", {}),
    "the autoencoder of Wan or Qwen-Image": ("AutoencoderKLQwenImage", {}),
}  # fmt: skip
"""What it is called -> the class of diffusers whose names such a file has, with few layers."""

PUBLISHED: dict[str, tuple[str, ...]] = {
    "a ControlNet for FLUX.1 (XLabs)": (
        "controlnet_blocks.0.weight", "double_blocks.0.img_attn.qkv.weight", "input_hint_block.0.weight",
    ),
    "a ControlNet for FLUX.2 (Fun)": ("control_img_in.weight", "control_transformer_blocks.0.after_proj.weight"),
    "a ControlNet for Qwen-Image (Fun)": ("control_img_in.weight", "control_blocks.0.after_proj.weight"),
    "a ControlNet for MiniMax-H3 (Fun)": ("control_proj_in.weight", "control_blocks.0.after_proj.weight"),
    "a blockwise ControlNet for Qwen-Image (DiffSynth)": (
        "controlnet_blocks.0.x_rms.weight", "controlnet_blocks.0.y_rms.weight", "controlnet_blocks.0.output_proj.weight",
        "img_in.weight",
    ),
    "a ControlNet for Z-Image (Fun)": ("control_all_x_embedder.2-1.weight", "control_layers.0.after_proj.weight"),
    "a ControlNet for PixArt": ("controlnet.0.copied_block.attn.qkv.weight", "controlnet.0.after_proj.weight"),
    "a ControlNet for a transformer": ("control_layers.0.after_proj.weight",),
    "a Stable Diffusion 3 checkpoint": ("model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight",),
    "a FLUX.1 checkpoint": ("model.diffusion_model.double_blocks.0.img_attn.qkv.weight",),
    "a FLUX.1 transformer": ("double_blocks.0.img_attn.qkv.weight", "img_in.weight"),
    "a BrushNet": ("conv_in_condition.weight", "brushnet_down_blocks.0.weight", "down_blocks.0.resnets.0.conv1.weight"),
    "a SparseCtrl network": (
        "controlnet_cond_embedding.conv_in.weight", "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight",
        "down_blocks.0.resnets.0.conv1.weight",
    ),
    "an IP-Adapter": ("image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"),
    "a ControlNet-LLLite": ("lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_k.down.0.weight",),
    "a ControlNet-LLLite for Anima": ("lllite_dit_blocks_0_self_attn_q_proj.down.0.weight",),
    "a CLIP text encoder alone": ("text_model.encoder.layers.0.self_attn.q_proj.weight", "text_model.final_layer_norm.weight"),
    "a CLIP image encoder alone": ("vision_model.encoder.layers.0.self_attn.q_proj.weight",),
    "a T5 text encoder alone": ("encoder.block.0.layer.0.SelfAttention.q.weight", "shared.weight"),
    "an upscaler (ESRGAN)": ("conv_first.weight", "body.0.rdb1.conv1.weight"),
    "a hypernetwork": ("768.0.linear.0.weight", "768.1.linear.0.weight"),
    "a GLIGEN": ("position_net.linears.0.weight", "input_blocks.1.1.transformer_blocks.0.fuser.linear.weight"),
    "a PhotoMaker": (
        "id_encoder.fuse_module.mlp1.fc1.weight", "id_encoder.vision_model.encoder.layers.0.self_attn.q_proj.weight",
        "lora_weights.unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight",
    ),
    "a HunyuanDiT transformer": ("blocks.0.attn1.Wqkv.weight", "mlp_t5.0.weight", "text_embedding_padding"),
    "a ControlNet for HunyuanDiT": ("after_proj_list.0.weight", "blocks.0.attn1.Wqkv.weight", "mlp_t5.0.weight"),
    "a Krea-2 transformer": ("first.weight", "blocks.0.attn.wq.weight", "txtfusion.projector.weight"),
}  # fmt: skip
"""What it is called -> names in files that have no class in diffusers."""

FLUX_BLOCK, KREA_BLOCK = "double_blocks.0.img_attn.qkv", "blocks.0.attn.wq"
CONTROL_LORAS: dict[str, dict[str, tuple[int, ...]]] = {
    "a Control-LoRA for FLUX.1": {
        "img_in.lora_A.weight": (128, 128), "img_in.lora_B.weight": (16, 128), "img_in.lora_B.bias": (16,),
        f"{FLUX_BLOCK}.lora_A.weight": (8, 16), f"{FLUX_BLOCK}.lora_B.weight": (16, 8), f"{FLUX_BLOCK}.lora_B.bias": (16,),
        "double_blocks.0.img_attn.norm.key_norm.scale": (16,),
    },
    "a Control-LoRA for FLUX.1 (diffusers)": {
        "transformer.x_embedder.lora_A.weight": (8, 128), "transformer.x_embedder.lora_B.weight": (16, 8),
        "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": (8, 16),
    },
    "a Control-LoRA for Krea-2": {
        "first.weight": (16, 128), f"{KREA_BLOCK}.lora_A.weight": (8, 16), f"{KREA_BLOCK}.lora_B.weight": (16, 8),
    },
    "a Control-LoRA for Krea-2 (diffusers)": {
        "transformer.img_in.lora_A.weight": (8, 128), "transformer.transformer_blocks.0.attn.to_gate.lora_A.weight": (8, 16),
    },
}  # fmt: skip
"""What it is called, and in whose names -> tensors and their shapes: the layer that latents go in by reads a map, too."""


def tensors_of(kind: str) -> dict[str, torch.Tensor]:
    """Random tensors of a kind of file, by the first words of what it is called."""
    if kind in CONTROL_LORAS:
        return {name: torch.rand(shape) for name, shape in CONTROL_LORAS[kind].items()}
    return {name: torch.rand(2, 2) for name in (PUBLISHED[kind] if kind in PUBLISHED else names_of(kind))}


def names_of(kind: str) -> tuple[str, ...]:
    """Names of the tensors of a kind of `BUILT`, from a network without numbers."""
    name, settings = BUILT[kind]
    build: Callable[..., torch.nn.Module] = getattr(diffusers, name)
    with torch.device("meta"):
        return tuple(build(**settings).state_dict())
