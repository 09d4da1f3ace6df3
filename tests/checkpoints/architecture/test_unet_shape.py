"""Topologies: names and shapes of both layouts and the configuration tell the same, and strange ones one line."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from tests.checkpoints.reduced import PUBLISHED, REDUCED, Shapes, controlnet_on_meta, copy_of, shapes_of, unet_on_meta
from zeroconv.checkpoints.architecture.families import FAMILIES
from zeroconv.checkpoints.architecture.unet_shape import UNetShape, unsupported
from zeroconv.checkpoints.keys import controlnet_table, unet_table

SD15, SDXL = PUBLISHED["sd15"], PUBLISHED["sdxl"]
KNOWN = {**PUBLISHED, **{f"reduced {name}": unet_shape for name, unet_shape in REDUCED.items()}}


@pytest.mark.parametrize("unet_shape", KNOWN.values(), ids=list(KNOWN))
def test_both_layouts_and_the_configuration_tell_the_same(unet_shape: UNetShape) -> None:
    unet = unet_on_meta(unet_shape)
    original = shapes_of(unet_table(unet_shape).to_theirs(unet.state_dict()))
    assert UNetShape.of_original(original) == unet_shape == UNetShape.of_diffusers(shapes_of(unet))
    assert UNetShape.of_config(unet.config) == unet_shape
    control = controlnet_on_meta(unet_shape)
    original = shapes_of(controlnet_table(unet_shape).to_theirs(control.state_dict()))
    assert UNetShape.of_original(original) == copy_of(unet_shape) == UNetShape.of_diffusers(shapes_of(control))
    assert UNetShape.of_config({**control.config, "_class_name": "ControlNetModel"}) == copy_of(unet_shape)
    assert unsupported(unet_shape) is None and unsupported(copy_of(unet_shape)) is None


@pytest.mark.parametrize("key", FAMILIES)
def test_the_family_is_seen_at_any_width(key: str) -> None:
    assert PUBLISHED[key].family is REDUCED[key].family is copy_of(PUBLISHED[key]).family is FAMILIES[key]
    assert PUBLISHED[key].context == FAMILIES[key].text_width


def test_what_a_configuration_leaves_out_has_its_default() -> None:
    assert UNetShape.of_config({"cross_attention_dim": 768}) == SD15
    assert UNetShape.of_config({"_class_name": "ControlNetModel", "cross_attention_dim": [768] * 4}) == copy_of(SD15)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"in_channels": 9}, "an inpainting U-Net"),
        ({"in_channels": 9, "out_channels": None}, "an inpainting U-Net"),
        ({"in_channels": 8}, "an instruct-pix2pix U-Net"),
        ({"in_channels": 7}, "an upscaler's U-Net"),
        ({"in_channels": 5}, "a depth-to-image U-Net"),
        ({"out_channels": 8}, "takes 4 channels and predicts 8"),
        ({"pooled": 2048, "linear_projection": True, "context": 1024}, "unCLIP"),
        ({"channels": (384, 768, 1536, 1536), "depths": (0, 4, 4, 0), "middle_depth": 4, "pooled": 2560}, "SDXL's refiner"),
        ({"middle_depth": 0}, "0 transformer layers in its middle block"),
        ({"channels": (320, 640, 1280), "depths": (0, 2, 4), "pooled": 2816}, "1 transformer layers in its middle block and 4"),
    ],
)
def test_what_is_not_supported_is_said_in_a_sentence(change: dict[str, Any], sentence: str) -> None:
    said = unsupported(replace(SD15, **change))
    assert said is not None and sentence in said and "expected SD 1.5, SD 2.1 or SDXL base" in said and "\n" not in said


def test_a_base_of_eight_channels_is_supported_and_so_is_its_control() -> None:
    eight = replace(SD15, in_channels=8, out_channels=8)
    assert unsupported(eight) is None and unsupported(copy_of(eight)) is None


@cache
def original_shapes() -> Shapes:
    return shapes_of(unet_table(REDUCED["sd15"]).to_theirs(unet_on_meta(REDUCED["sd15"]).state_dict()))


def without(shapes: Shapes, part: str) -> Shapes:
    return {name: shape for name, shape in shapes.items() if part not in name}


KEY = "transformer_blocks.0.attn2.to_k.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {}, r"tensor 'input_blocks\.0\.0\.weight' is missing among 0"),
        (
            lambda s: without(s, "input_blocks.2.0"),
            r"'input_blocks\.2\.0\.in_layers\.2\.weight' is missing among 674; later",
        ),
        (lambda s: without(s, "input_blocks.11."), r"the encoder has \[2, 2, 2, 1\] blocks"),
        (lambda s: without(s, "input_blocks.4.1"), r"transformer layers differ"),
        (lambda s: without(s, "output_blocks.4.1"), r"level 2 of the U-Net has 1 transformer layers .* \[1, 0, 1\]"),
        (lambda s: {**s, "input_blocks.0.0.weight": (32, 4)}, r"'input_blocks\.0\.0\.weight' has shape \(32, 4\); expected 4"),
        (lambda s: {**s, "input_blocks.0.0.weight": (32, 0, 3, 3)}, r"'input_blocks\.0\.0\.weight' has shape"),
        (lambda s: {**s, "input_blocks.1.0.out_layers.3.weight": (2**62, 1, 3, 3)}, r"out_layers\.3\.weight' has shape"),
        (lambda s: {**s, "input_blocks.1.0.out_layers.3.weight": (64, 64, 3, 3)}, r"channels differ .* \(\[32, 64\]\)"),
        (lambda s: {**s, f"input_blocks.1.1.{KEY}": (32, 25)}, r"channels of the text differ .* \(\[24, 25\]\)"),
        (lambda s: {**s, "input_blocks.1.1.proj_in.weight": (32, 32)}, r"axes of projections differ"),
        (lambda s: without(s, "middle_block.1.proj_in"), r"'input_blocks\.1\.1\.proj_in\.weight' or one like it is missing"),
    ],
)
def test_tensors_that_contradict_each_other_are_one_line(change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^[^\n]*({message})[^\n]*$"):
        UNetShape.of_original(change(original_shapes()))


def test_numbers_in_names_are_followed_up_to_a_bound_only() -> None:
    start: Shapes = {"input_blocks.0.0.weight": (32, 4, 3, 3), "conv_in.weight": (32, 4, 3, 3)}
    blocks = {f"input_blocks.{i}.0.{name}.weight": (32, 32, 3, 3) for i in range(1, 5000) for name in LAYERS}
    with pytest.raises(ValueError, match=r"^the encoder has \[72\] blocks in its levels; "):
        UNetShape.of_original({**start, **blocks})
    levels = {f"down_blocks.{i}.resnets.0.{name}.weight": (32, 32, 3, 3) for i in range(5000) for name in ("conv1", "conv2")}
    with pytest.raises(ValueError, match=r"^the encoder has \[(1, ){8}1\] blocks in its levels; "):
        UNetShape.of_diffusers({**start, **levels})
    deep = {f"input_blocks.1.1.transformer_blocks.{i}.attn2.to_k.weight": (32, 24) for i in range(5000)}
    with pytest.raises(ValueError, match=r"^'input_blocks\.1\.1' has more than 40 transformer layers; "):
        UNetShape.of_original({**start, **{name: s for name, s in blocks.items() if ".1.0." in name}, **deep})


LAYERS = ("in_layers.2", "out_layers.3")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("block_out_channels", ()),
        ("block_out_channels", (32,) * 10**6),
        ("block_out_channels", "32"),
        ("block_out_channels", (32, 64, 64, 2**60)),
        ("block_out_channels", (32, 64, 64, -64)),
        ("block_out_channels", (32, 64, 64, 64.0)),
        ("down_block_types", ["DownBlock2D"]),
        ("down_block_types", 3),
        ("layers_per_block", 10**9),
        ("layers_per_block", True),
        ("layers_per_block", [2, 2, 2, 1]),
        ("transformer_layers_per_block", 10**9),
        ("transformer_layers_per_block", [1, 1, 1]),
        ("transformer_layers_per_block", [[1, 1], [1, 1], [1, 1], 1]),
        ("cross_attention_dim", None),
        ("in_channels", "4"),
    ],
)
def test_settings_that_no_network_has_are_one_line(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^the (configuration has|network's) {name} [^\n]{{,300}}$"):
        UNetShape.of_config({"cross_attention_dim": 768, name: value})


def test_an_embedding_beside_the_step_must_say_its_width() -> None:
    with pytest.raises(ValueError, match=r"^the configuration has projection_class_embeddings_input_dim None; expected"):
        UNetShape.of_config({"addition_embed_type": "text_time"})
    told = UNetShape.of_config({"class_embed_type": "projection", "projection_class_embeddings_input_dim": 2048})
    assert told.pooled == 2048 and "unCLIP" in str(unsupported(told))
