"""Training on pictures of any size: buckets, parts and mirrored visits; the same after a resume, in parts, with workers."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny import SDXL, build_base
from tests.training.conftest import Settings, settings_in
from tests.training.test_trainer import log, same, state
from zeroconv.data.latent_cache import LatentCache
from zeroconv.data.sampling_order import SampleRef
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training import TrainConfig, Trainer, train
from zeroconv.training.data.views import Views

SIZES = [(128, 128), (140, 130), (192, 96), (200, 90), (96, 192), (128, 128), (300, 150), (130, 129), (64, 128), (150, 150)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of several sizes, each its own map; one caption says left."""
    made, rng = tmp_path_factory.mktemp("sizes"), np.random.default_rng(0)
    lines: list[str] = []
    for i, size in enumerate(SIZES):
        blocks = Image.fromarray(rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8))
        blocks.resize(size, Image.Resampling.NEAREST).save(made / f"{i}.png")
        caption = "a left turn" if i == 0 else "abcdefghij"[i]
        lines.append(json.dumps({"file_name": f"{i}.png", "tile": f"{i}.png", "text": caption}))
    (made / "metadata.jsonl").write_text("\n".join(lines), "utf-8")
    return made


@pytest.fixture
def views(settings: Settings, folder: Path) -> Settings:
    def build(**changed: Any) -> TrainConfig:
        given = {"data": str(folder), "condition": "tile", "buckets": True, "max_broken": 0.2, "prompt_dropout": 0, **changed}
        return settings(**{"resolution": 64, **given})

    return build


def test_pictures_of_any_size_are_trained_on_and_said(views: Settings) -> None:
    config = views(steps=4, crops=2, flip=True)
    train(config)
    said = [row["text"] for row in log(config.checkpoint.out) if "text" in row]
    (line,) = [text for text in said if "buckets" in text]
    assert line == (
        "10 of 10 pictures, of 9 sizes in all, are reduced and cut to their buckets, 64x64 (5), 80x48 (3), 48x80 (2); "
        "their maps are cut in the same place and reduced as maps of tile are"
    )


def test_batches_are_of_one_bucket_and_a_picture_that_is_its_map_stays_it(views: Settings) -> None:
    trainer = Trainer(views(crops=3, flip=True, batch_size=2), lambda _: None)
    seen: set[tuple[int, int]] = set()
    for step in range(12):
        visits = trainer.batches.gather((step, 0, 1))
        assert visits.maps is not None and len({pair.image.size for pair in visits.pairs}) == 1
        for (view, _), pair, map_ in zip(visits.views, visits.pairs, visits.maps, strict=True):
            assert pair.image.size == view.bucket == map_.size and pair.image.tobytes() == map_.tobytes()
            assert not (view.mirrored and "left" in pair.caption)
        batch = trainer.batches(step)
        width, height = visits.size
        assert batch.condition.shape[2:] == (height, width) and batch.z_0.shape == batch.epsilon.shape
        seen.add((width, height))
    assert len(seen) > 2


def test_every_pair_is_seen_once_in_an_epoch_of_its_bucket(views: Settings) -> None:
    trainer = Trainer(views(batch_size=1), lambda _: None)
    found = trainer.data.views
    assert isinstance(found, Views)
    assert sorted(trainer.batches.gather((step, 0, 1)).places[0] for step in range(8)) == list(range(8))


def test_latents_are_those_of_the_part_and_are_kept(views: Settings, base: StableDiffusion) -> None:
    trainer = Trainer(views(crops=2, flip=True), lambda _: None)
    visits = trainer.batches.gather((0, 0, 1))
    first, again = trainer.batches(0), trainer.batches(0)
    assert torch.equal(first.z_0, again.z_0)
    from zeroconv.images import normalize, to_tensor

    for z_0, pair in zip(first.z_0, visits.pairs, strict=True):
        truth = base.encode_images(normalize(to_tensor(pair.image))[None])[0]
        torch.testing.assert_close(z_0, truth, atol=2e-3, rtol=2e-3)
    rows = {(place, number) for place, (_, number) in zip(visits.places, visits.views, strict=True)}
    assert isinstance(trainer.cache, LatentCache) and int(trainer.cache.filled.sum()) == len(rows)
    assert len(trainer.cache.digests) == 10 * 4


def test_a_stopped_run_goes_on_with_the_same_bits(views: Settings, tmp_path: Path) -> None:
    options: dict[str, Any] = {"crops": 2, "flip": True, "accumulation": 2, "probe_every": 100}
    straight = views(steps=6, out=tmp_path / "straight", **options)
    train(straight)
    for workers in (0, 2):
        for steps in (2, 6):
            train(views(steps=steps, out=tmp_path / f"resumed-{workers}", workers=workers, **options))
        assert same(state(straight.checkpoint.out), state(tmp_path / f"resumed-{workers}"))


