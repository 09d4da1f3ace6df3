"""The operations that Stable Diffusion's networks are made of, as nodes of an OpenVINO graph over the modules' own weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zeroconv.runtime.layers import UnknownModuleError
from zeroconv.runtime.openvino.library import library

__all__ = ["Graph", "Node"]

Node = Any
"""An output of an OpenVINO operation, of static shape."""


class Graph:
    """A graph under construction, in float32; how it is computed is said when it is compiled.

    Weights are not copied: a constant has the memory of its tensor. Those of a type that NumPy does not know (bfloat16) are
    converted by the compiler.

    Attributes:
        inputs: in the order in which they were made.
        held: the memory of the constants, which must outlast compilation.
    """

    def __init__(self) -> None:
        self.opset: Any = library().opset15
        self.inputs: list[Node] = []
        self.held: list[Any] = []

    def input(self, name: str, shape: Sequence[int]) -> Node:
        """A float32 input of the network."""
        node = self.opset.parameter(list(shape), np.float32, name)
        node.output(0).get_tensor().set_names({name})
        self.inputs.append(node)
        return node

    def constant(self, tensor: Tensor) -> Node:
        """A tensor as it is, in its own memory if that is contiguous."""
        ov, held = library(), tensor.detach().contiguous()
        self.held.append(held)
        if held.dtype == torch.float32:
            return ov.op.Constant(held.numpy(), shared_memory=True)
        if held.dtype != torch.bfloat16:
            raise UnknownModuleError(f"weights in {held.dtype}")
        words = ov.Tensor(held.view(torch.int16).numpy(), ov.Shape(list(held.shape)), ov.Type.bf16)
        return self.opset.convert(ov.op.Constant(words, shared_memory=True), "f32")

    def numbers(self, values: Sequence[int]) -> Node:
        """Sizes, axes, an order."""
        return self.opset.constant(np.array(values, dtype=np.int64))

    def concat(self, nodes: Sequence[Node], axis: int) -> Node:
        """One after the other along an axis."""
        return nodes[0] if len(nodes) == 1 else self.opset.concat(list(nodes), axis)

    def split(self, x: Node, axis: int, widths: Sequence[int]) -> list[Node]:
        """Parts of some widths along an axis."""
        made = self.opset.variadic_split(x, self.opset.constant(np.int64(axis)), self.numbers(widths))
        return [made.output(i) for i in range(len(widths))]

    def reshape(self, x: Node, shape: Sequence[int]) -> Node:
        """The same numbers in another shape."""
        return self.opset.reshape(x, self.numbers(shape), False)

    def transpose(self, x: Node, order: Sequence[int]) -> Node:
        """Axes in another order."""
        return self.opset.transpose(x, self.numbers(order))

    def silu(self, x: Node) -> Node:
        """SiLU: x · sigmoid(x)."""
        return self.opset.swish(x)

    def convolution(self, layer: Any, x: Node, bias: bool = True) -> Node:
        """(B, C', h', w') from (B, C, h, w).

        Args:
            layer: a `Conv2d`.
            x: its input.
            bias: whether its bias is added.
        """
        if layer.groups != 1 or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise UnknownModuleError("Conv2d")
        pads = list(layer.padding)
        made = self.opset.convolution(x, self.constant(layer.weight), list(layer.stride), pads, pads, list(layer.dilation))
        return made if layer.bias is None or not bias else self.opset.add(made, self.constant(layer.bias.view(1, -1, 1, 1)))

    def linear(self, weight: Tensor, bias: Tensor | None, x: Node) -> Node:
        """(…, C') from (…, C).

        Args:
            weight: (C', C).
            bias: (C',).
            x: its input.
        """
        made = self.opset.matmul(x, self.constant(weight), False, True)
        return made if bias is None else self.opset.add(made, self.constant(bias))

    def group_norm(self, layer: Any, x: Node) -> Node:
        """Group normalization of (B, C, h, w)."""
        scale, shift = self.constant(layer.weight), self.constant(layer.bias)
        return self.opset.group_normalization(x, scale, shift, layer.num_groups, layer.eps)

    def layer_norm(self, layer: Any, x: Node) -> Node:
        """Normalization of the last axis."""
        made = self.opset.mvn(x, self.numbers([-1]), True, layer.eps, "inside_sqrt")
        if layer.weight is not None:
            made = self.opset.multiply(made, self.constant(layer.weight))
        return made if layer.bias is None else self.opset.add(made, self.constant(layer.bias))

    def resize(self, x: Node, size: tuple[int, int]) -> Node:
        """(B, C, h', w') from (B, C, h, w), each pixel its nearest's, as PyTorch counts them."""
        # PyTorch: source pixel = floor(pixel · h / h')
        return self.opset.interpolate(
            x, self.numbers(size), "nearest", "sizes", [0], [0], "asymmetric", "floor", False, -0.75, self.numbers([2, 3])
        )
