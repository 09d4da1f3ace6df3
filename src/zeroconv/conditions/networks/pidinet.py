"""PiDiNet, edges from differences of pixels, in its configuration CARv4 (Z. Su, W. Liu et al., ICCV 2021).

Where a convolution weighs pixels, a pixel difference convolution weighs differences, `y = Σ w_i (x(p_i) - x(q_i))`.
That is a plain convolution with the kernel `Σ w_i (δ(p_i) - δ(q_i))`, which the stored weights become when they are
read; nothing is lost. Source: https://arxiv.org/abs/2108.07009 and the published checkpoints,
https://github.com/hellozhuo/pidinet.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import cycle
from os import PathLike
from typing import Self

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from zeroconv.checkpoints import check_fit
from zeroconv.conditions.networks.edge_detector import EdgeDetector, predict_edges
from zeroconv.images import to_tensor

__all__ = ["PIDINET_DETECTOR", "PiDiNet", "open_pidinet", "pidinet_edges", "to_plain_kernel"]

DEPTHS = (3, 4, 4, 4)  # blocks of the four stages
BRANCHES = {60: 24, 30: 12, 20: 8}  # channels beside those of the trunk: PiDiNet, PiDiNet-Small, PiDiNet-Tiny
DILATIONS = (5, 7, 9, 11)
LAYERS = ("init_block", *(f"block{s}_{i}.conv1" for s, depth in enumerate(DEPTHS, 1) for i in range(1, depth + 1)))
KINDS = dict(zip(LAYERS, cycle(("cd", "ad", "rd", "cv"))))  # central, angular, radial, vanilla: "CARV", four times
STRIDE = 8  # of the fourth stage
# A pixel looks at nothing that is 192 px away: 75 px of blocks and 7 of pooling, then 88 of dilation, 8 of attention
# and 8 of enlarging. Tiles begin at multiples of 8, so their units are the whole picture's.
MARGIN = 192
ADVICE = (
    "`hf download lllyasviel/Annotators table5_pidinet.pth --local-dir .` fetches them (2.9 MB; licence of their authors: "
    "research purpose, ask them for commercial use), `zeroconv convert table5_pidinet.pth pidinet.safetensors "
    "--to safetensors` makes them a file for weights="
)

GRID = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
CLOCKWISE = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]


class PiDiNet(nn.Module):
    """The network, its tensors named as in the published files.

    Args:
        width: channels of the first stage; 60 is PiDiNet, 30 Small, 20 Tiny.
    """

    def __init__(self, width: int = 60) -> None:
        super().__init__()
        widths, branch = (width, 2 * width, 4 * width, 4 * width), BRANCHES[width]
        self.init_block = nn.Conv2d(3, width, 3, padding=1, bias=False)
        inputs = width
        for stage, (outputs, depth) in enumerate(zip(widths, DEPTHS, strict=True), 1):
            for index in range(1, depth + 1):
                name = f"block{stage}_{index}"
                radial = KINDS[f"{name}.conv1"] == "rd"
                self.add_module(name, Block(inputs, outputs, 5 if radial else 3, halves=stage > 1 and index == 1))
                inputs = outputs
        self.dilations = nn.ModuleList(Dilations(outputs, branch) for outputs in widths)
        self.attentions = nn.ModuleList(Attention(branch) for _ in widths)
        self.conv_reduces = nn.ModuleList(nn.Sequential(OrderedDict(conv=nn.Conv2d(branch, 1, 1))) for _ in widths)
        self.classifier = nn.Conv2d(len(widths), 1, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Edge probabilities, (B, 1, H, W) in [0, 1], of pixels (B, 3, H, W) with H and W from 8.

        At sizes that are no multiples of 8 the deeper stages see less than the picture, and are stretched over it.
        """
        x, logits = self.init_block(pixels), list[Tensor]()
        for stage, depth in enumerate(DEPTHS):
            for index in range(1, depth + 1):
                x = self.get_submodule(f"block{stage + 1}_{index}")(x)
            side = self.conv_reduces[stage](self.attentions[stage](self.dilations[stage](x)))
            logits.append(F.interpolate(side, pixels.shape[-2:], mode="bilinear", align_corners=False))
        return self.classifier(torch.cat(logits, 1)).sigmoid()

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], what: str = "the weights") -> Self:
        """A network filled with the tensors of a published file.

        Args:
            tensors: by their published names, with or without the "module." of a network on several devices.
            what: how errors call them.

        Raises:
            ValueError: when they are not such a PiDiNet's, naming the first that does not fit.
        """
        stored = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
        first = stored.get("init_block.weight", torch.empty(60)).shape[:1]
        with torch.device("meta"):
            network = cls(next((width for width in BRANCHES if first == (width,)), 60))
        kinds = {f"{layer}.weight": kind for layer, kind in KINDS.items()}
        wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        wanted |= {name: (*wanted[name][:2], 3, 3) for name in kinds}
        check_fit(stored, wanted, f"{what} is not a PiDiNet with the modules CDCM and CSAM")
        plain = {name: tensor.to(torch.float32, copy=True) for name, tensor in stored.items()}
        for name, tensor in plain.items():
            if not tensor.isfinite().all():
                raise ValueError(f"{what} is broken: {name!r} holds values that are no numbers; get it again")
        plain |= {name: to_plain_kernel(kind, plain[name]) for name, kind in kinds.items()}
        # Kernels with channels last take half the time on a CPU.
        last = {name: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for name, t in plain.items()}
        network.load_state_dict(last, assign=True)
        return network.eval().requires_grad_(False)


