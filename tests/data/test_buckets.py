"""Aspect buckets: their sizes, one geometry for picture and map, and an order in which nothing is left out."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from zeroconv import conditions
from zeroconv.data.bucket_order import BucketOrder
from zeroconv.data.buckets import View, bucket_sizes, choose_bucket
from zeroconv.errors import InputError
from zeroconv.world import make


@pytest.mark.parametrize(("side", "step"), [(512, 64), (768, 64), (1024, 64), (128, 32), (32, 8), (1024, 32)])
def test_buckets_have_about_the_area_of_the_square(side: int, step: int) -> None:
    sizes = bucket_sizes(side, step)
    assert (side, side) in sizes and len(sizes) == len(set(sizes)) > 2
    for width, height in sizes:
        assert width % step == height % step == 0 and (height, width) in sizes
        assert side * side - step * max(width, height) < width * height <= side * side
        assert max(width, height) <= 2 * min(width, height)


def test_a_picture_goes_to_the_nearest_shape() -> None:
    sizes = bucket_sizes(512, 64)
    assert choose_bucket((4000, 3000), sizes) == (576, 448)
    assert choose_bucket((3000, 4000), sizes) == (448, 576)
    assert choose_bucket((600, 600), sizes) == (512, 512)
    assert choose_bucket((9000, 600), sizes) == max(sizes, key=lambda size: size[0] / size[1])
    with pytest.raises(InputError, match="resolution is 32; expected 64 pixels or more for this base"):
        bucket_sizes(32, 64)


@st.composite
def views(draw: st.DrawFn) -> View:
    bucket = draw(st.sampled_from(bucket_sizes(64, 8)))
    picture = tuple(side + draw(st.integers(0, 90)) for side in bucket)
    whole = View((picture[0], picture[1]), bucket, 0, 0)
    left, top = (draw(st.integers(0, slack)) for slack in whole.slack)
    return View((picture[0], picture[1]), bucket, left, top, draw(st.booleans()))


@given(view=views(), seed=st.integers(0, 99))
def test_a_picture_that_is_its_own_map_stays_it(view: View, seed: int) -> None:
    """`tile` and `shuffle` are resized as pictures: the same part, at the same place, mirrored alike."""
    picture = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*view.picture[::-1], 3), dtype=np.uint8))
    seen = view.of_picture(picture)
    assert seen.size == view.bucket
    for name in ("tile", "shuffle"):
        assert view.of_map(picture, conditions.get(name)).tobytes() == seen.tobytes()


@given(view=views(), name=st.sampled_from(["segmentation", "depth", "canny", "scribble", "soft-edge", "lines", "lineart"]))
def test_a_map_is_cut_where_its_picture_is(view: View, name: str) -> None:
    """A square in the picture and in its map lie at the same place afterwards, to a pixel, by every condition's own rule."""
    width, height = view.picture
    drawn = np.zeros((height, width, 3), np.uint8)
    drawn[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 255
    picture = np.asarray(view.of_picture(Image.fromarray(drawn)))[..., 0] > 127
    if name in ("canny", "lines"):  # their maps are lines: the left border of the square
        drawn = np.zeros_like(drawn)
        drawn[height // 3 : 2 * height // 3, width // 3] = 255
    found = np.asarray(view.of_map(Image.fromarray(drawn), conditions.get(name)))[..., 0] > 127
    if name in ("canny", "lines"):
        columns, wanted = np.nonzero(found.any(axis=0))[0], np.nonzero(picture.any(axis=0))[0]
        if len(columns) and len(wanted) and wanted.min() > 1 and wanted.max() < view.bucket[0] - 2:
            assert abs(columns.mean() - (wanted.max() if view.mirrored else wanted.min())) <= 1.5
    else:
        apart = picture != found
        assert apart.sum() <= 2 * (picture.sum() ** 0.5 * 4 + 4)


def test_nothing_is_resampled_where_nothing_is_reduced() -> None:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (64, 100, 3), dtype=np.uint8))
    view = View((100, 64), (64, 64), 17, 0)
    assert view.scale == 1 and view.slack == (36, 0)
    for seen in (view.of_picture(picture), *(view.of_map(picture, conditions.get(name)) for name in ("canny", "depth"))):
        assert seen.tobytes() == picture.crop((17, 0, 81, 64)).tobytes()


