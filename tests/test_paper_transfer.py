"""Figure 12: the styles, the bases that take them, and what its page makes of the numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from experiments.baselines.common import Pairs, open_tiny_base
from experiments.baselines.phases import Phase
from experiments.paper import community, figure_12
from experiments.paper.appearance import colour_distance
from experiments.paper.comparing import compare_shares, judge
from experiments.paper.rows import Rows
from experiments.paper.scenes import open_tiny
from experiments.paper.transferred import NO_CONTROL, ORIGINAL, TRUTH, Results
from PIL import Image

from zeroconv import StableDiffusion
from zeroconv.metrics.bootstrap import Interval

SCENES, STEPS, MINUTES = 8, 4, 1.0


def test_line_art_is_dark_edges_on_paper_and_night_is_darker_and_blue() -> None:
    halves = Image.new("RGB", (32, 32), "white")
    halves.paste((200, 30, 30), (16, 0, 32, 32))
    drawn = np.asarray(community.draw_lines(halves))
    ink = (drawn == community.INK).all(axis=2)
    assert ((drawn == community.PAPER).all(axis=2) | ink).all() and ink[:, 14:18].any() and not ink[:, :13].any()
    plain, night = Image.new("RGB", (8, 8), (200, 200, 200)), community.make_night(Image.new("RGB", (8, 8), (200, 200, 200)))
    red, green, blue = np.asarray(night)[0, 0].tolist()
    assert blue > green > red and blue < 200 and np.asarray(night).mean() < np.asarray(plain).mean() / 1.5
    lit, dim = (np.ptp(np.asarray(community.make_night(Image.new("RGB", (1, 1), colour)))) for colour in ("yellow", "#606000"))
    assert lit != dim  # a colour in the light is another one than in the dark


def test_distance_of_colours_with_known_answers() -> None:
    halves = Image.new("RGB", (4, 4), "white")
    halves.paste("red", (0, 0, 2, 4))
    assert colour_distance(halves, halves.transpose(Image.Transpose.ROTATE_90)) == 0.0
    assert colour_distance(Image.new("RGB", (4, 4), (100,) * 3), Image.new("RGB", (4, 4), (140,) * 3)) == 30.0
    assert colour_distance(Image.new("RGB", (4, 4), "black"), Image.new("RGB", (4, 4), "red")) == 255 / 2


def test_shares_of_gaps_against_each_other() -> None:
    first, second = ([0.45] * 4, [0.0] * 4, [1.0] * 4), ([0.6] * 4, [0.2] * 4, [1.0] * 4)
    found = compare_shares(first, second, lambda one, other: one / other)
    assert found is not None and (found.value, found.low, found.high) == pytest.approx((0.9,) * 3)
    assert compare_shares(first, ([0.5] * 4, [0.5] * 4, [0.5] * 4), lambda one, other: one / other) is None
    assert [judge(Interval(0.9, *both), 0.9, "yes", "no") for both in ((0.91, 1.0), (0.8, 0.89), (0.8, 1.0))] == [
        "yes",
        "no",
        "not decided",
    ]


def results_of(tmp_path: Path, controlled: float, ceiling: float = 1.0, colours: float = 1.0) -> Results:
    """Results of one style: the control closes half of the gap on the original, and so much on the style's base."""
    rows = Rows(tmp_path / "rows.jsonl", figure_12.NAMES)
    rows.add({"part": "training", "base": "night", "minutes": MINUTES, "optimizer_steps": 9, "samples": 72, "cpu_minutes": 1.0})

    def add(base: str, shown: str, fidelity: float, colours: float, **more: Any) -> None:
        row = {"part": "pictures", "base": base, "shown": shown, "scenes": SCENES, "steps": STEPS, **more}
        looks = {"sharpness": [2.0] * SCENES, "colour": [50.0] * SCENES, "colours to night": [colours] * SCENES}
        rows.add({**row, "depth": [fidelity] * SCENES, **looks})

    for base, best, half in ((ORIGINAL, 1.0, 0.5), ("night", ceiling, controlled)):
        minutes = None if base == ORIGINAL else MINUTES
        add(base, TRUTH, best, 0.0)
        apart = 10.0 if base == ORIGINAL else colours
        add(base, NO_CONTROL, 0.0, apart, prompt="caption", minutes=minutes)
        add(base, "depth", half, apart, prompt="caption", minutes=minutes)
    return Results(rows, SCENES, STEPS, MINUTES)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({"controlled": 0.48}, "at least 90% of the share on the original: yes, 0.96 [0.96, 0.96]."),
        ({"controlled": 0.4}, "at least 90% of the share on the original: no, 0.80 [0.80, 0.80]."),
        ({"controlled": 0.2, "ceiling": 0.4}, "cannot be judged, because the true pictures in this style have only 0.40"),
        ({"controlled": 0.4, "colours": 8.0}, "cannot be judged, because the base did not surely take the style."),
    ],
)
def test_a_transfer_is_judged_by_shares_and_not_where_they_say_nothing(
    tmp_path: Path, numbers: dict[str, float], expected: str
) -> None:
    lines = results_of(tmp_path, **numbers).verdict({"caption": "with the scene's caption"}, ["depth"], ["night"])
    assert expected in lines[3]
    answers = {"yes": "yes 1", ": no": "no 1", "cannot": "judged 1"}
    assert next(answer for word, answer in answers.items() if word in expected) in lines[-1]