class Block(nn.Module):
    """`shortcut(x) + conv2(ReLU(conv1(x)))`: a convolution within each channel, then one across them."""

    def __init__(self, inputs: int, outputs: int, side: int, halves: bool) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if halves else nn.Identity()
        self.conv1 = nn.Conv2d(inputs, inputs, side, padding=side // 2, groups=inputs, bias=False)
        self.conv2 = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.halves = halves

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(x, 2) if self.halves else x
        return self.conv2(self.conv1(x).relu_()) + self.shortcut(x)


class Dilations(nn.Module):
    """CDCM, the compact dilation convolution based module: the sum of four dilated convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 1)
        for index, dilation in enumerate(DILATIONS, 1):
            convolution = nn.Conv2d(outputs, outputs, 3, dilation=dilation, padding=dilation, bias=False)
            self.add_module(f"conv2_{index}", convolution)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x.relu())
        dilated = self.get_submodule("conv2_1")(x)
        for index in range(2, len(DILATIONS) + 1):
            dilated = dilated + self.get_submodule(f"conv2_{index}")(x)
        return dilated


class Attention(nn.Module):
    """CSAM, the compact spatial attention module: each place is scaled by a number in 0 … 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 4, 1)
        self.conv2 = nn.Conv2d(4, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv2(self.conv1(x.relu())).sigmoid()


def to_plain_kernel(kind: str, weights: Tensor) -> Tensor:
    """The kernel of the plain convolution that a pixel difference convolution is: `Σ w_i (δ(p_i) - δ(q_i))`.

    Args:
        kind: "cd", neighbours less the centre; "ad", each of the ring less the next one clockwise; "rd", the ring at
            distance 2 less the ring at distance 1; "cv", a plain convolution.
        weights: (O, I, 3, 3), `w_i` row by row.

    Returns:
        (O, I, 5, 5) for "rd", else (O, I, 3, 3).
    """
    if kind == "cv":
        return weights
    if kind == "cd":
        pairs = [(place, (0, 0)) for place in GRID]
    elif kind == "ad":
        after = dict(zip(CLOCKWISE, CLOCKWISE[1:] + CLOCKWISE[:1], strict=True))
        pairs = [(place, after.get(place, place)) for place in GRID]
    else:  # published files keep the eight weights of "rd" in the last eight of nine places; the first is not used
        pairs = [((0, 0), (0, 0)), *(((2 * y, 2 * x), (y, x)) for y, x in GRID if (y, x) != (0, 0))]
    centre = 2 if kind == "rd" else 1
    kernel = weights.new_zeros(*weights.shape[:2], 2 * centre + 1, 2 * centre + 1)
    for weight, (p, q) in zip(weights.flatten(2).unbind(2), pairs, strict=True):
        kernel[..., centre + p[0], centre + p[1]] += weight
        kernel[..., centre + q[0], centre + q[1]] -= weight
    return kernel


PIDINET_DETECTOR = EdgeDetector("PiDiNet", "ZEROCONV_PIDINET", ADVICE, PiDiNet.from_tensors)


def open_pidinet(weights: str | PathLike[str] | None = None, device: str = "cpu") -> PiDiNet:
    """The network with the weights of a file, with the published names; arguments and errors as `EdgeDetector.open`.

    The published .pth is a pickle: `zeroconv convert` makes a .safetensors of it.
    """
    return PIDINET_DETECTOR.open(weights, device)


@torch.inference_mode()
def pidinet_edges(images: Sequence[Image.Image], network: PiDiNet) -> list[Tensor]:
    """Edge probabilities of each picture, (H, W) in [0, 1], on the CPU; pictures of one size are seen in one batch.

    The network was trained on red, green, blue with ImageNet's mean and deviation (edge_dataloader.py of its authors).
    The annotator of ControlNet 1.1 (annotator/pidinet of lllyasviel/ControlNet-v1-1-nightly; controlnet_aux does the
    same) gives it blue, green, red in [0, 1] instead, and so does this, because published ControlNets are used with
    such maps: edges are fainter, textures mostly gone.
    """
    pictures = [to_tensor(image).flip(0)[None] for image in images]
    return predict_edges(pictures, network, network.classifier.weight.device, MARGIN, STRIDE)
