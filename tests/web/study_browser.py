"""Simulated raters in real browsers: mouse, keyboard and touch, who reload, go back and click twice."""

import asyncio
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Acknowledged", "find_chromium", "rate_all"]

ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
WAYS = ("mouse", "keyboard", "touch")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 860}
REST = 400  # milliseconds: longer than the page takes no choice after a new question
ENOUGH = 1500  # seconds
SHORT, LONG = 30_000, 300_000  # of patience, while a server is killed on a busy machine


def find_chromium() -> str | None:
    """The browser, if this machine has one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass
class Acknowledged:
    """What the server said to have kept.

    Attributes:
        votes: by rater and place, the body of the request.
        errors: of the pages: uncaught ones, and what their policy refused.
    """

    votes: dict[tuple[str, int], Any] = field(default_factory=dict[tuple[str, int], Any])
    errors: list[str] = field(default_factory=list[str])


async def rate_all(url: str, raters: Mapping[str, Callable[[Any], Any]], kept: Acknowledged) -> None:
    """Let all raters answer everything, at once, in a browser window each.

    Args:
        url: of the server.
        raters: by token, what a rater answers to a question: ranks by picture, or a letter.
        kept: filled as votes are acknowledged.
    """
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        try:
            async with asyncio.timeout(ENOUGH), asyncio.TaskGroup() as group:
                for number, (token, taste) in enumerate(raters.items()):
                    group.create_task(rate(browser, f"{url}/study/{token}", token, number, taste, kept))
        finally:
            await browser.close()


async def rate(browser: Any, link: str, token: str, number: int, taste: Callable[[Any], Any], kept: Acknowledged) -> None:
    """One rater from the first page to the last."""
    way = WAYS[number % 3]
    touch = way == "touch"
    context = await browser.new_context(viewport=PHONE if touch else DESK, has_touch=touch, is_mobile=touch)
    context.set_default_timeout(LONG)
    page = await context.new_page()
    page.on("pageerror", lambda error: kept.errors.append(str(error)))
    page.on("console", lambda said: kept.errors.append(said.text) if "Content Security" in said.text else None)

    def listen(reply: Any) -> None:
        if reply.url.endswith("/votes") and reply.status == 200:
            sent = json.loads(reply.request.post_data)
            kept.votes[token, sent["place"]] = sent

    page.on("response", listen)
    await come(page, link, "h2", lambda: page.goto(link))
    done = -1
    while (state := await ask(context, link))["done"] < state["total"]:
        here = f"text=Question {state['done'] + 1} of {state['total']}"
        if state["done"] == done:
            await asyncio.sleep(0.1)  # the vote is on its way
        elif not state["begun"]:
            await page.click("text=Begin" if state["kind"] == "ranking" else "#next")
            await page.wait_for_selector(here)
        else:
            done = state["done"]
            if done and (done + number) % 5 == 0:
                await come(page, link, here, page.reload)  # in the middle of a study
            elif done and (done + number) % 7 == 0:
                await page.goto("about:blank")
                await come(page, link, here, page.go_back)
            await page.wait_for_selector(here)
            await page.wait_for_timeout(REST)
            await answer(page, state["question"], taste(state["question"]), way)
            await (page.keyboard.press("Enter") if way == "keyboard" else page.dblclick("#next"))
    await page.wait_for_selector("text=Thank you!")
    await context.close()


async def ask(context: Any, link: str) -> Any:
    """What the server says of a rater, once it is there."""
    while True:
        try:
            reply = await context.request.get(link.replace("/study/", "/api/study/"))
            return await reply.json()
        except Exception:  # killed just now
            await asyncio.sleep(0.2)


async def come(page: Any, link: str, sign: str, go: Callable[[], Any]) -> None:
    """Open a page as somebody does who opens his link again when it does not come, or not whole."""
    while True:
        try:
            await go()
            await page.wait_for_selector(sign, timeout=SHORT)
        except Exception:  # the server is killed just now
            await asyncio.sleep(0.3)
        else:
            return

        async def follow() -> None:
            await page.goto(link)

        go = follow


async def answer(page: Any, question: Any, said: Any, way: str) -> None:
    """Make a choice on the page, in one of three ways."""
    if isinstance(said, str):
        await (page.keyboard.press(said) if way == "keyboard" else page.click(f".models button[data-letter={said}]"))
        return
    for place, name in enumerate(question["pictures"]):
        if way == "keyboard":
            await page.locator(".card .picture").nth(place).focus()
            await page.keyboard.press(str(said[name]))
        else:
            button = page.locator(".card").nth(place).locator(".ranks button").nth(said[name] - 1)
            await (button.tap() if way == "touch" else button.click())
