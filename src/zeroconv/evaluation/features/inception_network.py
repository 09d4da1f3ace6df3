"""Inception v3 as FID has it: the network of 2015 with TensorFlow's pooling, up to its last pool of 2,048 features.

C. Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016, https://arxiv.org/abs/1512.00567.
It differs from that of torchvision in two ways, both of the graph that the authors of FID published in 2015: averages
do not count the border's padding, and the last block pools by the maximum. Tensors have the names of torchvision, as
in the file that pytorch-fid and torch-fidelity load.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zeroconv.checkpoints import check_fit

__all__ = ["FEATURES", "InceptionV3"]

FEATURES = 2048
CLASSIFIER = ("fc.weight", "fc.bias")
"""Of the public file, for its 1,008 classes: not needed."""
COUNTER = "num_batches_tracked"  # of batch norm, which some files leave out

Kernel = tuple[int, int]
Step = tuple[str, int, Kernel, int]
"""A convolution: name, channels out, kernel (height, width), stride."""
Branch = Sequence[Sequence[Step]]
"""Convolutions one after the other; where there are two in one place, both see the same and their answers are joined."""
Pool = Literal["average", "maximum", "halve"]

ONE, THREE, FIVE, ACROSS, DOWN = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)


class Convolution(nn.Module):
    """Convolution without bias, batch norm, ReLU; it keeps the size unless it has a stride or no padding is asked for."""

    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, padded: bool = True) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded and stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H', W')."""
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches side by side, joined: each a chain of convolutions, the last one a pool.

    Args:
        inputs: channels.
        branches: all but the pool.
        pool: "average" and "maximum" keep the size and have a convolution behind them; "halve" is the maximum with stride 2.
        pooled: channels of the convolution behind the pool.
    """

    def __init__(self, inputs: int, branches: Sequence[Branch], pool: Pool, pooled: int = 0) -> None:
        super().__init__()
        self.pool: Pool = pool
        self.chains = [[[name for name, *_ in steps] for steps in branch] for branch in branches]
        self.outputs = pooled or inputs
        for branch in branches:
            width = inputs
            for steps in branch:
                for name, outputs, kernel, stride in steps:
                    self.add_module(name, Convolution(width, outputs, kernel, stride))
                width = sum(outputs for _, outputs, _, _ in steps)
            self.outputs += width
        if pooled:
            self.add_module("branch_pool", Convolution(inputs, pooled, ONE))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H', W')."""
        found: list[Tensor] = []
        for chain in self.chains:
            y = x
            for names in chain:
                y = torch.cat([self.get_submodule(name)(y) for name in names], 1)
            found.append(y)
        if self.pool == "halve":
            return torch.cat([*found, F.max_pool2d(x, 3, stride=2)], 1)
        if self.pool == "maximum":
            pooled = F.max_pool2d(x, 3, stride=1, padding=1)
        else:
            pooled = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        return torch.cat([*found, self.get_submodule("branch_pool")(pooled)], 1)


def chain(name: str, *steps: tuple[int, Kernel], stride: int = 1) -> Branch:
    """Convolutions called `name_1`, `name_2`, …, the last one with a stride; one alone is called `name`."""
    names = [name] if len(steps) == 1 else [f"{name}_{number}" for number in range(1, len(steps) + 1)]
    strides = [1] * (len(steps) - 1) + [stride]
    return [[(one, *step, pace)] for one, step, pace in zip(names, steps, strides, strict=True)]


def fork(name: str, *steps: tuple[int, Kernel]) -> Branch:
    """A chain at whose end 1 x 3 and 3 x 1 see the same."""
    number = len(steps) + 1
    ends: Sequence[Step] = [(f"{name}_{number}a", 384, (1, 3), 1), (f"{name}_{number}b", 384, (3, 1), 1)]
    return [*([(f"{name}_{place}", *step, 1)] for place, step in enumerate(steps, 1)), ends]


