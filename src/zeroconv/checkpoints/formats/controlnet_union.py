"""ControlNet-Union, one network for many conditions (Union and ProMax for SDXL): its settings, names and conditions."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from zeroconv.checkpoints.architecture.limits import MAX_CHANNELS
from zeroconv.checkpoints.architecture.unet_shape import side
from zeroconv.checkpoints.keys.table import check_names
from zeroconv.errors import InputError

__all__ = [
    "UNION",
    "UNION_CLASS",
    "UNION_CONDITIONS",
    "UNION_ENCODER_CHANNELS",
    "UnionConfig",
    "check_union",
    "check_union_names",
    "control_type",
    "describe_union",
    "is_union",
    "is_union_name",
    "union_conditions",
]

UNION = "a ControlNet-Union (one network, many conditions)"
UNION_CLASS = "ControlNetUnionModel"  # of diffusers
UNION_CONDITIONS: tuple[tuple[str, ...], ...] = (
    ("pose",),
    ("depth",),
    ("soft-edge", "scribble"),
    ("canny", "lineart", "lines"),
    ("normal",),
    ("segmentation",),
    ("tile",),
    ("inpaint",),
)
"""What each control type of the published networks means: Union has the first six, ProMax all eight."""
UNION_ENCODER_CHANNELS = (48, 96, 192, 384)  # diffusers' default for this class alone
UNION_MARKS = ("task_embedding", "control_add_embedding.")
UNION_PARTS = ("task_embedding", "transformer_layes.", "spatial_ch_projs.", "control_add_embedding.")  # the names of diffusers
MAX_TYPES, MAX_LAYERS = 64, 64


@dataclass(frozen=True, kw_only=True)
class UnionConfig:
    """The settings that a Union has beside those of a ControlNet, under diffusers' names.

    Attributes:
        num_control_type: how many control types it tells apart.
        num_trans_channel: width of the tokens, one for each condition.
        num_trans_head: heads of their attention, which no number depends on: a token meets no other one.
        num_trans_layer: layers that each token passes.
        num_proj_channel: width of what a token adds to its condition's features; that of the U-Net's first level.
    """

    num_control_type: int = 6
    num_trans_channel: int = 320
    num_trans_head: int = 8
    num_trans_layer: int = 1
    num_proj_channel: int = 320

    def __post_init__(self) -> None:
        most = {"num_control_type": MAX_TYPES, "num_trans_layer": MAX_LAYERS}
        for name, value in vars(self).items():
            limit = most.get(name, MAX_CHANNELS)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
                raise ValueError(f"{name} is {value!r:.80}; expected 1 to {limit}")

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Self:
        """Of the `config.json` of a Union."""
        return cls(**{field.name: config[field.name] for field in fields(cls) if field.name in config})

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, tuple[int, ...]]) -> Self | None:
        """From the tensors of a file under diffusers' names; None when they are not a Union's.

        Raises:
            ValueError: when one is missing or of a shape that it cannot have.
        """
        if not is_union(shapes):
            return None
        layers = {name.split(".")[1] for name in shapes if name.startswith("transformer_layes.")}
        return cls(
            num_control_type=side(shapes, "task_embedding", 0, 2),
            num_trans_channel=side(shapes, "task_embedding", 1, 2),
            num_trans_layer=len(layers),
            num_proj_channel=side(shapes, "spatial_ch_projs.weight", 0, 2),
        )


def check_union(union: UnionConfig, settings: Mapping[str, Any], width: int, condition: str | None) -> None:
    """Refuse a Union whose parts do not fit its ControlNet, or a condition that it has no control type for.

    Args:
        union: its settings.
        settings: of the U-Net whose encoder is copied, in diffusers' names.
        width: of its first level.
        condition: the one it is to follow, if it was said.

    Raises:
        ValueError: saying what is expected.
    """
    if union.num_proj_channel != width or union.num_trans_channel != width:
        raise ValueError(
            f"num_trans_channel is {union.num_trans_channel} and num_proj_channel {union.num_proj_channel}; "
            f"expected {width} for both, the width of the first level"
        )
    if not isinstance(settings.get("addition_time_embed_dim"), int):
        raise ValueError("a ControlNet-Union needs addition_time_embed_dim, as SDXL has it, for its control types")
    if condition is not None:
        control_type(union, condition)


def is_union(names: Collection[str]) -> bool:
    """Whether a ControlNet takes several conditions and is told which: the Union networks of SDXL."""
    return any(name.removeprefix("control_model.").startswith(UNION_MARKS) for name in names)


def is_union_name(name: str) -> bool:
    """Whether a tensor is one that a Union has beside those of a ControlNet."""
    return name.startswith(UNION_PARTS)


def union_names(union: UnionConfig) -> Iterator[str]:
    """The tensors that a Union has beside those of a ControlNet."""
    yield "task_embedding"
    blocks = [f"transformer_layes.{i}" for i in range(union.num_trans_layer)]
    for block in blocks:
        yield from (f"{block}.attn.in_proj_weight", f"{block}.attn.in_proj_bias")
    layers = [f"{block}.{name}" for block in blocks for name in ("attn.out_proj", "ln_1", "mlp.c_fc", "mlp.c_proj", "ln_2")]
    for layer in (*layers, "spatial_ch_projs", "control_add_embedding.linear_1", "control_add_embedding.linear_2"):
        yield from (f"{layer}.weight", f"{layer}.bias")


def check_union_names(union: UnionConfig, names: Iterable[str]) -> None:
    """Refuse a Union that has not exactly its parts; the tensors of the ControlNet in it are passed over.

    Raises:
        ValueError: naming the first that is missing or unknown.
    """
    check_names(union_names(union), {name: name for name in names if is_union_name(name)}, "this ControlNet-Union's own part")


def union_conditions(union: UnionConfig) -> tuple[str, ...]:
    """The conditions that it follows, as far as the meaning of its control types is known."""
    return tuple(name for names in UNION_CONDITIONS[: union.num_control_type] for name in names)


def describe_union(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, str | None]:
    """The conditions of a Union's file, for people; or why it is refused: its tensors are not exactly a Union's."""
    try:
        union = UnionConfig.of_shapes(shapes)
        assert union is not None, "it is one"
        check_union_names(union, shapes)
        read = side(shapes, "control_add_embedding.linear_1.weight", 1, 2)
        if read % union.num_control_type:
            raise ValueError(f"it has {union.num_control_type} control types and an embedding of {read} numbers for them")
    except ValueError as error:
        return "", str(error)
    return f"{', '.join(union_conditions(union))}: one is chosen by NAME#CONDITION", None


def control_type(union: UnionConfig, condition: str | None) -> int:
    """Which of its control types a condition is, from 0.

    Raises:
        InputError: when none is said, or it has none for it, listing those it has.
    """
    for index, names in enumerate(UNION_CONDITIONS[: union.num_control_type]):
        if condition in names:
            return index
    known = ", ".join(union_conditions(union))
    if not condition:
        message = f"{UNION} must be told its condition: expected NAME#CONDITION with one of {known}"
    else:
        message = f"this ControlNet-Union has no control type for {condition!r}; expected one of {known}"
    raise InputError(message, field="network")
