"""The topology of a U-Net, or of a ControlNet's copy of it: read from names and shapes alone, or from a configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from zeroconv.checkpoints.architecture.families import FAMILIES, Family
from zeroconv.checkpoints.architecture.limits import MAX_BLOCKS, MAX_CHANNELS, MAX_DEPTH, MAX_LEVELS

__all__ = ["UNetShape", "other_family", "side", "unsupported"]

Shapes = Mapping[str, tuple[int, ...]]

"""What is looked for at most, whatever a file announces; the largest published U-Net has 4, 2, 10 and 2816."""

EXPECTED = "expected SD 1.5, SD 2.1 or SDXL base, or a fine-tune of one of them"
OTHER_INPUTS = {
    5: "a depth-to-image U-Net (4 latent channels and a depth map)",
    7: "an upscaler's U-Net (4 latent channels and a small picture)",
    8: "an instruct-pix2pix U-Net (the latents of two pictures)",
    9: "an inpainting U-Net (4 latent channels, a masked picture and its mask)",
}


@dataclass(frozen=True)
class UNetShape:
    """Everything about a U-Net that its tensors show.

    Attributes:
        in_channels: of the latents that go in.
        out_channels: of the prediction; None for a ControlNet, which has no decoder.
        channels: of each level, shallow to deep.
        blocks: residual blocks of each level in the encoder; the decoder has one more.
        depths: transformer layers after each block of a level; 0 where there is no attention.
        middle_depth: the same in the middle block.
        context: width of the text states; 0 without attention.
        linear_projection: whether attention is entered and left by linear layers (SD 2.1, SDXL) or 1x1 convolutions.
        pooled: what goes into the embedding beside the step, SDXL's pooled text and sizes (2816); None if nothing does.
    """

    in_channels: int
    out_channels: int | None
    channels: tuple[int, ...]
    blocks: int
    depths: tuple[int, ...]
    middle_depth: int
    context: int
    linear_projection: bool
    pooled: int | None

    @property
    def family(self) -> Family:
        """The family it belongs to, or, where `unsupported` has something to say, the one it resembles."""
        return FAMILIES["sdxl" if self.pooled is not None else "sd21" if self.linear_projection else "sd15"]

    @classmethod
    def of_original(cls, shapes: Shapes) -> Self:
        """From the bare names of the original layout (`input_blocks.…`), of a U-Net or a ControlNet.

        Raises:
            ValueError: when they describe neither, naming the tensor.
        """
        names = Names("input_blocks.0.0", "out.2", "middle_block.1", ("label_emb.0.0",), "output_blocks.{index}.1")
        return cls(**read(shapes, original_levels(shapes), names))

    @classmethod
    def of_diffusers(cls, shapes: Shapes) -> Self:
        """From the names of the diffusers layout (`down_blocks.…`), of a U-Net or a ControlNet.

        Raises:
            ValueError: when they describe neither, naming the tensor.
        """
        levels = [
            [
                Place(f"down_blocks.{level}.resnets.{block}.conv2.weight", f"down_blocks.{level}.attentions.{block}")
                for block in range(MAX_BLOCKS + 1)
                if f"down_blocks.{level}.resnets.{block}.conv1.weight" in shapes
            ]
            for level in range(MAX_LEVELS + 1)
            if f"down_blocks.{level}.resnets.0.conv1.weight" in shapes
        ]
        pooled = ("add_embedding.linear_1", "class_embedding.linear_1")
        names = Names("conv_in", "conv_out", "mid_block.attentions.0", pooled, "up_blocks.{turn}.attentions.{block}")
        return cls(**read(shapes, levels, names))

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Self:
        """From `config.json` of diffusers' `UNet2DConditionModel` or `ControlNetModel`; what is left out has its default.

        Raises:
            ValueError: when a setting is no number, not one for each level, or beyond any published network.
        """
        listed = config.get("block_out_channels", (320, 640, 1280, 1280))
        if not isinstance(listed, (list, tuple)) or not 0 < len(listed) <= MAX_LEVELS:
            raise ValueError(f"the configuration has block_out_channels {listed!r:.80}; expected 1 to {MAX_LEVELS} numbers")
        count = len(listed)
        channels = per_level(config, "block_out_channels", count, MAX_CHANNELS, listed)
        layers = per_level(config, "transformer_layers_per_block", count, MAX_DEPTH, 1, least=0)
        kinds = config.get("down_block_types", ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",))
        if not isinstance(kinds, (list, tuple)) or len(kinds) != count:
            raise ValueError(f"the configuration has down_block_types {kinds!r:.80}; expected {count} names")
        depths = tuple(depth if "CrossAttn" in str(kind) else 0 for depth, kind in zip(layers, kinds, strict=True))
        middle = config.get("mid_block_type", "UNetMidBlock2DCrossAttn") == "UNetMidBlock2DCrossAttn"
        has_pooled = config.get("addition_embed_type") == "text_time" or config.get("class_embed_type") == "projection"
        decoder = "ControlNet" not in str(config.get("_class_name"))
        return cls(
            in_channels=shared_value(config, "in_channels", 1, MAX_CHANNELS, 4),
            out_channels=shared_value(config, "out_channels", 1, MAX_CHANNELS, 4) if decoder else None,
            channels=channels,
            blocks=shared_value(config, "layers_per_block", count, MAX_BLOCKS, 2),
            depths=depths,
            middle_depth=layers[-1] if middle else 0,
            context=shared_value(config, "cross_attention_dim", count, MAX_CHANNELS, 1280) if middle or any(depths) else 0,
            linear_projection=bool(config.get("use_linear_projection", False)),
            pooled=shared_value(config, "projection_class_embeddings_input_dim", 1, MAX_CHANNELS, None) if has_pooled else None,
        )


class Place(NamedTuple):
    """Where a block's width (its last convolution) and its attention are found."""

    convolution: str
    attention: str


