"""PITI: a segmentation map is encoded into the space of text states that the denoiser was pretrained with.

T. Wang et al., *Pretraining is All You Need for Image-to-Image Translation*, 2022, arXiv 2205.12952. First the encoder
is trained and the denoiser is locked, then both are trained. The map takes the caption's place in cross-attention, so the
caption is not seen, as there. Guidance is normalised (section 3.4): the guided noise gets back the mean and deviation of the
prediction.

It differs from the paper in: one resolution, as the base has one; no adversarial loss on the denoised picture, which in the
paper is for the second, upsampling network; Muon for the encoder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from experiments.baselines.class_planes import PLANES, planes_of_classes, planes_of_maps
from experiments.baselines.common import Budget, Case, Pairs, open_tiny_base
from experiments.baselines.denoising import BATCH, SAMPLER, STEPS, TOGETHER, draw_timesteps
from experiments.baselines.map_encoder import MapEncoder
from experiments.baselines.phases import load_phase, optimizer_of, train_phase
from PIL import Image
from torch import Tensor, nn

from zeroconv import StableDiffusion
from zeroconv.diffusion import NoiseSchedule, build_scheduler, denoising_loss, initial_noise, sample_latents, training_target
from zeroconv.diffusion.denoiser import Denoiser
from zeroconv.generation.autoencoding import decode_images

__all__ = ["NormalizedGuidance", "PITIModel", "Piti"]

ENCODER_UNTIL = 0.5  # of the budget; the paper's first stage is the longer one as well
DROPPED = 0.2  # share of the maps that become the empty caption, so that guidance has another side (section 3.4)
ENCODER_RATE = 1e-3  # of Muon, as for the other baselines
BOTH_RATE = 2e-4  # of AdamW; the paper has 2e-5 to 3.5e-5 for a network 60 times as wide
GUIDANCE = 2.0


class PITIModel(nn.Module):
    """The encoder and the denoiser that reads what it says.

    Args:
        base: whose U-Net it denoises with.
    """

    def __init__(self, base: StableDiffusion) -> None:
        super().__init__()
        self.encoder, self.unet = MapEncoder(PLANES, base.text_encoder), base.unet
        self.empty = base.encode_text([""]).hidden_states

    def read(self, planes: Tensor, dropped: Tensor | None = None) -> Tensor:
        """States (B, 48, D) of maps; of the empty caption where `dropped` (B,) is true."""
        states = self.encoder(planes)
        return states if dropped is None else torch.where(dropped[:, None, None], self.empty, states)

    def forward(self, z_t: Tensor, t: Tensor, states: Tensor) -> Tensor:
        """The prediction, like `z_t`; with states of captions in the place of a map's it is the base's before training."""
        return self.unet(z_t, t, states).sample


@dataclass(frozen=True)
class NormalizedGuidance:
    """Classifier-free guidance whose result has, in each sample, the mean and deviation of the prediction with the map.

    Attributes:
        denoiser: asked with 2B rows, without and with the map.
        scale: of the guidance; 1 is none.
    """

    denoiser: Denoiser
    scale: float

    def __call__(self, z_t: Tensor, t: Tensor, step: int) -> Tensor:
        """The guided prediction, like `z_t` (B, C, h, w)."""
        without, given = self.denoiser(torch.cat([z_t, z_t]), t, step).chunk(2)
        guided = without + self.scale * (given - without)
        axes = (1, 2, 3)
        standard = (guided - guided.mean(axes, keepdim=True)) / guided.std(axes, keepdim=True)
        return standard * given.std(axes, keepdim=True) + given.mean(axes, keepdim=True)


class Piti:
    """The method."""

    name = "piti"
    title = "PITI"
    condition = "segmentation"
    sampling: ClassVar[Mapping[str, Any]] = {"steps": STEPS, "guidance": GUIDANCE, "sampler": SAMPLER}

    def start(self, seed: int) -> tuple[StableDiffusion, PITIModel]:
        """Base and model, whose first weights belong to the seed."""
        base = open_tiny_base()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return base, PITIModel(base)

    def train(self, folder: Path, data: Pairs, budget: Budget) -> None:
        """The encoder alone, then encoder and denoiser."""
        base, model = self.start(budget.seed)
        schedule = NoiseSchedule.scaled_linear(1000)

        def loss_of(phase: str, step: int, share: float) -> Tensor:
            drawn = data.draw(budget.seed, step, BATCH, phase)
            z_0 = data.latents[drawn.rows]
            t, epsilon = draw_timesteps("high-first", drawn, share), drawn.noise(z_0)
            gone = torch.rand(BATCH, generator=drawn.generator) < DROPPED if phase == "both" else None
            states = model.read(planes_of_classes(data.classes[drawn.rows]), gone)
            prediction = model(schedule.add_noise(z_0, epsilon, t), t, states)
            return denoising_loss(prediction, training_target(base.prediction_type, schedule, z_0, epsilon, t)).mean()

        alone = optimizer_of(model.encoder, "muon", ENCODER_RATE)
        first = train_phase(
            folder, "encoder", model.encoder, lambda *at: loss_of("encoder", *at), budget, BATCH, ENCODER_UNTIL, alone
        )
        model.requires_grad_(True)
        both = optimizer_of(model, "adamw", BOTH_RATE)
        train_phase(
            folder, "both", model, lambda *at: loss_of("both", *at), budget, BATCH, optimizer=both, counted=first.parameters
        )

    @torch.no_grad()
    def generate(self, folder: Path, cases: Sequence[Case], seed: int) -> list[Image.Image]:
        """Pictures of the cases' segmentation maps."""
        base, model = self.start(0)
        load_phase(folder, "both", model)
        made: list[Image.Image] = []
        for first in range(0, len(cases), TOGETHER):
            part = cases[first : first + TOGETHER]
            states = model.read(planes_of_maps([case.maps[self.condition] for case in part]))
            states = torch.cat([model.empty.expand_as(states), states])
            seeds = [seed + case.index for case in part]

            def predict(z_t: Tensor, t: Tensor, _: int, states: Any = states) -> Tensor:
                return model(z_t, t, states)

            noise = initial_noise(base.latent_shape(base.size, base.size), seeds)
            scheduler = build_scheduler(SAMPLER, base.scheduler_config, STEPS)
            made += decode_images(base, sample_latents(NormalizedGuidance(predict, GUIDANCE), noise, scheduler, STEPS, seeds))
        return made
