"""The page of a study in real Chromium, by many raters at once, while the server is killed and started again."""

import asyncio
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.study.raters import make_study, methods_of
from tests.web.study_browser import Acknowledged, find_chromium, rate_all
from tests.web.study_server import Served
from zeroconv.study import Study, report_study

HAS_BROWSER = find_chromium() is not None and importlib.util.find_spec("playwright") is not None
pytestmark = pytest.mark.skipif(not HAS_BROWSER, reason="needs Chromium and playwright")

METHODS = ("first", "second", "third", "fourth", "fifth")


def kept_places(study: Study) -> set[tuple[str, int]]:
    """The questions that have a vote, as `Acknowledged` calls them."""
    query = "SELECT token, place FROM vote JOIN question ON question.id = vote.question JOIN rater ON rater.id = question.rater"
    return {(row["token"], row["place"]) for row in study.database.read(query)}


async def rate_and_kill(
    served: Served, study: Study, taste: Callable[[Any], Any], kept: Acknowledged, kills: list[int]
) -> None:
    """Let all raters vote, and kill the server each time that so many votes were acknowledged: all of those are kept."""
    raters = {one.token: taste for one in study.raters()}

    async def kill() -> None:
        for count in kills:
            while len(kept.votes) < count:
                await asyncio.sleep(0.02)
            await asyncio.to_thread(served.kill)
            assert kept.votes.keys() <= kept_places(study)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(served.start)

    async with asyncio.TaskGroup() as group:
        group.create_task(kill())
        group.create_task(rate_all(served.url, raters, kept))


def rank_in_chromium(path: Path, raters: int, items: int, kills: list[int]) -> None:
    """All of them prefer "first", and so on; every vote must be kept once, and the report must say so."""
    make_study(path, METHODS, items=items, raters=raters)
    kept, begun = Acknowledged(), time.monotonic()
    with Study(path) as study, Served(path) as served:
        known = methods_of(study)

        def taste(question: Any) -> dict[str, int]:
            return {name: 5 - METHODS.index(known[name]) for name in question["pictures"]}

        asyncio.run(rate_and_kill(served, study, taste, kept, kills))
        votes, total = study.votes(), raters * items * 2
        assert kept.errors == []
        assert len(votes) == total == len({(vote.rater, vote.item, vote.aspect) for vote in votes})
        assert all(rater.done == rater.total for rater in study.raters())
        stored = study.database.read("SELECT count(*) FROM answer")[0][0]
        assert stored == total * 5
        assert kept.votes.keys() <= kept_places(study) and len(kept.votes) > total / 2
        for vote in votes:
            assert dict(vote.ranks) == dict(zip(METHODS, (5, 4, 3, 2, 1), strict=True))
        report = report_study(study)
        for result in report.rankings:
            assert [one.method for one in result.methods] == list(METHODS)
            assert result.agreement == (1 if raters > 1 else None)
    print(f"{raters} raters, {total} votes, {len(kills)} kills, {time.monotonic() - begun:.0f} s")


@pytest.mark.slow
def test_raters_in_chromium_lose_no_vote_to_a_killed_server(tmp_path: Path) -> None:
    rank_in_chromium(tmp_path / "study.sqlite", raters=3, items=1, kills=[2])


@pytest.mark.soak
def test_thirty_raters_in_chromium_lose_no_vote_to_a_killed_server(tmp_path: Path) -> None:
    rank_in_chromium(tmp_path / "study.sqlite", raters=30, items=3, kills=[45, 90, 140])


@pytest.mark.slow
def test_models_are_told_apart_in_chromium(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    make_study(path, ("x", "y"), kind="discrimination", items=5, raters=2, teaching=2, trials=3)
    kept = Acknowledged()
    with Study(path) as study, Served(path) as served:
        known = methods_of(study)

        def taste(token: str) -> Callable[[Any], str]:
            rater = study.rater(token)
            assert rater is not None
            labels = dict(zip((known[name] for name in study.teaching(rater)[0]), "AB", strict=True))
            return lambda question: labels[known[question["pictures"][0]]]

        raters = {one.token: taste(one.token) for one in study.raters()}
        asyncio.run(rate_all(served.url, raters, kept))
        result = report_study(study).discrimination
        assert kept.errors == [] and result is not None and (result.precision, result.votes) == (1, 6)
