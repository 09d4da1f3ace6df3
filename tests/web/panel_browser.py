"""A browser on the page of `zeroconv serve`, and the server it asks."""

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.web.study_browser import ARGUMENTS, DESK, PHONE, find_chromium

__all__ = ["Browser", "Visit", "drop", "panel_server"]

PATIENCE = 120_000  # milliseconds, on a busy machine


@contextmanager
def panel_server(folder: Path, *more: str) -> Generator[str]:
    """`zeroconv serve` on the tiny base, as a process of its own; its address.

    Args:
        folder: of its state.
        more: options.
    """
    command = [sys.executable, "-m", "zeroconv", "serve", "--port", "0", "--folder", str(folder), "--device", "cpu", *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # as in the tests: sums of several threads may differ in a last bit
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        line = next((line for line in lines if line.startswith("Serving")), "")
        assert line, "the server did not start"
        yield next(word for word in line.split() if word.startswith("http")).rstrip(".")
    finally:
        os.kill(process.pid, signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
        if process.stderr is not None:
            process.stderr.close()


@dataclass
class Visit:
    """Somebody's window.

    Attributes:
        page: of Playwright.
        errors: uncaught ones, and all that the console calls an error or a warning.
    """

    page: Any
    errors: list[str] = field(default_factory=list[str])

    def add_control(self, title: str) -> None:
        """Choose a control by its title."""
        if self.page.locator(".chooser").count() == 0:
            self.page.click("text=Add a control")
        self.page.locator(".chooser li button", has_text=title).first.click()

    def draw(self, way: list[tuple[float, float]]) -> None:
        """A stroke over the sheet, in parts of its sides."""
        box = self.page.locator(".sheet").bounding_box()
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in way]
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*point, steps=4)
        self.page.mouse.up()

    def start_drawing(self) -> None:
        """Open the desk for the first control."""
        self.page.locator(".control .ways button").last.click()
        self.page.wait_for_selector(".area")

    def generate(self, prompt: str, steps: int = 4) -> None:
        """Ask for a picture, and do not wait for it."""
        self.set_settings(num_inference_steps=steps)
        self.page.fill("#prompt", prompt)
        self.page.click("#generate")

    def set_settings(self, **values: Any) -> None:
        """Change settings as the page's own fields do."""
        self.run(
            "(store, history, values) => Object.entries(values).forEach(([key, value]) => history.set(key, value))", values
        )

    def state(self, expression: str) -> Any:
        """What the page holds: an expression of `store` and `jobs`."""
        return self.page.evaluate(
            "async () => { const [store, jobs, desk] = await Promise.all(['state/store.js', 'state/jobs.js', 'editor/desk.js']"
            f".map((name) => import('/assets/panel/' + name))); return {expression}; }}"
        )

    def wait_until(self, expression: str, of_state: bool = True) -> None:
        """Until an expression holds; the page's policy forbids Playwright's own way, which evaluates text in it.

        Args:
            expression: of `store`, `jobs` and `desk`, or else of the page.
            of_state: which.
        """
        end = time.monotonic() + PATIENCE / 1000
        while not (self.state(expression) if of_state else self.page.evaluate(expression)):
            assert time.monotonic() < end, expression
            self.page.wait_for_timeout(50)

    def run(self, body: str, argument: Any = None) -> Any:
        """Call a function of the modules `store` and `history` and an argument."""
        return self.page.evaluate(
            "async (argument) => { const [store, history] = await Promise.all(['state/store.js', 'state/history.js']"
            f".map((name) => import('/assets/panel/' + name))); return ({body})(store, history, argument); }}",
            argument,
        )


def drop(visit: Visit, target: str, content: bytes, kind: str = "image/png") -> None:
    """Let a file fall on something.

    Args:
        visit: whose window.
        target: a selector of Playwright's.
        content: of the file.
        kind: its type.
    """
    visit.page.locator(target).first.evaluate(
        """(target, [text, type]) => {
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], "dropped", { type }));
          const said = { dataTransfer, bubbles: true, cancelable: true };
          for (const name of ["dragover", "drop"]) target.dispatchEvent(new DragEvent(name, said));
        }""",
        [base64.b64encode(content).decode(), kind],
    )


class Browser:
    """Chromium.

    Args:
        url: of the server.
        more: options of its own, such as a camera.
    """

    def __init__(self, url: str, *more: str) -> None:
        from playwright.sync_api import sync_playwright

        self.url, self.playwright = url, sync_playwright().start()
        self.chromium = self.playwright.chromium.launch(executable_path=find_chromium(), args=[*ARGUMENTS, *more])

    def close(self) -> None:
        """End it."""
        self.chromium.close()
        self.playwright.stop()

    @contextmanager
    def visit(self, phone: bool = False, scheme: Any = "light", context: Any = None) -> Generator[Visit]:
        """A window of its own; what its console said must be nothing.

        Args:
            phone: 390 pixels wide, with touch.
            scheme: "light" or "dark".
            context: of another window, whose storage is shared.
        """
        size: dict[str, Any] = {"viewport": PHONE, "has_touch": True, "is_mobile": True} if phone else {"viewport": DESK}
        own = context or self.chromium.new_context(**size, color_scheme=scheme, accept_downloads=True)
        own.set_default_timeout(PATIENCE)
        page = own.new_page()
        found = Visit(page)
        page.on("pageerror", lambda error: found.errors.append(str(error)))
        page.on("console", lambda said: found.errors.append(said.text) if said.type in ("error", "warning") else None)
        page.goto(self.url)
        page.wait_for_selector(".chooser", state="attached")
        try:
            yield found
            assert found.errors == []
        finally:
            page.close() if context else own.close()
