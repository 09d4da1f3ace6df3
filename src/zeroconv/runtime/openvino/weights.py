"""Whether the weights of a network are still those that something was made from."""

from collections.abc import Sequence

from torch import Tensor, nn

from zeroconv.control.low_rank import lora_layers

__all__ = ["Snapshot", "memory_of", "tensors_of"]


def memory_of(tensor: Tensor) -> tuple[object, ...]:
    """Where a tensor's numbers lie, how, and how often they were changed in place, through views too."""
    return tensor.data_ptr(), tensor.shape, tensor.stride(), 0 if tensor.is_inference() else tensor._version


def tensors_of(parts: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Every tensor that decides what modules compute, those that low-rank layers borrow among them."""
    found: dict[str, Tensor] = {}
    for place, part in enumerate(parts):
        found |= {f"{place}.{name}": tensor for name, tensor in (*part.named_parameters(), *part.named_buffers())}
        for name, layer in lora_layers(part).items():
            found |= {f"{place}.{name}.layer.{key}": tensor for key, tensor in layer.layer.named_parameters()}
    return found


class Snapshot:
    """The tensors of modules, and how they were.

    Changes of a tensor are seen at every call. To walk through all modules takes milliseconds, so that modules and parameters
    that took the place of others are looked for once a text, which is once a picture.

    Args:
        parts: modules, kept so that their places in memory are nobody else's.
    """

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        self.parts, self.tensors = parts, list(tensors_of(parts).values())
        self.states = self.read()
        self.text: tuple[Tensor, tuple[object, ...]] | None = None

    def read(self) -> list[tuple[int, int]]:
        """Place and number of changes of each tensor."""
        return [(tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in self.tensors]

    def holds(self, text: Tensor) -> bool:
        """Whether everything is as it was.

        Args:
            text: of the step, (B, N, D).
        """
        memory = memory_of(text)
        if self.text is None or self.text[1] != memory:
            self.text = (text, memory)  # with the text: its memory is nobody else's as long as it is kept
            if [id(tensor) for tensor in tensors_of(self.parts).values()] != [id(tensor) for tensor in self.tensors]:
                return False
        return self.read() == self.states
