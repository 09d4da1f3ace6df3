"""Prepared views: each is what training makes of its picture, by content alone, whoever makes it; and one at a time does."""

import os
import pickle
import platform
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from tests.data.prepared_folders import content, prepare_small, write_sizes
from tests.data.test_prepared import die_at, in_child
from zeroconv import conditions
from zeroconv.data import open_pairs, write_world
from zeroconv.data.buckets import View, choose_bucket
from zeroconv.data.prepared import PreparedCache, Progressed, verify
from zeroconv.data.prepared.encoders import open_encoders
from zeroconv.data.prepared.job import Job
from zeroconv.data.prepared.ray_engine import make_part
from zeroconv.data.prepared.stored_views import ViewSettings
from zeroconv.errors import InputError
from zeroconv.images import normalize, to_tensor
from zeroconv.messages import listen
from zeroconv.stable_diffusion import StableDiffusion

SEEN: dict[str, Any] = {"resolution": 32, "crops": 3, "flip": True, "max_broken": 0.2}
FIXED: dict[str, Any] = {"condition": "canny", "extract": {"low": 20, "high": 60}, **SEEN}


@pytest.fixture(scope="module", autouse=True)
def opened_once() -> Iterator[None]:
    """Encoders are opened once for all calls; nobody changes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zeroconv.data.prepared.preparation.open_encoders", cache(open_encoders))
        patch.setattr("zeroconv.data.prepared.maker.open_encoders", cache(open_encoders))
        yield


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of several sizes; the last is smaller than its bucket."""
    return write_sizes(tmp_path_factory.mktemp("views") / "pairs", p1="a sign", p2=["to the left", "ab"])


