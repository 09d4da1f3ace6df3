"""Pictures of a fidelity report: the map, the picture without control, the picture with it, and their scores."""

from collections.abc import Mapping
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from zeroconv import conditions
from zeroconv.conditions import Condition
from zeroconv.evaluation.report import FidelityReport
from zeroconv.images import resize
from zeroconv.sheets import contact_sheet, overlay

__all__ = ["badge", "fidelity_sheet", "reextract"]

CELL: Final = 256
BACKGROUND: Final = (24, 26, 32)


def badge(image: Image.Image, text: str, colour: tuple[int, int, int] = (255, 255, 255), cell: int = CELL) -> Image.Image:
    """The picture at the size of a sheet's cell, with a small label in its lower left corner.

    Args:
        image: any picture; it keeps its aspect ratio.
        text: a few characters, such as "F1 0.63".
        colour: of the text.
        cell: longer side of the result in pixels.
    """
    ratio = cell / max(image.size)
    flat = image.getcolors(64) is not None and ratio >= 1  # maps stay exact
    size = (max(round(image.width * ratio), 1), max(round(image.height * ratio), 1))
    large = resize(image.convert("RGB"), size, nearest=flat)
    draw, font = ImageDraw.Draw(large), ImageFont.load_default(cell / 17)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    pad = cell // 40
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x, y = pad, large.height - pad - height
    draw.rounded_rectangle((x, y, x + width, y + height), radius=pad, fill=BACKGROUND)
    draw.text((x + pad - left, y + pad - top), text, fill=colour, font=font)
    return large


def fidelity_sheet(report: FidelityReport, title: str | None = None) -> Image.Image:
    """Truth, maps, without and with control, and what the controlled picture's own maps say, one row per pair."""
    known = conditions.get(report.condition)
    rows: list[list[Image.Image | None]] = []
    for row, example in zip(report.rows, report.examples, strict=False):
        own = reextract(known, example.controlled, report.settings.get("judge", {}))
        rows.append(
            [
                example.truth,
                *(one for _, one in known.split(example.condition)),
                badge(example.uncontrolled, f"{row.uncontrolled:.2f}"),
                badge(example.controlled, f"{row.controlled:.2f}"),
                *(overlay(example.controlled, one) for _, one in own),
            ]
        )
    heads = ["held-out picture", *(f"condition: {part.name}" for part in known.each), "without control", "with control"]
    heads += [f"{part.name} re-extracted, over it" if known.parts else "re-extracted, over it" for part in known.each]
    return contact_sheet(
        rows,
        column_titles=heads,
        row_titles=[row.prompt for row in report.rows[: len(rows)]],
        title=title or f"{report.settings['control']} on {report.settings['base']}",
        footer="\n".join(report.lines()),
    )


def reextract(known: Condition, picture: Image.Image, judge: Mapping[str, Any]) -> list[tuple[Condition, Image.Image]]:
    """The maps of a picture, as its judge sees it, each with its condition.

    Args:
        known: the condition, or several.
        picture: that was made.
        judge: parameters of the score; those that the extractor has too are taken.
    """
    given = {key: value for key, value in judge.items() if key in conditions.defaults(known)}
    return [(part, conditions.extract(part.name, picture, **known.of_part(part, given))) for part in known.each]