def test_a_class_stays_a_class() -> None:
    scene = make(3)
    map_ = conditions.get("segmentation").ground_truth
    assert map_ is not None
    whole = map_(scene)
    seen = View(whole.size, (96, 80), 0, 5, mirrored=True).of_map(whole, conditions.get("segmentation"))
    assert {colour for _, colour in seen.getcolors() or []} <= {colour for _, colour in whole.getcolors() or []}


def test_sdxl_is_told_the_truth() -> None:
    view = View((1600, 1000), (640, 384), 0, 3)
    assert view.scale == 0.4 and view.slack == (0, 16)
    assert view.time_ids() == (1000, 1600, 3, 0, 384, 640)
    wide = View((3000, 1000), (640, 320), 100, 0)
    assert wide.slack == (320, 0) and wide.time_ids() == (1000, 3000, 0, 100, 320, 640)
    mirrored = View((3000, 1000), (640, 320), 100, 0, mirrored=True)
    assert mirrored.time_ids() == (1000, 3000, 0, 220, 320, 640)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (320, 960, 3), dtype=np.uint8))
    turned = View((960, 320), (640, 320), 100, 0, mirrored=True)
    other = View((960, 320), (640, 320), turned.time_ids()[3], 0)
    assert turned.of_picture(picture).tobytes() == other.of_picture(ImageOps.mirror(picture)).tobytes()


ORDERS = st.lists(st.integers(1, 30), min_size=1, max_size=7)


def order_of(counts: list[int], batch_size: int, seed: int = 0) -> BucketOrder:
    places = iter(np.random.default_rng(0).permutation(sum(counts)).tolist())
    return BucketOrder([[next(places) for _ in range(count)] for count in counts], batch_size, seed)


@given(counts=ORDERS, batch_size=st.integers(1, 8), epochs=st.integers(1, 4))
def test_after_some_epochs_every_pair_was_seen_as_often_but_for_less_than_a_batch_of_each_bucket(
    counts: list[int], batch_size: int, epochs: int
) -> None:
    order = order_of(counts, batch_size)
    steps = sum(order.batches_before(epochs))
    seen = [order.samples_of_step(step) for step in range(steps)]
    assert all(ref.index in order.members[bucket] for bucket, refs in seen for ref in refs)  # of one bucket
    visits = Counter((ref.index, ref.epoch) for _, refs in seen for ref in refs)
    assert not visits or max(visits.values()) == 1  # each once in an epoch of its bucket
    for bucket, members in enumerate(order.members):
        made = sum(one == bucket for one, _ in seen)
        assert made == epochs * len(members) // batch_size
        assert epochs * len(members) - made * batch_size < batch_size
        for epoch in range(made * batch_size // len(members)):
            assert all((place, epoch) in visits for place in members)


@given(counts=ORDERS, share=st.integers(1, 3), parts=st.integers(1, 3), step=st.integers(0, 10**6), seed=st.integers(0, 99))
def test_the_parts_of_a_step_are_the_step_however_many(counts: list[int], share: int, parts: int, step: int, seed: int) -> None:
    order = order_of(counts, share * parts, seed)
    bucket, whole = order.samples_of_step(step)
    divided = [order.samples_of_step(step, part, parts) for part in range(parts)]
    assert {one for one, _ in divided} == {bucket} and [ref for _, refs in divided for ref in refs] == whole
    assert whole == order_of(counts, share * parts, seed).samples_of_step(step)[1]


def test_buckets_are_mixed_and_orders_differ_by_seed_and_epoch() -> None:
    order = order_of([400, 400, 200], 4)
    first = [order.batch_of_step(step)[0] for step in range(250)]
    assert Counter(first) == {0: 100, 1: 100, 2: 50}
    assert sum(a != b for a, b in pairwise(first)) > 120  # not one after the other
    assert first != [order.batch_of_step(step)[0] for step in range(250, 500)]
    assert first != [order_of([400, 400, 200], 4, seed=1).batch_of_step(step)[0] for step in range(250)]
