"""The configuration of a ControlNet, as its `config.json` says it in the names of diffusers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from zeroconv.checkpoints.architecture.limits import MAX_LAYERS, check_size
from zeroconv.checkpoints.architecture.unet_shape import UNetShape, other_family
from zeroconv.checkpoints.formats.controlnet_union import UNION_CLASS, UNION_ENCODER_CHANNELS, UnionConfig, check_union
from zeroconv.checkpoints.formats.frozen_json import freeze, thaw
from zeroconv.errors import InputError

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

__all__ = [
    "BORROWED",
    "CLASS_NAME",
    "DEFAULTS",
    "OWN_CLASS_NAME",
    "PAPER_CHANNELS",
    "RELEASED_CHANNELS",
    "Connection",
    "ControlNetConfig",
    "Variant",
]

Variant = Literal["full", "lite", "lora"]
Connection = Literal["zero", "gaussian"]
ConditionEncoderForm = Literal["released", "paper"]
ChannelOrder = Literal["rgb", "bgr"]

BORROWED = "borrowed"  # the setting `vectors`: no bias and no norm is the network's own
RELEASED_CHANNELS = (16, 32, 96, 256)
PAPER_CHANNELS = (16, 32, 64, 128)

CLASS_NAME = "ControlNetModel"  # what diffusers opens
OWN_CLASS_NAME = "ZeroconvControlNet"  # what it has no class for: lite and low-rank copies, the text's condition encoder
OWN_KEY = "_zeroconv"  # under which `config.json` keeps what diffusers has no name for
OWN_FIELDS = (
    "variant",
    "connection",
    "condition_encoder",
    "base",
    "condition",
    "extract",
    "rank",
    "vectors",
    "unlocked_decoder",
)
SELDOM = ("unlocked_decoder",)  # of them, what stands in a file only where it is said
DIFFUSERS_FIELDS = {
    "conditioning_channels": "conditioning_channels",
    "conditioning_embedding_out_channels": "conditioning_embedding_out_channels",
    "controlnet_conditioning_channel_order": "channel_order",
    "global_pool_conditions": "global_pool_conditions",
}
"""Names in `config.json`, and ours."""
UNET_SETTINGS = (
    "act_fn", "addition_embed_type", "addition_time_embed_dim", "attention_head_dim", "block_out_channels",
    "class_embed_type", "cross_attention_dim", "down_block_types", "downsample_padding", "encoder_hid_dim",
    "encoder_hid_dim_type", "flip_sin_to_cos", "freq_shift", "in_channels", "layers_per_block",
    "mid_block_scale_factor", "mid_block_type", "norm_eps", "norm_num_groups", "num_attention_heads",
    "num_class_embeds", "only_cross_attention", "projection_class_embeddings_input_dim",
    "resnet_time_scale_shift", "transformer_layers_per_block", "upcast_attention", "use_linear_projection",
)  # fmt: skip
"""Settings of a U-Net that its ControlNet takes over."""
DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "in_channels": 4,
        "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "cross_attention_dim": 1280,
    }
)
"""Those of diffusers' `ControlNetModel`, for configurations that leave them out."""
KNOWN_KEYS = {"_class_name", OWN_KEY, *DIFFUSERS_FIELDS, *UNET_SETTINGS}
UNION_KEYS = {field.name for field in fields(UnionConfig)}


