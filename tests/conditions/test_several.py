"""Several conditions as one: everything about it is what its parts say, each of its own map."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from tests.conditions.scenes import rendering
from zeroconv import conditions
from zeroconv.conditions import extract, extract_all, extract_at_size, fit_map, get
from zeroconv.conditions.parameters import device_parameters, with_defaults, without_device
from zeroconv.conditions.raster.side_by_side import join_maps, split_map
from zeroconv.conditions.several import is_left_out
from zeroconv.errors import InputError, NothingAskedError

BOTH = get("canny+depth")


def holed(image: Image.Image) -> Image.Image:
    """A picture with a hole in its middle."""
    found = image.convert("RGBA")
    width, height = image.size
    ImageDraw.Draw(found).rectangle((width // 4, height // 4, width // 2, height // 2), fill=(0, 0, 0, 0))
    return found


def test_it_is_found_by_the_names_and_aliases_of_its_parts_in_their_order() -> None:
    assert get("hed+depth+openpose").name == "soft-edge+depth+pose" and get("canny+depth") is BOTH is conditions.find(BOTH.name)
    assert [part.name for part in get("depth+canny").each] == ["depth", "canny"] and get("canny").each == (get("canny"),)
    assert conditions.find("canny+edges") is conditions.find("canny+canny") is conditions.find("canny+") is None
    for wrong, words in (("canny+edges", "unknown condition 'edges'"), ("hed+soft-edge", "comes twice"), ("+", "unknown")):
        with pytest.raises(InputError, match=words):
            get(wrong)


def test_maps_that_are_joined_are_split_again() -> None:
    images = [rendering(index) for index in range(3)]
    for count in (1, 2, 3):
        joined = join_maps(images[:count])
        assert joined.size == (count * 128, 128) and split_map(joined, count) == images[:count]
    mixed = join_maps([images[0], holed(images[1])])
    assert mixed.mode == "RGBA"
    assert [one.convert(mode) for one, mode in zip(split_map(mixed, 2), ("RGB", "RGBA"), strict=True)] == [
        images[0],
        holed(images[1]),
    ]
    with pytest.raises(ValueError, match="one size"):
        join_maps([images[0], images[1].resize((64, 64))])
    with pytest.raises(ValueError, match="side by side"):
        split_map(images[0], 3)


def test_its_map_is_that_of_each_part_with_the_parameters_of_each() -> None:
    image = rendering(0)
    given = {"canny.low": 30, "depth.resolution": 64}
    edges, depth = extract("canny", image, low=30), extract("depth", image, resolution=64)
    assert BOTH.split(extract(BOTH.name, image, **given)) == [(get("canny"), edges), (get("depth"), depth)]
    assert extract_all(BOTH.name, [image], [given]) == [join_maps([edges, depth])]
    shared = [extract("canny", image, resolution=64), extract("depth", image, resolution=64)]
    assert extract(BOTH.name, image, resolution=64) == join_maps(shared)
    wide = extract_at_size(BOTH.name, image, (96, 64))
    assert BOTH.picture_size(wide) == (96, 64) and wide.size == (192, 64)
    for name in ("low", "pose.method", "depth.low"):
        with pytest.raises(InputError, match=r"canny\+depth: there is no parameter .* canny\.low, canny\.high"):
            extract(BOTH.name, image, **{name: 3})
    with pytest.raises(InputError, match=r"canny\.low is 'x'; expected a"):
        with_defaults(BOTH, {"canny.low": "x"})


def test_a_map_of_another_size_is_fitted_part_by_part() -> None:
    maps = [extract(part.name, rendering(1)) for part in BOTH.each]
    for mode in ("crop", "stretch", "fill"):
        fitted = fit_map(join_maps(maps), (96, 64), BOTH.name, mode)
        each = [fit_map(one, (96, 64), part.name, mode) for part, one in zip(BOTH.each, maps, strict=True)]
        assert fitted == join_maps(each)


def test_a_network_reads_the_channels_of_its_parts_in_their_order() -> None:
    image, known = rendering(0), get("canny+inpaint")
    edges, hole = extract("canny", image), holed(image)
    read = known.to_tensor(join_maps([edges, hole]))
    assert torch.equal(read, torch.cat([get("canny").to_tensor(edges), get("inpaint").to_tensor(hole)])) and read.min() == -1
    assert known.contract.mode == "RGBA" and known.needs_mask and not BOTH.needs_mask
    nothing = Image.new("RGB", image.size)
    assert not known.to_tensor(join_maps([edges, nothing.convert("RGBA")]))[3:].any()


def test_its_fidelity_is_the_mean_of_theirs_and_each_is_told() -> None:
    image, other = rendering(0), rendering(1)
    maps = [extract(part.name, image) for part in BOTH.each]
    found = BOTH.metrics(other, join_maps(maps))
    edges, depth = (part.fidelity(other, one) for part, one in zip(BOTH.each, maps, strict=True))
    assert next(iter(found)) == BOTH.metric == "mean fidelity to canny and depth"
    assert found[BOTH.metric] == BOTH.fidelity(other, join_maps(maps)) == pytest.approx((edges + depth) / 2)
    assert (found["canny: edge F1"], found["depth: depth delta1"]) == (edges, depth) and edges != depth


def test_where_a_map_asks_for_nothing_there_is_no_fidelity() -> None:
    image = rendering(0)
    joined = join_maps([Image.new("RGB", image.size), extract("depth", image)])
    assert BOTH.nothing_asked(joined) is not None and BOTH.nothing_asked(extract(BOTH.name, image)) is None
    with pytest.raises(NothingAskedError, match="canny"):
        BOTH.fidelity(image, joined)


def test_what_is_odd_about_a_map_has_the_name_of_its_condition() -> None:
    image = rendering(0)
    edges, depth = extract("canny", image), extract("depth", image)
    assert BOTH.check(join_maps([edges, depth])) == []
    swapped = BOTH.check(join_maps([depth, edges]))
    assert [message.text.partition(":")[0] for message in swapped] == ["canny", "depth"]
    (left_out,) = BOTH.check(join_maps([edges, Image.new("RGB", image.size)]))
    assert (left_out.code, left_out.level) == ("map.left-out", "info") and "depth" in left_out.text
    assert not is_left_out(edges) and not is_left_out(Image.new("RGBA", (4, 4))) and is_left_out(Image.new("RGB", (4, 4)))


def test_what_is_drawn_for_a_sample_belongs_to_its_parts() -> None:
    drawn = conditions.draw_parameters(BOTH.name, np.random.default_rng(0), (64, 64), {"canny.low": 9, "depth.method": "tiny"})
    assert drawn.keys() == {"canny.low", "canny.high", "depth.method"} and drawn["canny.low"] == 9
    alone = conditions.draw_parameters("canny", np.random.default_rng(0), (64, 64), {"low": 9})
    assert drawn["canny.high"] == alone["high"]  # the first part draws as alone


def test_parameters_of_its_judge_and_devices_go_to_the_parts_that_have_them() -> None:
    asked = conditions.reextract_parameters(BOTH.name, None, {"canny.low": 3, "depth.method": "dpt", "depth.device": "cuda"})
    assert asked == {"depth.method": "dpt", "depth.device": "cuda"}
    with pytest.raises(InputError, match=r"no parameter 'method'; expected one of .*depth\.method"):
        conditions.reextract_parameters(BOTH.name, {"method": "dpt"}, {})
    assert device_parameters(BOTH, "cuda") == {"depth.device": "cuda"} and device_parameters(get("depth"), "cpu") == {
        "device": "cpu"
    }
    assert without_device({"depth.device": "x", "device": "y", "canny.low": 1}) == {"canny.low": 1}


def test_who_knows_the_tiny_world_alone_is_said_with_its_name() -> None:
    warning = BOTH.domain_warning({}, "--set method=…")
    assert warning is not None and "--set depth.method=…" in warning
    assert BOTH.domain_warning({"depth.method": "dpt"}, "--set method=…") is None
