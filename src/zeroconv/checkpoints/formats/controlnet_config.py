"""What a ControlNet's `config.json` says: the names of diffusers, and under `_zeroconv` what it has no name for."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from torch import Tensor

from zeroconv.checkpoints.architecture.limits import MOST_LAYERS, check_size
from zeroconv.checkpoints.architecture.unet_shape import Topology, other_family
from zeroconv.checkpoints.formats.control_lora import WHOLE
from zeroconv.checkpoints.keys.controlnet import condition_encoder_shape

__all__ = [
    "CLASS_NAME",
    "COPIED_SETTINGS",
    "ENCODER",
    "OWN_CLASS_NAME",
    "PAPER_CHANNELS",
    "RELEASED_CHANNELS",
    "Connection",
    "Variant",
    "birth_settings",
    "check_settings",
    "check_sizes",
    "check_variant",
    "complete",
    "control_lora_settings",
    "encoder_tensors",
    "of_its_own",
]

Connection = Literal["zero", "gaussian"]
Variant = Literal["full", "lite", "lora"]
BORROWED = "borrowed"  # the setting `vectors`: no bias and no norm is the network's own

CLASS_NAME = "ControlNetModel"  # what diffusers opens
OWN_CLASS_NAME = "ZeroconvControlNet"  # what it has no class for: lite and low-rank copies, the text's condition encoder
COPIED_SETTINGS = (
    "act_fn", "addition_embed_type", "addition_time_embed_dim", "attention_head_dim", "block_out_channels",
    "class_embed_type", "cross_attention_dim", "down_block_types", "downsample_padding", "encoder_hid_dim",
    "encoder_hid_dim_type", "flip_sin_to_cos", "freq_shift", "in_channels", "layers_per_block",
    "mid_block_scale_factor", "mid_block_type", "norm_eps", "norm_num_groups", "num_attention_heads",
    "num_class_embeds", "only_cross_attention", "projection_class_embeddings_input_dim",
    "resnet_time_scale_shift", "transformer_layers_per_block", "upcast_attention", "use_linear_projection",
)  # fmt: skip


def birth_settings(
    unet: Any,
    conditioning_channels: int = 3,
    variant: Variant = "full",
    connection: Connection = "zero",
    condition_encoder: str = "released",
    condition_encoder_channels: Sequence[int] | None = None,
    base: str | None = None,
    rank: int | None = None,
) -> dict[str, Any]:
    """The configuration of a ControlNet for a U-Net; the arguments are those of `ControlNet.from_unet`."""
    widths = condition_encoder_channels or (PAPER_CHANNELS if condition_encoder == "paper" else RELEASED_CHANNELS)
    return {
        "_class_name": CLASS_NAME if (variant, condition_encoder) == ("full", "released") else OWN_CLASS_NAME,
        **{name: unet.config[name] for name in COPIED_SETTINGS if name in unet.config},
        "conditioning_channels": conditioning_channels,
        "conditioning_embedding_out_channels": list(widths),
        "controlnet_conditioning_channel_order": "rgb",
        "global_pool_conditions": False,
        "_zeroconv": {
            "variant": variant,
            "connection": connection,
            "condition_encoder": condition_encoder,
            "base": base,
            "condition": None,
            "extract": {},
            "rank": rank if variant == "lora" else None,
            "vectors": BORROWED if variant == "lora" else None,
        },
    }


def complete(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with what diffusers leaves out: its own defaults, and ours for a published network.

    Raises:
        ValueError: for an order of channels that there is not, or a setting that is no word or no yes or no.
    """
    defaults = {
        "conditioning_channels": 3,
        "conditioning_embedding_out_channels": list(RELEASED_CHANNELS),
        "controlnet_conditioning_channel_order": "rgb",
        "global_pool_conditions": False,
    }
    extra = {
        "variant": "full", "connection": "zero", "condition_encoder": "released", "base": None, "condition": None,
        "extract": {}, "rank": None, "vectors": None,
    }  # fmt: skip
    order = config.get("controlnet_conditioning_channel_order", "rgb")
    if order not in ("rgb", "bgr"):
        raise ValueError(f"config.json has controlnet_conditioning_channel_order {order!r}; expected 'rgb' or 'bgr'")
    pooled = config.get("global_pool_conditions", False)
    if not isinstance(pooled, bool):
        raise ValueError(f"config.json has global_pool_conditions {pooled!r:.80}; expected true or false")
    own = config.get("_zeroconv", {})
    if not isinstance(own, dict):
        raise ValueError(f"config.json has _zeroconv {own!r:.80}; expected an object")
    for name in ("base", "condition"):
        if not isinstance(own.get(name), str | None):
            raise ValueError(f"config.json has {name} {own[name]!r:.80} in _zeroconv; expected a name")
    if not isinstance(own.get("extract", {}), dict):
        raise ValueError(f"config.json has extract {own['extract']!r:.80} in _zeroconv; expected an extractor's parameters")
    check_vectors(own.get("vectors"))
    return {**defaults, **config, "_zeroconv": {**extra, **own}}


