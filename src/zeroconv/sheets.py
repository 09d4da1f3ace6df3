"""Contact sheets: rows of pictures with titles, to look at results side by side."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zeroconv.images import resize

PAPER: Final = (250, 249, 246)
INK: Final = (34, 36, 42)
SOFT_INK: Final = (112, 114, 122)
FRAME: Final = (214, 212, 206)
SIGNAL: Final = (255, 0, 128)  # a colour that photographs and renderings rarely hold
LETTER: Final = 13  # pixels of titles at least, however small the pictures
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def contact_sheet(
    rows: Sequence[Sequence[Image.Image | None]],
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    title: str | None = None,
    footer: str | None = None,
    cell: int = 256,
) -> Image.Image:
    """Lay out pictures in a table.

    Args:
        rows: the pictures; `None` leaves a cell empty; rows may differ in length.
        column_titles: one above each column; empty for none.
        row_titles: one at the left of each row, broken into lines as needed; empty for none.
        title: a large line at the top.
        footer: small print at the bottom.
        cell: width and height of a cell in pixels; pictures keep their aspect ratio inside it.

    Raises:
        ValueError: no pictures, or more titles than rows or columns.
    """
    columns = max((len(row) for row in rows), default=0)
    if columns == 0:
        raise ValueError("a contact sheet needs at least one picture")
    if len(column_titles) > columns or len(row_titles) > len(rows):
        raise ValueError(
            f"got {len(column_titles)} column and {len(row_titles)} row titles for {columns} columns and {len(rows)} rows"
        )
    unit = max(cell // 16, 6)
    gap, margin = max(unit // 2, 4), 2 * unit
    letter = max(unit, LETTER)
    big, normal, small = _font(1.7 * letter), _font(0.95 * letter), _font(0.8 * letter)

    label_width = int(7.5 * letter) if any(row_titles) else 0
    left = margin + (label_width + unit if label_width else 0)
    width = left + columns * (cell + gap) - gap + margin
    heading = _wrap(title, big, width - 2 * margin) if title else []
    heads = [_wrap(text, normal, cell - gap) for text in column_titles]
    small_print = _wrap(footer, small, width - 2 * margin, most=12) if footer else []

    top = margin + (_height(heading, big) + unit if heading else 0)
    head_height = max((_height(lines, normal) for lines in heads), default=0)
    grid_top = top + (head_height + gap if head_height else 0)
    grid_bottom = grid_top + len(rows) * (cell + gap) - gap
    bottom = grid_bottom + (unit + _height(small_print, small) if small_print else 0)

    sheet = Image.new("RGB", (width, bottom + margin), PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, heading, big, margin, margin, INK)
    for column, lines in enumerate(heads):
        y = grid_top - gap - _height(lines, normal)  # titles stand on the pictures
        _write(draw, lines, normal, left + column * (cell + gap) + cell // 2, y, INK, anchor="ma")
    for index, row in enumerate(rows):
        y = grid_top + index * (cell + gap)
        if index < len(row_titles):
            lines = _wrap(row_titles[index], normal, label_width)
            _write(draw, lines, normal, margin, y + (cell - _height(lines, normal)) // 2, INK)
        for column, picture in enumerate(row):
            if picture is not None:
                _place(sheet, draw, picture, left + column * (cell + gap), y, cell)
    _write(draw, small_print, small, margin, grid_bottom + unit, SOFT_INK)
    return sheet


def overlay(image: Image.Image, condition: Image.Image) -> Image.Image:
    """Lay a condition map over its picture, to see whether they are aligned.

    Maps that are mostly black (edges, lines, pose) are drawn in a signal colour or their own colours over the
    faded picture; dense maps (depth, segmentation) are mixed half and half. The result has the picture's size.
    """
    condition = condition.convert("RGB")
    if condition.size != image.size:
        condition = resize(condition, image.size, nearest=True)
    picture = np.asarray(image.convert("RGB"), np.float32)
    drawn = np.asarray(condition, np.float32)
    strength = drawn.max(2, keepdims=True) / 255  # (H, W, 1)
    if float((strength > 0.1).mean()) > 0.5:
        mixed = 0.5 * picture + 0.5 * drawn
    else:
        coloured = float(np.ptp(drawn, axis=2).max(initial=0)) > 16
        ink = drawn / strength.clip(1e-3) if coloured else np.asarray(SIGNAL, np.float32)
        mixed = (0.55 * picture + 0.45 * 255) * (1 - strength) + ink * strength
    return Image.fromarray(mixed.clip(0, 255).round().astype(np.uint8))


def _font(size: float) -> Font:
    """The scalable font that comes with Pillow."""
    return ImageFont.load_default(size)


def _line_height(font: Font) -> int:
    box = font.getbbox("Ag")
    return round(1.15 * float(box[3]))


def _height(lines: Sequence[str], font: Font) -> int:
    return len(lines) * _line_height(font)


def _wrap(text: str, font: Font, width: int, most: int = 6) -> list[str]:
    """Break text into lines that fit the width; words longer than a line and lines past `most` are cut with dots."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]} ..."]
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: Font, width: int) -> str:
    """Shorten a line that is still too wide."""
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(f"{line}...") > width:
        line = line[:-1]
    return f"{line}..."


def _write(
    draw: ImageDraw.ImageDraw,
    lines: Sequence[str],
    font: Font,
    x: int,
    y: int,
    ink: tuple[int, int, int],
    anchor: str = "la",
) -> None:
    for index, line in enumerate(lines):
        draw.text((x, y + index * _line_height(font)), line, fill=ink, font=font, anchor=anchor)


def _place(sheet: Image.Image, draw: ImageDraw.ImageDraw, picture: Image.Image, x: int, y: int, cell: int) -> None:
    """Put one picture in the middle of its cell, with a hairline around it."""
    picture = picture.convert("RGB")
    ratio = cell / max(picture.size)
    size = (max(round(picture.width * ratio), 1), max(round(picture.height * ratio), 1))
    # Maps with few colours (edges, segmentation) stay exact; pictures are enlarged smoothly.
    flat = picture.getcolors(64) is not None and ratio >= 1
    picture = resize(picture, size, nearest=flat)
    x, y = x + (cell - size[0]) // 2, y + (cell - size[1]) // 2
    sheet.paste(picture, (x, y))
    draw.rectangle((x - 1, y - 1, x + size[0], y + size[1]), outline=FRAME)
