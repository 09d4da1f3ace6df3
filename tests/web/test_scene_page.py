"""The scene on the page, in real Chromium: move the car, use its depth as a control, generate, and see the score."""

import importlib.util
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.web.panel_browser import PATIENCE, Browser, Visit, panel_server
from tests.web.study_browser import find_chromium
from tests.web.test_panel_page import read_png
from zeroconv.data.world_pairs import truth
from zeroconv.world.staging import StageDescription, photograph

HAS_BROWSER = find_chromium() is not None and importlib.util.find_spec("playwright") is not None
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not HAS_BROWSER, reason="needs Chromium and playwright")]

GEOMETRY = """async () => {
  const [model, camera] = await Promise.all(["model.js", "camera.js"].map((name) => import(`/assets/panel/scene/${name}`)));
  const { seen, stage } = model.shot.value;
  const view = camera.viewOf(stage.camera, seen.width, seen.height);
  const placeOf = (pixel) => [(pixel % seen.width + 0.5) / seen.width, (Math.floor(pixel / seen.width) + 0.5) / seen.height];
  return stage.things.map((one, at) => {
    const shape = model.shapeOf(one, at);
    const box = camera.corners(one, shape).flatMap(([x, z]) => [0, shape.height].map((y) => view.project([x, y, z])));
    const limits = [0, 1].map((axis) => box.map((place) => place[axis])).map((all) => [Math.min(...all), Math.max(...all)]);
    const pixels = [...seen.data.keys()].filter((byte) => byte % 4 === 0 && seen.data[byte] === at).map((byte) => byte / 4);
    const held = pixels.filter((pixel) => placeOf(pixel).every((value, axis) =>
      value > limits[axis][0] - 0.01 && value < limits[axis][1] + 0.01));
    const [x, z] = view.ground(...view.project([one.x, 0, one.z]), 0);
    return [held.length / pixels.length, Math.hypot(x - one.x, z - one.z)];
  });
}"""
"""Of each thing: the share of its pixels within its outline, and how far its place is from itself, there and back."""
MIDDLE = """(({{ seen }}) => {{
  const pixels = [...seen.data.keys()].filter((byte) => byte % 4 === 0 && seen.data[byte] === {thing}).map((byte) => byte / 4);
  const middle = pixels[pixels.length >> 1];
  return [(middle % seen.width + 0.5) / seen.width, (Math.floor(middle / seen.width) + 0.5) / seen.height];
}})(model.shot.value)"""
CAR = 2
"""Its place among the things of the first scene."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with panel_server(tmp_path_factory.mktemp("service")) as url:
        found = Browser(url)
        yield found
        found.close()


def ask(visit: Visit, expression: str) -> Any:
    """A value of the scene's module `model`."""
    return visit.page.evaluate(
        f"async () => {{ const model = await import('/assets/panel/scene/model.js'); return {expression}; }}"
    )


def wait_until(visit: Visit, expression: str) -> None:
    """Wait for a value of the scene's module: the page's policy forbids what Playwright waits with."""
    end = time.monotonic() + PATIENCE / 1000
    while not ask(visit, expression):
        assert time.monotonic() < end, expression
        visit.page.wait_for_timeout(50)


def open_scene(visit: Visit) -> None:
    visit.page.click("nav[aria-label=Places] >> text=Scene")
    visit.page.wait_for_selector(".caption")


def pixel_of(visit: Visit, thing: int) -> tuple[float, float]:
    """Where on the screen the middle of what is seen of a thing is."""
    u, v = ask(visit, MIDDLE.format(thing=thing))
    box = visit.page.locator(".shot").bounding_box()
    return box["x"] + u * box["width"], box["y"] + v * box["height"]


