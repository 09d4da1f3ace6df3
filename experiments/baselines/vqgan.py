"""VQGAN: an autoencoder whose latents are entries of a learned codebook, trained with a patch discriminator.

P. Esser, R. Rombach, B. Ommer, *Taming Transformers for High-Resolution Image Synthesis*, 2021, arXiv 2012.09841, section 3.1;
the codebook is that of A. van den Oord, O. Vinyals, K. Kavukcuoglu, *Neural Discrete Representation Learning*, 2017, arXiv
1711.00937. Small: one code stands for 16 x 16 pixels as there, but the first and the last layer take 4 x 4 pixels at once.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["VQGAN", "Discriminator", "Quantized", "Quantizer", "adaptive_weight", "discriminator_loss"]

DECAY = 0.95  # of the codebook's averages; the 0.99 of the 2017 paper is for runs of 100,000 steps
ALIVE = 0.05  # vectors a batch, on average: a code that is met less often is replaced


@dataclass(frozen=True)
class Quantized:
    """Latents replaced by their nearest codes.

    Attributes:
        values: the codes' vectors, (B, D, h, w); their gradient goes to the latents as if nothing had been replaced.
        codes: their indices, (B, h, w).
        commitment: mean squared distance of the latents from their codes, a scalar with a gradient for the latents.
    """

    values: Tensor
    codes: Tensor
    commitment: Tensor


class Quantizer(nn.Module):
    """A codebook of K vectors that moves with the mean of the latents nearest to each.

    Args:
        count: K.
        width: D.
    """

    codebook: Tensor
    sizes: Tensor
    sums: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.register_buffer("codebook", torch.zeros(count, width))
        self.register_buffer("sizes", torch.zeros(count))
        self.register_buffer("sums", torch.zeros(count, width))

    def nearest(self, vectors: Tensor) -> Tensor:
        """The indices (N,) of the codes nearest to `vectors` (N, D)."""
        products = vectors @ self.codebook.T
        return (self.codebook.pow(2).sum(1) - 2 * products).argmin(1)

    def look_up(self, codes: Tensor) -> Tensor:
        """The vectors (B, D, h, w) of codes (B, h, w)."""
        return functional.embedding(codes, self.codebook).permute(0, 3, 1, 2).contiguous()

    def forward(self, z: Tensor) -> Quantized:
        """Quantise latents (B, D, h, w), in float32."""
        batch, _, height, width = z.shape
        codes = self.nearest(z.detach().permute(0, 2, 3, 1).flatten(0, 2)).view(batch, height, width)
        values = self.look_up(codes)
        return Quantized(z + (values - z).detach(), codes, (z - values).pow(2).mean())

    @torch.no_grad()
    def update(self, z: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """Move the codes to where the latents of a batch are; codes that nothing is near to become one of its latents.

        Args:
            z: latents (B, D, h, w).
            codes: their codes (B, h, w).
            generator: by which new places are drawn; at the first batch all are.
        """
        vectors, indices, unused = z.permute(0, 2, 3, 1).flatten(0, 2), codes.flatten(), not self.sizes.any()
        self.sizes.mul_(DECAY).index_add_(0, indices, torch.full((len(indices),), 1 - DECAY))
        self.sums.mul_(DECAY).index_add_(0, indices, (1 - DECAY) * vectors)
        dead = ((self.sizes < ALIVE) | unused).nonzero().flatten()
        places = torch.randint(len(vectors), (len(dead),), generator=generator)
        self.sizes[dead] = 1.0
        self.sums[dead] = vectors[places]
        self.codebook.copy_(self.sums / self.sizes[:, None])


class Residual(nn.Module):
    """x + conv(SiLU(norm(conv(SiLU(norm(x))))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(norm(width), nn.SiLU(), conv(width, width), norm(width), nn.SiLU(), conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        return x + self.layers(x)


def norm(width: int) -> nn.Module:
    """Group norm of groups of 16 channels."""
    return nn.GroupNorm(width // 16, width)


def conv(inner: int, outer: int, stride: int = 1) -> nn.Module:
    """A 3 x 3 convolution."""
    return nn.Conv2d(inner, outer, 3, stride, 1)


def up(inner: int, outer: int) -> nn.Module:
    """Twice the size by repeating, then a convolution, as in the paper's decoder."""
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), conv(inner, outer))


class VQGAN(nn.Module):
    """Encoder, codebook and decoder.

    Args:
        channels: of the input: 3 of a picture, or the number of classes.
        patch: pixels a side that the first and the last layer take at once; a code stands for four times as many.
        codes: entries of the codebook.
        width: channels at the finest level; twice and three times as many at the next two.
        code_width: channels of a code.
    """

    def __init__(self, channels: int, patch: int, codes: int, width: int = 48, code_width: int = 32) -> None:
        super().__init__()
        one, two, three = width, 2 * width, 3 * width
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, one, patch, patch), Residual(one),
            conv(one, two, 2), Residual(two),
            conv(two, three, 2), Residual(three),
            norm(three), nn.SiLU(), nn.Conv2d(three, code_width, 1),
        )  # fmt: skip
        self.quantizer = Quantizer(codes, code_width)
        self.decoder = nn.Sequential(
            conv(code_width, three), Residual(three), Residual(three),
            up(three, two), Residual(two),
            up(two, one), Residual(one),
            norm(one), nn.SiLU(),
        )  # fmt: skip
        self.last = nn.Conv2d(one, channels * patch**2, 3, 1, 1)
        self.shuffle = nn.PixelShuffle(patch)

    def encode(self, x: Tensor) -> Tensor:
        """Latents before they are quantised, (B, D, h, w) float32, of (B, channels, H, W)."""
        return self.encoder(x).float()

    def decode(self, values: Tensor) -> Tensor:
        """(B, channels, H, W) float32 of codes' vectors (B, D, h, w)."""
        return self.shuffle(self.last(self.decoder(values)).float())

    @torch.no_grad()
    def codes(self, x: Tensor) -> Tensor:
        """The codes (B, h·w) of inputs, row by row."""
        return self.quantizer(self.encode(x)).codes.flatten(1)

    @torch.no_grad()
    def decode_codes(self, codes: Tensor) -> Tensor:
        """The pictures of codes (B, h·w) of a square."""
        side = int(codes.shape[1] ** 0.5)
        return self.decode(self.quantizer.look_up(codes.view(-1, side, side)))


class Discriminator(nn.Module):
    """Says of each patch whether it is real (P. Isola et al., 2017, arXiv 1611.07004): logits (B, 1, h, w)."""

    def __init__(self, channels: int = 3, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, 1), norm(2 * width), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 2 * width, 4, 2, 1), norm(2 * width), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 3, 1, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the patches of pictures (B, channels, H, W)."""
        return self.layers(x).float()


def discriminator_loss(real: Tensor, made: Tensor) -> Tensor:
    """The hinge loss of both logits, as in the authors' code."""
    return 0.5 * (functional.relu(1 - real).mean() + functional.relu(1 + made).mean())


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last: Tensor) -> Tensor:
    """λ of equation 7: ‖∇ L_rec‖ / (‖∇ L_GAN‖ + δ) with respect to the decoder's last layer, without a gradient of its own.

    Args:
        reconstruction: L_rec, a scalar.
        adversarial: L_GAN of the generator, a scalar.
        last: the weight of the decoder's last layer.
    """
    (ours,) = torch.autograd.grad(reconstruction, last, retain_graph=True)
    (theirs,) = torch.autograd.grad(adversarial, last, retain_graph=True)
    return (ours.norm() / (theirs.norm() + 1e-4)).clamp(0, 1e4).detach()