def check_vectors(vectors: Any) -> None:
    """Refuse what cannot say which biases and norms of a Control-LoRA's file are the network's own.

    Args:
        vectors: None for all of them, "borrowed" for none, else their names.

    Raises:
        ValueError: for anything else.
    """
    if vectors in (None, BORROWED) or (isinstance(vectors, list) and all(isinstance(name, str) for name in vectors)):
        return
    raise ValueError(f"config.json has vectors {vectors!r:.80} in _zeroconv; expected null, {BORROWED!r} or a list of names")


def check_variant(config: dict[str, Any]) -> None:
    """Refuse an unknown variant, and a low-rank copy that no Control-LoRA file could hold.

    Raises:
        ValueError: saying what was got and what is expected.
    """
    extra = config["_zeroconv"]
    if extra["variant"] not in get_args(Variant):
        raise ValueError(f"variant is {extra['variant']!r}; expected 'full', 'lite' or 'lora'")
    if extra["variant"] != "lora":
        return
    if not isinstance(extra["rank"], int) or extra["rank"] < 1:
        raise ValueError(f"rank is {extra['rank']!r}; expected 1 or more, usually 16 to 128")
    widths = config["conditioning_embedding_out_channels"]
    if extra["condition_encoder"] != "released" or len(widths) != len(RELEASED_CHANNELS):
        raise ValueError(
            f"variant 'lora' takes the released condition encoder with {len(RELEASED_CHANNELS)} widths, got "
            f"{extra['condition_encoder']!r} with {len(widths)}: Control-LoRA files have no place for another"
        )


def control_lora_settings(unet: Any, own: Mapping[str, Tensor], config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The configuration of a Control-LoRA on a base: the given one, checked, or what its tensors say.

    Args:
        unet: of the base.
        own: the file's tensors in our names.
        config: from its `config.json`, if there is one.

    Raises:
        ValueError: when it does not fit the tensors or the base.
    """
    channels, widths = condition_encoder_shape({name: tuple(tensor.shape) for name, tensor in own.items()})
    rank = max((len(tensor) for name, tensor in own.items() if name.endswith(".down") and tensor.ndim), default=1)
    found = birth_settings(unet, channels, "lora", condition_encoder_channels=widths, rank=rank)
    settings = complete(dict(config or found))
    settings["_zeroconv"].update(rank=settings["_zeroconv"]["rank"] or rank, vectors=vectors_setting(unet, own))
    for name in ("conditioning_channels", "conditioning_embedding_out_channels"):
        if settings[name] != found[name]:
            raise ValueError(f"config.json has {name} {settings[name]!r}, the Control-LoRA's tensors {found[name]!r}")
    check_settings(settings, unet)
    return settings


def vectors_setting(unet: Any, own: Mapping[str, Tensor]) -> str | list[str] | None:
    """Which biases and norms are a low-rank network's own, as `check_vectors` takes it."""
    vectors = {name for name, tensor in encoder_tensors(unet).items() if tensor.ndim == 1}
    found = vectors & own.keys()
    return None if found == vectors else sorted(found) or BORROWED


def of_its_own(tensors: Mapping[str, Tensor], config: Mapping[str, Any] | None) -> dict[str, Tensor]:
    """A Control-LoRA's tensors without the base's biases and norms, which files of ours carry for other tools.

    Args:
        tensors: of the file, in our names.
        config: its configuration; without one every tensor is the network's own.

    Raises:
        ValueError: for a configuration that describes no ControlNet.
    """
    vectors = complete(dict(config or {}))["_zeroconv"]["vectors"]
    kept = None if vectors is None else set[str]() if vectors == BORROWED else set[str](vectors)
    return {
        name: tensor
        for name, tensor in tensors.items()
        if kept is None or tensor.ndim != 1 or name.startswith(WHOLE) or name in kept
    }


def check_sizes(config: Mapping[str, Any], tensors: int) -> None:
    """Refuse settings beyond any network, or of more layers than there are tensors: building alone could take hours.

    Args:
        config: complete.
        tensors: how many there are.

    Raises:
        ValueError: naming the setting.
    """
    Topology.of_config(config)
    check_size(config, tensors if config["_zeroconv"]["variant"] == "full" else MOST_LAYERS, "ControlNet")


def check_settings(config: Mapping[str, Any], unet: Any) -> None:
    """Refuse a U-Net of another family or of other sizes than a ControlNet's configuration has.

    Raises:
        ValueError: naming both families, or what differs.
    """
    if reason := other_family(Topology.of_config(config), Topology.of_config(unet.config)):
        raise ValueError(reason)
    for name in (
        "in_channels", "block_out_channels", "cross_attention_dim", "layers_per_block", "projection_class_embeddings_input_dim",
    ):  # fmt: skip
        mine, theirs = (list(v) if isinstance(v, (list, tuple)) else v for v in (config.get(name), unet.config.get(name)))
        if mine != theirs:
            raise ValueError(
                f"this ControlNet was made for a base with {name} {mine}, the base given has {theirs}: "
                "use a ControlNet made for this base, or the base it was made for"
            )


ENCODER = ("conv_in.", "time_embedding.", "add_embedding.", "down_blocks.", "mid_block.")


def encoder_tensors(unet: Any) -> dict[str, Tensor]:
    """The tensors of encoder and middle block, which a ControlNet copies."""
    return {name: tensor for name, tensor in unet.state_dict().items() if name.startswith(ENCODER)}


RELEASED_CHANNELS = (16, 32, 96, 256)


PAPER_CHANNELS = (16, 32, 64, 128)
