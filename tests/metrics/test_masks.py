"""Inside and parts of masks, by hand."""

import numpy as np

from zeroconv.metrics.masks import connected_parts, interior


def mask(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows])


def test_the_inside_leaves_the_border_out_but_not_the_edge_of_the_picture() -> None:
    corner = mask("###..", "###..", "###..", ".....")
    assert (interior(corner, 1) == mask("##...", "##...", ".....", ".....")).all()
    assert (interior(corner, 5) == corner).all()  # four pixels are too few
    assert interior(np.ones((3, 3), bool), 1).all()
    assert not interior(np.zeros((3, 3), bool), 1).any()


def test_parts_hang_together_by_corners_and_small_ones_do_not_count() -> None:
    three = mask("##...#", "..#...", "......", "....##")
    parts = connected_parts(three, 2 / 24)
    assert sorted(int(part.sum()) for part in parts) == [2, 3]
    assert len(connected_parts(three, 0)) == 3
    assert not connected_parts(np.zeros((4, 4), bool), 0)