def test_the_car_is_moved_and_its_depth_controls_a_picture(browser: Browser) -> None:
    with browser.visit() as visit:
        page = visit.page
        open_scene(visit)
        before = ask(visit, f"model.scene.value.things[{CAR}]")
        x, y = pixel_of(visit, CAR)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x - 120, y + 30, steps=6)
        page.mouse.up()
        after = ask(visit, f"model.scene.value.things[{CAR}]")
        assert after["x"] < before["x"] - 0.5 and after["z"] < before["z"] and ask(visit, "model.selected.value") == CAR
        assert ask(visit, "model.steps.value") == {"past": 1, "future": 0}
        page.click(".uses button:has-text('Depth')")
        page.wait_for_selector(".notice:has-text('is a control now')")
        (control,) = visit.state("store.controls.value")
        assert control["ready"] and control["condition"] == "depth"
        stage = StageDescription.model_validate(ask(visit, "model.scene.value"))
        wanted = np.asarray(truth(photograph(stage, 128), "depth").convert("RGB"))
        np.testing.assert_array_equal(read_png(page, control["map"]), wanted)
        assert visit.state("store.settings.value.prompt") == photograph(stage, 128).caption
        page.click(".uses button:has-text('Depth')")
        wait_until(visit, "document.querySelectorAll('.uses [disabled]').length === 0")
        assert len(visit.state("store.controls.value")) == 1
        page.click(".notice >> text=Go to it")
        visit.set_settings(num_inference_steps=4)
        page.click("#generate")
        page.wait_for_selector(".score")
        assert 0 < visit.state("jobs.chosen.value.controls[0].adherence") <= 1


def test_everything_is_done_by_keys_and_undone(browser: Browser) -> None:
    with browser.visit() as visit:
        page = visit.page
        open_scene(visit)
        first = ask(visit, "model.scene.value")
        page.locator(".plan .mark [role=button]").nth(CAR).focus()
        for key in ("ArrowRight", "]", "Shift+ArrowUp", "d"):
            page.keyboard.press(key)
        things = ask(visit, "model.scene.value.things")
        assert len(things) == 5 and things[CAR]["turn"] == first["things"][CAR]["turn"] + 15
        assert things[CAR]["x"] > first["things"][CAR]["x"] and things[CAR]["z"] > first["things"][CAR]["z"] + 0.8
        page.keyboard.press("Delete")
        page.locator(".plan .eye").focus()
        page.keyboard.press("ArrowLeft")
        assert ask(visit, "model.scene.value.camera.angle") != first["camera"]["angle"]
        for _ in range(ask(visit, "model.steps.value.past")):
            page.keyboard.press("Control+z")
        assert ask(visit, "model.scene.value") == first
        page.keyboard.press("Control+Shift+z")
        assert ask(visit, "model.scene.value") != first


def test_the_page_knows_the_cameras_geometry(browser: Browser) -> None:
    """A thing's foot is where the page says it is: its outline fits what the server rendered."""
    with browser.visit() as visit:
        open_scene(visit)
        off = visit.page.evaluate(GEOMETRY)
        assert all(held == 1 and error < 1e-6 for held, error in off)


@pytest.mark.parametrize(("phone", "scheme"), [(False, "light"), (False, "dark"), (True, "light")])
def test_the_scene_is_accessible_and_fits(browser: Browser, phone: bool, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with browser.visit(phone=phone, scheme=scheme) as visit:
        page = visit.page
        open_scene(visit)
        page.locator(".thing-list .name").nth(3).click()
        page.click("text=More…")
        page.wait_for_selector(".chosen")
        found = axe.run(page).response["violations"]
        assert [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in found] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
        small = page.evaluate(
            "[...document.querySelectorAll('button')].filter((one) => one.offsetParent && one.offsetHeight < 24"
            " && !one.matches('.link')).map((one) => one.outerHTML)"
        )
        assert small == []


def test_random_scenes_of_every_kind_are_shown_and_what_cannot_be_is_said(browser: Browser) -> None:
    with browser.visit() as visit:
        page = visit.page
        open_scene(visit)
        for kind in ("still-life", "person-indoors", "tree"):
            page.select_option(".start select", kind)
            page.click("text=Random scene")
            wait_until(visit, f"model.shot.value.kind === '{kind}' && model.shot.value.stage === model.scene.value")
        page.select_option(".start select", "room")
        page.click("text=Random scene")
        page.wait_for_selector("text=Floor")
        visit.errors.clear()
        page.evaluate("import('/assets/panel/scene/model.js').then((model) => model.put('camera', { distance: 30 }))")
        page.wait_for_selector(".sign:has-text('outside the room')")
        visit.errors[:] = [said for said in visit.errors if "422" not in said]  # what Chromium says of any refusal
        page.click("button[aria-label=Undo]")
        page.wait_for_selector(".sign", state="detached")
