"""The latent edge predictor of Sketch-Guided Diffusion, and sampling under its guidance.

A. Voynov, K. Aberman, D. Cohen-Or, *Sketch-Guided Text-to-Image Diffusion Models*, 2022, arXiv 2211.13752: a perceptron that
looks at one place of the denoiser's features at a time says the latents of the picture's edge map there; the gradient of its
error pulls the noisy latents to a sketch. The denoiser itself is never trained.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.stable_diffusion.unet import encode

__all__ = ["EdgePredictor", "Features", "GuidedSampler", "edge_errors", "read_features"]

SKIPS = (2, 4, 8)
"""Skip connections that are looked at: the outputs of the encoder's layers 2, 4 and 8, as in the paper."""
HIDDEN = (512, 256, 128, 64)
"""Widths of the perceptron's layers (the paper's supplement)."""


@dataclass(frozen=True)
class Features:
    """What a U-Net makes of noisy latents on the way to its prediction.

    Attributes:
        prediction: like the latents.
        values: features of all depths at the size of the latents, and the sine waves of the step, (B, F, h, w).
    """

    prediction: Tensor
    values: Tensor


def read_features(unet: Any, z_t: Tensor, t: Tensor, text: Tensor) -> Features:
    """Run the U-Net of diffusers and keep features of its encoder, its middle and each block of its decoder.

    Args:
        unet: of the SD 1.5 family.
        z_t: noisy latents, (B, C, h, w).
        t: steps, (B,).
        text: text states, (B, N, D).
    """
    encoded = encode(unet, z_t, t, text)
    kept = [*(encoded.skips[index] for index in SKIPS), encoded.middle]
    h, skips = encoded.middle, encoded.skips
    for block in unet.up_blocks:
        count = len(block.resnets)
        taken, skips = skips[-count:], skips[:-count]
        states = {"encoder_hidden_states": text} if getattr(block, "has_cross_attention", False) else {}
        h = block(hidden_states=h, temb=encoded.embedding, res_hidden_states_tuple=taken, **states)
        kept.append(h)
    size = z_t.shape[-2:]
    waves = unet.time_proj(t.expand(len(z_t))).to(z_t.dtype)[..., None, None].expand(-1, -1, *size)
    values = [functional.interpolate(one, size, mode="bilinear") if one.shape[-2:] != size else one for one in kept]
    return Features(unet.conv_out(unet.conv_act(unet.conv_norm_out(h))), torch.cat([*values, waves], 1))


class EdgePredictor(nn.Module):
    """The perceptron, the same at every place; its input is standardised, because features of depths differ in scale.

    Args:
        features: channels of the input.
        channels: of the latents.
    """

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        layers, width = list[nn.Module]([nn.BatchNorm2d(features, affine=False)]), features
        for hidden in HIDDEN:
            layers += [nn.Conv2d(width, hidden, 1), nn.ReLU(), nn.BatchNorm2d(hidden)]
            width = hidden
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 1))

    def forward(self, values: Tensor) -> Tensor:
        """Latents of the edge map, (B, C, h, w), of features (B, F, h, w)."""
        return self.layers(values)


def edge_errors(predictor: EdgePredictor, features: Features, edges: Tensor) -> Tensor:
    """Mean squared error of each sample's edges, (B,)."""
    return (predictor(features.values) - edges).pow(2).mean((1, 2, 3))


@dataclass(frozen=True)
class GuidedSampler:
    """Denoising pulled to sketches: z_{t-1} ← z_{t-1} - α ∇ L(z_t), α = β ‖z_t - z_{t-1}‖ / ‖∇ L‖ (the paper, section 3.2).

    Attributes:
        unet: the denoiser.
        predictor: the edge predictor, in evaluation mode.
        strength: β.
        guidance_scale: of classifier-free guidance.
        part: the share of the steps, from the first on, that are pulled.
    """

    unet: Any
    predictor: EdgePredictor
    strength: float
    guidance_scale: float
    part: float

    def predict(self, z_t: Tensor, t: Tensor, text: Tensor, empty: Tensor) -> Tensor:
        """The prediction under classifier-free guidance."""
        both = self.unet(torch.cat([z_t, z_t]), t, torch.cat([empty, text])).sample
        unconditional, conditional = both.chunk(2)
        return unconditional + self.guidance_scale * (conditional - unconditional)

    def pull(self, z_t: Tensor, t: Tensor, text: Tensor, empty: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        """The prediction, and the gradient of the edges' error for `z_t`, of each sample scaled to length 1."""
        with torch.enable_grad():
            leaf = z_t.detach().requires_grad_(True)
            features = read_features(self.unet, leaf, t, text)
            (gradient,) = torch.autograd.grad(edge_errors(self.predictor, features, edges).sum(), leaf)
        unconditional = self.unet(z_t, t, empty).sample
        prediction = unconditional + self.guidance_scale * (features.prediction.detach() - unconditional)
        return prediction, gradient / norms(gradient).clamp(min=1e-12)

    @torch.no_grad()
    def __call__(self, z: Tensor, scheduler: Any, steps: int, text: Tensor, empty: Tensor, edges: Tensor) -> Tensor:
        """Latents of pictures, (B, C, h, w).

        Args:
            z: standard normal noise.
            scheduler: deterministic, and of latents that are not scaled: DDIM.
            steps: of denoising.
            text: states of the captions, (B, N, D).
            empty: states of the empty caption, (B, N, D).
            edges: latents of the sketches, (B, C, h, w).
        """
        scheduler.set_timesteps(steps)
        for step, t in enumerate(scheduler.timesteps):
            if step >= self.part * steps:
                z = scheduler.step(self.predict(z, t, text, empty), t, z).prev_sample
                continue
            prediction, direction = self.pull(z, t, text, empty, edges)
            following = scheduler.step(prediction, t, z).prev_sample
            z = following - self.strength * norms(z - following) * direction
        return z


def norms(values: Tensor) -> Tensor:
    """The length of each sample, (B, 1, 1, 1)."""
    return values.flatten(1).norm(dim=1)[:, None, None, None]
