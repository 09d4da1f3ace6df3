"""The tensors that a LoRA file has for one module, put together to the update of its weight."""

from collections.abc import Callable, Collection, Mapping
from math import prod

from torch import Tensor

from zeroconv.checkpoints.formats.lora_update import DecomposedUpdate, LowRankUpdate, WeightUpdate
from zeroconv.checkpoints.formats.lycoris_update import HadamardUpdate, KroneckerUpdate, Matrix
from zeroconv.checkpoints.keys.lora import Role

__all__ = ["assemble", "beside_needed", "check_factors", "check_finite", "kind_of_parts", "needed_parts"]

Shape = tuple[int, ...]
Parts = Mapping[str, Tensor]


FACTORS: tuple[tuple[Role, Role, Role], ...] = (
    ("up", "down", "hada_t1"),
    ("hada_w1_a", "hada_w1_b", "hada_t1"),
    ("hada_w2_a", "hada_w2_b", "hada_t2"),
)
"""Two factors whose product is a matrix, unless the third one stands between them."""


def assemble(roles: Mapping[Role, str], tensors: Mapping[str, Tensor], shape: Shape, what: str) -> WeightUpdate:
    """The tensors for one module as an update of its weight. A linear map and a 1x1 convolution fit one another.

    Args:
        roles: what each tensor is -> its name in the file; none is missing of those that are needed.
        tensors: the file's.
        shape: of the weight.
        what: what errors call the file.

    Raises:
        ValueError: when a factor does not fit, or is not finite.
    """
    check_finite({name: tensors[name] for name in roles.values()}, what)
    parts = {role: tensors[name] for role, name in roles.items()}
    if "alpha" in parts and parts["alpha"].numel() != 1:
        raise ValueError(f"{what}: {roles['alpha']!r} holds {parts['alpha'].numel()} numbers; expected one")
    update: WeightUpdate | None = KINDS.get(kind_of_parts(roles), low_rank)(parts, shape)
    magnitude = magnitude_of(parts, shape)
    if update is None or (magnitude is None and roles.keys() & {"magnitude", "dora_scale"}):
        got = ", ".join(f"{name!r} {tuple(tensors[name].shape)}" for role, name in roles.items() if role != "alpha")
        raise ValueError(f"{what} has {got}; expected factors of a weight {shape}, as this base has it there")
    if "alpha" in parts:
        update = update.with_alpha(float(parts["alpha"]))
    return update if magnitude is None else DecomposedUpdate(update, magnitude)


def check_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    """Refuse tensors with numbers that are not finite.

    Raises:
        ValueError: naming the first such tensor.
    """
    for name, tensor in tensors.items():
        if not bool(tensor.float().isfinite().all()):
            raise ValueError(f"{what}: {name!r} holds numbers that are not finite; the file is broken, get it again")


def check_factors(roles: Mapping[Role, str], shapes: Mapping[str, Shape], what: str) -> None:
    """Refuse two factors that cannot be multiplied, whatever the weight is, and an alpha of several numbers.

    Args:
        roles: what each tensor is -> its name in the file.
        shapes: of the file's tensors.
        what: what errors call the file.

    Raises:
        ValueError: with both shapes.
    """
    if "alpha" in roles and prod(shapes[roles["alpha"]]) != 1:
        raise ValueError(f"{what}: {roles['alpha']!r} holds {prod(shapes[roles['alpha']])} numbers; expected one")
    for first, second, core in FACTORS:
        if first not in roles or second not in roles or core in roles:
            continue
        left, right = shapes[roles[first]], shapes[roles[second]]
        fits = len(left) > 1 and len(right) > 1 and prod((*left, *right)) and left[1] == right[0] and prod(left[2:]) == 1
        if not fits:
            raise ValueError(f"{what} has {roles[first]!r} {left} and {roles[second]!r} {right}, which cannot be multiplied")


def kind_of_parts(roles: Collection[Role]) -> str:
    """How the names of the factors begin: a key of `KINDS`, or nothing for LoRA."""
    return next((kind for kind in KINDS if any(role.startswith(kind) for role in roles)), "")


def needed_parts(roles: Collection[Role]) -> tuple[Role, ...]:
    """The factors without which the others mean nothing."""
    kind = kind_of_parts(roles)
    if kind == "hada":
        cores: tuple[Role, ...] = ("hada_t1", "hada_t2") if {"hada_t1", "hada_t2"} & set(roles) else ()
        return ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", *cores)
    if kind == "lokr":
        first: tuple[Role, ...] = ("lokr_w1",) if "lokr_w1" in roles else ("lokr_w1_a", "lokr_w1_b")
        return first + (("lokr_w2",) if "lokr_w2" in roles else ("lokr_w2_a", "lokr_w2_b"))
    return ("down", "up")


