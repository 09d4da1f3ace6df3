"""The pages of a study beside the service: raters come in by their links alone, and by them nowhere else."""

import importlib.util
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.serving import Small
from tests.study.raters import make_study, prefer
from tests.web.study_browser import ARGUMENTS, find_chromium
from tests.web.study_server import call
from zeroconv.data_uri import encode_png
from zeroconv.service import Service
from zeroconv.study import Study
from zeroconv.web.service_server import ServiceServer

TOKEN = "a-token-for-tests-alone"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
METHODS = ("one", "two", "three")
HAS_BROWSER = find_chromium() is not None and importlib.util.find_spec("playwright") is not None


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Study]]:
    folder = tmp_path_factory.mktemp("studies")
    make_study(folder / "ranking", METHODS)
    make_study(folder / "two", ("x", "y"), kind="discrimination", items=6, teaching=3, trials=3)
    opened = [Study(folder / name) for name in ("ranking", "two")]
    yield opened
    for study in opened:
        study.database.close()


@pytest.fixture(scope="module")
def server(studies: list[Study], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceServer]:
    """One whose service was not started: no worker is needed for this."""
    service = Service(Small(tmp_path_factory.mktemp("serving")).settings())
    made = ServiceServer(service, token=TOKEN, studies=studies)
    thread = threading.Thread(target=made.run)
    thread.start()
    while not made.server.started:
        time.sleep(0.01)
    yield made
    made.stop()
    thread.join()
    service.stop(grace=0)


def test_raters_need_their_link_and_all_else_needs_the_token(server: ServiceServer, studies: list[Study]) -> None:
    for study in studies:
        rater = study.raters()[0]
        state = call(f"{server.url}/api/study/{rater.token}")[1]
        assert state["kind"] == study.kind and call(f"{server.url}/study/{rater.token}")[0] == 200
        assert call(f"{server.url}/api/study/{rater.token}/begin", {})[0] == 200
    rater = studies[0].raters()[0]
    api = f"{server.url}/api/study/{rater.token}"
    question = studies[0].questions(rater)[0]
    ballot = {"place": 0, "ranks": prefer(studies[0], question, METHODS)}
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
        assert call(f"{api}/votes", ballot, **headers)[0] in (403, 421)
    assert call(f"{api}/votes", b"x" * 8193)[0] == 413 and studies[0].votes() == []
    assert call(f"{api}/votes", ballot)[1]["done"] == 1 and len(studies[0].votes()) == 1
    for path in (
        "/",
        "/api/v1/gallery",
        "/metrics",
        "/openapi.json",
        "/study",
        "/study/../api/v1/gallery",
        "/sdapi/v1/options",
    ):
        assert call(server.url + path)[0] in (401, 404), path
        assert "pictures" not in str(call(server.url + path)[1])
    assert call(f"{server.url}/study/nobody")[0] == 404 and call(f"{server.url}/api/study/nobody")[0] == 404
    assert call(f"{server.url}/metrics", **BEARER)[0] == 200
    other = studies[1].questions(studies[1].raters()[0])[0].pictures[0]
    assert call(f"{api}/pictures/{other}")[0] == 404  # of another study


def test_a_picture_that_is_started_from_obeys_the_limit_of_sides(
    server: ServiceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = server.service
    monkeypatch.setattr(Service, "known", lambda _: None)
    monkeypatch.setattr("zeroconv.service.service.check_names", lambda request, _: request)
    large: dict[str, Any] = {"prompt": "a", "init_image": encode_png(Image.new("RGB", (1032, 8)))}
    status, answer, _ = call(f"{server.url}/api/v1/generations", large, **BEARER)
    assert status == 422 and answer["error"]["field"] == "init_image" and "1032x8" in answer["error"]["message"]
    assert service.jobs.counts() == {}
    assert call(f"{server.url}/api/v1/generations", {**large, "size": [64, 64]}, **BEARER)[0] == 202
    stored = service.pictures.add_image(Image.new("RGB", (8, 1032))).id
    named = {**large, "init_image": f"picture:{stored}"}
    assert call(f"{server.url}/api/v1/generations", named, **BEARER)[1]["error"]["field"] == "init_image"


@pytest.mark.skipif(not HAS_BROWSER, reason="needs Chromium and playwright")
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_pages_of_a_study(server: ServiceServer, studies: list[Study], scheme: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    from playwright.sync_api import sync_playwright

    errors = list[str]()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = browser.new_page(color_scheme=scheme)
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)

        def check(where: str) -> None:
            found = axe.run(page).response
            assert len(found["passes"]) > 10
            assert [(where, one["id"], [node["html"][:160] for node in one["nodes"]]) for one in found["violations"]] == []

        for study in studies:
            page.goto(f"{server.url}/study/{study.raters()[-1].token}")
            page.wait_for_selector("h2")
            check(f"{study.kind}: begin")
            button = page.locator("text=Begin") if study.kind == "ranking" else page.locator("#next")
            if button.is_visible():
                button.click()
            page.wait_for_selector("text=Question 1 of")
            check(f"{study.kind}: question")
            page.locator(".picture").first.click()
            page.wait_for_selector("dialog[open]")
            check(f"{study.kind}: enlarged")
            study_database = study.database
            with study_database.write() as change:
                change.execute("UPDATE rater SET begun = NULL")
        page.goto(f"{server.url}/study/nobody")
        page.wait_for_selector("h2")
        check("no study")
        browser.close()
    assert [one for one in errors if "404" not in one] == []


@pytest.mark.slow
def test_votes_outlive_a_killed_service(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    make_study(path, METHODS, raters=1)
    small = Small(tmp_path)
    command = [
        sys.executable, "-m", "zeroconv", "serve", "--port", "0", "--folder", str(tmp_path / "state"), "--base", small.base,
        "--device", "cpu", "--study", str(path),
    ]  # fmt: skip
    with Study(path) as study:
        rater = study.raters()[0]
        for done in range(2):
            process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            assert process.stderr is not None
            url = process.stderr.readline().split(" at ")[1].split(" ")[0]
            api = f"{url}/api/study/{rater.token}"
            assert call(f"{api}/begin", {})[1]["done"] == done
            question = study.questions(rater)[0]
            ballot = {"place": question.place, "ranks": prefer(study, question, METHODS)}
            assert call(f"{api}/votes", ballot)[1]["done"] == done + 1
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            process.stderr.close()
            assert len(study.votes()) == done + 1
