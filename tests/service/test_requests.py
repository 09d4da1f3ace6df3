"""A request names no path and no address: only pictures that it holds or that are kept, and networks that are listed."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zeroconv import conditions
from zeroconv.conditions.raster.tiling import tiles
from zeroconv.data_uri import encode_png
from zeroconv.errors import InputError
from zeroconv.generation import BaseRequest, GenerationRequest
from zeroconv.service.catalogue import BaseEntry, Catalogue, ControlEntry
from zeroconv.service.pictures import PictureStore
from zeroconv.service.requests import (
    CONTROL_PICTURES,
    PICTURE_FIELDS,
    check_limits,
    check_names,
    check_own_size,
    check_parameters,
    count_tiles,
    map_pictures,
    open_parameters,
    store_picture,
)
from zeroconv.service.settings import Limits

CATALOGUE = Catalogue(
    (BaseEntry("tiny", 128, 128, "sd15", 13),),
    (ControlEntry("tiny-canny", "canny", ("tiny",)), ControlEntry("tiny-depth", "depth", ("tiny",))),
    "cpu",
    "float32",
)
PLACES = (
    "/etc/passwd", "../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/x.png", "//host/share", "picture.png", "",
    "picture:../../etc/passwd", "picture:/etc/passwd", "picture:" + "0" * 64, "picture:", "PICTURE:x", "\\\\host\\share",
    "data:text/plain;base64,aGVsbG8=", "data:", "data:image/png;base64,!!!", "data:image/svg+xml;base64,PHN2Zy8+", "~/x",
)  # fmt: skip
SPELT_OUT = {"prompt", "negative_prompt", "network", "name", "path", "vae", "word", "device", "weights"}
"""Texts of a request that are no pictures: prompts, and what `check_names` looks at."""


def request(**values: Any) -> GenerationRequest:
    return GenerationRequest.model_validate({"prompt": "a", **values})


def texts_of(schema: dict[str, Any]) -> set[str]:
    """The fields of a request, at any depth, that may hold any text."""
    found: set[str] = set()
    for model in (schema, *schema["$defs"].values()):
        for name, one in model.get("properties", {}).items():
            kinds = [one, *one.get("anyOf", ()), one.get("additionalProperties") or {}]
            kinds += [kind for inner in kinds for kind in (inner.get("anyOf", ()) if isinstance(inner, dict) else ())]
            if any(isinstance(kind, dict) and kind.get("type") == "string" and "enum" not in kind for kind in kinds):
                found.add(name)
    return found


def test_every_text_of_a_request_is_a_picture_or_looked_at() -> None:
    """A field that is added to the request must be added to one of these, or it is a way in."""
    known = {*PICTURE_FIELDS, *CONTROL_PICTURES, "maps", "extract", *SPELT_OUT}
    assert texts_of(GenerationRequest.model_json_schema()) <= known


@pytest.mark.parametrize("place", PLACES)
def test_a_picture_is_in_the_request_or_kept_here(tmp_path: Path, place: str) -> None:
    store = PictureStore(tmp_path)
    with pytest.raises(InputError) as caught:
        store_picture(place, "controls.0.image", store)
    assert caught.value.field == "controls.0.image" and "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert str(tmp_path) not in str(caught.value)


def test_every_picture_of_a_request_is_found() -> None:
    given = request(
        controls=[
            {"network": "a", "image": "1", "mask": "2"},
            {"network": "b", "condition": "3"},
            {"network": "c", "maps": {"canny": "4", "depth": None}},
        ]
    )
    seen: dict[str, str] = {}

    def change(picture: str, field: str) -> str:
        seen[field] = picture
        return f"new {picture}"

    changed = map_pictures(given, change)
    names = ("0.image", "0.mask", "1.condition", "2.maps.canny")
    assert seen == {f"controls.{name}": str(place + 1) for place, name in enumerate(names)}
    assert changed.controls[2].maps == {"canny": "new 4", "depth": None} and changed.controls[0].mask == "new 2"


def test_a_data_uri_becomes_a_kept_picture(tmp_path: Path) -> None:
    store, uri = PictureStore(tmp_path), encode_png(Image.new("RGB", (4, 4)))
    name = store_picture(uri, "x", store)
    assert name.startswith("picture:") and store_picture(name, "x", store) == name


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"base": "/models/secret"}, "base.name"),
        ({"base": "owner/name"}, "base.name"),
        ({"base": {"name": "tiny", "vae": "/x"}}, "base.vae"),
        ({"base": {"name": "tiny", "loras": [{"path": "/x"}]}}, "base.loras"),
        ({"base": {"name": "tiny", "embeddings": [{"path": "/x"}]}}, "base.embeddings"),
        ({"base": {"name": "tiny", "device": "cuda"}}, "base.device"),
        ({"base": {"name": "tiny", "dtype": "float64"}}, "base.dtype"),
        ({"base": {"name": "tiny", "ema": True}}, "base.ema"),
        ({"controls": [{"network": "/x", "image": "y"}]}, "controls.0.network"),
        ({"controls": [{"network": "owner/name", "image": "y"}]}, "controls.0.network"),
        ({"controls": [{"network": "tiny-canny#x", "image": "y"}]}, "controls.0.network"),
        ({"controls": [{"network": "tiny-depth", "image": "y", "extract": {"weights": "/x"}}]}, "controls.0.extract.weights"),
        ({"controls": [{"network": "tiny-depth", "image": "y", "extract": {"device": "cuda"}}]}, "controls.0.extract.device"),
        ({"controls": [{"network": "tiny-canny", "image": "y", "extract": {"low": 1e9}}]}, "controls.0.extract.low"),
    ],
)  # fmt: skip
def test_networks_are_listed_names_and_bases_open_in_one_way(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        check_names(request(**values), CATALOGUE)
    assert caught.value.field == field


def test_a_picture_that_says_how_its_base_was_opened_is_made_again() -> None:
    recorded = request(base={"name": "tiny", "device": "cpu", "dtype": "float32"})
    assert check_names(recorded, CATALOGUE).base == BaseRequest(name="tiny")
    assert check_names(request(), CATALOGUE).base.name == "tiny"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"num_images": 17}, "num_images"),
        ({"num_inference_steps": 151}, "num_inference_steps"),
        ({"size": [1032, 64]}, "size"),
        ({"size": [2056, 64], "tile": 512}, "size"),
        ({"size": [64, 64], "tile": 1032}, "tile"),
        ({"size": [2048, 2048], "tile": 64}, "tile"),
        ({"size": [1024, 1024], "tile": 512, "tile_overlap": 504}, "tile"),
        ({"prompt": "x" * 10_001}, "prompt"),
        ({"seed": 2**64 - 1, "num_images": 2}, "seed"),
        ({"controls": [{"network": "a", "image": "b"}] * 9}, "controls"),
    ],
)
def test_a_request_asks_for_what_is_done(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        check_limits(request(**values), Limits())
    assert caught.value.field == field


def test_a_large_picture_is_made_in_tiles() -> None:
    check_limits(request(size=[2048, 2048], tile=512), Limits())
    for size, tile, overlap in (((2048, 1024), 512, None), ((100, 72), 64, 8), ((64, 64), 128, 0)):
        asked = request(size=size, tile=tile, tile_overlap=overlap)
        assert count_tiles(asked) == len([*tiles(size, tile, tile // 2 if overlap is None else overlap, True)])


def test_a_picture_of_its_own_size_is_not_too_large(tmp_path: Path) -> None:
    store = PictureStore(tmp_path)
    kept = {side: f"picture:{store.add_image(Image.new('RGB', (side, 8))).id}" for side in (1024, 1032)}
    check_own_size(request(init_image=kept[1024]), store, Limits())
    check_own_size(request(init_image=kept[1032], size=[64, 64]), store, Limits())
    check_own_size(request(init_image=kept[1032], tile=512), store, Limits())
    with pytest.raises(InputError, match="1032x8"):
        check_own_size(request(init_image=kept[1032]), store, Limits())


@pytest.mark.parametrize("name", conditions.names())
def test_no_parameter_of_an_extractor_leads_to_a_file(name: str) -> None:
    offered, every = open_parameters(name)["properties"], conditions.json_schema(conditions.get(name))["properties"]
    for parameter in ("weights", "device"):
        assert parameter not in offered
        with pytest.raises(InputError):
            check_parameters(name, {parameter: "/etc/passwd"}, "parameters")
    assert not any("path" in str(schema) or "picture" in str(schema) for schema in offered.values())
    assert set(offered) <= set(every)
