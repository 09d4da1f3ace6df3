"""The pictures of the page in docs/images, taken in Chromium of a real service on the tiny base.

    python -m docs.page_pictures [light dark phone upscale scene runs study]

A house and a tree are drawn as somebody draws them, and four pictures made of them. Those of `runs` show a training of 300
steps, which takes some minutes and is kept in outputs/page-pictures, where the next call finds it. Letters are set in Inter
where the machine has it (Debian: fonts-inter).
"""

import argparse
import io
import math
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from experiments.webp import write_webp
from PIL import Image, ImageFilter
from tests.web.panel_browser import Browser, Visit, panel_server

from zeroconv import conditions
from zeroconv.study import Study, StudyPlan, create_study, read_items
from zeroconv.world import make

ROOT = Path(__file__).parents[1]
IMAGES, STATE = ROOT / "docs" / "images", ROOT / "outputs" / "page-pictures"
MOST = 60_000  # bytes of a picture
WIDE: Any = {"width": 1440, "height": 900}
NARROW: Any = {"width": 1200, "height": 780}
PHONE: Any = {"width": 390, "height": 844}
STEPS, PROBES = 300, 50
MINUTES = 60  # of a training
HOUSE = [(0.12, 0.46), (0.31, 0.28), (0.5, 0.46), (0.5, 0.78), (0.12, 0.78), (0.12, 0.46), (0.5, 0.46)]
DOOR = [(0.26, 0.78), (0.26, 0.6), (0.36, 0.6), (0.36, 0.78)]
TRUNK = [[(0.75, 0.56), (0.75, 0.78)], [(0.81, 0.56), (0.81, 0.78)]]
CROWN = [(0.78 + 0.14 * math.cos(turn * math.pi / 10), 0.4 + 0.16 * math.sin(turn * math.pi / 10)) for turn in range(21)]
PROMPT, SEED = "a red house and a tree under an evening sky", 22
BLURS = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4}
"""Methods of the study, and how much their pictures are blurred."""
DESK: Any = {"width": 1000, "height": 690}
GREY = (148, 143, 132)


def drawn(browser: Browser, _: list[str]) -> Iterator[tuple[str, Image.Image]]:
    """The page in its ways, with a drawing and what was made of it."""
    with browser.visit() as visit:
        page = visit.page
        page.set_viewport_size(WIDE)
        visit.add_control("Scribble")
        visit.start_drawing()
        for tool, strokes in (("l", lines([HOUSE, DOOR])), ("b", [CROWN]), ("l", TRUNK)):
            page.keyboard.press(tool)
            for stroke in strokes:
                visit.draw(stroke)
        page.click("text=Done")
        visit.wait_until("store.controls.value[0].map !== null")
        visit.set_settings(seed=SEED, lockSeed=True, num_images=4)
        visit.generate(PROMPT, steps=20)
        page.wait_for_selector(".siblings li >> nth=3")
        page.locator(".siblings button").first.click()
        yield "light", shoot(visit)
        page.click("text=Upscale")
        page.wait_for_selector("dialog[open]")
        box = page.locator(".column.middle").bounding_box()
        yield "upscale", shoot(visit).crop((box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]))
        page.keyboard.press("Escape")
        page.click("button[aria-label='Dark colours']")
        page.click("text=Compare")
        yield "dark", shoot(visit)
        page.click("button[aria-label='Light colours']")
        page.locator(".below .segments button").first.click()
        page.set_viewport_size(PHONE)
        yield "phone", shoot(visit)


def scene(browser: Browser, _: list[str]) -> Iterator[tuple[str, Image.Image]]:
    """The stage, with its car chosen."""
    with browser.visit() as visit:
        visit.page.set_viewport_size(NARROW)
        visit.page.click("nav[aria-label=Places] >> text=Scene")
        visit.page.wait_for_selector(".caption")
        visit.page.locator(".thing-list .name").nth(2).click()
        yield "scene", shoot(visit)


def runs(browser: Browser, _: list[str]) -> Iterator[tuple[str, Image.Image]]:
    """A training, begun here unless one is there."""
    with browser.visit() as visit:
        page = visit.page
        page.set_viewport_size(NARROW)
        page.click("nav[aria-label=Places] >> text=Runs")
        page.wait_for_selector(".run-list", state="attached")
        if page.locator(".run-list li").count() == 0:
            page.fill("form >> text=/^Steps$/ >> .. >> input", str(STEPS))
            page.click("text=More settings")
            page.fill("form >> text=Steps between probes >> .. >> input", str(PROBES))
            page.fill("form >> text=Name >> .. >> input", "canny-world")
            page.click("button[type=submit]")
        page.wait_for_selector(".run-head >> text=finished", timeout=MINUTES * 60_000)
        page.wait_for_selector(".chart canvas")
        yield "runs", shoot(visit)