class Names(NamedTuple):
    """Where a layout keeps the other things that are read; `decoder` is a pattern of its attentions' names."""

    conv_in: str
    conv_out: str
    middle: str
    pooled: tuple[str, ...]
    decoder: str


def original_levels(shapes: Shapes) -> list[list[Place]]:
    """The blocks of each level in the original layout, which numbers them through; a downsampling ends a level."""
    levels: list[list[Place]] = [[]]
    for index in range(1, MAX_LEVELS * (MAX_BLOCKS + 1) + 1):
        block = f"input_blocks.{index}"
        if f"{block}.0.in_layers.2.weight" in shapes:
            levels[-1].append(Place(f"{block}.0.out_layers.3.weight", f"{block}.1"))
        elif f"{block}.0.op.weight" in shapes:
            levels.append([])
        elif len({name.split(".", 2)[1] for name in shapes if name.startswith("input_blocks.")}) > index:
            raise ValueError(f"tensor '{block}.0.in_layers.2.weight' is missing among {len(shapes)}; later blocks are there")
        else:
            break
    return levels


def read(shapes: Shapes, levels: list[list[Place]], names: Names) -> dict[str, Any]:
    """The fields of a topology from where a layout keeps them."""
    in_channels = side(shapes, f"{names.conv_in}.weight", 1, 4)
    blocks = len(levels[0]) if levels else 0
    if not 0 < blocks <= MAX_BLOCKS or len(levels) > MAX_LEVELS or {len(level) for level in levels} != {blocks}:
        raise ValueError(
            f"the encoder has {[len(level) for level in levels][: MAX_LEVELS + 1]} blocks in its levels; "
            f"expected as many in each, as in {EXPECTED.removeprefix('expected ')}"
        )
    depths = [require_equal({depth_at(shapes, place.attention) for place in level}, "transformer layers") for level in levels]
    has_decoder = f"{names.conv_out}.weight" in shapes
    if has_decoder:
        check_decoder(shapes, depths, blocks, names.decoder)
    places = [place.attention for level, depth in zip(levels, depths, strict=True) if depth for place in level]
    places += [names.middle] if (middle_depth := depth_at(shapes, names.middle)) else []
    keys = [f"{place}.transformer_blocks.0.attn2.to_k.weight" for place in places]
    entered = {len(shapes.get(f"{place}.proj_in.weight", ())) for place in places} or {4}
    if not entered <= {2, 4}:
        raise ValueError(f"{places[0] + '.proj_in.weight'!r} or one like it is missing or of a shape it cannot have")
    pooled = next((f"{name}.weight" for name in names.pooled if f"{name}.weight" in shapes), None)
    return {
        "in_channels": in_channels,
        "out_channels": side(shapes, f"{names.conv_out}.weight", 0, 4) if has_decoder else None,
        "channels": tuple(require_equal({side(shapes, p.convolution, 0, 4) for p in level}, "channels") for level in levels),
        "blocks": blocks,
        "depths": tuple(depths),
        "middle_depth": middle_depth,
        "context": require_equal({side(shapes, key, 1, 2) for key in keys} or {0}, "channels of the text"),
        "linear_projection": require_equal(entered, "axes of projections") == 2,
        "pooled": None if pooled is None else side(shapes, pooled, 1, 2),
    }


def check_decoder(shapes: Shapes, depths: list[int], blocks: int, pattern: str) -> None:
    """Refuse a decoder whose attention is not its encoder's in mirror image."""
    for turn, level in enumerate(reversed(range(len(depths)))):
        steps = [(turn * (blocks + 1) + block, block) for block in range(blocks + 1)]
        found = [depth_at(shapes, pattern.format(index=index, turn=turn, block=block)) for index, block in steps]
        if found != [depths[level]] * (blocks + 1):
            raise ValueError(
                f"level {level} of the U-Net has {depths[level]} transformer layers after each block of its encoder and "
                f"{found} in its decoder, as a distilled one (SSD-1B, Vega) may; {EXPECTED}"
            )


