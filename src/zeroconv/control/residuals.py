"""What a ControlNet gives: one tensor for each site of the base, added to what the base computes there (figure 3, right)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Never

import torch
from torch import Tensor

__all__ = ["Residuals", "skip_channels"]


class Residuals(Mapping[str, Tensor]):
    """An immutable mapping from a site of the base to what is added there, itself a value.

    Adding two composes two ControlNets (section 3.4, figure 6), scaling sets their strength. The sites of a U-Net are its
    skip connections "skip.0" … "skip.11", shallow to deep, and "middle", the middle block's output: 13 for SD 1.5 and
    2.1, 10 for SDXL. A transformer's are its blocks, "block.12".

    Args:
        tensors: site -> tensor, (B, C_i, h_i, w_i); their order is that of per-site weights.
    """

    __slots__ = ("_tensors",)
    _tensors: dict[str, Tensor]

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        object.__setattr__(self, "_tensors", dict(tensors))

    @classmethod
    def of_unet(cls, skips: Sequence[Tensor], middle: Tensor) -> "Residuals":
        """Those of a U-Net: one for each skip connection, shallow to deep, and one for the middle block."""
        return cls({**{f"skip.{i}": residual for i, residual in enumerate(skips)}, "middle": middle})

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError(f"residuals are a value: {name} cannot be set")

    def __reduce__(self) -> tuple[type["Residuals"], tuple[dict[str, Tensor]]]:
        """Copied and pickled as the mapping it is."""
        return type(self), (dict(self),)

    def __getitem__(self, site: str) -> Tensor:
        """What is added at a site."""
        return self._tensors[site]

    def __iter__(self) -> Iterator[str]:
        """The sites, in the order of the base."""
        return iter(self._tensors)

    def __len__(self) -> int:
        """How many sites there are."""
        return len(self._tensors)

    __eq__ = object.__eq__  # a mapping's own would ask tensors for one truth value

    def __hash__(self) -> int:
        """By identity."""
        return id(self)

    @property
    def skips(self) -> tuple[Tensor, ...]:
        """Those of a U-Net's skip connections, shallow to deep."""
        return tuple(residual for site, residual in self.items() if site.startswith("skip."))

    @property
    def middle(self) -> Tensor:
        """That of a U-Net's middle block."""
        return self["middle"]

    def map(self, change: Callable[[str, Tensor], Tensor]) -> "Residuals":
        """`change(site, residual)` at every site."""
        return Residuals({site: change(site, residual) for site, residual in self.items()})

    def __add__(self, other: "Residuals") -> "Residuals":
        """The sum, site by site.

        Raises:
            ValueError: when the two come from ControlNets of different bases.
        """
        if shapes_of(self) != shapes_of(other):
            raise ValueError(
                f"these residuals do not fit each other: {summary(self)} and {summary(other)}; only ControlNets made for the "
                "same base, at the same picture size, can be added"
            )
        return self.map(lambda site, residual: residual + other[site])

    def __mul__(self, scale: float) -> "Residuals":
        """Every residual times one number."""
        return self.map(lambda _, residual: residual * scale)

    __rmul__ = __mul__

    def scale(self, weights: Tensor) -> "Residuals":
        """Each residual times its site's weight.

        Args:
            weights: (sites,), in the order of the sites; for a U-Net the last is the middle's.

        Raises:
            ValueError: when there are not as many weights as sites.
        """
        if weights.shape != (len(self),):
            raise ValueError(
                f"got weights of shape {tuple(weights.shape)}; expected ({len(self)},), one for each site: {', '.join(self)}"
            )
        weight_of = dict(zip(self, weights.unbind(), strict=True))
        return self.map(lambda site, residual: residual * weight_of[site])

    def mask(self, mask: Tensor) -> "Residuals":
        """Every residual times `mask`, resized to its level by area.

        Args:
            mask: (1 or B, 1, H, W) in [0, 1]; 1 where the control acts.
        """

        def at_level(_: str, residual: Tensor) -> Tensor:
            level = torch.nn.functional.interpolate(mask, size=residual.shape[-2:], mode="area")
            return residual * level.to(residual)

        return self.map(at_level)

    def pool(self) -> "Residuals":
        """Every residual replaced by its mean over the picture (ControlNet 1.1 "shuffle")."""
        return self.map(lambda _, residual: residual.mean(dim=(2, 3), keepdim=True).expand_as(residual))

    def scatter(self, rows: slice, batch: int) -> "Residuals":
        """Those of some rows of a batch as those of the whole batch: zero in the other rows."""

        def in_zeros(_: str, residual: Tensor) -> Tensor:
            whole = residual.new_zeros((batch, *residual.shape[1:]))
            whole[rows] = residual
            return whole

        return self.map(in_zeros)


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Site -> shape, but for the batch: residuals of one row are added to every row."""
    return {site: tuple(tensor.shape[1:]) for site, tensor in tensors.items()}


def summary(tensors: Mapping[str, Tensor]) -> str:
    """The first and the last shape and how many there are, for errors."""
    first, *_, last = shapes_of(tensors).values()
    return f"{first} … {last} ({len(tensors)})"


def skip_channels(unet: Any) -> list[int]:
    """Channels of each skip connection, shallow to deep."""
    channels = [unet.config.block_out_channels[0]]
    for block, width in zip(unet.down_blocks, unet.config.block_out_channels, strict=True):
        channels += [width] * (len(block.resnets) + (block.downsamplers is not None))
    return channels
