"""Fidelity over held-out pairs, with a pipeline whose answers are known."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from PIL import Image, ImageDraw

from tests.tiny import build_control, build_map
from zeroconv.conditions import extract, get
from zeroconv.control import ControlNet
from zeroconv.data import Pair
from zeroconv.evaluation import badge, evaluate, fidelity_sheet
from zeroconv.generation import Control, ControlPipeline
from zeroconv.stable_diffusion import StableDiffusion


class Folder:
    """Pairs in a list."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs
        self.names: Sequence[str] = [pair.name for pair in pairs]
        self.max_captions = 1

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        return self.pairs[index]


def squares(count: int = 3, side: int = 64) -> Folder:
    pairs: list[Pair] = []
    for i in range(count):
        image = Image.new("RGB", (side, side), (20, 60, 200))
        ImageDraw.Draw(image).rectangle((8, 10 + i, 40, 44), fill=(240, 220, 30))
        pairs.append(Pair(f"square-{i}", image, f"square number {i}"))
    return Folder(pairs)


@pytest.fixture(scope="module")
def network(base: StableDiffusion) -> ControlNet:
    return build_control(base.unet, seed=3)


def test_maps_are_extracted_as_in_training(base: StableDiffusion) -> None:
    trained = build_control(base.unet, seed=3)
    trained.config = replace(trained.config, extract={"resolution": 32})
    pairs = squares(1)
    (example,) = evaluate(ControlPipeline(base), trained, "canny", pairs, num_inference_steps=1).examples
    assert example.condition == extract("canny", pairs[0].image, resolution=32) != extract("canny", pairs[0].image)


def test_every_number_of_a_row_can_be_recomputed(base: StableDiffusion, network: ControlNet) -> None:
    pairs, pipeline, seen = squares(), ControlPipeline(base), list[tuple[int, int]]()
    report = evaluate(
        pipeline, network, "canny", pairs, num_inference_steps=2, seed=5, batch_size=1,
        on_progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert [row.seed for row in report.rows] == [5, 6, 7]
    condition = extract("canny", pairs[1].image)
    fidelity = get("canny").fidelity
    alone = pipeline("square number 1", [Control(network, condition)], num_inference_steps=2, seed=6)
    assert report.rows[1].controlled == fidelity(alone.images[0], condition)
    without = pipeline("square number 1", num_inference_steps=2, seed=6)
    assert report.rows[1].uncontrolled == fidelity(without.images[0], condition)


@pytest.mark.filterwarnings("ignore::zeroconv.messages.MessageWarning")  # which says that it has no effect
def test_a_control_that_is_off_changes_nothing(base: StableDiffusion, network: ControlNet) -> None:
    report = evaluate(ControlPipeline(base), network, "canny", squares(), num_inference_steps=1, scale=0.0)
    assert all(row.controlled == row.uncontrolled for row in report.rows)
    assert report.share is None or report.share.value == 0


def test_the_report_is_plain_json_and_its_sheet_can_be_drawn(base: StableDiffusion, network: ControlNet) -> None:
    report = evaluate(ControlPipeline(base), network, "canny", squares(), num_inference_steps=1, batch_size=2)
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["measure"] == "edge F1"
    assert plain["pictures"] == len(plain["rows"]) == 3
    mean = sum(row["ceiling"] for row in plain["rows"]) / 3
    assert plain["ceiling"]["value"] == pytest.approx(mean)
    assert plain["settings"]["base"] == base.name
    assert any("gap closed" in line for line in report.lines())
    assert fidelity_sheet(report).width > 1000


def test_pairs_are_cut_to_the_bases_size_with_their_maps(base: StableDiffusion, network: ControlNet) -> None:
    pair = squares(1, side=100)[0]
    ready = Pair(pair.name, pair.image, pair.caption, {"canny": build_map(100, 100)})
    report = evaluate(ControlPipeline(base), network, "canny", Folder([ready]), num_inference_steps=1)
    assert report.examples[0].truth.size == report.examples[0].condition.size == (64, 64)


def test_a_black_map_asks_for_nothing_and_is_left_out(base: StableDiffusion, network: ControlNet) -> None:
    flat = Pair("flat", Image.new("RGB", (64, 64), (9, 9, 9)), "nothing")
    report = evaluate(ControlPipeline(base), network, "canny", Folder([flat, squares()[0]]), num_inference_steps=1)
    assert (len(report.rows), report.left_out) == (1, 1)
    assert report.rows[0].seed == 1  # the pair's own, whatever was left out before it
    with pytest.raises(ValueError, match="nothing to obey"):
        evaluate(ControlPipeline(base), network, "canny", Folder([flat]), num_inference_steps=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"condition": "cany"}, "unknown condition"),
        ({"pairs": Folder([])}, "no pairs"),
        ({"batch_size": 0}, "batch size"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    base: StableDiffusion, network: ControlNet, settings: dict[str, object], message: str
) -> None:
    request: dict[str, object] = {"condition": "canny", "pairs": squares(), **settings}
    with pytest.raises(ValueError, match=message):
        evaluate(ControlPipeline(base), network, **request)  # pyright: ignore[reportArgumentType]


def test_a_badge_keeps_the_aspect_ratio() -> None:
    assert badge(build_map(64, 32), "0.63").size == (256, 128)