def depth_at(shapes: Shapes, attention: str) -> int:
    """Number of transformer layers under a name, counted up to `MAX_DEPTH`."""
    for depth in range(MAX_DEPTH + 1):
        if f"{attention}.transformer_blocks.{depth}.attn2.to_k.weight" not in shapes:
            return depth
    raise ValueError(f"{attention!r} has more than {MAX_DEPTH} transformer layers; {EXPECTED}")


def require_equal(found: set[int], what: str) -> int:
    """The one number that all places of a network agree on."""
    if len(found) != 1:
        raise ValueError(f"the network's {what} differ where they must be the same ({sorted(found)[:4]}); {EXPECTED}")
    return found.pop()


def side(shapes: Shapes, name: str, axis: int, axes: int) -> int:
    """One side of a tensor.

    Raises:
        ValueError: when it is missing, has another number of axes, or a side that no network has.
    """
    shape = shapes.get(name)
    if shape is None:
        raise ValueError(f"tensor {name!r} is missing among {len(shapes)}: this is no network of Stable Diffusion, or cut off")
    if len(shape) != axes or not 0 < shape[axis] <= MAX_CHANNELS:
        raise ValueError(f"tensor {name!r} has shape {shape}; expected {axes} axes of 1 to {MAX_CHANNELS}")
    return shape[axis]


def per_level(config: Mapping[str, Any], name: str, count: int, most: int, default: Any, least: int = 1) -> tuple[int, ...]:
    """A setting that is one whole number, or one for each level."""
    value = config.get(name, default)
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,) * count
    if len(values) != count or not all(type(number) is int and least <= number <= most for number in values):
        wanted = f"{count} whole numbers from {least} to {most}, or one"
        raise ValueError(f"the configuration has {name} {value!r:.80}; expected {wanted}")
    return values


def shared_value(config: Mapping[str, Any], name: str, count: int, most: int, default: Any) -> int:
    """A setting that must be the same number at every level."""
    return require_equal(set(per_level(config, name, count, most, default)), name)


def unsupported(unet_shape: UNetShape) -> str | None:
    """Why a network cannot be used here: what it is, what is expected, what to do; None when it can."""
    into, out, has_pooled = unet_shape.in_channels, unet_shape.out_channels, unet_shape.pooled is not None
    if into in OTHER_INPUTS and (out not in (into, None) or (out is None and into != 8)):  # the tiny base has 8
        return f"this is, or is made for, {OTHER_INPUTS[into]}: {into} channels go in; {EXPECTED}, where only latents go in"
    if out not in (into, None):
        return f"this U-Net takes {into} channels and predicts {out}; {EXPECTED}, where they are as many"
    if has_pooled and unet_shape.depths[0]:
        return f"this U-Net is conditioned on a picture's embedding (SD 2.1 unCLIP, image variations); {EXPECTED}"
    if has_pooled and len(unet_shape.channels) > 3:
        return f"this is SDXL's refiner, or made for it: it polishes what the base made; {EXPECTED}: take SDXL base"
    if out is None:  # a ControlNet may have fewer layers than its base (SDXL "small" and "mid")
        return None
    if not unet_shape.middle_depth or unet_shape.depths[-1] not in (0, unet_shape.middle_depth):
        found = f"{unet_shape.middle_depth} transformer layers in its middle block and {unet_shape.depths[-1]} before it"
        return f"this network has {found}, as a distilled one (SSD-1B, Vega, Koala) may; {EXPECTED}"
    return None


def mismatch(config: Mapping[str, Any], shapes: Shapes) -> str | None:
    """The first setting that is not what tensors in diffusers' names show; None when all are.

    Raises:
        ValueError: when the configuration or the tensors describe no network.
    """
    shape = UNetShape.of_diffusers(shapes)
    untold = () if shape.context else ("linear_projection",)  # which networks without attention say as they like
    found = vars(shape)
    for name, value in vars(UNetShape.of_config(config)).items():
        if value != found[name] and name not in untold:
            return f"{name} {value}, its tensors {found[name]}"
    return None


def other_family(control: UNetShape, base: UNetShape, what: str = "this ControlNet") -> str | None:
    """Why a ControlNet cannot act on a base of another family, naming both; None when they are of one."""
    if control.family == base.family:
        return None
    entered = {True: ", attention entered by linear layers", False: ", attention entered by convolutions"}
    made, given = (
        f"{of.family.title} (text width {of.context}{entered[of.linear_projection] if control.context == base.context else ''})"
        for of in (control, base)
    )
    return (
        f"{what} was made for {made}, the base is {given}: use a ControlNet made for {base.family.title}, "
        f"or a base of {control.family.title}"
    )
