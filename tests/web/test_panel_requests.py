"""What the page asks for is what it shows: larger pictures in tiles, and networks of several conditions, in real Chromium."""

import base64
import hashlib
import importlib.util
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
from PIL import Image

from tests.tiny import SDXL, UNION, build_base, randomized
from tests.web.panel_browser import Browser, Visit, drop, panel_server
from tests.web.study_browser import find_chromium
from zeroconv import ControlNet, StableDiffusion
from zeroconv.generation import BaseRequest, GenerationRequest, generate, open_base, save_images
from zeroconv.world import make

HAS_BROWSER = find_chromium() is not None and importlib.util.find_spec("playwright") is not None
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not HAS_BROWSER, reason="needs Chromium and playwright")]

SIDE = 128
LATEST = "jobs.results.value[0]"


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of the XL family with a ControlNet-Union, and a ControlNet of the tiny base that follows two conditions."""
    folder = tmp_path_factory.mktemp("nets")
    base = StableDiffusion.from_pretrained("tiny")
    both = randomized(ControlNet.from_unet(base.unet, conditioning_channels=6, base="tiny"), 1)
    both.config = replace(both.config, condition="canny+depth", extract={"canny.low": 40})
    both.save_pretrained(folder / "both")
    build_base(folder / "xl", config=SDXL)
    randomized(ControlNetUnionModel(**UNION), 3).save_pretrained(folder / "union")
    return folder


@pytest.fixture(scope="module")
def browser(nets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    more = ["--base", "tiny", "--base", str(nets / "xl"), "--control", str(nets / "both"), "--control", str(nets / "union")]
    with panel_server(tmp_path_factory.mktemp("service"), *more) as url:
        found = Browser(url)
        yield found
        found.close()


def as_png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def fetch(visit: Visit, picture: str) -> bytes:
    answer = visit.page.request.get(f"{visit.page.url.rstrip('/')}/api/v1/pictures/{picture}")
    assert answer.ok
    return answer.body()


def pixels(visit: Visit, picture: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(fetch(visit, picture))).convert("RGB"))


def digest_by_library(visit: Visit, request: dict[str, Any], folder: Path) -> str:
    """The SHA-256 of the file that the library makes of a request of the page."""

    def embed(found: re.Match[str]) -> str:
        return "data:image/png;base64," + base64.b64encode(fetch(visit, found[1])).decode()

    own = GenerationRequest.model_validate_json(re.sub("picture:([0-9a-f]{64})", embed, json.dumps(request)))
    base = open_base(BaseRequest(name=own.base.name, device="cpu"))
    [path] = save_images(*generate(own, base), folder, base).pictures
    return hashlib.sha256(path.read_bytes()).hexdigest()


def latest(visit: Visit, count: int) -> dict[str, Any]:
    """The newest picture, once there are so many and nothing goes on."""
    visit.wait_until(f"jobs.results.value.length === {count} && jobs.active.value.length === 0")
    return visit.state(LATEST)


def test_a_result_is_enlarged_in_tiles_as_the_library_does_it(browser: Browser, tmp_path: Path) -> None:
    with browser.visit() as visit:
        page = visit.page
        visit.set_settings(seed=5, sampler="ddim", guidance_scale=3)
        visit.generate("a red house", steps=5)
        small = latest(visit, 1)
        page.click(".actions >> text=Upscale")
        page.wait_for_selector("dialog >> text=/256 × 256 pixels, 9 tiles/")
        page.locator("dialog [role=radio] >> text=4").click()
        page.wait_for_selector("dialog >> text=/512 × 512 pixels, 49 tiles/")
        page.locator("dialog [role=radio] >> text=2").click()
        page.locator("dialog .slider .number").first.fill("0.6")
        page.keyboard.press("Tab")
        page.click("dialog >> button.primary")
        page.wait_for_selector("progress")
        large = latest(visit, 2)
        assert (large["width"], large["height"], large["seed"]) == (2 * SIDE, 2 * SIDE, small["seed"])
        request = large["request"]
        assert request["init_image"] == f"picture:{small['picture']}" and request["tile"] == SIDE
        assert (request["strength"], request["sampler"], request["guidance_scale"]) == (0.6, "ddim", 3)
        assert large["picture"] == digest_by_library(visit, request, tmp_path)
        page.click("text=Compare")
        assert small["picture"] in page.locator(".compare img").last.get_attribute("src")
        with page.expect_download() as waiting:
            page.click("text=Download")
        content = waiting.value.path().read_bytes()
        page.reload()
        page.wait_for_selector(".chooser")
        visit.set_settings(num_inference_steps=33, weighting="decay", negative_prompt="a tree")
        drop(visit, ".stage", content)
        visit.wait_until("store.settings.value.tile !== null")
        said = visit.state("store.settings.value")
        assert (said["tile"], said["size"], said["strength"], said["seed"]) == (SIDE, [2 * SIDE] * 2, 0.6, small["seed"])
        assert (said["num_inference_steps"], said["negative_prompt"]) == (5, "")  # what was as by default is so again
        assert (pixels(visit, said["init_image"]) == pixels(visit, small["picture"])).all()
        page.click("#generate")
        assert latest(visit, 1)["picture"] == large["picture"]


def test_an_enlargement_is_cancelled_and_one_too_large_is_not_begun(browser: Browser) -> None:
    with browser.visit() as visit:
        page = visit.page
        visit.generate("a red house", steps=2)
        latest(visit, 1)
        page.click(".actions >> text=Upscale")
        page.locator("dialog [role=radio] >> text=4").click()
        page.locator("dialog .row .number").fill("64")
        page.keyboard.press("Tab")
        page.wait_for_selector("dialog >> text=/225 tiles/")
        page.locator("dialog .select select").select_option("tiny-depth")
        page.locator("dialog .slider .number").first.fill("1")
        page.keyboard.press("Tab")
        page.click("dialog >> button.primary")
        page.wait_for_selector("#cancel")
        page.wait_for_selector("text=/Starting|Step/")
        page.click("#cancel")
        page.wait_for_selector("#cancel", state="detached", timeout=5000)
        assert visit.state("jobs.jobs.value.at(-1).state") == "cancelled"
        assert visit.state("jobs.jobs.value.at(-1).request.controls[0].network") == "tiny-depth"
        limits = "{ ...store.options.value.limits, longest_tiled: 256 }"
        visit.run(f"(store) => (store.options.value = {{ ...store.options.value, limits: {limits} }})")
        page.click(".actions >> text=Upscale")
        page.locator("dialog [role=radio] >> text=4").click()
        page.wait_for_selector("dialog >> text=/256 pixels a side at most/")
        assert page.is_disabled("dialog >> button.primary")


def test_each_condition_of_a_network_of_several_has_a_map_of_its_own(browser: Browser, tmp_path: Path) -> None:
    scene, grey = make(9, size=SIDE), np.linspace(0, 255, SIDE).astype(np.uint8)
    ramp = np.broadcast_to(grey[:, None, None], (SIDE, SIDE, 3)).copy()
    with browser.visit() as visit:
        page = visit.page
        visit.add_control("Canny + Depth")
        assert page.locator(".part h4").all_inner_texts() == ["Canny", "Depth"]
        page.click("#generate")
        page.wait_for_selector(".notice >> text=Canny of")
        drop(visit, ".part >> nth=0 >> .input", as_png(scene.rgb))
        page.locator(".part").nth(1).locator("text=Ready map").click()
        drop(visit, ".part >> nth=1 >> .input", as_png(ramp))
        visit.wait_until("store.controls.value[1].extracted?.map && store.controls.value[2].map")
        page.locator(".part").nth(0).locator("summary").click()
        assert page.locator(".part").nth(0).locator(".form .number").first.input_value() == "40"  # as in training
        visit.set_settings(seed=3)
        visit.generate("a house", steps=3)
        made = latest(visit, 1)
        maps = made["request"]["controls"][0]["maps"]
        assert set(maps) == {"canny", "depth"} and [one["condition"] for one in made["controls"]] == ["canny", "depth"]
        assert made["picture"] == digest_by_library(visit, made["request"], tmp_path)
        own = [pixels(visit, one["map"]) for one in made["controls"]]
        assert set(np.unique(own[0])) == {0, 255} and (own[1] == ramp).all()
        with page.expect_download() as waiting:
            page.click("text=Download")
        content = waiting.value.path().read_bytes()
        page.locator(".part").nth(1).locator(".switch").click()
        visit.generate("a house", steps=2)
        assert latest(visit, 2)["request"]["controls"][0]["maps"]["depth"] is None
        page.locator(".control > header .switch").click()
        visit.generate("a house", steps=2)
        assert latest(visit, 3)["request"]["controls"] == []
        page.reload()
        page.wait_for_selector(".chooser")
        drop(visit, ".stage", content)
        visit.wait_until("store.controls.value.filter((one) => one.map).length === 2")
        found = visit.state("store.controls.value.map((one) => [one.condition, one.map, one.ready])")
        assert [one[0] for one in found] == [None, "canny", "depth"]
        assert all((pixels(visit, one[1]) == before).all() for one, before in zip(found[1:], own, strict=True))
        page.click("#generate")
        again = latest(visit, 1)
        assert (pixels(visit, again["picture"]) == pixels(visit, made["picture"])).all()
        page.click("[aria-label=Duplicate]")
        assert page.locator(".part").count() == 4
        page.locator("[aria-label=Remove]").first.click()
        assert page.locator(".part").count() == 2 and visit.state("store.controls.value.length") == 3


def test_a_union_is_offered_condition_by_condition(browser: Browser, nets: Path) -> None:
    pose = np.zeros((64, 64, 3), np.uint8)
    pose[10:50, 30:33] = (255, 0, 0)
    with browser.visit() as visit:
        page = visit.page
        page.locator("text=Base >> .. >> select").select_option(str(nets / "xl"))
        titles = page.locator(".chooser strong").all_inner_texts()
        assert len(titles) == 11 and {"Pose", "Depth", "Tile", "Inpaint"} <= set(titles)
        for title in ("Pose", "Depth"):
            visit.add_control(title)
            page.locator(".control").last.locator("text=Ready map").click()
            drop(visit, ".control:last-of-type .input", as_png(pose))
        visit.wait_until("store.controls.value.every((one) => one.map)")
        visit.generate("a dancer", steps=2)
        made = latest(visit, 1)
        assert [one["network"] for one in made["request"]["controls"]] == [
            f"{nets / 'union'}#{name}" for name in ("pose", "depth")
        ]
        assert [one["condition"] for one in made["controls"]] == ["pose", "depth"]
        assert page.locator(".control option").first.inner_text() == "union#pose"  # not the whole path
        last = page.locator(".control").last
        last.locator("summary").last.click()
        last.locator("text=Weights per connection").click()
        assert last.locator(".weights input").count() == 10  # of SDXL
        visit.generate("another", steps=2)
        assert latest(visit, 2)["request"]["controls"][1]["layers"] == [1] * 10
