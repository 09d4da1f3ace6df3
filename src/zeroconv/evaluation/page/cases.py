"""The worst and best cases: the map, the pictures that were made from it, and what they themselves say, side by side."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from zeroconv import conditions
from zeroconv.evaluation.folders.folder_report import ScoredRow
from zeroconv.evaluation.folders.measuring import open_map
from zeroconv.evaluation.page.content import PageContent
from zeroconv.evaluation.sheet import reextract
from zeroconv.images import as_rgb, resize
from zeroconv.sheets import overlay

__all__ = ["extreme_rows", "render_case", "to_data_uri"]

SHOWN = 4  # cases at each end
SIDE = 384  # pixels of the longer side of a picture on the page
FEW_COLOURS = 64


@dataclass(frozen=True)
class Ends:
    """Rows in the order of their scores.

    Attributes:
        worst: the lowest first.
        best: the highest first.
    """

    worst: Sequence[ScoredRow]
    best: Sequence[ScoredRow]


def extreme_rows(content: PageContent) -> Ends:
    """The rows at both ends, none at both; equal ones stay in their order."""
    report = content.report
    rows = sorted(report.rows, key=lambda row: row.scores[content.judged][report.measure])
    count = min(SHOWN, len(rows) // 2) or len(rows)
    best = sorted(rows[count:], key=lambda row: -row.scores[content.judged][report.measure])[:count]
    return Ends(rows[:count], best)


def render_case(row: ScoredRow, content: PageContent) -> str:
    """One map and its pictures."""
    report = content.report
    known = conditions.get(report.condition)
    pictures = {name: report.folders[name].open_picture(row.stem) for name in content.shown}
    judged = pictures[content.judged]
    image = open_map(report.maps[row.stem], known, judged.size)
    figures = [figure(one, f"map: {part.name}" if known.parts else "map") for part, one in known.split(image)]
    for name, picture in pictures.items():
        score = row.scores[name][report.measure]
        mark = " judged" if name == content.judged else ""
        own_prompt = report.folders[name].entries[row.stem].prompt
        other = own_prompt if own_prompt != row.prompt else None
        figures.append(figure(picture, name, f"{score:.3f}", f"of-{slot(content, name)}{mark}", other))
        if name == content.judged:
            own = reextract(known, picture, report.settings["judge"])
            figures += [figure(overlay(picture, one), f"{part.name} found in it") for part, one in own]
    if content.truth is not None and row.stem in content.truth.files:
        figures.append(figure(content.truth.open_picture(row.stem), "true picture"))
    prompt = f"<q>{escape(row.prompt)}</q>" if row.prompt else ""
    seed = "" if row.seed is None else f" · seed {row.seed}"
    head = f'<p class="what"><b>{escape(row.stem)}</b>{seed} {prompt}</p>'
    return f'<article class="case">{head}<div class="figures">{"".join(figures)}</div></article>'


def slot(content: PageContent, name: str) -> int:
    """Which of the page's colours a set has: 0 that of the judged one, 1 of the ceiling, and on."""
    if name == content.judged:
        return 0
    if name == content.ceiling:
        return 1
    others = [one for one in content.report.folders if one not in (content.judged, content.ceiling)]
    return 2 + others.index(name) % 3


def figure(image: Image.Image, caption: str, score: str = "", kind: str = "", prompt: str | None = None) -> str:
    """A picture with its caption, and the prompt where it is another than the map's."""
    said_prompt = f"<q>{escape(prompt)}</q>" if prompt else ""
    number = f"<b>{score}</b>" if score else ""
    said = f"{caption}, {score}" if score else caption
    width, height = image.size
    return (
        f'<figure class="{kind}"><img src="{to_data_uri(image)}" alt="{escape(said)}" width="{width}" height="{height}" '
        f'loading="lazy"><figcaption>{escape(caption)}{number}{said_prompt}</figcaption></figure>'
    )


def to_data_uri(image: Image.Image) -> str:
    """A picture in the text of the page: of few colours, or with a hole, as it is, others as WebP."""
    ratio = SIDE / max(image.size)
    if ratio < 1:
        image = resize(image, (max(1, round(image.width * ratio)), max(1, round(image.height * ratio))))
    exact = image.mode == "RGBA" or image.getcolors(FEW_COLOURS) is not None
    buffer, bare = io.BytesIO(), image.copy() if exact else as_rgb(image).copy()
    bare.info = {}
    if exact:
        bare.save(buffer, "PNG", optimize=True)
    else:
        bare.save(buffer, "WEBP", quality=90, method=4)
    kind = "png" if exact else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