@pytest.mark.slow
def test_a_style_is_learnt_by_the_unet_alone_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = open_tiny_base()
    few = Pairs.render(2, original)
    few.folder = tmp_path
    monkeypatch.setattr(Pairs, "load", lambda *_: few)
    latents = community.load_scenes_in("night", tmp_path).latents
    truth = original.encode_images(
        torch.from_numpy(np.stack([np.asarray(community.make_night(Image.fromarray(rgb))) for rgb in few.rgb]))
        .permute(0, 3, 1, 2)
        .float()
        / 127.5
        - 1
    )
    assert torch.allclose(latents, truth, atol=1e-5) and not torch.allclose(latents, few.latents, atol=0.1)
    base, phase = community.open_community(tmp_path, "night", 0.01)
    assert phase.steps > 0 and phase.samples == 8 * phase.steps

    def states(one: StableDiffusion) -> list[dict[str, torch.Tensor]]:
        return [network.state_dict() for network in (one.unet, *one.networks[1:])]

    moved = [any(not torch.equal(a[key], b[key]) for key in a) for a, b in zip(states(base), states(original), strict=True)]
    assert moved == [True] + [False] * (len(moved) - 1)
    monkeypatch.setattr(community.CommunityBase, "train", lambda *_: pytest.fail("it is trained"))
    again, same = community.open_community(tmp_path, "night", 0.01)
    assert same == phase and all(
        torch.equal(again.unet.state_dict()[key], value) for key, value in base.unet.state_dict().items()
    )


def test_a_stopped_transfer_goes_on_and_writes_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, pipeline = list[str](), open_tiny()

    def open_community(out: Path, style: str, minutes: float) -> tuple[StableDiffusion, Phase]:
        opened.append(style)
        return pipeline.base, Phase(steps=3, samples=24, seconds=60.0)

    def make(folder: str) -> list[dict[str, Any]]:
        page = tmp_path / folder / "results" / "figure-12.md"
        figure_12.main(["--out", str(tmp_path / folder / "out"), "--page", str(page), "--scenes", "1", "--steps", "1"])
        rows = Rows(page.with_suffix(".jsonl"), figure_12.NAMES).rows.values()
        return [{key: value for key, value in row.items() if key not in ("date", "cpu_minutes")} for row in rows]

    monkeypatch.setattr(figure_12, "open_community", open_community)
    monkeypatch.setattr(figure_12, "open_tiny", lambda: pipeline)
    monkeypatch.setattr(figure_12, "CONDITIONS", ("canny",))
    monkeypatch.setattr(figure_12, "PROMPTS", {"caption": "with the scene's caption"})
    for name in ("STYLES", "BASES"):
        monkeypatch.setattr(
            figure_12, name, {key: value for key, value in getattr(figure_12, name).items() if key != "line art"}
        )
    whole, add = make("whole"), Rows.add

    def killed(rows: Rows, row: dict[str, Any]) -> dict[str, Any]:
        if len(rows.rows) == 6:  # one of two sets of pictures of the second base
            raise KeyboardInterrupt
        return add(rows, row)

    monkeypatch.setattr(Rows, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        make("stopped")
    monkeypatch.setattr(Rows, "add", add)
    assert make("stopped") == whole and opened == ["night"] * 3
    assert make("stopped") == whole and opened == ["night"] * 3
    assert (tmp_path / "stopped" / "images" / "figure-12.webp").stat().st_size <= 80_000
    written = (tmp_path / "stopped" / "results" / "figure-12.md").read_text("utf-8")
    assert "| night | 3 | 24 | 1.0 |" in written and "did not surely take the style" in written
