"""A network compiled for one shape, with its inputs in place."""

import io
from typing import Any

import torch
from torch import Tensor

from zeroconv.runtime.openvino.library import core, library
from zeroconv.runtime.openvino.networks import NetworkGraph
from zeroconv.runtime.weights import memory_of

__all__ = ["PRECISIONS", "CompiledNetwork", "compile_graph", "read_compiled", "settings"]

PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}


def settings(dtype: torch.dtype) -> dict[str, Any]:
    """How OpenVINO computes: in the type that was asked for, one picture at a time, on as many threads as PyTorch.

    Left alone it takes bfloat16 wherever the processor has it.
    """
    return {
        "INFERENCE_PRECISION_HINT": PRECISIONS[dtype],
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,  # PyTorch's threads run on the same cores in between
    }


def compile_graph(graph: NetworkGraph, dtype: torch.dtype) -> "CompiledNetwork":
    """A graph, ready to run.

    Raises:
        RuntimeError: when OpenVINO cannot.
    """
    return CompiledNetwork(graph, core().compile_model(graph.model, "CPU", settings(dtype)), dtype)


def read_compiled(graph: NetworkGraph, content: bytes, dtype: torch.dtype) -> "CompiledNetwork":
    """The same from what `CompiledNetwork.content` gave.

    Raises:
        RuntimeError: when it is of another OpenVINO or processor.
    """
    return CompiledNetwork(graph, core().import_model(io.BytesIO(content), "CPU", settings(dtype)), dtype)


class CompiledNetwork:
    """A compiled graph; its inputs lie in memory that both libraries see.

    Args:
        graph: what was compiled.
        compiled: OpenVINO's.
        dtype: that was asked for.

    Raises:
        RuntimeError: when it computes in another one.
    """

    def __init__(self, graph: NetworkGraph, compiled: Any, dtype: torch.dtype) -> None:
        found = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if found not in (PRECISIONS[dtype], {"f32": "float", "bf16": "bfloat16"}[PRECISIONS[dtype]]):
            raise RuntimeError(f"it would compute in {found} instead of {PRECISIONS[dtype]}")
        self.text_layers, self.weights, self.compiled = graph.text_layers, graph.weights, compiled
        self.request = compiled.create_infer_request()
        self.seen: tuple[Tensor, tuple[object, ...]] | None = None
        self.inputs = {one.get_any_name(): torch.zeros(list(one.get_shape())) for one in compiled.inputs}
        for name, tensor in self.inputs.items():
            self.request.set_tensor(name, library().Tensor(tensor.numpy(), shared_memory=True))
        self.outputs = [torch.from_numpy(self.request.get_output_tensor(i).data) for i in range(len(compiled.outputs))]

    def content(self) -> bytes:
        """All of it as bytes, for `read_compiled`."""
        return self.compiled.export_model().getvalue()

    def read(self, text: Tensor) -> None:
        """Keys and values of the text (B, N, D), unless they are there already."""
        memory = memory_of(text)
        if self.seen is not None and self.seen[1] == memory:
            return
        for i, layer in enumerate(self.text_layers):
            for name, states in zip((f"k{i}", f"v{i}"), layer.states(text), strict=True):
                self.inputs[name].copy_(states)
        self.seen = (text, memory)  # with the text: its memory is nobody else's as long as it is kept

    def __call__(self, text: Tensor, **inputs: Tensor) -> list[Tensor]:
        """The outputs, float32.

        Args:
            text: text states, (B, N, D).
            **inputs: by name, of the inputs' shapes or spread to them.
        """
        self.read(text)
        for name, tensor in inputs.items():
            if name in self.inputs:
                self.inputs[name].copy_(tensor)
        self.request.infer()
        return [output.clone() for output in self.outputs]
