"""What a picture will look like, while it is sampled: the clean latents that the last prediction means, as a small picture."""

import base64
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from zeroconv.diffusion import Denoiser
from zeroconv.generation.tiled_denoiser import TiledDenoiser
from zeroconv.images import to_image
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["LatentColours", "PreviewRate", "WatchedDenoiser", "clean_latents", "interruptible"]

SIDE = 256  # pixels of the longer side, at most
SHARE = 0.04  # of the time of sampling that previews may take
PATCH = 32  # pixels of a patch of one colour
WEBP = "data:image/webp;base64,"


@dataclass
class WatchedDenoiser:
    """A denoiser around a denoiser, which remembers its last prediction.

    Attributes:
        denoiser: the one inside.
        last: noisy latents (B, C, h, w), the step of the noise schedule, and the prediction.
    """

    denoiser: Denoiser
    last: tuple[Tensor, Tensor, Tensor] | None = None

    def __call__(self, z_t: Tensor, t: Tensor, step: int) -> Tensor:
        """The prediction."""
        prediction = self.denoiser(z_t, t, step)
        self.last = z_t, t, prediction
        return prediction


def interruptible(denoiser: Denoiser, check: Callable[[], None]) -> Denoiser:
    """The same denoiser; of one that works in tiles, `check` is called before each, so that a long step can be left.

    Args:
        denoiser: of a picture.
        check: whatever it raises ends the picture.
    """
    if not isinstance(denoiser, TiledDenoiser):
        return denoiser

    def after_check(inner: Denoiser) -> Denoiser:
        def predict(z_t: Tensor, t: Tensor, step: int) -> Tensor:
            check()
            return inner(z_t, t, step)

        return predict

    return replace(denoiser, denoisers=[after_check(one) for one in denoiser.denoisers])


def clean_latents(z_t: Tensor, t: Tensor, prediction: Tensor, scheduler_config: dict[str, Any]) -> Tensor:
    """`z_0 = (z_t - √(1 - ᾱ_t) ε) / √ᾱ_t`, or `√ᾱ_t z_t - √(1 - ᾱ_t) v`: what a prediction takes for the clean latents.

    Args:
        z_t: noisy latents (B, C, h, w), of variance 1.
        t: the step of the noise schedule.
        prediction: ε or v, as the base predicts.
        scheduler_config: of the base: betas and what is predicted.
    """
    count = int(scheduler_config.get("num_train_timesteps", 1000))
    first, last = float(scheduler_config.get("beta_start", 1e-4)), float(scheduler_config.get("beta_end", 0.02))
    if scheduler_config.get("beta_schedule", "linear") == "scaled_linear":
        betas = torch.linspace(first**0.5, last**0.5, count, dtype=torch.float64) ** 2
    else:
        betas = torch.linspace(first, last, count, dtype=torch.float64)
    kept = torch.cumprod(1 - betas, 0)[min(count - 1, max(0, round(float(t))))]
    signal, noise = float(kept.sqrt()), float((1 - kept).sqrt())
    if scheduler_config.get("prediction_type") == "v_prediction":
        return signal * z_t - noise * prediction
    return (z_t - noise * prediction) / max(signal, 0.05)


class LatentColours:
    """The colour that latents mean, as a linear map: fitted to patches of colour that the autoencoder of a base encodes.

    It costs a thousandth of the decoder, and shows a pixel for each latent.

    Args:
        base: whose latents they are.
    """

    def __init__(self, base: StableDiffusion) -> None:
        generator = torch.Generator().manual_seed(0)
        colours = torch.rand(1, 3, 8, 8, generator=generator)
        picture = torch.nn.functional.interpolate(colours, scale_factor=PATCH, mode="bilinear")
        latents = base.encode_images(picture * 2 - 1).float().cpu()
        wanted = torch.nn.functional.interpolate(picture, size=latents.shape[-2:], mode="area")
        columns = torch.cat([latents[0].flatten(1), torch.ones(1, latents[0, 0].numel())]).T
        self.matrix = torch.linalg.lstsq(columns, wanted[0].flatten(1).T).solution  # (C + 1, 3)

    def draw(self, latents: Tensor) -> Image.Image:
        """A picture of scaled latents (C, h, w), a pixel for each."""
        values = latents.float().cpu()
        rgb = torch.einsum("chw,cd->dhw", values, self.matrix[:-1]) + self.matrix[-1][:, None, None]
        return to_image(rgb.nan_to_num(0.5).clamp(0, 1))

    def preview(self, latents: Tensor) -> str:
        """The same as a `data:` URI of a WebP, enlarged."""
        image = self.draw(latents)
        scale = min(8, SIDE / max(image.size))
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=60, method=1)
        return WEBP + base64.b64encode(buffer.getvalue()).decode("ascii")


@dataclass
class PreviewRate:
    """Previews only as often as they take a small share of the time.

    Attributes:
        begun: when sampling began.
        spent: seconds that previews took.
        last: seconds of the last one.
        clock: gives seconds.
    """

    begun: float = field(default_factory=time.perf_counter)
    spent: float = 0.0
    last: float = 0.0
    clock: Callable[[], float] = time.perf_counter

    def is_due(self) -> bool:
        """Whether one more stays within the share."""
        return self.spent + self.last <= SHARE * (self.clock() - self.begun)

    def make(self, preview: Callable[[], str]) -> str:
        """Make one and note what it took."""
        begun = self.clock()
        found = preview()
        self.last = self.clock() - begun
        self.spent += self.last
        return found
