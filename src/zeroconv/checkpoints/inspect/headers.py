"""Headers of weight files: merged, and counted."""

from collections import Counter
from math import prod

from zeroconv.checkpoints.files.safetensors import Header

__all__ = ["count", "merge_headers", "types"]


def merge_headers(headers: list[Header]) -> Header:
    """Several headers as one; the same name in two networks is counted twice."""
    one = len(headers) == 1
    places = [(f"{i}." if not one and overlaps(headers) else "", header) for i, header in enumerate(headers)]
    return Header(
        {prefix + name: shape for prefix, header in places for name, shape in header.shapes.items()},
        {prefix + name: dtype for prefix, header in places for name, dtype in header.dtypes.items()},
        headers[0].metadata if headers else {},
    )


def overlaps(headers: list[Header]) -> bool:
    """Whether two headers share a name."""
    return len({name for header in headers for name in header.shapes}) < sum(len(header.shapes) for header in headers)


def count(header: Header) -> int:
    """Numbers in all tensors."""
    return sum(prod(shape) for shape in header.shapes.values())


def types(header: Header) -> dict[str, int]:
    """Stored types, the most frequent first."""
    return dict(Counter(header.dtypes.values()).most_common())
