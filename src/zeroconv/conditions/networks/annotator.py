"""A small network that reads depth, normals, segmentation and pose back from a picture of the tiny world.

It reads the maps back in the fidelity of these conditions ("does the picture obey its map?"), as OneFormer is in table 2
of the paper. It was trained on renderings of the tiny world alone, so it serves pictures of the tiny world alone.
"""

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.conditions.networks.batching import run_in_batches
from zeroconv.images import resize, to_tensor

FOLDER = Path(__file__).parents[2] / "assets" / "tiny-annotator"
SIZE = 128  # the shorter side at which pictures are judged
GRID = 64  # ... and that of the grid of the answers
STRIDE = 16  # of the deepest level: both sides are its multiples
LONGEST = 4  # times the shorter side: more extreme pictures are made smaller, or pressed
JOINTS = 18
AT_ONCE = 8  # pictures: a thousand tiles of one would fill the memory
NEAR_ZERO = 0.02  # inverse depth below which the network answers by differences rather than by ratios
# The ADE20K indices that occur in the tiny world, in the order of the class logits.
CLASSES = (
    0, 2, 3, 4, 5, 8, 9, 12, 13, 14, 15, 16, 17, 19, 20, 21,
    22, 23, 24, 25, 28, 32, 34, 36, 41, 42, 46, 52, 119, 125, 135,
)  # fmt: skip


def fold_depth(inverse: Tensor) -> Tensor:
    """Inverse depth in [0, 1] on the scale on which it is learnt, [0, 1]: equal steps are about equal ratios."""
    return torch.log1p(inverse.clamp_min(0) / NEAR_ZERO) / math.log1p(1 / NEAR_ZERO)


def unfold_depth(folded: Tensor) -> Tensor:
    """The inverse of `fold_depth`, for any number: at most 2."""
    return torch.expm1(folded.clamp(-1, 1.17) * math.log1p(1 / NEAR_ZERO)) * NEAR_ZERO