def beside_needed(roles: Collection[Role]) -> tuple[Role, ...]:
    """The factors of a second update of the same module, or of a matrix that is there as a whole; none may be."""
    kind, needed = kind_of_parts(roles), needed_parts(roles)
    optional: dict[str, tuple[Role, ...]] = {"": ("mid",), "lokr": ("lokr_t2",)}
    length: Role = "magnitude" if "magnitude" in roles else "dora_scale"
    known = {*needed, *optional.get(kind, ()), "alpha", length}
    return tuple(role for role in roles if role not in known)


def low_rank(parts: Parts, shape: Shape) -> LowRankUpdate | None:
    """A LoRA; None if its factors do not multiply to the weight."""
    down, up, mid = parts["down"], parts["up"], parts.get("mid")
    if down.ndim < 2 or up.ndim < 2 or down.shape[0] == 0:
        return None
    rank, sides = down.shape[0], shape[1:] if mid is None else shape[1:2]
    split_in_three = mid is None or (len(shape) == 4 and tuple(mid.shape) == (rank, rank, *shape[2:]))
    if not (split_in_three and bare(up.shape) == bare((shape[0], rank)) and bare(down.shape) == bare((rank, *sides))):
        return None
    return LowRankUpdate(down.reshape(rank, *sides), up.reshape(shape[0], rank), mid)


def hadamard(parts: Parts, shape: Shape) -> HadamardUpdate | None:
    """A LoHa; None if its factors do not multiply to the weight."""
    first, second = (
        matrix(None, parts[a], parts[b], parts.get(t))
        for a, b, t in (("hada_w1_a", "hada_w1_b", "hada_t1"), ("hada_w2_a", "hada_w2_b", "hada_t2"))
    )
    if first is None or second is None or first[1] != second[1] or not same_numbers(first[1], shape):
        return None
    return HadamardUpdate(first[0], second[0])


def kronecker(parts: Parts, shape: Shape) -> KroneckerUpdate | None:
    """A LoKr; None if its matrices do not multiply to the weight."""
    first, second = (
        matrix(parts.get(whole), parts.get(a), parts.get(b), parts.get(t) if t else None)
        for whole, a, b, t in (("lokr_w1", "lokr_w1_a", "lokr_w1_b", None), ("lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"))
    )
    if first is None or second is None or len(first[1]) != 2:
        return None
    (a, b), (c, d, *kernel) = first[1], second[1]
    return KroneckerUpdate(first[0], second[0]) if same_numbers((a * c, b * d, *kernel), shape) else None


def matrix(whole: Tensor | None, a: Tensor | None, b: Tensor | None, t: Tensor | None) -> tuple[Matrix, Shape] | None:
    """A matrix in one to three tensors, and its shape; None if they do not multiply."""
    if whole is not None:
        return (Matrix(whole), tuple(whole.shape)) if whole.ndim in (2, 4) and whole.numel() else None
    if a is None or b is None or a.ndim != 2 or b.ndim < 2 or not len(b):
        return None
    if t is not None:
        fits = b.ndim == 2 and t.ndim == 4 and tuple(t.shape[:2]) == (len(a), len(b))
        return (Matrix(factors=(a, b), core=t), (a.shape[1], b.shape[1], *t.shape[2:])) if fits else None
    return (Matrix(factors=(a, b)), (len(a), prod(b.shape[1:]))) if a.shape[1] == len(b) else None


def same_numbers(found: Shape, shape: Shape) -> bool:
    """Whether a matrix (o, i · k · k), or a kernel (o, i, k, k), is a weight's numbers in their order."""
    if len(found) == 2:
        return found == (shape[0], prod(shape[1:]))
    return bare(found) == bare(shape)


def magnitude_of(parts: Parts, shape: Shape) -> Tensor | None:
    """The learnt lengths: (o,), of each output, or (1, i), of each input; None without, or if they are of neither."""
    if "magnitude" in parts:  # PEFT: always of the outputs; (o,), and (1, o, 1, 1) for convolutions
        found = parts["magnitude"]
        return found.flatten() if found.numel() == shape[0] and max(found.shape) == shape[0] else None
    found = parts.get("dora_scale")
    if found is None or found.ndim < 1:
        return None
    if bare(found.shape) == bare((shape[0],)):  # LyCORIS: (o, 1) or (1, i), with sides of 1 behind for convolutions
        return found.flatten()
    return found.reshape(1, -1) if bare(found.shape) == bare((1, shape[1])) else None


def bare(shape: Shape) -> Shape:
    """A shape without the sides of 1 at its end: (o, i, 1, 1) and (o, i) are one."""
    shape = tuple(shape)
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape


KINDS: dict[str, Callable[[Parts, Shape], WeightUpdate | None]] = {"hada": hadamard, "lokr": kronecker}
"""How the names of the parts of a kind begin -> what puts them together; LoRA's have no beginning in common."""
