"""The training loss of section 3.3: L = E || target - prediction ||²."""

from typing import Literal

from torch import Tensor
from torch.nn import functional

from zeroconv.diffusion.schedule import NoiseSchedule

__all__ = ["PredictionType", "denoising_loss", "snr_weight", "training_target"]

PredictionType = Literal["epsilon", "v_prediction"]


def training_target(kind: str, schedule: NoiseSchedule, z_0: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
    """What the network should predict, like `z_0`.

    "epsilon": the noise ε. "v_prediction": `v = sqrt(ᾱ_t) ε - sqrt(1 - ᾱ_t) z_0`
    (Salimans and Ho, 2022, arXiv 2202.00512), as in SD 2.1 at 768 pixels.

    Raises:
        ValueError: for another kind.
    """
    if kind == "epsilon":
        return epsilon
    if kind == "v_prediction":
        signal, noise = schedule.signal_and_noise(t, z_0)
        return signal * epsilon - noise * z_0
    raise ValueError(f"prediction type is {kind!r}; expected 'epsilon' or 'v_prediction'")


def denoising_loss(prediction: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error of each sample, (B,), computed in float32."""
    return functional.mse_loss(prediction.float(), wanted.float(), reduction="none").flatten(1).mean(dim=1)


def snr_weight(kind: str, schedule: NoiseSchedule, t: Tensor, gamma: float) -> Tensor:
    """Weights of the samples' losses, (B,): min(SNR, γ) / SNR for "epsilon", min(SNR, γ) / (SNR + 1) for "v_prediction".

    Hang et al., 2023, *Efficient Diffusion Training via Min-SNR Weighting Strategy*, arXiv 2303.09556.

    Args:
        kind: what the network predicts.
        schedule: whose signal-to-noise ratio ᾱ_t / (1 - ᾱ_t) is meant.
        t: steps, (B,), 0 … T-1.
        gamma: γ, above 0; 5 in the paper.
    """
    signal = schedule.alphas_cumprod.to(t.device)[t]
    snr = signal / (1 - signal)
    return snr.clamp(max=gamma) / (snr if kind == "epsilon" else snr + 1)
