"""Trainings on the page of the service, in real Chromium: started, followed, their control tried."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.web.panel_browser import Browser, panel_server
from tests.web.study_browser import find_chromium

HAS_BROWSER = find_chromium() is not None and importlib.util.find_spec("playwright") is not None
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not HAS_BROWSER, reason="needs Chromium and playwright")]


def test_a_run_is_started_followed_and_its_control_makes_a_picture(tmp_path: Path) -> None:
    damaged = tmp_path / "runs" / "damaged"
    with panel_server(tmp_path) as url:
        damaged.mkdir(parents=True)
        (damaged / "request.json").write_text("{", "utf-8")
        browser = Browser(url)
        try:
            with browser.visit() as visit:
                page = visit.page
                fetched: list[str] = []
                page.on("request", lambda request: fetched.append(request.url))
                assert "uplot" not in "".join(page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)"))
                page.click("nav[aria-label=Places] >> text=Runs")
                page.wait_for_selector("text=Cannot be read: damaged.")
                page.fill("form >> text=Pictures >> .. >> input", "16")
                page.fill("form >> text=/^Steps$/ >> .. >> input", "2")
                page.click("text=More settings")
                page.fill("form >> text=Name >> .. >> input", "Not a name")
                page.click("button[type=submit]")
                page.wait_for_selector("form [role=alert]")
                visit.errors.clear()  # Chromium's own line about the refusal
                page.fill("form >> text=Name >> .. >> input", "mine")
                page.click("button[type=submit]")
                page.wait_for_selector("h3 >> text=mine")
                page.wait_for_selector(".run .status.finished")
                page.wait_for_selector(".samples img")
                assert page.evaluate("document.querySelector('.samples img').decode().then(() => true)")
                label = page.get_attribute(".chart >> nth=0", "aria-label")
                assert re.fullmatch(r"Fidelity over 2 steps: 0\.\d+ at step 2; without control .*, best possible .*", label)
                assert any("uplot" in one for one in fetched) and page.locator(".chart canvas").count() == 2
                page.click("text=Try its control")
                page.wait_for_selector("article.control")
                assert visit.state("store.controls.value.map((one) => one.network)") == ["run:mine"]
                visit.start_drawing()
                visit.draw([(0.2, 0.2), (0.8, 0.8)])
                page.click("text=Done")
                visit.generate("a red house", steps=2)
                page.wait_for_selector(".score")
            with browser.visit(phone=True) as visit:
                visit.page.click("nav[aria-label=Places] >> text=Runs")
                visit.page.click(".run-list button")
                visit.page.wait_for_selector(".chart canvas")
                assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
                visit.page.click("[aria-label='All runs']")
                visit.page.wait_for_selector(".run-list button")
            with browser.visit() as visit:
                visit.page.click("nav[aria-label=Places] >> text=Runs")
                visit.page.click(".run-actions >> text=Delete")
                visit.page.click("text=Delete for good?")
                visit.page.wait_for_selector("text=mine is deleted")
                assert visit.page.locator(".run-list .status").count() == 0
        finally:
            browser.close()
