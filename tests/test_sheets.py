"""Contact sheets: everything is on them, at the right place and unblurred."""

import numpy as np
import pytest
from PIL import Image

from zeroconv.sheets import PAPER, SIGNAL, contact_sheet, overlay

RED = Image.new("RGB", (128, 128), (200, 30, 30))


def test_size_grows_with_rows_columns_and_titles():
    one = contact_sheet([[RED]], cell=64)
    assert contact_sheet([[RED, RED]], cell=64).width > one.width
    assert contact_sheet([[RED], [RED]], cell=64).height > one.height
    named = contact_sheet([[RED]], ["picture"], ["a red square"], "Title", "small print", cell=64)
    assert named.width > one.width
    assert named.height > one.height
    assert one.mode == "RGB"


def test_every_picture_is_there_and_empty_cells_stay_paper():
    blue = Image.new("RGB", (128, 64), (30, 30, 200))
    sheet = np.asarray(contact_sheet([[RED, None], [RED, blue]], cell=64))
    count = {tuple(c): int((sheet == c).all(2).sum()) for c in ((200, 30, 30), (30, 30, 200))}
    assert count == {(200, 30, 30): 2 * 64 * 64, (30, 30, 200): 64 * 32}  # the aspect ratio is kept
    assert (sheet[:4] == PAPER).all()
    assert (sheet[:, -4:] == PAPER).all()


def test_maps_with_few_colours_are_enlarged_without_blur():
    edges = Image.fromarray(np.kron(np.eye(16, dtype=np.uint8) * 255, np.ones((1, 1), np.uint8))).convert("RGB")
    sheet = np.asarray(contact_sheet([[edges]], cell=64))
    assert int((sheet == 255).all(2).sum()) == 16 * 4 * 4


def test_long_titles_do_not_widen_the_sheet():
    short = contact_sheet([[RED]], ["a"], ["b"], cell=96)
    wide = contact_sheet([[RED]], ["word " * 9], ["unbreakable" * 30], cell=96)
    assert wide.width == short.width
    assert contact_sheet([[RED]], footer="word " * 200, cell=96).width < short.width


@pytest.mark.parametrize("cell", [32, 96, 128, 208])
def test_titles_can_be_read_beside_small_pictures(cell: int) -> None:
    picture = Image.new("RGB", (cell, cell), PAPER)
    sheet = np.asarray(contact_sheet([[picture]], row_titles=["H"], cell=cell)).astype(int)
    left = sheet[:, : sheet.shape[1] - 2 * max(cell // 16, 6) - cell]
    rows = (abs(left - PAPER).sum(2) > 200).any(1).nonzero()[0]
    assert rows[-1] - rows[0] + 1 >= 8


def test_wrong_requests_are_refused():
    for rows in ([], [[]]):
        with pytest.raises(ValueError, match="at least one picture"):
            contact_sheet(rows)
    with pytest.raises(ValueError, match="2 column and 0 row titles"):
        contact_sheet([[RED]], ["a", "b"])


def test_overlay_shows_lines_in_the_signal_colour():
    lines = Image.new("RGB", (64, 64))
    lines.paste((255, 255, 255), (10, 10, 11, 50))
    pixels = np.asarray(overlay(RED.resize((64, 64)), lines))
    assert tuple(pixels[20, 10].tolist()) == SIGNAL
    assert tuple(pixels[20, 30].tolist()) != SIGNAL
    dense = overlay(RED, Image.new("RGB", (64, 64), (100, 100, 100)))
    assert dense.size == RED.size
    assert dense.getpixel((0, 0)) == (150, 65, 65)
    coloured = Image.new("RGB", (64, 64))
    coloured.paste((0, 255, 0), (10, 10, 12, 50))
    assert overlay(RED.resize((64, 64)), coloured).getpixel((10, 20)) == (0, 255, 0)
