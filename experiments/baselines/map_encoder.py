"""A segmentation map as text states: PITI's encoder into the semantic space that the denoiser was pretrained with.

T. Wang et al., *Pretraining is All You Need for Image-to-Image Translation*, 2022, arXiv 2205.12952, section 3.2. Its output
has the shape of the text encoder's states and passes the text encoder's own last norm, so that it begins near what the
denoiser's cross-attention knows. Convolutions, then two layers of a transformer; the paper's is larger in every way.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MapEncoder"]

GRID = (6, 8)
"""Rows and columns of places that a map's tokens stand for: 48, the window of the tiny text encoder."""


class MapEncoder(nn.Module):
    """Planes of classes to text states.

    Args:
        classes: planes of the input.
        text_encoder: transformers' `CLIPTextModel`, whose window, width and last norm are taken.
        width: channels of the finest features.
    """

    def __init__(self, classes: int, text_encoder: Any, width: int = 64) -> None:
        super().__init__()
        states = int(text_encoder.config.hidden_size)
        if text_encoder.config.max_position_embeddings != GRID[0] * GRID[1]:
            raise ValueError(
                f"the text encoder has a window of {text_encoder.config.max_position_embeddings} tokens; expected 48"
            )
        self.convolutions = nn.Sequential(
            nn.Conv2d(classes, width, 4, 4), nn.SiLU(),
            nn.Conv2d(width, width, 3, 1, 1), nn.SiLU(),
            nn.Conv2d(width, states, 3, 1, 1),
        )  # fmt: skip
        self.positions = nn.Parameter(0.02 * torch.randn(GRID[0] * GRID[1], states))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(states, 4, 4 * states, 0.0, "gelu", batch_first=True, norm_first=True) for _ in range(2)
        )
        self.norm = copy.deepcopy(getattr(text_encoder, "text_model", text_encoder).final_layer_norm).requires_grad_(True)

    def forward(self, planes: Tensor) -> Tensor:
        """States (B, 48, D) of planes (B, classes, H, W), 1 where a pixel is of the class."""
        x = functional.adaptive_avg_pool2d(self.convolutions(planes), GRID).flatten(2).transpose(1, 2) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)
