"""Numbers of whole sets: what of prompts is there, scores and distances, of folders whose answer is known."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zeroconv.conditions import get
from zeroconv.errors import InputError
from zeroconv.evaluation.features.clip import ClipExtractor, open_clip
from zeroconv.evaluation.features.measures import measure_clip_score, measure_distance
from zeroconv.evaluation.folders import (
    PictureFolder,
    SetMeasure,
    feature_measurer,
    measure_folders,
    measure_prompts,
    open_extractor,
    open_measurers,
)
from zeroconv.images import write_png
from zeroconv.messages import Message, listen
from zeroconv.world import make

SCENES = [make(920_000_000 + i, size=64) for i in range(4)]


def write_folder(folder: Path, images: Sequence[Image.Image], prompts: Sequence[str | None], first: int = 0) -> PictureFolder:
    """Pictures and a manifest."""
    lines: list[str] = []
    for i, (image, prompt) in enumerate(zip(images, prompts, strict=True), start=first):
        write_png(image, folder / f"p{i}.png")
        lines.append(json.dumps({"stem": f"p{i}"} | ({"prompt": prompt} if prompt is not None else {})))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return PictureFolder.open(folder)


@pytest.fixture(scope="module")
def true(tmp_path_factory: pytest.TempPathFactory) -> PictureFolder:
    """Scenes under their own captions."""
    images = [Image.fromarray(scene.rgb) for scene in SCENES]
    return write_folder(tmp_path_factory.mktemp("true"), images, [scene.caption for scene in SCENES])


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> PictureFolder:
    """Nothing under the same captions."""
    images = [Image.new("RGB", (64, 64), (128, 128, 128))] * len(SCENES)
    return write_folder(tmp_path_factory.mktemp("grey"), images, [scene.caption for scene in SCENES])


def by_name(rows: Sequence[SetMeasure]) -> dict[str, SetMeasure]:
    return {row.name: row for row in rows}


def measure(clip: ClipExtractor, pictures: PictureFolder, reference: PictureFolder | None = None) -> Sequence[SetMeasure]:
    """All that is measured on a CLIP's features, without what is said of so few pictures."""
    told: list[Message] = []
    with listen(told.append):
        return feature_measurer(clip)(pictures, reference)


def test_prompts_are_obeyed_by_true_pictures_and_not_by_grey_ones(true: PictureFolder, grey: PictureFolder) -> None:
    found, none = by_name(measure_prompts(true)), by_name(measure_prompts(grey))
    assert list(found) == ["named things found", "in the right colour"]
    for name, row in found.items():
        assert row.value >= 0.75 and none[name].value <= 0.25
        assert row.procedure["counts"] == {"found": 4}


def test_prompts_that_nobody_says_are_not_guessed(tmp_path: Path) -> None:
    pictures = write_folder(tmp_path / "a", [Image.fromarray(scene.rgb) for scene in SCENES], ["a house", None, "a", "b"])
    assert measure_prompts(pictures) == []
    assert by_name(measure(open_clip(), pictures)) == {}


def test_scores_and_distances_are_those_of_the_features(true: PictureFolder, grey: PictureFolder, tmp_path: Path) -> None:
    clip, told = open_clip(), list[Message]()
    other = write_folder(
        tmp_path / "other", [Image.fromarray(make(920_000_100 + i, size=64).rgb) for i in range(3)], [None] * 3, 50
    )
    rows = by_name(measure(clip, true, other))
    found = clip.extract([true.open_picture(stem) for stem in true.stems])
    wanted = clip.extract([other.open_picture(stem) for stem in other.stems])
    with listen(told.append):
        cmmd = measure_distance("cmmd", found, wanted, clip)
    score = measure_clip_score(found, clip.extract_texts([scene.caption for scene in SCENES]), clip)
    assert str(rows["CLIP score"]) == str(score) and rows["CLIP score"].better == "higher"
    assert str(rows["CMMD"]) == str(cmmd) and rows["CMMD"].better == "lower"
    assert rows["CMMD"].procedure["counts"] == {"found": 4, "wanted": 3}
    assert rows["CMMD"].procedure["sha256"] == clip.sha256
    assert by_name(measure(clip, grey, other))["CLIP score"].value < rows["CLIP score"].value - 20
    assert "diversity" not in rows


def test_several_pictures_of_a_prompt_have_a_diversity(tmp_path: Path) -> None:
    images = [Image.fromarray(scene.rgb) for scene in SCENES]
    pictures = write_folder(tmp_path / "a", images, ["a house", "a house", "a car", "a car"])
    assert 0 < by_name(measure(open_clip(), pictures))["diversity"].value < 1


def test_references_of_the_same_maps_are_told_of(true: PictureFolder, grey: PictureFolder) -> None:
    told: list[Message] = []
    with listen(told.append):
        feature_measurer(open_clip())(grey, true)
    assert "evaluate.twins" in [message.code for message in told]


def test_a_report_names_the_set_of_each_number(true: PictureFolder, grey: PictureFolder, tmp_path: Path) -> None:
    maps: dict[str, Path] = {}
    for stem in true.stems:
        maps[stem] = tmp_path / f"{stem}.png"
        write_png(get("canny").extract(true.open_picture(stem)), maps[stem])
    report = measure_folders({"true": true, "grey": grey}, maps, get("canny"), measurers=open_measurers([], of_tiny_world=True))
    values = {(row.of, row.name): row.value for row in report.set_measures}
    assert len(values) == 4 and values["true", "named things found"] > values["grey", "named things found"]


@pytest.mark.parametrize(
    ("features", "options", "said"),
    [
        (["nowhere/at/all"], {}, "nowhere/at/all"),
        (["inception:missing.safetensors"], {}, "missing.safetensors"),
        ([], {"aesthetic": "head.safetensors"}, "an aesthetic head reads a CLIP's embeddings; got no CLIP"),
    ],
)
def test_features_that_are_not_there_are_named(features: list[str], options: dict[str, Any], said: str) -> None:
    with pytest.raises((InputError, FileNotFoundError, ValueError), match=said.replace(".", r"\.")):
        open_measurers(features, **options)


def test_the_tiny_worlds_features_bring_its_prompt_check() -> None:
    assert open_measurers(["tiny-clip"])[0] is measure_prompts and len(open_measurers(["tiny-clip"])) == 2
    assert open_measurers([]) == []
    assert (
        open_extractor("tiny-clip").dimension
        == 64
        == np.shape(open_extractor("tiny-clip").extract([Image.new("RGB", (64, 64))]))[1]
    )
