"""Sketch-Guided Diffusion: the base is pulled to a scribble by the gradient of a small predictor of edges.

A. Voynov, K. Aberman, D. Cohen-Or, *Sketch-Guided Text-to-Image Diffusion Models*, 2022, arXiv 2211.13752; in table 1 of the
ControlNet paper with β = 1.6 and 3.2. What is learnt and how it guides stands in `edge_predictor.py`; its training is the same
for every β and is done once.

It differs from the paper in: the features, as the tiny U-Net has fewer blocks; one map of them for the middle block and not
three; scribbles of the library in place of edge maps; the number of steps.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from experiments.baselines.common import Budget, Case, Pairs, open_tiny_base, to_maps
from experiments.baselines.denoising import GUIDANCE, TOGETHER
from experiments.baselines.edge_predictor import EdgePredictor, GuidedSampler, edge_errors, read_features
from experiments.baselines.phases import load_phase, optimizer_of, train_phase
from PIL import Image
from torch import Tensor

from zeroconv import StableDiffusion
from zeroconv.checkpoints.files.atomic import replacing, write_text
from zeroconv.diffusion import NoiseSchedule, build_scheduler, initial_noise
from zeroconv.generation.autoencoding import decode_images

__all__ = ["SketchGuided"]

BATCH = 16  # the paper's
RATE = 1e-3  # of AdamW; the paper has Adam with 1e-4 for 3000 steps
STEPS, SAMPLER = 50, "ddim"
PART = 0.5  # S = T / 2, the paper's: the first half of the steps is guided


class SketchGuided:
    """The method.

    Args:
        strength: β.
    """

    condition = "scribble"
    sampling: ClassVar[Mapping[str, Any]] = {"steps": STEPS, "guidance": GUIDANCE, "sampler": SAMPLER}

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self.name, self.title = f"sketch-guided-{strength:g}", f"Sketch-Guided Diffusion, β = {strength:g}"

    def start(self, seed: int) -> tuple[StableDiffusion, EdgePredictor]:
        """Base and predictor, whose first weights belong to the seed."""
        base = open_tiny_base()
        z = torch.zeros(1, *base.latent_shape(base.size, base.size))
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            width = read_features(base.unet, z, torch.zeros(1), base.encode_text([""]).hidden_states).values.shape[1]
            return base, EdgePredictor(width, z.shape[1])

    def train(self, folder: Path, data: Pairs, budget: Budget) -> None:
        """Learn to say the edges' latents from the features of noisy latents under half of the captions."""
        take_over(folder)
        base, predictor = self.start(budget.seed)
        schedule, edges = NoiseSchedule.scaled_linear(1000), data.map_latents(self.condition, base)

        def loss_of(step: int, _: float) -> Tensor:
            drawn = data.draw(budget.seed, step, BATCH)
            z_0 = data.latents[drawn.rows]
            t = torch.randint(len(schedule), (BATCH,), generator=drawn.generator)
            with torch.no_grad():
                text = base.encode_text(drawn.captions).hidden_states
                features = read_features(base.unet, schedule.add_noise(z_0, drawn.noise(z_0), t), t, text)
            return edge_errors(predictor, features, edges[drawn.rows]).mean()

        train_phase(folder, "edges", predictor, loss_of, budget, BATCH, optimizer=optimizer_of(predictor, "adamw", RATE))

    def generate(self, folder: Path, cases: Sequence[Case], seed: int) -> list[Image.Image]:
        """Pictures of the cases' captions, pulled to their scribbles."""
        base, predictor = self.start(0)
        load_phase(folder, "edges", predictor)
        sampler = GuidedSampler(base.unet, predictor, self.strength, GUIDANCE, PART)
        made: list[Image.Image] = []
        for first in range(0, len(cases), TOGETHER):
            part = cases[first : first + TOGETHER]
            text = base.encode_text([case.prompt for case in part]).hidden_states
            empty = base.encode_text([""] * len(part)).hidden_states
            drawn = to_maps(np.stack([np.asarray(case.maps[self.condition]) for case in part]))
            noise = initial_noise(base.latent_shape(base.size, base.size), [seed + case.index for case in part])
            scheduler = build_scheduler(SAMPLER, base.scheduler_config, STEPS)
            z = sampler(noise, scheduler, STEPS, text, empty, base.encode_images(2 * drawn - 1))
            made += decode_images(base, z)
        return made


def take_over(folder: Path) -> None:
    """Copy what a training of another β with the same seed, in the folder beside, has learnt."""
    weights, said = "phase-edges.safetensors", "phase-edges.json"
    for other in sorted(folder.parent.parent.glob(f"sketch-guided-*/{folder.name}")):
        if not (folder / said).exists() and (other / said).exists():
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(folder / weights) as part:
                shutil.copyfile(other / weights, part)
            write_text(folder / said, (other / said).read_text("utf-8"))