@pytest.fixture(scope="module")
def straight(pairs: Path, base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared by one process that nobody touched."""
    out = tmp_path_factory.mktemp("views") / "straight"
    assert prepare_small(pairs, out, base_folder, **FIXED).made == 3
    return out


def stored(found: PreparedCache, index: int) -> list[tuple[int, View]]:
    """Every view of a pair, with its row."""
    mirrored = found.find(index)[0]["view_of"][index % 3, 0, 1] >= 0
    return [found.find_view(index, crop, bool(turn)) for crop in range(3) for turn in range(1 + int(mirrored))]


def test_a_view_is_what_training_makes_of_its_picture(straight: Path, pairs: Path, base: StableDiffusion) -> None:
    found, data = PreparedCache(straight), open_pairs(pairs, "canny")
    buckets = ViewSettings.of_base(base, 32, 1, False).buckets
    seen: set[tuple[int, int]] = set()
    for index in range(7):
        picture = data[index].image
        for row, view in stored(found, index):
            assert view.bucket == choose_bucket(picture.size, buckets) and view.picture == picture.size
            part = view.of_picture(picture)
            latents = found.read([index], [0], [row])[0][0]
            wanted = base.encode_images(normalize(to_tensor(part))[None])[0]
            assert (latents - wanted.half().float()).abs().max() <= 1e-6
            edges = conditions.extract("canny", part, low=20, high=60)
            assert found.read_map(index, row).tobytes() == edges.tobytes()
            seen.add(view.bucket)
    assert len(seen) > 2 and found.pictures().keys() == set(range(7))


def test_parts_lie_anywhere_each_with_its_mirrored_twin(straight: Path) -> None:
    found = PreparedCache(straight)
    views = [view for _, view in stored(found, 0)]
    assert [view.mirrored for view in views] == [False, True] * 3
    parts = [(view.left, view.top) for view in views]
    assert parts[::2] == parts[1::2] and len(set(parts)) == 3
    assert all(left <= view.slack[0] and top <= view.slack[1] for view in views for left, top in [(view.left, view.top)])
    rows = {row for row, _ in stored(found, 3)}  # of its bucket's shape: all parts are the same, and kept once
    assert len(rows) == 2 and found.entries[1].views == len({(i, row) for i in (3, 4, 5) for row, _ in stored(found, i)})


def test_captions_of_sides_and_writing_keep_a_picture_as_it_is(straight: Path) -> None:
    found = PreparedCache(straight)
    twins = found.find(0)[0]["view_of"][:, :, 1] >= 0
    assert twins.tolist() == [[True] * 3, [False] * 3, [True] * 3]
    assert not found.may_mirror(1, 0) and not found.may_mirror(2, 0) and found.may_mirror(2, 1)


def test_a_pose_is_mirrored_by_its_own_rule(base_folder: Path, tmp_path: Path) -> None:
    write_world(tmp_path / "pairs", 4, ["pose"])
    with listen(lambda _: None):
        prepare_small(tmp_path / "pairs", tmp_path / "out", base_folder, condition="pose", resolution=32, flip=True)
    found, mirror = PreparedCache(tmp_path / "out"), conditions.get("pose").mirror
    people = 0
    for index in range(4):
        if found.find(index)[0]["view_of"][index % 3, 0, 1] < 0:
            continue
        plain, twin = (found.read_map(index, found.find_view(index, 0, turn)[0]) for turn in (False, True))
        assert twin.tobytes() == mirror(plain).tobytes()
        people += twin.tobytes() != ImageOps.mirror(plain).tobytes()
    assert people


def test_places_belong_to_the_content_whatever_its_name_and_neighbours(
    straight: Path, base_folder: Path, tmp_path: Path
) -> None:
    pairs = write_sizes(tmp_path / "pairs", order=[5, 0, 4], p1="a sign", p2=["to the left", "ab"])
    prepare_small(pairs, tmp_path / "out", base_folder, **FIXED)
    one, other = PreparedCache(tmp_path / "out"), PreparedCache(straight)
    for index, same in enumerate([5, 0, 4]):
        assert [view for _, view in stored(one, index)] == [view for _, view in stored(other, same)]


def test_any_number_of_workers_and_interruptions_write_the_same_bytes(
    pairs: Path, straight: Path, base_folder: Path, tmp_path: Path
) -> None:
    prepare_small(pairs, tmp_path / "two", base_folder, workers=2, **FIXED)
    assert content(tmp_path / "two") == content(straight)

    def begin() -> None:
        die_at(5, before=False)  # when the manifest and two shards are there
        prepare_small(pairs, tmp_path / "killed", base_folder, **FIXED)

    assert in_child(begin) == 9
    assert prepare_small(pairs, tmp_path / "killed", base_folder, **FIXED).made == 1
    assert content(tmp_path / "killed") == content(straight)


def test_a_worker_of_ray_makes_them_too(pairs: Path, straight: Path, tmp_path: Path) -> None:
    job = pickle.loads(pickle.dumps(Job(PreparedCache(straight).settings, tmp_path)))
    assert [make_part(job, number).entry for number in range(3)] == PreparedCache(straight).entries  # pyright: ignore
    assert content(tmp_path).items() < content(straight).items()


def test_nothing_changes_where_nothing_changed_and_a_changed_pair_is_seen_anew(base_folder: Path, tmp_path: Path) -> None:
    pairs, out = write_sizes(tmp_path / "pairs"), tmp_path / "out"
    prepare_small(pairs, out, base_folder, **FIXED)
    before = [stored(PreparedCache(out), index) for index in (0, 2)]
    assert prepare_small(pairs, out, base_folder, **FIXED).made == 0
    Image.open(pairs / "0.png").rotate(180).save(pairs / "0.png")
    assert prepare_small(pairs, out, base_folder, **FIXED).made == 1
    after = [stored(PreparedCache(out), index) for index in (0, 2)]
    assert after[0] != before[0] and after[1] == before[1]


def test_a_picture_smaller_than_its_bucket_is_listed(straight: Path) -> None:
    found = PreparedCache(straight)
    assert found.broken.keys() == {7}
    assert "'7.png' is 30x30, smaller than its bucket of 32x32: give a larger picture" in found.broken[7]
    assert sum(found.entries[2].buckets.values()) == 1 and [path.views for path in found.entries] == [13, 14, 6]


def test_the_check_says_the_views(straight: Path) -> None:
    found = verify(straight)
    assert found.views == ViewSettings(32, 8, 3, True) and sum(found.buckets.values()) == 7 and not found.problems
    assert found.content == (
        "3 crops of each picture, mirrored too, in buckets of 32x32 (steps of 8): 33 views of pictures in 24x40 (3), "
        "40x24 (3), 32x32 (1)"
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"crops": 2}, "now 2 crops of each picture, mirrored too, in buckets of 32x32 (steps of 8) are asked for"),
        ({"flip": False}, "now 3 crops of each picture in buckets of 32x32"),
        ({"resolution": 64}, "now 3 crops of each picture, mirrored too, in buckets of 64x64"),
        ({"resolution": None, "crops": 1, "flip": False}, "now whole pictures are asked for"),
    ],
)
def test_other_views_are_refused_by_name(
    changed: dict[str, Any], message: str, straight: Path, pairs: Path, base_folder: Path
) -> None:
    before = content(straight)
    with pytest.raises(
        InputError, match=r"was prepared with 3 crops of each picture, mirrored too, in buckets of 32x32"
    ) as caught:
        prepare_small(pairs, straight, base_folder, **{**FIXED, **changed})
    assert message in str(caught.value) and "\n" not in str(caught.value) and content(straight) == before


def test_any_byte_that_changes_is_noticed(straight: Path, tmp_path: Path) -> None:
    for name, data in content(straight).items():
        (tmp_path / name).write_bytes(data)
    rng, path, whole = np.random.default_rng(0), tmp_path / "shard-00000.safetensors", PreparedCache(straight)
    data = path.read_bytes()
    for _ in range(25):
        place = int(rng.integers(1500, len(data)))  # behind the header, which may hold white space
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << int(rng.integers(8))]) + data[place + 1 :])
        assert verify(tmp_path).problems == [f"{path} is damaged"]
        found = PreparedCache(tmp_path)
        with pytest.raises(
            InputError, match=r"shard-00000\.safetensors is damaged \(pair \d\): the same `zeroconv data prepare`"
        ):
            for index in range(3):
                for row, _ in stored(whole, index):
                    for caption in range(whole.count_captions(index)):
                        found.read([index], [caption], [row])
                    found.read_map(index, row)


def test_a_second_preparation_of_a_folder_is_refused_and_hurts_nothing(
    pairs: Path, straight: Path, base_folder: Path, tmp_path: Path
) -> None:
    refused: list[str] = []

    def meanwhile(state: Progressed) -> None:
        if state.done in (1, 5, 8):
            for fresh in (False, True):
                with pytest.raises(InputError) as caught:
                    prepare_small(pairs, tmp_path / "out", base_folder, fresh=fresh, **FIXED)
                refused.append(str(caught.value))
                assert caught.value.field == "out"

    prepare_small(pairs, tmp_path / "out", base_folder, report=meanwhile, **FIXED)
    assert content(tmp_path / "out") == content(straight) and len(refused) >= 6
    for said in refused:
        assert said.startswith(f"process {os.getpid()} on {platform.node()} is preparing {tmp_path / 'out'}, since 20")
        assert said.endswith(": wait for it, stop it, or choose another --out") and "\n" not in said


def test_a_call_that_fails_at_once_leaves_nothing(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        prepare_small(pairs, tmp_path / "a" / "out", "no-such-base", **FIXED)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with pytest.raises(FileNotFoundError):
        prepare_small(pairs, tmp_path / "out", "no-such-base", **FIXED)
    assert list((tmp_path / "out").iterdir()) == []


def test_scenes_have_views_too(base_folder: Path, base: StableDiffusion, tmp_path: Path) -> None:
    with listen(lambda _: None):
        prepare_small("world:2", tmp_path / "out", base_folder, resolution=32, crops=2, flip=True)
    found, data = PreparedCache(tmp_path / "out"), open_pairs("world:2", "canny")
    row, view = found.find_view(1, 1, False)
    wanted = base.encode_images(normalize(to_tensor(view.of_picture(data[1].image)))[None])
    assert torch.equal(found.read([1], [0], [row])[0], wanted.half().float())