@dataclass(frozen=True)
class Annotation:
    """What the annotator sees in a batch of pictures, on a grid of h x w places: 64 x 64 for square ones.

    Attributes:
        class_logits: (B, len(CLASSES), h, w).
        inverse_depth: (B, h, w), near = 1, far = 0, relative within the picture as in the depth map.
        normals: (B, 3, h, w), unit vectors in the camera's frame: x to the right, y up, z away from the camera.
        joint_logits: (B, 18, h, w), heat maps before the sigmoid.
    """

    class_logits: Tensor
    inverse_depth: Tensor
    normals: Tensor
    joint_logits: Tensor

    @classmethod
    def of(cls, answers: Tensor) -> Self:
        """From the network's answers, (B, len(CLASSES) + 1 + 3 + 18, h, w)."""
        logits, depth, normals, joints = answers.split([len(CLASSES), 1, 3, JOINTS], 1)
        return cls(logits, unfold_depth(depth[:, 0]), F.normalize(normals, dim=1), joints)

    def classes(self) -> Tensor:
        """The most likely ADE20K class of each place: (B, h, w) int64."""
        return torch.tensor(CLASSES, device=self.class_logits.device)[self.class_logits.argmax(1)]

    def joints(self) -> Tensor:
        """Joint positions and confidences: (B, 18, 3), x and y in [0, 1] of the picture, confidence in [0, 1].

        A position is the centre of mass of the 5 x 5 places around the peak of the heat map.
        """
        heat = self.joint_logits.sigmoid()
        height, width = heat.shape[2:]
        peak, index = heat.flatten(2).max(2)  # (B, 18)
        down, across = torch.arange(height, device=heat.device), torch.arange(width, device=heat.device)
        near_x = (across - (index % width)[..., None]).abs() <= 2  # (B, 18, w)
        near_y = (down - (index // width)[..., None]).abs() <= 2
        local = heat * near_y[..., :, None] * near_x[..., None, :]
        mass = local.sum((2, 3)).clamp_min(1e-9)
        x = (local.sum(2) * (across + 0.5)).sum(2) / mass / width
        y = (local.sum(3) * (down + 0.5)).sum(2) / mass / height
        return torch.stack([x, y, peak], 2)


def _convolution(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(),
    )


class _Residual(nn.Module):
    """Two convolutions beside a straight way through."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels, dilation=dilation), _convolution(channels, channels, dilation=dilation)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class TinyAnnotator(nn.Module):
    """A U-shaped network of 1.1 million parameters and 0.6 GFLOP for a picture of 128 x 128.

    Four levels (64, 32, 16, 8 places wide) go down; 1x1 convolutions bring the sum back up; at 64 x 64 one 1x1
    convolution answers all four questions.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (24, 48, 96, 128)) -> None:
        """Make the network with random weights; `widths` are the channels of the four levels."""
        super().__init__()
        self.widths = tuple(widths)
        a, b, c, d = widths
        self.down = nn.ModuleList(
            [
                nn.Sequential(_convolution(3, a, 2), _convolution(a, a)),
                nn.Sequential(_convolution(a, b, 2), _Residual(b)),
                nn.Sequential(_convolution(b, c, 2), _Residual(c)),
                nn.Sequential(_convolution(c, d, 2), _Residual(d), _Residual(d, dilation=2)),
            ]
        )
        self.context = nn.Linear(d, d)  # what kind of place is this, as a whole
        self.up = nn.ModuleList([nn.Conv2d(d, c, 1), nn.Conv2d(c, b, 1), nn.Conv2d(b, a, 1)])
        self.join = nn.ModuleList([_convolution(c, c), _convolution(b, b), _convolution(a, 2 * a)])
        self.head = nn.Conv2d(2 * a, len(CLASSES) + 1 + 3 + JOINTS, 1)

    def forward(self, image: Tensor) -> Annotation:
        """Predict the maps of pictures.

        Args:
            image: (B, 3, H, W) in [0, 1], both sides multiples of 16; it was trained on 128 x 128.
        """
        return Annotation.of(self.answers(image))

    def answers(self, image: Tensor) -> Tensor:
        """What `forward` makes an `Annotation` of: (B, C, H / 2, W / 2)."""
        x = image * 2 - 1
        skips: list[Tensor] = []
        for level in self.down:
            x = level(x)
            skips.append(x)
        x = x + self.context(x.mean((2, 3)))[:, :, None, None]
        for up, join, skip in zip(self.up, self.join, reversed(skips[:-1]), strict=True):
            x = F.interpolate(up(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = join(x + skip)
        return self.head(x)

    @classmethod
    def from_folder(cls, folder: Path = FOLDER) -> Self:
        """Load `config.json` and `model.safetensors` (fp16 on disk, float32 in memory), ready to predict.

        Raises:
            FileNotFoundError: the weights are not there.
        """
        if not (folder / "model.safetensors").is_file():
            raise FileNotFoundError(f"no annotator weights in {folder}; expected model.safetensors")
        config = json.loads((folder / "config.json").read_text("utf-8"))
        network = cls(tuple(config["widths"]))
        state = network.state_dict()  # the counters of batch norm are not in the file
        network.load_state_dict(state | {k: v.float() for k, v in read_safetensors(folder / "model.safetensors").items()})
        return network.eval().requires_grad_(False)

    def save(self, folder: Path) -> None:
        """Write what `from_folder` reads; floating-point tensors as fp16, counters of batch norm left out."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {k: v.half() for k, v in self.state_dict().items() if v.is_floating_point()}
        write_safetensors(folder / "model.safetensors", state)
        config = {"widths": list(self.widths), "classes": list(CLASSES), "size": SIZE, "grid": GRID}
        write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")


@lru_cache(maxsize=1)
def annotator() -> TinyAnnotator:
    """The embedded annotator, loaded at the first call."""
    return TinyAnnotator.from_folder()


@torch.inference_mode()
def annotate(*images: Image.Image) -> list[Annotation]:
    """Annotate pictures of any size, each in an `Annotation` with B = 1; their shape is kept unless longer than 4 : 1."""
    found: list[Tensor] = []
    for first in range(0, len(images), AT_ONCE):
        group = [image.convert("RGB") for image in images[first : first + AT_ONCE]]  # palettes would not be resized smoothly
        pictures = [to_tensor(resize(image, input_size(*image.size)))[None] for image in group]
        found += run_in_batches(pictures, annotator().answers)
    return [Annotation.of(answers) for answers in found]


def input_size(width: int, height: int) -> tuple[int, int]:
    """Width and height at which a picture is judged."""
    scale = min(SIZE / min(width, height), LONGEST * SIZE / max(width, height))
    across, down = (max(1, round(scale * side / STRIDE)) * STRIDE for side in (width, height))
    return across, down
