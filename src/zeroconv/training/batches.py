"""The batch of a step: a pure function of the settings, the data, the step and the process that asks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zeroconv import conditions
from zeroconv.data import Pair, Pairs, get_maps
from zeroconv.data.latent_cache import LatentCache
from zeroconv.data.sampling_order import draw_caption, draw_randomness, samples_of_step
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import AddedConditions, StableDiffusion
from zeroconv.training.config import TrainConfig
from zeroconv.training.defaults import extractor_parameters

__all__ = ["Batch", "Batches", "make_maps"]


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    Attributes:
        z_0: clean latents, (B, C, h, w).
        text: text states, some of them of the empty prompt, (B, N, D).
        condition: condition images, (B, 3, H, W) in [0, 1].
        t: diffusion steps, (B,).
        epsilon: noise, like `z_0`.
        added_conditions: SDXL's conditioning beside the text; None for the other families.
    """

    z_0: Tensor
    text: Tensor
    condition: Tensor
    t: Tensor
    epsilon: Tensor
    added_conditions: AddedConditions | None = None

    def to(self, device: torch.device | str) -> "Batch":
        """The same on a device; a GPU's copies are queued and not waited for."""
        queued = torch.device(device).type == "cuda"

        def move(tensor: Tensor) -> Tensor:
            return tensor.pin_memory().to(device, non_blocking=True) if queued else tensor.to(device)

        tensors = (self.z_0, self.text, self.condition, self.t, self.epsilon)
        z_0, text, condition, t, epsilon = map(move, tensors)
        added = self.added_conditions and self.added_conditions.map(move)
        return Batch(z_0, text, condition, t, epsilon, added)


class Batches:
    """The batches of a run: latents and prompts from the cache, maps made anew, everything random keyed by the seed.

    Args:
        config: the settings.
        base: the locked base.
        pairs: to train on.
        cache: of their latents and prompts.
        size: width and height of the pictures in pixels.
        timesteps: length T of the noise schedule.
    """

    def __init__(
        self,
        config: TrainConfig,
        base: StableDiffusion,
        pairs: Pairs,
        cache: LatentCache,
        size: tuple[int, int],
        timesteps: int,
    ) -> None:
        self.config, self.base, self.pairs, self.cache = config, base, pairs, cache
        self.size, self.timesteps = size, timesteps
        self.empty_text = base.encode_text([""]).map(lambda tensor: tensor.float().cpu())

    def __call__(self, step: int, rank: int = 0, world_size: int = 1) -> Batch:
        """The batch of a step, on the training's device.

        Args:
            step: counted from 0.
            rank: which process asks; the processes' batches, one after the other, are the whole step's.
            world_size: how many processes share a step.

        Raises:
            InputError: for a picture of another size, or a map that cannot be made, naming the pair.
        """
        config, optimization = self.config, self.config.optimization
        seed = optimization.seed
        refs = samples_of_step(step, optimization.batch_size, len(self.pairs), seed, rank, world_size)
        pairs = [with_caption(self.pairs[ref.index], draw_caption(ref, seed)) for ref in refs]
        self.check_sizes(pairs)
        z_0, text = self.cache.read([ref.index for ref in refs], pairs)
        shape, dropout = tuple(z_0.shape[1:]), config.data.prompt_dropout
        drawn = [draw_randomness(ref, seed, shape, self.timesteps, dropout) for ref in refs]
        text = text.replace_rows(torch.tensor([d.empty_prompt for d in drawn]), self.empty_text)
        known, maps = conditions.get(config.data.condition), make_maps(config, pairs, [d.extraction for d in drawn])
        batch = Batch(
            z_0,
            text.hidden_states,
            torch.stack([known.to_tensor(image) for image in maps]),
            torch.tensor([d.t for d in drawn]),
            torch.stack([d.epsilon for d in drawn]),
            self.base.added_conditions(text, *self.size),
        )
        return batch.to(optimization.device)

    def check_sizes(self, pairs: Sequence[Pair]) -> None:
        """Refuse a picture of another size than the others, by name."""
        for pair in pairs:
            if pair.image.size != self.size:
                (width, height), (w, h) = pair.image.size, self.size
                raise InputError(
                    f"pair {pair.name!r} is {width}x{height}, others {w}x{h}",
                    field="data.source",
                    hint="train on pictures of one size",
                )


def with_caption(pair: Pair, choose: Callable[[int], int]) -> Pair:
    """A pair as one visit sees it: with one of its captions."""
    return pair if len(pair.captions) < 2 else replace(pair, caption=pair.captions[choose(len(pair.captions))])


def make_maps(config: TrainConfig, pairs: Sequence[Pair], generators: Sequence[np.random.Generator]) -> list[Image.Image]:
    """The maps of pairs, ready ones or extracted; parameters that the settings leave open are drawn for each pair.

    Args:
        config: which condition, and its extractor's parameters.
        pairs: the pairs.
        generators: one for each.

    Raises:
        InputError: for wrong parameters, or a pair without a map that can be extracted.
    """
    name, given = config.data.condition, extractor_parameters(config)
    parameters = [
        conditions.draw_parameters(name, generator, pair.image.size, given)
        for pair, generator in zip(pairs, generators, strict=True)
    ]
    return get_maps(pairs, name, parameters, ready=not config.data.extract)
