"""The denoising loss on held-out pairs, always at the same time steps and from the same noise."""

from collections.abc import Callable, Sequence

import torch
from PIL import Image

from zeroconv import conditions
from zeroconv.control import ControlNet
from zeroconv.data import Pair
from zeroconv.diffusion import keyed_noise
from zeroconv.images import normalize, to_tensor
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.data.batches import Batch
from zeroconv.training.loop import TrainingLoss

__all__ = ["HeldOutLoss"]

BATCH = 8  # pairs computed together


class HeldOutLoss:
    """One loss for each pair. The draws never change, so that the difference of two probes is the network's alone.

    Args:
        loss_of: the loss of a network on a base.
        base: the locked base.
        condition: name of the condition.
        pairs: held-out pairs.
        maps: their maps.
        timesteps: those that the network learns from its first step on; the pairs share them evenly.
        device: where the training runs.
    """

    def __init__(
        self,
        loss_of: Callable[[StableDiffusion, ControlNet], TrainingLoss],
        base: StableDiffusion,
        condition: str,
        pairs: Sequence[Pair],
        maps: Sequence[Image.Image],
        timesteps: range,
        device: str,
    ) -> None:
        self.loss_of, self.base, self.pairs, self.maps, self.device = loss_of, base, pairs, maps, device
        self.known, self.timesteps = conditions.get(condition), timesteps
        self.batches: list[Batch] = []

    @torch.no_grad()
    def __call__(self, network: ControlNet) -> list[float]:
        """The losses of a network."""
        count, loss = len(self.pairs), self.loss_of(self.base, network)
        self.batches = self.batches or [self.batch(range(i, min(i + BATCH, count))) for i in range(0, count, BATCH)]
        return torch.cat([loss.per_sample(batch.to(self.device)) for batch in self.batches]).tolist()

    def batch(self, places: range) -> Batch:
        """Some of the pairs, encoded, with their draws; on the CPU."""
        pairs, share = [self.pairs[i] for i in places], len(self.timesteps) / len(self.pairs)
        text = self.base.encode_text([pair.caption for pair in pairs]).map(lambda tensor: tensor.float().cpu())
        z_0 = self.base.encode_images(normalize(torch.stack([to_tensor(pair.image) for pair in pairs]))).float().cpu()
        return Batch(
            z_0,
            text.hidden_states,
            torch.stack([self.known.to_tensor(self.maps[i]) for i in places]),
            torch.tensor([self.timesteps[int((i + 0.5) * share)] for i in places]),
            torch.stack([keyed_noise(tuple(z_0.shape[1:]), 0, "held-out", i) for i in places]),
            self.base.added_conditions(text, *self.pairs[0].image.size),
        )
