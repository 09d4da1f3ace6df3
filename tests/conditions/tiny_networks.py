"""Tiny random networks of the real classes, saved as published ones are: settings, safetensors, preprocessing."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers as library
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from zeroconv.conditions.networks.transformers import CLASSES, find_network_class
from zeroconv.conditions.networks.weights import WEIGHTS

transformers: Any = library  # its settings are typed in part only

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
RECIPES: dict[str, dict[str, Any]] = {
    "depth_anything": {"size": {"height": 56, "width": 56}, "resample": 3, **IMAGENET},
    "dpt": {"size": {"height": 64, "width": 64}, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
    "segformer": {"size": {"height": 64, "width": 64}, "resample": 2, **IMAGENET},
    "mask2former": {"size": {"shortest_edge": 64, "longest_edge": 256}, "resample": 2, **IMAGENET},
    "oneformer": {"size": {"shortest_edge": 64, "longest_edge": 256}, "resample": 2, **IMAGENET},
    "vitpose": {"size": {"height": 256, "width": 192}, **IMAGENET},
    "rt_detr": {"size": {"height": 64, "width": 64}, "resample": 2, "do_normalize": False, **IMAGENET},
    "sapiens2": {"size": {"height": 64, "width": 48}, "resample": 2, **IMAGENET},
}


def settings_of(family: str, points: int = 17) -> Any:
    """The smallest settings that make a network of a family; one of poses marks some points."""
    four = [8, 8, 8, 8]
    depth: dict[str, Any] = {"neck_hidden_sizes": four, "fusion_hidden_size": 8}
    vit: dict[str, Any] = {"hidden_size": 16, "num_attention_heads": 2}
    queries: dict[str, Any] = {"num_queries": 5, "hidden_dim": 32, "encoder_feedforward_dim": 8, "encoder_layers": 1}
    queries |= {"dim_feedforward": 8, "num_attention_heads": 2, "num_labels": 150}
    stages = [f"stage{i}" for i in (1, 2, 3, 4)]

    def swin() -> Any:
        return transformers.SwinConfig(
            image_size=32, embed_dim=4, depths=[1] * 4, num_heads=[1] * 4, window_size=2, out_features=stages
        )

    if family == "depth_anything":
        backbone = transformers.Dinov2Config(
            image_size=56, patch_size=14, num_hidden_layers=4, mlp_ratio=2, out_indices=[1, 2, 3, 4],
            apply_layernorm=True, reshape_hidden_states=False, **vit,
        )  # fmt: skip
        return transformers.DepthAnythingConfig(
            backbone_config=backbone, reassemble_hidden_size=16, patch_size=14, head_hidden_size=8, **depth
        )
    if family == "dpt":
        return transformers.DPTConfig(
            num_hidden_layers=4, intermediate_size=32, image_size=64, backbone_out_indices=[0, 1, 2, 3], **vit, **depth
        )
    if family == "segformer":
        return transformers.SegformerConfig(
            depths=[1] * 4, hidden_sizes=[4, 8, 8, 8], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=8, num_labels=150
        )
    if family == "mask2former":
        return transformers.Mask2FormerConfig(
            backbone_config=swin(), feature_size=32, mask_feature_size=32, decoder_layers=2, **queries
        )
    if family == "oneformer":
        return transformers.OneFormerConfig(
            backbone_config=swin(), mask_dim=32, conv_dim=32, decoder_layers=3, text_encoder_width=8,
            text_encoder_num_layers=1, is_training=False, **queries,
        )  # fmt: skip
    if family == "vitpose":
        backbone = transformers.VitPoseBackboneConfig(num_hidden_layers=1, mlp_ratio=2, out_indices=[1], **vit)
        return transformers.VitPoseConfig(backbone_config=backbone, num_labels=points)
    if family == "sapiens2":
        normal = points == 3  # its head shuffles pixels, that of poses has transposed convolutions
        return transformers.Sapiens2Config(
            image_size=[64, 48], intermediate_size=32, num_hidden_layers=2, num_key_value_attention_heads=1,
            num_first_full_attention_layers=1, num_last_full_attention_layers=1, num_labels=points,
            head_config=transformers.Sapiens2HeadConfig(
                use_pixel_shuffle=normal, upsample_out_channels=[8] * (4 if normal else 2), conv_out_channels=[8],
                upsample_kernel_size=3 if normal else 4, conv_kernel_size=3 if normal else 1,
            ),
            **vit,
        )  # fmt: skip
    resnet = transformers.RTDetrResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8, 16, 32], depths=[1] * 4, layer_type="basic", out_features=stages[1:]
    )
    return transformers.RTDetrConfig(
        backbone_config=resnet, encoder_in_channels=[8, 16, 32], encoder_hidden_dim=8, encoder_ffn_dim=8, d_model=8,
        encoder_attention_heads=2, decoder_in_channels=[8] * 3, decoder_ffn_dim=8, decoder_layers=1,
        decoder_attention_heads=2, num_queries=10, decoder_n_points=2, num_denoising=0,
        id2label={0: "car", 1: "person"},
    )  # fmt: skip


POINTS = {"vitpose": 17, "sapiens2-pose": 308, "sapiens2-normal": 3}


def save(method: str, folder: Path, points: int | None = None) -> Path:
    """A random network of a method in a folder; of poses with a number of points."""
    torch.manual_seed(0)
    family = WEIGHTS[method].family
    network = find_network_class(CLASSES[method])(settings_of(family, points or POINTS.get(method, 0)))
    with torch.no_grad():
        for name, parameter in network.named_parameters():  # zeros and ones say nothing
            parameter.add_(0.1 * torch.randn_like(parameter))
            if name in ("head.conv3.bias", "head.head.4.bias"):  # before the last ReLU of a depth network
                parameter.fill_(1.0)
            if family == "rt_detr" and name.endswith("class_embed.0.bias"):
                parameter += torch.tensor([-1.0, 1.0])  # more people than cars
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(RECIPES[family]), "utf-8")
    return folder


def save_marigold(folder: Path) -> Path:
    """Random networks of Marigold in diffusers' layout: a U-Net, an autoencoder and a text encoder."""
    torch.manual_seed(0)
    levels: dict[str, Any] = {"block_out_channels": (8, 8), "norm_num_groups": 4, "layers_per_block": 1}
    two = ("DownBlock2D", "CrossAttnDownBlock2D"), ("CrossAttnUpBlock2D", "UpBlock2D")
    UNet2DConditionModel(
        sample_size=8, in_channels=8, out_channels=4, down_block_types=two[0], up_block_types=two[1],
        cross_attention_dim=16, attention_head_dim=4, **levels,
    ).save_pretrained(folder / "unet")  # fmt: skip
    levels |= {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    AutoencoderKL(latent_channels=4, **levels).save_pretrained(folder / "vae")
    text: dict[str, Any] = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    library.CLIPTextModel(transformers.CLIPTextConfig(num_hidden_layers=1, **text)).save_pretrained(folder / "text_encoder")
    DDIMScheduler(
        beta_schedule="scaled_linear", prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True,
        clip_sample=False,
    ).save_pretrained(folder / "scheduler")  # fmt: skip
    told = {"_class_name": "MarigoldNormalsPipeline", "default_denoising_steps": 2, "default_processing_resolution": 32}
    (folder / "model_index.json").write_text(json.dumps(told), "utf-8")
    return folder


def save_all(root: Path) -> dict[str, Path]:
    """A folder of weights for each key of `WEIGHTS` whose networks are the libraries'."""
    return {method: save(method, root / method) for method in CLASSES} | {"marigold": save_marigold(root / "marigold")}
