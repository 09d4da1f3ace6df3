"""What the baselines that denoise have in common: one loss, one sampler, and a model that is told maps in its own way.

A method says how its model is built (`build`) and whether it sees maps as pixels or through the autoencoder. The loss is
that of section 3.3, the sampler that of `zeroconv evaluate`; a test holds the pictures of a ControlNet made here against
those of `ControlPipeline`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from experiments.baselines.common import Budget, Case, Drawn, Pairs, open_tiny_base, to_maps
from experiments.baselines.phases import load_phase, optimizer_of, train_phase
from PIL import Image
from torch import Tensor, nn

from zeroconv import StableDiffusion
from zeroconv.diffusion import (
    CFGDenoiser,
    NoiseSchedule,
    build_scheduler,
    denoising_loss,
    initial_noise,
    sample_latents,
    training_target,
)
from zeroconv.generation.autoencoding import decode_images
from zeroconv.training.config.optimization import OptimizerName

__all__ = ["BATCH", "GUIDANCE", "SAMPLING", "STEPS", "DenoisingMethod", "DenoisingModel", "Timesteps", "sample"]

BATCH = 8  # zeroconv's default
STEPS, GUIDANCE, SAMPLER = 10, 4.0, "dpm++2m"
SAMPLING = {"steps": STEPS, "guidance": GUIDANCE, "sampler": SAMPLER}
TOGETHER = 8  # pictures sampled together
LOWEST_FIRST, UNIFORM_FROM = 0.4, 2 / 3  # zeroconv's own for narrow bases: the upper 60 % for two thirds of the time

Timesteps = Literal["uniform", "high-first", "cubic"]


class DenoisingModel(nn.Module, ABC):
    """A network that predicts the noise under a map; its parameters are those that learn."""

    def read(self, maps: Tensor) -> Any:
        """What the network makes of maps once for all steps, from what the method gives it (`DenoisingMethod.reads`)."""
        return maps

    @abstractmethod
    def forward(self, z_t: Tensor, t: Tensor, text: Tensor, features: Any) -> Tensor:
        """The prediction, like `z_t` (B, C, h, w)."""


class DenoisingMethod(ABC):
    """A baseline that denoises.

    Attributes:
        reads: "pixels", maps (B, 3, 128, 128) in [0, 1]; "latents", the same through the autoencoder; "nothing".
        optimizer: of the library.
        rate: the learning rate.
        timesteps: how they are drawn, see `draw_timesteps`.
        sampling: steps, guidance and sampler.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    condition: ClassVar[str] = "segmentation"
    reads: ClassVar[Literal["pixels", "latents", "nothing"]] = "pixels"
    optimizer: ClassVar[OptimizerName] = "muon"
    rate: ClassVar[float] = 1e-3
    timesteps: ClassVar[Timesteps] = "high-first"
    sampling: ClassVar[Mapping[str, Any]] = SAMPLING

    @abstractmethod
    def build(self, base: StableDiffusion) -> DenoisingModel:
        """The model at initialisation, on a base that belongs to it alone."""

    def start(self, seed: int) -> tuple[StableDiffusion, DenoisingModel]:
        """Base and model, whose first weights belong to the seed."""
        base = open_tiny_base()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return base, self.build(base)

    def train(self, folder: Path, data: Pairs, budget: Budget) -> None:
        """As `Method.train`."""
        base, model = self.start(budget.seed)
        schedule = NoiseSchedule.scaled_linear(1000)
        maps = data.map_latents(self.condition, base) if self.reads == "latents" else data.maps(self.condition)

        def loss_of(step: int, share: float) -> Tensor:
            drawn = data.draw(budget.seed, step, BATCH)
            z_0 = data.latents[drawn.rows]
            t = draw_timesteps(self.timesteps, drawn, share)
            epsilon, text = drawn.noise(z_0), base.encode_text(drawn.captions).hidden_states
            given = maps[drawn.rows] if isinstance(maps, Tensor) else to_maps(maps[drawn.rows])
            prediction = model(schedule.add_noise(z_0, epsilon, t), t, text, model.read(given))
            target = training_target(base.prediction_type, schedule, z_0, epsilon, t)
            return denoising_loss(prediction, target).mean()

        train_phase(folder, "all", model, loss_of, budget, BATCH, optimizer=optimizer_of(model, self.optimizer, self.rate))

    def generate(self, folder: Path, cases: Sequence[Case], seed: int) -> list[Image.Image]:
        """As `Method.generate`."""
        base, model = self.start(0)
        self.load(folder, model)
        return sample(base, model, cases, self.condition, seed, encoded=self.reads == "latents")

    def load(self, folder: Path, model: DenoisingModel) -> None:
        """Fill the model with what was trained."""
        load_phase(folder, "all", model)


def draw_timesteps(kind: Timesteps, drawn: Drawn, share: float) -> Tensor:
    """Time steps (B,), 0 … 999, that belong to the draw.

    Args:
        kind: "uniform"; "high-first", the upper 60 % until two thirds of the time are over, as zeroconv trains on narrow
            bases; "cubic", t = (1 - u³) T, which prefers high ones (Mou et al., *T2I-Adapter*, 2023, section 3.4).
        drawn: the samples.
        share: of the training that is over.
    """
    u = torch.rand(len(drawn.rows), generator=drawn.generator)
    if kind == "cubic":
        u = 1 - u**3
    if kind == "high-first" and share < UNIFORM_FROM:
        u = LOWEST_FIRST + (1 - LOWEST_FIRST) * u
    return (u * 1000).long().clamp(0, 999)


@torch.no_grad()
def sample(
    base: StableDiffusion, model: DenoisingModel, cases: Sequence[Case], condition: str, seed: int, encoded: bool = False
) -> list[Image.Image]:
    """A picture of each case, with guidance on the prompt; both of its sides see the map.

    Without prompts both sides would be the same, and only one is computed.

    Args:
        base: text encoder and autoencoder.
        model: predicts.
        cases: held-out scenes.
        condition: which of their maps.
        seed: of case 0.
        encoded: whether the model reads maps through the autoencoder.
    """
    pictures: list[Image.Image] = []
    for first in range(0, len(cases), TOGETHER):
        part = cases[first : first + TOGETHER]
        is_guided = any(case.prompt for case in part)
        text = base.encode_text([""] * len(part) * is_guided + [case.prompt for case in part]).hidden_states
        maps = to_maps(np.stack([np.asarray(case.maps[condition]) for case in part]))
        given = base.encode_images(2 * maps - 1) if encoded else maps
        features = model.read(torch.cat([given, given]) if is_guided else given)

        def predict(z_t: Tensor, t: Tensor, _: int, text: Tensor = text, features: Any = features) -> Tensor:
            return model(z_t, t, text, features)

        seeds = [seed + case.index for case in part]
        noise = initial_noise(base.latent_shape(base.size, base.size), seeds)
        scheduler = build_scheduler(SAMPLER, base.scheduler_config, STEPS)
        denoiser = CFGDenoiser(predict, GUIDANCE) if is_guided else predict
        z = sample_latents(denoiser, noise, scheduler, STEPS, seeds)
        pictures += decode_images(base, z)
    return pictures
