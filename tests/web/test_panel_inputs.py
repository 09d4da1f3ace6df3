"""What a hand, a camera and a clipboard give the page, in real Chromium: by its fake camera, real clipboard and touches."""

import importlib.util
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.web.panel_browser import Browser, Visit, panel_server
from tests.web.study_browser import find_chromium

HAS_BROWSER = find_chromium() is not None and importlib.util.find_spec("playwright") is not None
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not HAS_BROWSER, reason="needs Chromium and playwright")]

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
COPY = """async ([width, height, colour]) => {
  const canvas = new OffscreenCanvas(width, height), pen = canvas.getContext("2d");
  pen.fillStyle = colour;
  pen.fillRect(0, 0, width, height);
  await navigator.clipboard.write([new ClipboardItem({ "image/png": await canvas.convertToBlob({ type: "image/png" }) })]);
}"""
VIEW = """new Promise((show) => requestAnimationFrame(() => requestAnimationFrame(  // moves come with the next frame
  () => show(document.querySelector('.sheet').getBoundingClientRect().toJSON()))))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with panel_server(tmp_path_factory.mktemp("service")) as url:
        found = Browser(url, *CAMERA)
        yield found
        found.close()


def stored(visit: Visit, expression: str) -> np.ndarray:
    """A picture that the server holds, (H, W, 3); `expression` of `store` is its id."""
    answer = visit.page.request.get(f"{visit.page.url.rstrip('/')}/api/v1/pictures/{visit.state(expression)}")
    assert answer.ok
    return np.asarray(Image.open(io.BytesIO(answer.body())).convert("RGB"))


def touch(session: Any, kind: str, *points: tuple[float, float]) -> None:
    named = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": named})


def test_the_camera_gives_a_picture_and_is_let_go(browser: Browser) -> None:
    with browser.visit() as visit:
        page = visit.page
        page.evaluate(
            """() => {
              window.tracks = [];
              const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              navigator.mediaDevices.getUserMedia = async (wanted) => {
                const stream = await ask(wanted);
                tracks.push(...stream.getTracks());
                return stream;
              };
            }"""
        )
        visit.add_control("Canny")
        page.click(".control >> text=Camera")
        take = page.locator("dialog >> text=Take the picture")
        visit.wait_until("document.querySelector('video.camera')?.videoWidth > 0", of_state=False)
        size = page.evaluate("(({ videoWidth, videoHeight }) => [videoHeight, videoWidth])(document.querySelector('video'))")
        take.click()
        page.wait_for_selector("dialog", state="detached")
        visit.wait_until("Boolean(store.controls.value[0].extracted?.map)")
        picture = stored(visit, "store.controls.value[0].image")
        assert list(picture.shape[:2]) == size and picture.std() > 5
        assert stored(visit, "store.controls.value[0].extracted.map").any()
        assert page.evaluate("tracks.map((one) => one.readyState)") == ["ended"]
        page.click(".control >> text=Camera")
        page.wait_for_selector("video.camera")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
        visit.wait_until("tracks.every((one) => one.readyState === 'ended')", of_state=False)


def test_a_camera_that_is_not_there_takes_no_picture_before_it_shows_one(browser: Browser) -> None:
    with browser.visit() as visit:
        page = visit.page
        page.evaluate("void (navigator.mediaDevices.getUserMedia = () => new Promise(() => {}))")
        visit.add_control("Canny")
        page.click(".control >> text=Camera")
        assert page.locator("dialog >> text=Take the picture").is_disabled()
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
        page.evaluate("void (navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('no such device')))")
        page.click(".control >> text=Camera")
        page.wait_for_selector("dialog >> text=No camera: no such device")
        assert page.locator("dialog >> text=Take the picture").is_disabled()


def test_a_picture_is_pasted_where_it_belongs(browser: Browser) -> None:
    with browser.visit() as visit:
        page = visit.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.evaluate(COPY, [48, 32, "#ff0000"])
        page.keyboard.press("Control+v")  # without a control it makes one
        visit.wait_until("Boolean(store.controls.value[0]?.image)")
        red = stored(visit, "store.controls.value[0].image")
        assert red.shape == (32, 48, 3) and (red == (255, 0, 0)).all()
        visit.add_control("Depth")
        page.evaluate(COPY, [48, 32, "#0000ff"])
        page.locator(".control").first.locator(".ways button").first.focus()
        before = visit.state("store.controls.value[0].image")
        page.keyboard.press("Control+v")  # into the one with the focus
        visit.wait_until(f"store.controls.value[0].image !== {before!r}")
        assert (stored(visit, "store.controls.value[0].image") == (0, 0, 255)).all()
        assert visit.state("store.controls.value[1].image") is None
        page.fill("#prompt", "")
        page.evaluate("navigator.clipboard.writeText('a red house')")
        page.focus("#prompt")
        page.keyboard.press("Control+v")  # words stay words
        assert page.input_value("#prompt") == "a red house" and visit.state("store.controls.value.length") == 2


def test_two_fingers_zoom_and_move_and_draw_nothing(browser: Browser) -> None:
    with browser.visit(phone=True) as visit:
        page = visit.page
        page.locator(".tabs button", has_text="Controls").tap()
        visit.add_control("Scribble")
        visit.start_drawing()
        page.wait_for_selector("canvas.trail")
        session = page.context.new_cdp_session(page)
        box = page.locator(".area").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        before = page.evaluate(VIEW)
        touch(session, "touchStart", (x - 40, y))
        touch(session, "touchStart", (x - 40, y), (x + 40, y))
        for far in range(45, 85, 5):
            touch(session, "touchMove", (x - far, y), (x + far, y))
        zoomed = page.evaluate(VIEW)
        assert zoomed["width"] == pytest.approx(2 * before["width"], rel=0.02)
        for name, size in (("x", "width"), ("y", "height")):  # what was between the fingers stays there
            middle = {"x": x, "y": y}[name]
            shares = [(middle - one[name]) / one[size] for one in (before, zoomed)]
            assert shares[0] == pytest.approx(shares[1], abs=0.02)
        for step in range(1, 7):
            touch(session, "touchMove", (x - 80 + 5 * step, y + 5 * step), (x + 80 + 5 * step, y + 5 * step))
        moved = page.evaluate(VIEW)
        assert moved["width"] == pytest.approx(zoomed["width"], rel=0.02)
        assert [moved["x"] - zoomed["x"], moved["y"] - zoomed["y"]] == pytest.approx([30, 30], abs=3)
        touch(session, "touchEnd", (x - 50, y + 30))
        for step in range(1, 6):  # the finger that is left draws nothing, until it was lifted
            touch(session, "touchMove", (x - 50 + 4 * step, y + 30))
        touch(session, "touchEnd")
        drawn = "desk.openEntry(store.controls.value[0].id, 'map').drawing.past.length"
        assert visit.state(drawn) == 0
        trail = "document.querySelector('canvas.trail').getContext('2d').getImageData(0, 0, 128, 128).data"
        assert page.evaluate(f"{trail}.every((one) => one === 0)")
        touch(session, "touchStart", (x - 20, y))
        for step in range(1, 6):
            touch(session, "touchMove", (x - 20 + 8 * step, y))
        touch(session, "touchEnd")
        assert visit.state(drawn) == 1
        assert page.evaluate("visualViewport.scale") == 1  # the page itself was not zoomed