def test_a_picture_smaller_than_its_bucket_is_left_out_and_not_enlarged(views: Settings) -> None:
    with pytest.raises(InputError, match=r"1 of 8 pairs cannot be used, .*'8.png' is 64x128, smaller than its bucket of"):
        Trainer(views(resolution=96, max_broken=0, probe_count=2), lambda _: None)
    config = views(resolution=96, probe_every=100)
    train(config)
    skipped = (config.checkpoint.out / "skipped.jsonl").read_text("utf-8")
    assert "8.png" in skipped and "give a larger picture, or a smaller `resolution`" in skipped


def test_a_broken_pair_is_replaced_by_one_of_its_bucket(views: Settings, folder: Path, tmp_path: Path) -> None:
    trainer = Trainer(views(batch_size=1, max_broken=0.3), lambda _: None)
    before = [trainer.batches.gather((step, 0, 1)) for step in range(8)]
    place = before[0].places[0]
    trainer.data.pairs.broken[place] = "it was deleted"
    after = [trainer.batches.gather((step, 0, 1)) for step in range(8)]
    for one, other in zip(before, after, strict=True):
        assert one.size == other.size and (one.places == other.places) == (one.places[0] != place)
        assert torch.equal(one.drawn[0].epsilon, other.drawn[0].epsilon)


def test_where_no_picture_is_large_enough_the_first_is_named(views: Settings) -> None:
    with pytest.raises(
        InputError, match=r"none of 10 pairs can be used \(first: pair '0\.png' is 128x128, smaller than its bucket"
    ):
        Trainer(views(resolution=1024), lambda _: None)


@pytest.mark.parametrize(
    ("caption", "may_be"),
    [
        ("a house to the left", False), ("Right turn", False), ("a leftover", False), ("a shop sign", False),
        ('the word "stop"', False),
        ("white lettering", False), ("a bright red house", True), ("a copyrighted design", True), ("", True),
    ],
)  # fmt: skip
def test_pictures_with_writing_or_sides_are_never_mirrored(caption: str, may_be: bool, views: Settings) -> None:
    trainer = Trainer(views(flip=True), lambda _: None)
    assert trainer.data.views is not None
    pair = replace(trainer.data.pairs.pairs[0], caption=caption)
    seen = [trainer.data.views.see(SampleRef(0, epoch), 0, pair, (64, 64))[0].mirrored for epoch in range(20)]
    assert any(seen) == may_be and not all(seen)
    trainer.folder.unlock()


def test_settings_of_buckets_need_them_and_are_fixed(views: Settings) -> None:
    for name, value in (("resolution", 64), ("crops", 2), ("flip", True)):
        with pytest.raises(InputError, match=rf"{name} without buckets; expected `buckets=true` with it"):
            views(**{"buckets": False, "resolution": None, name: value})
    train(views(steps=1))
    with pytest.raises(InputError, match=r"data\.crops = 1, now 2 is asked for"):
        train(views(steps=2, crops=2))


def test_sdxl_is_told_size_and_place_of_each_part(folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "xl"
    build_base(base, config=SDXL)
    settings = settings_in(tmp_path, base, folder)
    trainer = Trainer(
        settings(condition="tile", buckets=True, resolution=64, crops=4, flip=True, max_broken=0.2), lambda _: None
    )
    for step in range(3):
        visits, batch = trainer.batches.gather((step, 0, 1)), trainer.batches(step)
        assert batch.added_conditions is not None
        told = batch.added_conditions.time_ids.tolist()
        for (view, _), ids in zip(visits.views, told, strict=True):
            assert ids[:2] == [view.picture[1], view.picture[0]] and ids[4:] == [view.bucket[1], view.bucket[0]]
            assert ids[2] == view.top and ids[3] == (view.slack[0] - view.left if view.mirrored else view.left)
        with torch.no_grad():
            assert trainer.loss(batch).isfinite()


def test_a_picture_that_changed_its_size_meanwhile_is_left_out(views: Settings) -> None:
    trainer = Trainer(views(batch_size=1, max_broken=0.3), lambda _: None)
    place = trainer.batches.gather((0, 0, 1)).places[0]
    trainer.data.pairs.sizes = {**trainer.data.pairs.sizes, place: (7, 7)}
    assert trainer.batches.gather((0, 0, 1)).places[0] != place
    assert "another size than when the run began" in trainer.data.pairs.broken[place]


def test_parts_of_a_step_are_the_step(views: Settings) -> None:
    trainer = Trainer(views(batch_size=4, crops=2, flip=True), lambda _: None)
    whole = trainer.batches(1)
    parts = [trainer.batches(1, part, 2) for part in range(2)]
    assert torch.equal(whole.z_0, torch.cat([part.z_0 for part in parts]))
    assert torch.equal(whole.condition, torch.cat([part.condition for part in parts]))


def test_runs_share_a_folder_that_was_not_prepared(views: Settings, tmp_path: Path) -> None:
    trainer = Trainer(views(cache=tmp_path / "shared", crops=2), lambda _: None)
    trainer.batches(0)
    assert len(list((tmp_path / "shared").iterdir())) == 1
