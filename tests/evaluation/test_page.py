"""`report.html`: complete in itself, nothing of a stranger's becomes markup, and its plots put numbers where they belong."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from tests.evaluation.folders.drawings import write_maps, write_pictures
from zeroconv.data_uri import read_data_uri
from zeroconv.evaluation.folders import FolderReport, SetMeasure, StepsPoint, judge_folder
from zeroconv.evaluation.page import page_of_folder, render_page
from zeroconv.evaluation.page.cases import extreme_rows, to_data_uri
from zeroconv.evaluation.page.plots import Scale
from zeroconv.metrics.bootstrap import Interval

pytestmark = pytest.mark.filterwarnings("ignore:.*pictures are few:zeroconv.messages.MessageWarning")
HOSTILE = '<script>alert("x")</script><img src=x onerror=y>'


class Reader(HTMLParser):
    """The tags, links and texts of a page; every tag that is opened must be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.links, self.text, self.open = list[str](), list[str](), "", list[str]()
        self.feed(page)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("src", "href", "action", "data")]
        assert not [key for key, _ in attrs if key.startswith("on")]
        if tag not in ("meta", "link", "img", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == "path" or self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> FolderReport:
    folder, prompts = tmp_path_factory.mktemp("page"), [f"square {HOSTILE} {i}" for i in range(10)]
    pictures = write_pictures(folder / "a", [0, 0, 1, 2, 9, 3, 9, 9, 3, 4], prompts)
    other = write_pictures(folder / "b", [9] * 10, prompts)
    truth, maps = write_pictures(folder / "truth", [0] * 10), write_maps(folder / "canny", 10)
    return judge_folder(pictures, maps=maps, truth=truth, against=other)


def test_a_page_needs_nothing_else_and_nobody_elses_words_are_markup(report: FolderReport) -> None:
    number = SetMeasure("FID", 12.5, better="lower", procedure={"features": HOSTILE}, of="pictures")
    page = Reader(render_page(page_of_folder(replace(report, set_measures=[number], notes=[HOSTILE]))))
    assert "script" not in page.tags and page.links and all(link.startswith("data:") for link in page.links)
    assert page.text.count(HOSTILE) >= 4, "prompts, notes and procedures are text"
    assert "12.500" in page.text and "lower is better" in page.text
    assert str(report.interval("pictures").value)[:5] in page.text and "Worst cases" in page.text


def test_the_cases_are_those_of_the_lowest_and_highest_scores(report: FolderReport) -> None:
    ends = extreme_rows(page_of_folder(report))
    scores = sorted(report.values("pictures"))
    assert [row.scores["pictures"]["edge F1"] for row in ends.worst] == scores[:4]
    assert [row.scores["pictures"]["edge F1"] for row in ends.best] == scores[:-5:-1]
    one = page_of_folder(replace(report, rows=report.rows[:1]))
    assert extreme_rows(one).best == [] and Reader(render_page(one)).tags.count("article") == 1
    three = extreme_rows(page_of_folder(replace(report, rows=report.rows[:3])))
    assert not {row.stem for row in three.worst} & {row.stem for row in three.best}


def test_a_curve_shows_every_number_of_steps(report: FolderReport) -> None:
    curve = [
        StepsPoint(steps, Interval(value, value - 0.1, value + 0.1), 4) for steps, value in ((2, 0.4), (8, 0.6), (20, 0.7))
    ]
    page = render_page(replace(page_of_folder(report), curve=curve))
    assert all(f"<title>{steps} steps: 0." in page for steps in (2, 8, 20))
    drawn = re.search(r'class="line" d="M([^"]*)"', page)
    assert drawn is not None
    (x, y), *_, (last, top) = (map(float, place.split()) for place in drawn[1].split("L"))
    assert (x, last) == (10, 100) and y > top, "more steps to the right, more fidelity higher up"


def test_an_axis_holds_all_values_and_its_ticks_are_round() -> None:
    scale = Scale.of([0.013, 0.52])
    assert scale.ticks == (0.0, 0.2, 0.4, 0.6) and scale.label(0.2) == "0.2"
    assert (scale(0.0), scale(0.6)) == pytest.approx((0, 100))
    for values in ([1.0, 1.0], [0.0], [-3e-7, 2e-7], [12.0, 15000.0], [-1.0, 1.0]):
        scale = Scale.of(values)
        assert all(-1e-9 <= scale(value) <= 100 + 1e-9 for value in values) and len(scale.ticks) >= 2
        assert len({scale.label(tick) for tick in scale.ticks}) == len(scale.ticks)


def test_pictures_in_the_page_are_small_and_maps_exact(tmp_path: Path) -> None:
    large = to_data_uri(Image.effect_noise((1024, 512), 60).convert("RGB"))
    assert large.startswith("data:image/webp") and Image.open(read_data_uri(large)).size == (384, 192)
    hole = Image.new("RGBA", (8, 8), (1, 2, 3, 0))
    assert Image.open(read_data_uri(to_data_uri(hole))).convert("RGBA").tobytes() == hole.tobytes()
