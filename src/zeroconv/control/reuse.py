"""What earlier denoising steps computed, used again in later ones: two approximations that save time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from zeroconv.control.residuals import Residuals
from zeroconv.stable_diffusion.unet import Encoded

__all__ = ["Reuse"]


@dataclass
class Reuse:
    """How seldom the controls and the encoder are computed, and what they gave the last time.

    Features of the encoder change little from one step to the next (Li et al., *Faster Diffusion: Rethinking the Role of UNet
    Encoder in Diffusion Models*, 2023), and a control's residuals are such features. Made anew for every sampling.

    Attributes:
        control_every: the residuals of the controls are computed in every so many-th step; 1 is every one.
        encoder_every: so are encoder, middle block and controls together; in between, the decoder alone runs.
        step: of the sampling, counted from 0; set before each.
    """

    control_every: int = 1
    encoder_every: int = 1
    step: int = 0
    residuals: dict[int, tuple[Tensor, Residuals | None]] = field(default_factory=dict)
    encoded: tuple[tuple[int, ...], Encoded] | None = None

    def residuals_of(self, features: Tensor, compute: Callable[[], Residuals | None]) -> Residuals | None:
        """The residuals of the control with these features: computed, or those of an earlier step."""
        kept = self.residuals.get(id(features))
        if kept is None or self.step % self.control_every == 0:
            kept = self.residuals[id(features)] = features, compute()  # with the features, whose id is nobody else's then
        return kept[1]

    def encode(self, features: Sequence[Tensor], compute: Callable[[], Encoded], embed: Callable[[], Tensor]) -> Encoded:
        """Encoder and controls: computed, or those of an earlier step with this step's time embedding.

        Args:
            features: of the controls that act; where they are not those of the earlier step, everything is computed.
            compute: gives both, together.
            embed: gives the time embedding of the step.
        """
        acting = tuple(map(id, features))
        if self.encoded is None or self.encoded[0] != acting or self.step % self.encoder_every == 0:
            encoded = compute()
            self.encoded = (acting, encoded) if self.encoder_every > 1 else None
            return encoded
        return replace(self.encoded[1], embedding=embed())
