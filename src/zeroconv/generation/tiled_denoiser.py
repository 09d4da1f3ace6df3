"""Denoising in overlapping tiles whose predictions are joined at each step: large pictures by a base of small ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zeroconv.conditions.raster.tiling import tiles
from zeroconv.diffusion import Denoiser

__all__ = ["Tile", "TiledDenoiser", "cut_tiles"]


@dataclass(frozen=True)
class Tile:
    """A part of the latents.

    Attributes:
        rows: of the latents.
        columns: of the latents.
        weight: of its prediction at each latent, (h, w); the weights of all tiles sum to 1.
    """

    rows: slice
    columns: slice
    weight: Tensor

    def box(self, unit: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in pixels, of which a latent has `unit` a side."""
        return self.columns.start * unit, self.rows.start * unit, self.columns.stop * unit, self.rows.stop * unit


def cut_tiles(size: tuple[int, int], side: int, overlap: int) -> list[Tile]:
    """Tiles that cover latents, evenly placed; one alone where they are no larger than a tile.

    Args:
        size: of the latents, width and height.
        side: of a tile, in latents.
        overlap: latents that neighbours share at least, less than `side`.
    """
    found = tiles(size, side, overlap, blend=True)
    return [Tile(rows, columns, torch.from_numpy(weight).float()) for (rows, columns), weight in found]


@dataclass(frozen=True)
class TiledDenoiser:
    """A `Denoiser`: each tile is denoised by itself, and where tiles overlap their predictions are averaged.

    All tiles are parts of the same latents, at the same step, so that what one does there its neighbours see in the next step
    (Bar-Tal, Yariv, Lipman, Dekel, *MultiDiffusion: Fusing Diffusion Paths for Controlled Image Generation*, 2023, arXiv
    2302.08113, equation 5). The weights fall off towards the borders of a tile, so that no border shows.

    Attributes:
        tiles: of the latents.
        denoisers: of each, guided and with its own part of the maps.
    """

    tiles: Sequence[Tile]
    denoisers: Sequence[Denoiser]

    def __call__(self, z_t: Tensor, t: Tensor, step: int) -> Tensor:
        """The prediction, like `z_t` (B, C, h, w)."""
        summed = torch.zeros_like(z_t)
        for tile, denoiser in zip(self.tiles, self.denoisers, strict=True):
            place = ..., tile.rows, tile.columns
            summed[place] += tile.weight.to(z_t) * denoiser(z_t[place].contiguous(), t, step)
        return summed
