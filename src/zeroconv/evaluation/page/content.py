"""What the page shows, whichever evaluation it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zeroconv.evaluation.folders.folder_report import FolderReport
from zeroconv.evaluation.folders.generated import CEILING, CONTROLLED, GeneratedReport, StepsPoint
from zeroconv.evaluation.folders.judging import AGAINST, PICTURES, TRUTH
from zeroconv.evaluation.folders.picture_folder import PictureFolder
from zeroconv.evaluation.protocols import FollowedProtocol

__all__ = ["PageContent", "page_of_folder", "page_of_pictures"]


@dataclass(frozen=True)
class PageContent:
    """The page of one evaluation.

    Attributes:
        title: what was evaluated.
        report: the numbers.
        judged: the set that the page is about.
        ceiling: the set that says what can be reached; None where there is none.
        shown: the sets whose pictures are in the cases.
        truth: the true pictures; None where nobody has them.
        lead: the main number beside the fidelity, and what it is.
        curve: fidelity against steps.
        settings: how it was made and measured, in groups.
        protocol: that was followed; None where none was named.
    """

    title: str
    report: FolderReport
    judged: str
    ceiling: str | None
    shown: Sequence[str]
    truth: PictureFolder | None = None
    lead: tuple[str, str] | None = None
    curve: Sequence[StepsPoint] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    protocol: FollowedProtocol | None = None


def page_of_folder(report: FolderReport, protocol: FollowedProtocol | None = None) -> PageContent:
    """The page of a folder that was judged."""
    shown = [name for name in report.folders if name != TRUTH]
    folders = {name: str(folder.path) for name, folder in report.folders.items()}
    lead = None
    if AGAINST in report.folders:
        found = report.compare(PICTURES, AGAINST)
        about = f"more than {folders[AGAINST]}, larger for {found.ahead:.0%} of the maps"
        lead = f"{found.difference.value:+.3f} [{found.difference.low:+.3f}, {found.difference.high:+.3f}]", about
    elif TRUTH in report.folders:
        share = report.interval(PICTURES).value / max(report.interval(TRUTH).value, 1e-9)
        lead = f"{share:.0%}", "of what the true pictures reach"
    settings = {"pictures": folders, "judging": plain(report.settings)}
    truth = report.folders.get(TRUTH)
    ceiling = TRUTH if truth else None
    return PageContent(folders[PICTURES], report, PICTURES, ceiling, shown, truth, lead, settings=settings, protocol=protocol)


def page_of_pictures(report: GeneratedReport, truth: PictureFolder, protocol: FollowedProtocol | None = None) -> PageContent:
    """The page of a ControlNet whose pictures were made.

    Args:
        report: what was measured.
        truth: the true pictures.
        protocol: that was followed.
    """
    share, made = report.fidelity.share, dict(report.fidelity.settings)
    title = f"{made.pop('control')} on {made.pop('base')}"
    lead = None
    if share is not None:
        about = "of the gap between no control and the ceiling is closed"
        lead = f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]", about
    shown = [name for name in report.sets.folders if name != CEILING]
    judge = made.pop("judge")
    settings = {"pictures": plain(made), "judging": plain({**report.sets.settings, "judge": judge})}
    return PageContent(title, report.sets, CONTROLLED, CEILING, shown, truth, lead, report.curve, settings, protocol)


def plain(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as words."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{name}={one}" for name, one in value.items()) or "the condition's own way"
        if key == "size" and isinstance(value, list | tuple):
            value = "x".join(map(str, value))
        found[key.replace("_", " ").replace("num inference steps", "denoising steps")] = str(value)
    return found