@dataclass(frozen=True, kw_only=True)
class ControlNetConfig:
    """Everything about a ControlNet but its tensors; a changed one is made by `dataclasses.replace`.

    Attributes:
        unet_settings: of the U-Net whose encoder is copied, in diffusers' names (see `UNET_SETTINGS`).
        conditioning_channels: channels of the condition image, 3 for RGB maps.
        conditioning_embedding_out_channels: widths of the condition encoder.
        channel_order: "bgr" if the network reads the channels of its maps reversed (normal maps of ControlNet 1.0).
        global_pool_conditions: whether each residual is replaced by its mean over the picture (ControlNet 1.1 "shuffle").
        variant: "full" copy of the encoder, "lite" (figure 8 c) or "lora" (low-rank updates of the base's own encoder).
        connection: "zero" convolutions, or "gaussian" ones (figure 8 b).
        condition_encoder: the "released" form, or the "paper"'s (section 3.2).
        condition: name of the condition it follows; of a ControlNet-Union, the one it is to follow.
        base: name of the base it was made for.
        extract: the extractor's parameters in training, by name; numbers, texts, true, false or null.
        rank: of the updates of "lora" at most, needed to make new ones; None for the others.
        vectors: of "lora", whose the biases and norms are: None, all are the network's own; "borrowed", all are the base's;
            or the names of the network's own.
        unlocked_decoder: whether it brings a decoder of its own, learnt with it, that takes the place of the base's.
        union: what a ControlNet-Union has beside the others' settings; None for all others.
        extra: what else stood in its `config.json`, kept for the tools that know it; under "_zeroconv", what stood there.

    Raises:
        ValueError: for a value that is not one of these, saying what is expected.
    """

    unet_settings: Mapping[str, Any] = field(hash=False)
    conditioning_channels: int = 3
    conditioning_embedding_out_channels: tuple[int, ...] = RELEASED_CHANNELS
    channel_order: ChannelOrder = "rgb"
    global_pool_conditions: bool = False
    variant: Variant = "full"
    connection: Connection = "zero"
    condition_encoder: ConditionEncoderForm = "released"
    condition: str | None = None
    base: str | None = None
    extract: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)
    rank: int | None = None
    vectors: Literal["borrowed"] | tuple[str, ...] | None = None
    unlocked_decoder: bool = False
    union: UnionConfig | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)

    def __post_init__(self) -> None:
        check_choice("variant", self.variant, Variant)
        check_choice("connection", self.connection, Connection)
        check_choice("condition encoder form", self.condition_encoder, ConditionEncoderForm)
        check_choice("controlnet_conditioning_channel_order", self.channel_order, ChannelOrder)
        for name, value, kinds, expected in (
            ("global_pool_conditions", self.global_pool_conditions, bool, "true or false"),
            ("unlocked_decoder", self.unlocked_decoder, bool, "true or false"),
            ("base", self.base, str | None, "a name"),
            ("condition", self.condition, str | None, "a name"),
            ("extract", self.extract, Mapping, "an extractor's parameters"),
            ("extra", self.extra, Mapping, "settings by name"),
        ):
            if not isinstance(value, kinds):
                raise ValueError(f"{name} is {value!r:.80}; expected {expected}")
        for name, value in self.extract.items():
            if not isinstance(value, str | int | float | None):
                message = f"extract.{name} is {value!r:.80}; expected a number, a text, true, false or null"
                raise InputError(message, field=f"extract.{name}")
        channels, widths = self.conditioning_channels, self.conditioning_embedding_out_channels
        if not is_positive(channels):
            raise ValueError(f"conditioning_channels is {channels!r:.80}; expected 1 or more (3 for RGB maps)")
        if not widths or not all(map(is_positive, items_of(widths))):
            raise ValueError(f"conditioning_embedding_out_channels is {widths!r:.80}; expected widths of 1 or more")
        self.check_low_rank()
        if self.union is not None:
            if (self.variant, self.condition_encoder) != ("full", "released"):
                raise ValueError("a ControlNet-Union is a full copy with the released condition encoder, got another form")
            if self.channel_order != "rgb":
                raise ValueError(
                    "a ControlNet-Union reads its maps red first; expected controlnet_conditioning_channel_order rgb"
                )
            check_union(self.union, self.unet_settings, self.unet_shape.channels[0], self.condition)
        for name, value in freeze(vars(self)).items():
            object.__setattr__(self, name, value)

    def check_low_rank(self) -> None:
        """Refuse a low-rank copy that no Control-LoRA file could hold."""
        if self.vectors not in (None, BORROWED) and not all(isinstance(name, str) for name in items_of(self.vectors)):
            raise ValueError(f"vectors is {self.vectors!r:.80}; expected null, {BORROWED!r} or a list of names")
        if self.rank is not None and not is_positive(self.rank):
            raise InputError(f"rank is {self.rank!r:.80}; expected 1 or more, usually 16 to 128", field="rank")
        if self.unlocked_decoder and (self.variant == "lora" or self.union is not None):
            kind = "a low-rank copy" if self.variant == "lora" else "a ControlNet-Union"
            raise InputError(f"{kind} has no place for an unlocked decoder", field="unlocked_decoder")
        if self.variant != "lora":
            return
        widths = self.conditioning_embedding_out_channels
        if self.condition_encoder != "released" or len(widths) != len(RELEASED_CHANNELS):
            raise ValueError(
                f"variant 'lora' takes the released condition encoder with {len(RELEASED_CHANNELS)} widths, got "
                f"{self.condition_encoder!r} with {len(widths)}: Control-LoRA files have no place for another"
            )

    def __deepcopy__(self, memo: object) -> Self:
        return self  # nothing in it changes, and a read-only mapping cannot be copied

    def __reduce__(self) -> tuple[Any, tuple[dict[str, Any]]]:
        return type(self).from_dict, (self.to_dict(),)

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Self:
        """From `config.json`, of ours or of diffusers; what is left out has its default, what is unknown is kept in `extra`.

        Raises:
            ValueError: for a value that describes no ControlNet.
        """
        own = config.get(OWN_KEY, {})
        if not isinstance(own, Mapping):
            raise ValueError(f"{OWN_KEY} is {own!r:.80}; expected an object")
        given: dict[str, Any] = {name: config[key] for key, name in DIFFUSERS_FIELDS.items() if key in config}
        given |= {name: own[name] for name in OWN_FIELDS if name in own}
        union = UnionConfig.of_config(config) if config.get("_class_name") == UNION_CLASS else None
        if union is not None:
            given = {"conditioning_embedding_out_channels": UNION_ENCODER_CHANNELS, **given, "union": union}
        known = KNOWN_KEYS if union is None else KNOWN_KEYS | UNION_KEYS
        extra = {key: value for key, value in config.items() if key not in known}
        if unknown := {key: value for key, value in own.items() if key not in OWN_FIELDS}:
            extra[OWN_KEY] = unknown
        return cls(unet_settings={name: config[name] for name in UNET_SETTINGS if name in config}, extra=extra, **given)

    def to_dict(self) -> dict[str, Any]:
        """`config.json`: JSON values under diffusers' names, the rest under one key that diffusers passes over."""
        own = {name: getattr(self, name) for name in OWN_FIELDS if name not in SELDOM or getattr(self, name)}
        document = {
            **self.extra,
            "_class_name": self.class_name,
            **self.unet_settings,
            **({} if self.union is None else asdict(self.union)),
            **{key: getattr(self, name) for key, name in DIFFUSERS_FIELDS.items()},
            OWN_KEY: {**self.extra.get(OWN_KEY, {}), **own},
        }
        return thaw(document)

    @property
    def class_name(self) -> str:
        """The class that opens it: diffusers' own, or ours where diffusers has none for its form."""
        if self.union is not None:
            return UNION_CLASS
        form = self.variant, self.condition_encoder, self.unlocked_decoder
        return CLASS_NAME if form == ("full", "released", False) else OWN_CLASS_NAME

    @property
    def unet_shape(self) -> UNetShape:
        """The shape of the encoder that it copies.

        Raises:
            ValueError: when the U-Net's settings are beyond any network.
        """
        return UNetShape.of_config({**self.unet_settings, "_class_name": CLASS_NAME})

    def check_size(self, tensors: int) -> None:
        """Refuse settings beyond any network, or of more layers than there are tensors: building alone could take hours.

        Args:
            tensors: how many there are.

        Raises:
            ValueError: naming the setting.
        """
        _ = self.unet_shape
        settings = {**self.unet_settings, "widths": self.conditioning_embedding_out_channels}
        check_size(settings, tensors if self.variant == "full" else MAX_LAYERS, "ControlNet")

    def check_base(self, unet: "UNet2DConditionModel") -> None:
        """Refuse a U-Net of another family or of other sizes than this ControlNet was made for.

        Args:
            unet: a diffusers `UNet2DConditionModel`.

        Raises:
            ValueError: naming both families, or what differs.
        """
        if reason := other_family(self.unet_shape, UNetShape.of_config(unet.config)):
            raise ValueError(reason)
        for name in (
            "in_channels", "block_out_channels", "cross_attention_dim", "layers_per_block",
            "projection_class_embeddings_input_dim",
        ):  # fmt: skip
            mine, theirs = (thaw(settings.get(name)) for settings in (self.unet_settings, unet.config))
            if mine != theirs:
                raise ValueError(
                    f"this ControlNet was made for a base with {name} {mine}, the base given has {theirs}: "
                    "use a ControlNet made for this base, or the base it was made for"
                )


def check_choice(name: str, value: object, choices: Any) -> None:
    """Refuse a word that is not among those of a Literal."""
    *first, last = map(repr, get_args(choices))
    if value not in get_args(choices):
        raise ValueError(f"{name} is {value!r:.80}; expected {', '.join(first)} or {last}")


def is_positive(value: object) -> bool:
    """Whether it is a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def items_of(value: object) -> Sequence[object]:
    """The items of a list; of anything else, one that is never expected."""
    return value if isinstance(value, tuple | list) else (None,)