def study(browser: Browser, urls: list[str]) -> Iterator[tuple[str, Image.Image]]:
    """Two questions of a ranking: on a desk, and almost answered on a phone."""
    shots: list[Image.Image] = []
    for url, size, question, ranks in zip(urls, (DESK, PHONE), (2, 1), ([], [3, 5, 1, 2]), strict=True):  # a rater each
        context = browser.chromium.new_context(viewport=size, color_scheme="light")
        shots.append(ask(context.new_page(), url, question, ranks))
        context.close()
    height = min(shot.height for shot in shots)
    shots = [shot.resize((round(shot.width * height / shot.height), height), Image.Resampling.LANCZOS) for shot in shots]
    sheet = Image.new("RGB", (sum(shot.width for shot in shots) + 36, height + 24), GREY)
    left = 12
    for shot in shots:
        sheet.paste(shot, (left, 12))
        left += shot.width + 12
    yield "study", sheet


def ask(page: Any, url: str, question: int, ranks: list[int]) -> Image.Image:
    """A question as a rater sees it, the ones before it answered."""
    page.goto(url)
    page.click("text=Begin")
    for number in range(1, question + 1):
        page.wait_for_selector(f"text=Question {number} of")
        page.wait_for_timeout(500)  # the page takes no choice at once
        for card, rank in enumerate(ranks if number == question else BLURS.values()):
            page.locator(".card").nth(card).locator(".ranks button").nth(rank - (number == question)).click()
        if number < question:
            page.click("#next")
    page.wait_for_timeout(500)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def lines(paths: list[list[tuple[float, float]]]) -> list[list[tuple[float, float]]]:
    """Straight strokes from corner to corner."""
    return [list(pair) for path in paths for pair in pairwise(path)]


def shoot(visit: Visit) -> Image.Image:
    """What the window shows, once it has come to rest."""
    visit.page.mouse.move(0, 0)
    visit.page.wait_for_timeout(700)
    return Image.open(io.BytesIO(visit.page.screenshot())).convert("RGB")


def make_study(folder: Path) -> list[str]:
    """A study of scenes that are more and more blurred; the paths of its raters' pages."""
    for seed in (700, 703):
        picture = Image.fromarray(make(seed, size=256).rgb)
        for name, image in (
            ("maps", conditions.get("canny").extract(picture)),
            *((method, picture.filter(ImageFilter.GaussianBlur(blur))) for method, blur in BLURS.items()),
        ):
            (folder / name).mkdir(exist_ok=True)
            image.save(folder / name / f"{seed}.png")
    folders = {method: folder / method for method in BLURS}
    plan = StudyPlan(kind="ranking", methods=tuple(BLURS), raters=2, title="Picture study")
    items = read_items(["700", "703"], folders, maps=folder / "maps", prompts={}, size=None)
    create_study(folder / "study.sqlite", plan, items, b"0" * 32)
    with Study(folder / "study.sqlite") as opened:
        return [f"/study/{rater.token}" for rater in opened.raters()]


PARTS: dict[str, Callable[[Browser, list[str]], Iterator[tuple[str, Image.Image]]]] = {
    **dict.fromkeys(("light", "dark", "phone", "upscale"), drawn), "scene": scene, "runs": runs, "study": study,
}  # fmt: skip


def main() -> None:
    """Take those that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *PARTS], metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--out", type=Path, default=IMAGES, help="another folder")
    parser.add_argument("--state", type=Path, default=STATE, help="where the training is kept")
    said = parser.parse_args()
    wanted = set(said.names or PARTS)
    with tempfile.TemporaryDirectory() as folder:
        paths = make_study(Path(folder))
        with panel_server(said.state.absolute(), "--study", str(Path(folder) / "study.sqlite")) as url:
            browser = Browser(url)
            try:
                for part in dict.fromkeys(PARTS[name] for name in PARTS if name in wanted):
                    for name, image in part(browser, [url + path for path in paths]):
                        if name in wanted:
                            path = said.out / ("study.webp" if name == "study" else f"page-{name}.webp")
                            print(write_webp(image, path, MOST))
            finally:
                browser.close()


if __name__ == "__main__":
    main()