def block_a(inputs: int, pooled: int) -> Mixed:
    """Figure 5 of the paper, at 35 x 35."""
    dbl = chain("branch3x3dbl", (64, ONE), (96, THREE), (96, THREE))
    return Mixed(inputs, [chain("branch1x1", (64, ONE)), chain("branch5x5", (48, ONE), (64, FIVE)), dbl], "average", pooled)


def block_c(width: int) -> Mixed:
    """Figure 6, at 17 x 17: 7 x 7 as 1 x 7 and 7 x 1."""
    seven = chain("branch7x7", (width, ONE), (width, ACROSS), (192, DOWN))
    dbl = chain("branch7x7dbl", (width, ONE), (width, DOWN), (width, ACROSS), (width, DOWN), (192, ACROSS))
    return Mixed(768, [chain("branch1x1", (192, ONE)), seven, dbl], "average", 192)


def block_e(inputs: int, pool: Pool) -> Mixed:
    """Figure 7, at 8 x 8."""
    branches = [
        chain("branch1x1", (320, ONE)), fork("branch3x3", (384, ONE)), fork("branch3x3dbl", (448, ONE), (384, THREE)),
    ]  # fmt: skip
    return Mixed(inputs, branches, pool, 192)


class InceptionV3(nn.Module):
    """The network: 21.8 million parameters, 5.7 GFLOP for a picture."""

    def __init__(self) -> None:
        super().__init__()
        halved_b = [
            chain("branch3x3", (384, THREE), stride=2),
            chain("branch3x3dbl", (64, ONE), (96, THREE), (96, THREE), stride=2),
        ]
        halved_d = [
            chain("branch3x3", (192, ONE), (320, THREE), stride=2),
            chain("branch7x7x3", (192, ONE), (192, ACROSS), (192, DOWN), (192, THREE), stride=2),
        ]
        layers: dict[str, nn.Module] = {
            "Conv2d_1a_3x3": Convolution(3, 32, THREE, 2),
            "Conv2d_2a_3x3": Convolution(32, 32, THREE, padded=False),
            "Conv2d_2b_3x3": Convolution(32, 64, THREE),
            "pool_1": nn.MaxPool2d(3, 2),
            "Conv2d_3b_1x1": Convolution(64, 80, ONE),
            "Conv2d_4a_3x3": Convolution(80, 192, THREE, padded=False),
            "pool_2": nn.MaxPool2d(3, 2),
            "Mixed_5b": block_a(192, 32),
            "Mixed_5c": block_a(256, 64),
            "Mixed_5d": block_a(288, 64),
            "Mixed_6a": Mixed(288, halved_b, "halve"),
            "Mixed_6b": block_c(128),
            "Mixed_6c": block_c(160),
            "Mixed_6d": block_c(160),
            "Mixed_6e": block_c(192),
            "Mixed_7a": Mixed(768, halved_d, "halve"),
            "Mixed_7b": block_e(1280, "average"),
            "Mixed_7c": block_e(2048, "maximum"),
        }
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features (B, 2048), 0 or more, of pictures (B, 3, 299, 299) in [-1, 1]."""
        for layer in self.children():
            pixels = layer(pixels)
        return pixels.mean((2, 3))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], what: str = "the weights") -> Self:
        """The network filled with the public file's tensors, ready to predict.

        Args:
            tensors: by torchvision's names; the classifier and batch norm's counters may be there or not.
            what: how errors call them.

        Raises:
            ValueError: when they are another network's, naming the first that does not fit.
        """
        with torch.device("meta"):
            network = cls()
        wanted = {name: tuple(one.shape) for name, one in network.state_dict().items() if not name.endswith(COUNTER)}
        given = {name: one for name, one in tensors.items() if name not in CLASSIFIER and not name.endswith(COUNTER)}
        check_fit(given, wanted, f"{what} is not FID's Inception v3")
        counters = {name: torch.tensor(0) for name in network.state_dict() if name.endswith(COUNTER)}
        network.load_state_dict({name: one.float() for name, one in given.items()} | counters, assign=True)
        return network.eval().requires_grad_(False)
