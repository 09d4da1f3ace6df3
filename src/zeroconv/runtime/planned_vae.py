"""The autoencoder as a pipeline runs it: as it is, by a plan where that is sooner done, or in tiles where memory is short."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from zeroconv.diffusion.randomness import keyed_noise
from zeroconv.errors import InputError
from zeroconv.messages import Message, tell
from zeroconv.runtime.autoencoder import AutoencoderPlan, PictureDecoderPlan, PictureEncoderPlan, run
from zeroconv.runtime.layers import can_pack
from zeroconv.runtime.memory import available_memory
from zeroconv.runtime.planned import Planned
from zeroconv.runtime.tiles import run_in_tiles
from zeroconv.runtime.weights import Weights

__all__ = ["LEAST_TILE", "PlannedAutoencoder", "check_tile"]

SMALL = 1 << 23
"""Numbers in an autoencoder up to which a plan is sooner done at any size of picture: those of the tiny base."""
PAYS = 256 * 256
"""Pixels of a picture from which preparing a plan of a larger one is made up for within one picture, in float32."""
ROOM = 4.0
"""So many times the weights of a direction must be free for its plan: what stands for them is larger."""
LEAST_TILE, STEP = 64, 8
"""The smallest tile, in pixels, and what its side is a multiple of."""
AUTOMATIC = (1024, 512, 256, 128)
"""Tiles that are tried where memory is short."""
COPIES = 3
"""So many of the largest features an autoencoder holds at a time."""
SIDE = 8
"""Latents along a side of the proof."""

Direction: TypeAlias = Literal["decode", "encode"]


def check_tile(tile: int | None) -> int | None:
    """The side of a tile in pixels, or None.

    Raises:
        InputError: for one that is too small, or no multiple of 8.
    """
    if tile is not None and (tile < LEAST_TILE or tile % STEP):
        message = f"vae_tile is {tile}; expected a multiple of {STEP} from {LEAST_TILE} on"
        raise InputError(message, field="vae_tile", hint="512 is usual")
    return tile


class PlannedAutoencoder:
    """`decode` and `encode` like the autoencoder, in one of three ways.

    Whole by a plan, on a CPU, if the autoencoder is small or the picture is large: one decoding of random numbers shows first
    that it computes the same, up to 1e-5 in float32; otherwise it runs as it is, which is told. Whole and as it is, if
    preparing a plan would take longer than one picture. Or in overlapping tiles, if a side of them is given and the picture
    is larger, or, on a CPU, when the memory for the whole is not free, which is told.

    Args:
        vae: diffusers' `AutoencoderKL`.
        tile: the side of a tile in pixels; None leaves it to the free memory.
        is_planned: whether plans are used for whole pictures.
    """

    def __init__(self, vae: Any, tile: int | None = None, is_planned: bool = True) -> None:
        self.vae, self.tile = vae, check_tile(tile)
        self.is_small = sum(one.numel() for one in vae.parameters()) <= SMALL
        self.can_plan = is_planned and can_pack(vae.device, vae.dtype)
        self.plans: dict[tuple[Direction, bool], Planned] = {}

    def decode(self, z: Tensor) -> Tensor:
        """Pictures (B, 3, 8h, 8w), about -1 to 1, of unscaled latents (B, C, h, w)."""
        tile = self.find_tile((z.shape[-2], z.shape[-1]), len(z))
        is_packed = self.pays("decode", len(z), z.shape[-2] * z.shape[-1], tile)
        if tile is None and not is_packed:
            return self.vae.decode(z).sample
        planned = self.planned("decode", is_packed)

        def compute() -> Tensor:
            plan = planned.plan
            if tile is None or not isinstance(plan, AutoencoderPlan):
                return plan(z)
            rows = [run_in_tiles(lambda x: run(plan.large, x), plan.normalizations(), run(plan.small, one), tile, (1, STEP))
                    for one in z.contiguous(memory_format=torch.channels_last).split(1)]  # fmt: skip
            return torch.cat(rows)

        return self.proven(planned, compute)

    def encode(self, images: Tensor) -> Tensor:
        """Unscaled latents (B, C, h, w), the posterior's mean, of pictures (B, 3, 8h, 8w) in [-1, 1]."""
        tile = self.find_tile((images.shape[-2] // STEP, images.shape[-1] // STEP), len(images))
        is_packed = self.pays("encode", len(images), images.shape[-2] * images.shape[-1] // STEP**2, tile)
        if tile is None and not is_packed:
            return self.vae.encode(images).latent_dist.mean
        planned = self.planned("encode", is_packed)

        def compute() -> Tensor:
            plan = planned.plan
            if tile is None or not isinstance(plan, AutoencoderPlan):
                return plan(images).chunk(2, dim=1)[0]
            rows = [run_in_tiles(lambda x: run(plan.large, x), plan.normalizations(), one, tile, (STEP, 1)).to(images.dtype)
                    for one in images.contiguous(memory_format=torch.channels_last).split(1)]  # fmt: skip
            return torch.cat([run(plan.small, row) for row in rows]).chunk(2, dim=1)[0]

        return self.proven(planned, compute)

    def pays(self, way: Direction, rows: int, latents: int, tile: int | None) -> bool:
        """Whether a direction is computed with packed weights, for so many pictures of so many latents each.

        How many pictures there are does not decide, so that each is the same bits alone and among others, unless memory is
        too short for a plan that is not there yet beside the features: then the autoencoder runs as it is, and that is told.
        """
        if self.is_small or not self.can_plan:
            return self.can_plan
        if tile is not None or self.vae.dtype != torch.float32 or latents * STEP**2 < PAYS:
            return False
        part = self.vae.decoder if way == "decode" else self.vae.encoder
        needed = ROOM * sum(one.nbytes for one in part.parameters()) + self.needed(rows * latents)
        free = available_memory()
        if (way, True) in self.plans or free is None or needed <= free:
            return True
        text = f"{free / 1e9:.1f} GB of memory are free, too little for a plan of the autoencoder ({needed / 1e9:.1f} GB)"
        tell(Message(f"{text}: it runs as it is", "runtime.memory", "info"))
        return False

    def planned(self, way: Direction, is_packed: bool) -> Planned:
        """The plan of a direction, made anew when the autoencoder's weights are others."""
        found = self.plans.pop((way, is_packed), None)
        if found is None or not found.weights.are_of(self.vae):
            plain: Callable[[Tensor], Tensor]
            if way == "decode":
                plan, plain = PictureDecoderPlan(self.vae, is_packed), lambda z: self.vae.decode(z).sample
            else:
                plan, plain = PictureEncoderPlan(self.vae, is_packed), lambda x: self.vae.encode(x).latent_dist.parameters
            found = Planned(Weights([self.vae]), plan, plain, "the autoencoder", self.step(way))
        self.plans[way, is_packed] = found
        return found

    def step(self, way: Direction) -> Callable[[Callable[[Tensor], Tensor]], Tensor]:
        """One decoding or encoding of random numbers, flat."""
        first, config = next(self.vae.parameters()), self.vae.config
        decodes = way == "decode"
        side = SIDE if decodes else SIDE * STEP
        x = keyed_noise((1, config.latent_channels if decodes else config.in_channels, side, side), 0, "proof").to(first)
        return lambda plan: plan(x).flatten()

    def proven(self, planned: Planned, compute: Callable[[], Tensor]) -> Tensor:
        """A result, after its plan was shown to be right; if it is not, that of the network."""
        found = compute()
        return found if planned.is_proven or planned.prove() else compute()

    def find_tile(self, size: tuple[int, int], rows: int) -> int | None:
        """The side of the tiles, in latents, for so many pictures of (h, w) latents; None computes them whole."""
        if self.tile is not None:
            return None if max(size) * STEP <= self.tile else self.tile // STEP
        free = available_memory() if self.vae.device.type == "cpu" else None
        needed = self.needed(rows * size[0] * size[1])
        if free is None or needed <= free:
            return None
        fits = [tile for tile in AUTOMATIC if tile < max(size) * STEP and self.needed(tile**2 // STEP**2) <= free]
        tile = max(fits, default=min(AUTOMATIC))
        short = f"{free / 1e9:.1f} GB of memory are free, too little for the autoencoder ({needed / 1e9:.1f} GB)"
        text = f"{short}: tiles of {tile} pixels"
        tell(Message(text, "runtime.tiles", "info"))
        return tile // STEP

    def needed(self, latents: int) -> int:
        """Bytes of features that so many latents take."""
        widths = self.vae.config.block_out_channels
        return COPIES * max(widths[:2]) * latents * STEP**2 * self.vae.dtype.itemsize
