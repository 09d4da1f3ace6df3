"""What published edge detectors share: they are opened from a file, and see large pictures in overlapping tiles."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from zeroconv.checkpoints import read_safetensors
from zeroconv.conditions.networks.batching import run_in_batches
from zeroconv.errors import InputError

__all__ = ["TILE", "EdgeDetector", "predict_edges", "predict_in_tiles"]

TILE = 1024  # pictures of more pixels than TILE * TILE are seen in tiles of this side, margins included
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class EdgeDetector(Generic[Network]):
    """A published edge detector whose weights the user brings.

    Attributes:
        name: of the network.
        variable: the environment variable that names its weights.
        advice: how to get them.
        from_tensors: `from_tensors(tensors, what)` makes the network; errors call the tensors `what`.
    """

    name: str
    variable: str
    advice: str
    from_tensors: Callable[[Mapping[str, Tensor], str], Network]

    def open(self, weights: str | os.PathLike[str] | None = None, device: str = "cpu") -> Network:
        """The network with the weights of a file, opened once for as long as the file does not change.

        Args:
            weights: a .safetensors file; if left out, the environment variable names it.
            device: such as "cpu" or "cuda".

        Raises:
            FileNotFoundError: when there are no weights.
            ValueError: when the file is a pickle or not this network's, or there is no such device.
        """
        path = self.find_weights(weights)
        return load(self, path, path.stat().st_mtime_ns, device)

    def find_weights(self, weights: str | os.PathLike[str] | None = None) -> Path:
        """Where the weights lie; arguments and errors as `open`."""
        given = weights or os.environ.get(self.variable)
        if not given:
            raise FileNotFoundError(
                f"{self.name} needs its weights: give weights=FILE, or set {self.variable} to it; {self.advice}"
            )
        path = Path(given)
        if path.suffix in (".pth", ".pt"):
            raise InputError(
                f"{given} is a pickle; `zeroconv convert {given} {self.name.lower()}.safetensors --to safetensors` "
                "reads it safely",
                field="weights",
            )
        if not path.is_file():
            raise FileNotFoundError(f"no {self.name} weights at {given}; expected a .safetensors file: {self.advice}")
        return path


@lru_cache(maxsize=4)
def load(detector: EdgeDetector[Any], path: Path, stamp: int, device: str) -> Any:
    """Read a file; `stamp` says which writing of it."""
    network = detector.from_tensors(read_safetensors(path), str(path))
    try:
        return network.to(device)
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA asserts
        reason = str(error).splitlines()[0]
        raise InputError(f"{detector.name} cannot run on {device!r}: {reason}", field="device") from error


def predict_edges(
    pictures: Sequence[Tensor], network: Callable[[Tensor], Tensor], device: torch.device, margin: int, stride: int = 1
) -> list[Tensor]:
    """Edge probabilities of each picture, (H, W) in [0, 1], on the CPU; pictures of one size are seen in one batch.

    A large picture is seen in tiles that overlap as far as the network looks, so they give what the whole would.

    Args:
        pictures: each (1, 3, H, W) in [0, 1].
        network: (B, 3, H, W) to (B, 1, H, W).
        device: where it runs.
        margin: pixels around a pixel that it looks at.
        stride: pictures are continued by their border to multiples of this, so that all stages see all of them.
    """

    def run(pixels: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 1, H, W)."""
        height, width = pixels.shape[-2:]
        if height % stride or width % stride:
            pixels = nn.functional.pad(pixels, (0, -width % stride, 0, -height % stride), mode="replicate")
        core = TILE - 2 * margin if height * width > TILE * TILE else max(pixels.shape)
        return predict_in_tiles(pixels, network, device, core, margin)[..., :height, :width]

    return [edges[0, 0] for edges in run_in_batches(pictures, run)]


def predict_in_tiles(
    pixels: Tensor, network: Callable[[Tensor], Tensor], device: torch.device, core: int, margin: int
) -> Tensor:
    """Edge probabilities, (B, 1, H, W), from tiles of `core` x `core` pixels, each seen with `margin` pixels around it.

    `core` is a multiple of the network's stride, so that the units of a tile are those of the whole picture.
    """
    height, width = pixels.shape[-2:]
    edges = torch.empty(len(pixels), 1, height, width)
    for top in range(0, height, core):
        for left in range(0, width, core):
            y, x = max(0, top - margin), max(0, left - margin)
            tile = pixels[..., y : top + core + margin, x : left + core + margin].to(device)
            found = network(tile)[..., top - y : top - y + core, left - x : left - x + core]
            edges[..., top : top + core, left : left + core] = found.cpu()
    return edges
