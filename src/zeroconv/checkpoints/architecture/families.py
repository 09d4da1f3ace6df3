"""The families of Stable Diffusion: what their files do not say, because their programs knew it."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["FAMILIES", "Family", "FamilyKey", "PredictionType", "TextEncoder", "width_title"]

FamilyKey = Literal["sd15", "sd21", "sdxl"]
PredictionType = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True)
class TextEncoder:
    """A text encoder of a family.

    Attributes:
        kind: whose names its tensors have in a single file.
        prefix: what stands before them there.
        layers: transformer layers in the published file.
        used: how many of them its network is built with; what the file holds beyond them is of no use.
        activation: of its feed-forward layers, in the words of transformers.
        projection: whether its pooled projection is used.
        width: of its text states.
        feed_forward: width inside its feed-forward layers.
    """

    kind: Literal["clip", "open_clip"]
    prefix: str
    layers: int
    used: int
    activation: Literal["quick_gelu", "gelu"]
    projection: bool
    width: int
    feed_forward: int


@dataclass(frozen=True)
class Family:
    """One family of Stable Diffusion.

    Attributes:
        key: short name.
        title: name for people.
        size: side in pixels of the pictures it was made for; of SD 2.1 the version that predicts v.
        text_width: channels of the text states that its U-Net attends to.
        text_encoders: one, or two for SDXL.
        latent_scale: what latents are multiplied with after encoding.
        prediction_type: what an unmarked file of the family most likely predicts.
        heads: number of attention heads at every level; None where each head has 64 channels instead.
        upcast_attention: whether attention is computed in float32 under half precision. It concerns diffusers' plain
            attention only: its default, torch's fused one, does not look at it.
    """

    key: FamilyKey
    title: str
    size: int
    text_width: int
    text_encoders: tuple[TextEncoder, ...]
    latent_scale: float
    prediction_type: PredictionType
    heads: int | None
    upcast_attention: bool

    def attention_heads(self, channels: tuple[int, ...]) -> int | list[int]:
        """Number of heads, for each level where it differs: what diffusers calls `attention_head_dim` by mistake."""
        return self.heads if self.heads is not None else [max(1, width // HEAD_WIDTH) for width in channels]

    def native_size(self, prediction_type: str | None = None) -> int:
        """Side in pixels of the pictures it was made for: SD 2.1 has one version for each prediction type."""
        return 512 if self.key == "sd21" and prediction_type == "epsilon" else self.size


HEAD_WIDTH = 64
"""Channels of an attention head wherever their number is not fixed, in U-Nets and text encoders."""

CLIP_L = TextEncoder("clip", "cond_stage_model.transformer.text_model.", 12, 12, "quick_gelu", False, 768, 3072)
VIT_H = TextEncoder("open_clip", "cond_stage_model.model.", 24, 23, "gelu", False, 1024, 4096)
CLIP_L_XL = TextEncoder("clip", "conditioner.embedders.0.transformer.text_model.", 12, 12, "quick_gelu", False, 768, 3072)
BIG_G = TextEncoder("open_clip", "conditioner.embedders.1.model.", 32, 32, "gelu", True, 1280, 5120)

FAMILIES: MappingProxyType[str, Family] = MappingProxyType(
    {
        "sd15": Family("sd15", "SD 1.5", 512, 768, (CLIP_L,), 0.18215, "epsilon", 8, False),
        "sd21": Family("sd21", "SD 2.1", 768, 1024, (VIT_H,), 0.18215, "v_prediction", None, True),
        "sdxl": Family("sdxl", "SDXL", 1024, 2048, (CLIP_L_XL, BIG_G), 0.13025, "epsilon", None, False),
    }
)
"""Every family by its key."""


def width_title(width: int) -> str:
    """The family that reads text of a width, for people: "SD 2.1 (text width 1024)"."""
    title = next((family.title for family in FAMILIES.values() if family.text_width == width), None)
    return f"{title} (text width {width})" if title else f"a network of text width {width}"
