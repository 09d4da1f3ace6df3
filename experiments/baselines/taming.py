"""Taming Transformers: a map's codes are continued by a picture's codes, and those are decoded. Trained from scratch.

P. Esser, R. Rombach, B. Ommer, *Taming Transformers for High-Resolution Image Synthesis*, 2021, arXiv 2012.09841: "VQGAN(seg.)"
in tables 2 and 3. Caption and base are not seen, as there. Of the budget a tenth goes to the VQGAN of maps, 45 % to that of
pictures, whose discriminator begins at three quarters, and 45 % to the transformer.

It differs from the paper in: its size; codes that stand for 16 x 16 of 128 x 128 pixels, so 64 a picture and not 256; no
perceptual loss, whose network was trained on photographs, but L1 of pictures and of their gradients; a codebook that moves
with the mean of its latents; Muon as the optimizer.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from experiments.baselines.class_planes import PLANES, planes_of_classes, planes_of_maps
from experiments.baselines.code_transformer import CodeTransformer, sample_codes
from experiments.baselines.common import Budget, Case, Pairs, to_maps
from experiments.baselines.phases import load_phase, optimizer_of, train_phase
from experiments.baselines.vqgan import VQGAN, Discriminator, adaptive_weight, discriminator_loss
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.diffusion import generator
from zeroconv.images import to_images

__all__ = ["Taming"]

MAP_CODES, PICTURE_CODES = 256, 512  # 1024 and more in the paper, for data sets of 20,000 to 1,200,000 pictures
PLACES = 64
UNTIL = {"maps": 0.1, "pictures": 0.55, "transformer": 1.0}  # shares of the budget
BATCH = {"maps": 8, "pictures": 8, "transformer": 16}
RATE = 1e-3  # of Muon, which reaches 21.1 dB where AdamW reaches 17.4 in the same 40 seconds
COMMITMENT = 0.25  # β, the authors' code
ADVERSARIAL, ADVERSARIAL_FROM = 0.1, 0.75  # weight beside λ; share of the phase before it begins
"""The authors' code has 0.8 and begins after 10,000 steps and more. In a minute 0.8 from the half on costs 4.5 dB, this 0.2."""
TOP_K, TEMPERATURE = 100, 1.0  # the authors' code
AT_ONCE = 16


class PictureTraining(nn.Module):
    """The VQGAN of pictures and its discriminator, which learn in one step."""

    def __init__(self) -> None:
        super().__init__()
        self.vqgan, self.discriminator = VQGAN(3, 4, PICTURE_CODES, 32), Discriminator()

    def loss(self, x: Tensor, drawn: torch.Generator, adversarial: bool) -> Tensor:
        """Of pictures (B, 3, H, W) in [-1, 1]; moves the codebook."""
        z = self.vqgan.encode(x)
        move_codes(self.vqgan, z, drawn)
        quantized = self.vqgan.quantizer(z)
        y = self.vqgan.decode(quantized.values)
        reconstruction = picture_error(x, y)
        loss = reconstruction + COMMITMENT * quantized.commitment
        if not adversarial:
            return loss
        fixed = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        fooled = -torch.func.functional_call(self.discriminator, fixed, (y,)).mean()
        weight = adaptive_weight(reconstruction, fooled, self.vqgan.last.weight)
        told = discriminator_loss(self.discriminator(x), self.discriminator(y.detach()))
        return loss + ADVERSARIAL * weight * fooled + told


def picture_error(x: Tensor, y: Tensor) -> Tensor:
    """L1 of pictures and of their differences from pixel to pixel."""
    error = y - x
    return error.abs().mean() + error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()


def map_loss(vqgan: VQGAN, planes: Tensor, drawn: torch.Generator) -> Tensor:
    """Cross entropy of the classes and the commitment; moves the codebook."""
    z = vqgan.encode(planes)
    move_codes(vqgan, z, drawn)
    quantized = vqgan.quantizer(z)
    entropy = functional.cross_entropy(vqgan.decode(quantized.values), planes.argmax(1))
    return entropy + COMMITMENT * quantized.commitment


def move_codes(vqgan: VQGAN, z: Tensor, drawn: torch.Generator) -> None:
    """Move the codebook to where latents are."""
    vqgan.quantizer.update(z.detach(), vqgan.quantizer(z.detach()).codes, drawn)


class Taming:
    """The method."""

    name = "taming"
    title = "VQGAN + transformer (Taming Transformers), from scratch"
    condition = "segmentation"
    sampling: ClassVar[Mapping[str, Any]] = {"top_k": TOP_K, "temperature": TEMPERATURE}

    def build(self, seed: int) -> tuple[VQGAN, PictureTraining, CodeTransformer]:
        """The networks before training."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return (
                VQGAN(PLANES, 2, MAP_CODES, 32),
                PictureTraining(),
                CodeTransformer(MAP_CODES, PICTURE_CODES, PLACES, 128, 4, 4),
            )

    def train(self, folder: Path, data: Pairs, budget: Budget) -> None:
        """Three phases, one after another."""
        torch.set_num_threads(1)
        maps, pictures, transformer = self.build(budget.seed)

        def maps_loss(step: int, _: float) -> Tensor:
            drawn = data.draw(budget.seed, step, BATCH["maps"], "maps")
            return map_loss(maps, planes_of_classes(data.classes[drawn.rows]), drawn.generator)

        def pictures_loss(step: int, share: float) -> Tensor:
            drawn = data.draw(budget.seed, step, BATCH["pictures"], "pictures")
            x = 2 * to_maps(data.rgb[drawn.rows]) - 1
            return pictures.loss(x, drawn.generator, share >= ADVERSARIAL_FROM)

        @cache
        def codes_of(row: int) -> tuple[Tensor, Tensor]:
            picture = 2 * to_maps(data.rgb[[row]]) - 1
            return maps.codes(planes_of_classes(data.classes[[row]]))[0], pictures.vqgan.codes(picture)[0]

        def codes_loss(step: int, _: float) -> Tensor:
            rows = data.draw(budget.seed, step, BATCH["transformer"], "transformer").rows
            seen, wanted = zip(*(codes_of(row) for row in rows), strict=True)
            return transformer.loss(torch.stack(seen), torch.stack(wanted))

        for name, network, loss in (("maps", maps, maps_loss), ("pictures", pictures, pictures_loss)):
            optimizer = optimizer_of(network, "muon", RATE)
            train_phase(folder, name, network, loss, budget, BATCH[name], UNTIL[name], optimizer)
        train_phase(folder, "transformer", transformer, codes_loss, budget, BATCH["transformer"], UNTIL["transformer"])

    @torch.no_grad()
    def generate(self, folder: Path, cases: Sequence[Case], seed: int) -> list[Image.Image]:
        """Pictures of the cases' segmentation maps."""
        torch.set_num_threads(1)
        maps, pictures, transformer = self.build(0)
        for name, network in (("maps", maps), ("pictures", pictures), ("transformer", transformer)):
            load_phase(folder, name, network)
        made: list[Image.Image] = []
        for first in range(0, len(cases), AT_ONCE):
            part = cases[first : first + AT_ONCE]
            seen = maps.codes(planes_of_maps([case.maps[self.condition] for case in part]))
            generators = [generator(seed + case.index, "taming") for case in part]
            codes = sample_codes(transformer, seen, TOP_K, TEMPERATURE, generators)
            made += to_images(pictures.vqgan.decode_codes(codes) / 2 + 0.5)
        return made
