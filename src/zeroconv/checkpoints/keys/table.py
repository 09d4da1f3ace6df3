"""A table of names: which tensor of theirs is which of ours, and in what form; read forwards and backwards."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

__all__ = ["Entry", "Form", "Table", "layer"]

Form = Literal["same", "linear", "transposed", "thirds"]


@dataclass(frozen=True)
class Entry:
    """One tensor of theirs.

    Attributes:
        theirs: its name there.
        ours: its name here; three of them for "thirds".
        form: how it is stored there. "same": as here. "linear": a 1x1 convolution (o, i, 1, 1), here (o, i).
            "transposed": (i, o), here (o, i). "thirds": (3 o, …), here three of (o, …), one after the other.
    """

    theirs: str
    ours: tuple[str, ...]
    form: Form = "same"

    def __post_init__(self) -> None:
        """Refuse a form that there is not, or that takes another number of names.

        Raises:
            ValueError: naming the tensor.
        """
        if self.form not in get_args(Form) or len(self.ours) != (3 if self.form == "thirds" else 1):
            raise ValueError(f"{self.theirs!r}: the form {self.form!r} does not go with {len(self.ours)} of our names")

    def to_ours(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Our tensors as views of theirs.

        Raises:
            ValueError: when its shape does not allow the form.
        """
        shape = tuple(tensor.shape)
        if self.form == "linear":
            self.check(len(shape) == 4 and shape[2:] == (1, 1), shape, "(o, i, 1, 1)")
            return (tensor[:, :, 0, 0],)
        if self.form == "transposed":
            self.check(len(shape) == 2, shape, "two axes")
            return (tensor.t(),)
        if self.form == "thirds":
            self.check(len(shape) > 0 and shape[0] % 3 == 0, shape, "three equal parts along the first axis")
            return tensor.tensor_split(3)
        return (tensor,)

    def to_theirs(self, tensors: tuple[Tensor, ...]) -> Tensor:
        """Their tensor; a view of ours, except for "thirds", which is put together.

        Raises:
            ValueError: when a shape does not allow the form.
        """
        first, shape = tensors[0], tuple(tensors[0].shape)
        if self.form == "linear":
            self.check(len(shape) == 2, shape, "two axes")
            return first[:, :, None, None]
        if self.form == "transposed":
            self.check(len(shape) == 2, shape, "two axes")
            return first.t()
        if self.form == "thirds":
            self.check(len(shape) > 0 and {tuple(t.shape) for t in tensors} == {shape}, shape, "three of one shape")
            return torch.cat(tensors)
        return first

    def check(self, fits: bool, shape: tuple[int, ...], expected: str) -> None:
        """Say which tensor has a shape that its form does not allow."""
        if not fits:
            raise ValueError(f"tensor {self.theirs!r} ({self.ours[0]!r}) has shape {shape}; expected {expected}")


@dataclass(frozen=True)
class Table:
    """A bijection between their names and ours.

    Attributes:
        entries: one for each tensor of theirs, in the order in which they are written.
    """

    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        """Check that no name stands twice on one side.

        Raises:
            ValueError: naming the first that does.
        """
        for side, names in (("theirs", self.theirs), ("ours", self.ours)):
            name, count = max(Counter(names).items(), key=lambda item: item[1], default=("", 0))
            if count > 1:
                raise ValueError(f"the name {name!r} stands {count} times among {side}; expected each once")

    @property
    def theirs(self) -> tuple[str, ...]:
        """Every name of theirs."""
        return tuple(entry.theirs for entry in self.entries)

    @property
    def ours(self) -> tuple[str, ...]:
        """Every name of ours."""
        return tuple(name for entry in self.entries for name in entry.ours)

    def to_ours(self, tensors: Mapping[str, Tensor], what: str = "the file") -> dict[str, Tensor]:
        """The tensors under our names, in our shapes: views of theirs, nothing is copied.

        Args:
            tensors: exactly the tensors of this table, under their names.
            what: what holds them, for the error.

        Raises:
            ValueError: naming the first tensor that is missing, unknown or of a shape its form does not allow.
        """
        check_names(self.theirs, tensors, what)
        return {
            name: tensor
            for entry in self.entries
            for name, tensor in zip(entry.ours, entry.to_ours(tensors[entry.theirs]), strict=True)
        }

    def to_theirs(self, tensors: Mapping[str, Tensor], what: str = "the network") -> dict[str, Tensor]:
        """The inverse of `to_ours`, equal bit by bit; only "thirds" are copied.

        Args:
            tensors: exactly the tensors of this table, under our names.
            what: what holds them, for the error.

        Raises:
            ValueError: as in `to_ours`.
        """
        check_names(self.ours, tensors, what)
        return {entry.theirs: entry.to_theirs(tuple(tensors[name] for name in entry.ours)) for entry in self.entries}

    def add_prefix(self, theirs: str = "", ours: str = "") -> "Table":
        """The same table with `theirs` written before each of their names, and `ours` before each of ours."""
        return Table(
            tuple(
                replace(entry, theirs=theirs + entry.theirs, ours=tuple(ours + name for name in entry.ours))
                for entry in self.entries
            )
        )

    def __add__(self, other: "Table") -> "Table":
        return Table(self.entries + other.entries)


def layer(theirs: str, ours: str, form: Form = "same", bias: bool = True) -> tuple[Entry, ...]:
    """The weight and the bias of one layer; `form` concerns the weight."""
    weight = Entry(f"{theirs}.weight", (f"{ours}.weight",), form)
    return (weight, Entry(f"{theirs}.bias", (f"{ours}.bias",))) if bias else (weight,)


def check_names(expected: Iterable[str], tensors: Mapping[str, object], what: str) -> None:
    """Refuse tensors that are not exactly the expected ones.

    Raises:
        ValueError: naming the first that is missing or unknown, and how many there are of both.
    """
    known = set(expected)
    missing, unknown = sorted(known - tensors.keys()), sorted(tensors.keys() - known)
    if missing or unknown:
        first = f"tensor {missing[0]!r} is missing" if missing else f"tensor {unknown[0]!r} is unknown"
        raise ValueError(
            f"{what} has {len(tensors)} tensors, expected {len(known)}: {first} "
            f"({len(missing)} missing, {len(unknown)} unknown)"
        )
