"""Pairs with a map for each of several conditions, in every layout that can name them."""

import csv
import json
import tarfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.layouts import png
from zeroconv.conditions import extract
from zeroconv.conditions.raster.side_by_side import join_maps
from zeroconv.data import FolderPairs, WorldPairs, check, get_map, open_pairs, truth
from zeroconv.data.readiness import check_ready
from zeroconv.errors import InputError
from zeroconv.sheets import contact_sheet, overlay
from zeroconv.world import make

BOTH = "canny+depth"
COUNT, SIDE = 3, 32


def picture(index: int) -> Image.Image:
    noise = np.random.default_rng(index).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def grey(index: int) -> Image.Image:
    return Image.linear_gradient("L").resize((SIDE, SIDE)).rotate(90 * index).convert("RGB")


FILES = {f"{folder}/{i}.png": png(drawn(i)) for i in range(COUNT) for folder, drawn in (
    ("images", picture), ("canny", lambda i: extract("canny", picture(i))), ("depth", grey),
)}  # fmt: skip


def write_tree(folder: Path) -> Path:
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_jsonl(folder: Path) -> Path:
    rows = [
        {"file_name": f"images/{i}.png", "text": "", "canny": f"canny/{i}.png", "depth_map": f"depth/{i}.png"}
        for i in range(COUNT)
    ]
    (write_tree(folder) / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return folder


def write_csv(folder: Path) -> Path:
    with (write_tree(folder) / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "text", "canny", "depth"])
        rows.writerows([[f"{name}/{i}.png" if name else "" for name in ("images", "", "canny", "depth")] for i in range(COUNT)])
    return folder


def write_tar(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "pairs.tar", "w") as tar:
        for i in range(COUNT):
            for place, ending in (("images", "png"), ("canny", "canny.png"), ("depth", "depth.png")):
                member = tarfile.TarInfo(f"{i}.{ending}")
                member.size = len(FILES[f"{place}/{i}.png"])
                tar.addfile(member, BytesIO(FILES[f"{place}/{i}.png"]))
    return folder / "pairs.tar"


LAYOUTS = {"tree": write_tree, "jsonl": write_jsonl, "csv": write_csv, "tar": write_tar}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_that_names_its_maps_gives_the_same_pairs(layout: str, tmp_path: Path) -> None:
    pairs = open_pairs(LAYOUTS[layout](tmp_path / "pairs"), BOTH)
    assert isinstance(pairs, FolderPairs) and len(pairs) == COUNT and check_ready(pairs) == {}
    for i in range(COUNT):
        pair = pairs[i]
        assert pair.image == picture(i) and pair.maps == {"canny": extract("canny", picture(i)), "depth": grey(i)}
        assert get_map(pair, BOTH, {}) == join_maps([extract("canny", picture(i)), grey(i)])
        assert get_map(pair, "depth+canny", {}) == join_maps([grey(i), extract("canny", picture(i))])


def test_parameters_that_are_asked_for_leave_aside_the_maps_of_their_condition_alone(tmp_path: Path) -> None:
    pair = open_pairs(write_tree(tmp_path), BOTH)[0]
    asked = {"canny.low": 10, "canny.high": 20}
    assert get_map(pair, BOTH, asked, asked) == join_maps([extract("canny", pair.image, low=10, high=20), grey(0)])
    with pytest.raises(InputError, match=r"no parameter 'low'"):
        get_map(pair, BOTH, {"low": 10})


def test_a_map_that_is_not_there_is_extracted_or_the_pairs_are_refused(tmp_path: Path) -> None:
    pair = open_pairs(write_tree(tmp_path), BOTH)[0]
    bare = replace(pair, maps={"depth": grey(0)})
    assert get_map(bare, BOTH, {"canny.low": 9}) == join_maps([extract("canny", pair.image, low=9), grey(0)])
    with pytest.raises(InputError, match=r"has no depth map.*--set extract\.depth\.method=…"):
        get_map(replace(pair, maps={"canny": grey(0)}), BOTH, {})
    (tmp_path / "depth" / "1.png").unlink()
    pairs = open_pairs(tmp_path, BOTH)
    assert isinstance(pairs, FolderPairs)
    with pytest.raises(InputError, match=r"^data\.source|1 of 3 pairs have no depth map \(first: pair 'images/1\.png'\)"):
        check_ready(pairs)
    assert check_ready(pairs, {"depth.method": "dpt"}) == {}


def test_a_map_without_a_name_is_refused_in_one_line(tmp_path: Path) -> None:
    write_tree(tmp_path)
    row = {"file_name": "images/0.png", "canny": "canny/0.png", "conditioning_image": "depth/0.png"}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row), "utf-8")
    for refused in (lambda: open_pairs(tmp_path, BOTH), lambda: check(tmp_path, BOTH)):
        with pytest.raises(
            InputError, match=r"metadata\.jsonl, line 1 has a map without the name.*canny and depth[^\n]*depth$"
        ):
            refused()
    (tmp_path / "metadata.jsonl").write_text(json.dumps({**row, "depth": "depth/0.png"}), "utf-8")
    assert open_pairs(tmp_path, BOTH)[0].maps.keys() == {"canny", "depth"}


def test_every_map_must_have_its_pictures_size(tmp_path: Path) -> None:
    grey(0).resize((16, 16)).save(write_tree(tmp_path) / "depth" / "2.png")
    pairs = open_pairs(tmp_path, BOTH)
    assert isinstance(pairs, FolderPairs)
    (problem,) = check_ready(pairs).values()
    assert "depth/2.png is 16x16, its picture 32x32" in problem.replace("\\", "/")
    with pytest.raises(InputError, match="16x16"):
        _ = pairs[2]
    report, sheet = check(tmp_path, BOTH)
    assert report.good == 2 and report.maps == {"canny": 2, "depth": 2} and sheet is not None


def test_the_sheet_shows_every_map_of_a_pair(tmp_path: Path) -> None:
    (write_tree(tmp_path) / "canny" / "1.png").unlink()
    pictures, canny, depth = ([*map(draw, range(COUNT))] for draw in (picture, lambda i: extract("canny", picture(i)), grey))
    rows: dict[str, list[Image.Image | None]] = {"picture": [*pictures]}
    for name, maps in (("depth", depth), ("canny", canny)):
        rows |= {name: [*maps], f"{name} over the picture": [*map(overlay, pictures, maps)]}
    rows["canny"][1] = rows["canny over the picture"][1] = None
    expected = contact_sheet([*rows.values()], row_titles=[*rows], title=tmp_path.name, cell=192)
    assert check(tmp_path, "depth+canny")[1] == expected
    assert check(tmp_path, BOTH)[1] != expected  # in the order of the condition


def test_scenes_come_with_the_exact_maps_that_the_renderer_knows() -> None:
    pair = WorldPairs(1, 5, BOTH)[0]
    assert pair.maps.keys() == {"depth"} and pair.maps["depth"] == truth(make(5), "depth")
    assert get_map(WorldPairs(1, 5, "depth+normal")[0], "depth+normal", {}) == join_maps(
        [truth(make(5), "depth"), truth(make(5), "normal")]
    )
