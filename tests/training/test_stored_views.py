"""Training on stored views is training on the pictures, bit by bit, where these are cut in the same places, and opens none."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data.prepared_folders import prepare_small, write_sizes
from tests.tiny import count_calls
from tests.training.conftest import Settings, settings_in
from tests.training.test_prepared_runs import opened
from tests.training.test_trainer import log, same, state
from zeroconv.data import open_pairs
from zeroconv.data.prepared.row_content import RowContent
from zeroconv.diffusion import generator
from zeroconv.errors import InputError
from zeroconv.messages import listen
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training import TrainConfig, Trainer, train
from zeroconv.training.data import views as views_of_runs
from zeroconv.training.planning.plan import plan_run

__all__ = ["opened"]

FIXED = {"low": 20, "high": 60}
ORDER = [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 4]
"""Twelve pictures of five shapes, one of which is smaller than its bucket."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sizes(tmp_path_factory.mktemp("views") / "pairs", ORDER, p1="a sign", p2=["to the left", "ab"])


@pytest.fixture(scope="module")
def prepared(folder: Path, base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`prepared(crops=3)`: views of Canny maps, made once."""
    made: dict[str, Path] = {}

    def build(**changed: Any) -> Path:
        asked = {"condition": "canny", "extract": FIXED, "resolution": 32, "crops": 3, "flip": True, **changed}
        key = json.dumps(asked)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("views") / "prepared"
            with listen(lambda _: None):
                prepare_small(folder, made[key], base_folder, **asked)
        return made[key]

    return build


@pytest.fixture
def views(settings: Settings, folder: Path) -> Settings:
    def build(**changed: Any) -> TrainConfig:
        given = {"data": str(folder), "buckets": True, "resolution": 32, "crops": 3, "flip": True, "max_broken": 0.2}
        return settings(**{**given, "extract": FIXED, **changed})

    return build


@pytest.fixture
def cut_alike(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Draw the places of parts by the pairs' content in runs without a prepared folder, too."""
    data = open_pairs(str(folder), "canny")
    content = RowContent(data, "canny")

    def draw(seed: int, *key: int | str) -> torch.Generator:
        if key[0] != "part":
            return generator(seed, *key)
        return generator(0, "stored view", content.key(int(key[1])), key[2])  # the first pairs are those that are trained on

    monkeypatch.setattr(views_of_runs, "generator", draw)


@pytest.mark.slow
@pytest.mark.usefixtures("cut_alike")
def test_the_run_is_the_one_that_cuts_the_pictures_and_goes_on_from_a_moved_folder(
    views: Settings, prepared: Callable[..., Path], tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"accumulation": 2, "workers": 1, "prompt_dropout": 0.2, "probe_every": 2}
    train(views(**asked, steps=2, out=tmp_path / "without"))
    train(views(**asked, steps=1, out=tmp_path / "with", cache=prepared()))
    shutil.copytree(prepared(), moved := tmp_path / "moved")
    train(views(**asked, steps=2, out=tmp_path / "with", cache=moved))
    assert same(state(tmp_path / "with"), state(tmp_path / "without"))
    assert not (tmp_path / "with" / "cache").exists()
    said = [row["text"] for row in log(tmp_path / "with") if row.get("code") == "run.other-settings"]
    assert any(f"data.cache = {moved} (was {prepared()})" in text for text in said)  # it might hold other parts


@pytest.mark.parametrize(("crops", "extract"), [(3, FIXED), (3, {})])
@pytest.mark.usefixtures("cut_alike")
def test_a_batch_is_the_one_of_the_pictures_that_are_cut_alike(
    crops: int, extract: dict[str, Any], views: Settings, prepared: Callable[..., Path], tmp_path: Path
) -> None:
    require_same_batches(views, prepared(crops=crops, extract=extract), tmp_path, crops=crops, extract=extract)


def test_a_batch_of_middles_is_the_one_of_the_pictures(views: Settings, prepared: Callable[..., Path], tmp_path: Path) -> None:
    require_same_batches(views, prepared(crops=1), tmp_path, crops=1)


def require_same_batches(views: Settings, cache: Path, folder: Path, **changed: Any) -> None:
    """Compare what runs see with and without a prepared folder, to the last bit."""
    given = {"with": {"cache": cache}, "without": {}}
    one, other = (Trainer(views(**changed, **more, out=folder / name), lambda _: None) for name, more in given.items())
    mirrored: set[bool] = set()
    for step in range(5):
        visits, cut = one.batches.gather((step, 0, 1)), other.batches.gather((step, 0, 1))
        assert [view for view, _ in visits.views] == [view for view, _ in cut.views]
        assert bool(visits.pairs) == (not one.data.has_maps)
        mirrored |= {view.mirrored for view, _ in visits.views}
        batch, wanted = one.batches(step), other.batches(step)
        assert list(batch.names) == list(wanted.names)
        for name in ("z_0", "text", "condition", "t", "epsilon"):
            assert torch.equal(getattr(batch, name), getattr(wanted, name)), name
    assert mirrored == {False, True}
    one.folder.unlock()
    other.folder.unlock()


def test_no_picture_is_opened_but_those_held_out(
    views: Settings, prepared: Callable[..., Path], opened: list[str], base: StableDiffusion
) -> None:
    cache = prepared()
    opened.clear()
    trainer = Trainer(views(cache=cache, batch_size=4), lambda _: None)
    calls = count_calls(base.vae.encoder)
    for step in range(4):
        trainer.batches(step)
    held_out = sorted(trainer.data.held_out)
    trainer.folder.unlock()
    assert sorted(opened) == held_out and len(held_out) == 2 and calls == []


def test_each_epoch_sees_one_view_of_each_pair_and_all_are_seen_in_time(views: Settings, prepared: Callable[..., Path]) -> None:
    trainer = Trainer(views(cache=prepared(), batch_size=1), lambda _: None)
    steps = [trainer.batches.gather((step, 0, 1)) for step in range(9 * 24)]
    trainer.folder.unlock()
    visits = Counter((one.places[0], one.refs[0].epoch) for one in steps)
    assert max(visits.values()) == 1 and len({place for place, _ in visits}) == 9 and len(visits) == 9 * 24
    seen: dict[int, set[Any]] = {}
    for one in steps:
        (view, row), place = one.views[0], one.places[0]
        seen.setdefault(place, set()).add((view.left, view.top, view.mirrored, row))
        assert one.size == view.bucket
        caption = trainer.data.found[place].captions or (trainer.data.found[place].caption,)
        assert not (view.mirrored and ("sign" in caption[one.captions[0]] or "left" in caption[one.captions[0]]))
    assert [len(seen[place]) for place in (0, 1, 3)] == [6, 3, 2]


def test_orders_are_those_of_the_seed_and_parts_of_a_step_are_the_step(views: Settings, prepared: Callable[..., Path]) -> None:
    cache = prepared()
    one, again, other, without = (
        Trainer(views(batch_size=4, out=views().checkpoint.out / name, **changed), lambda _: None)
        for name, changed in (
            ("a", {"cache": cache}),
            ("b", {"cache": cache}),
            ("c", {"cache": cache, "seed": 1}),
            ("d", {}),
        )
    )
    names = [[list(run.batches(step).names) for step in range(6)] for run in (one, again, other, without)]
    assert names[0] == names[1] == names[3] != names[2]
    for step in range(3):
        whole, parts = one.batches(step), [one.batches(step, part, 2) for part in range(2)]
        assert torch.equal(whole.z_0, torch.cat([part.z_0 for part in parts]))
        assert torch.equal(whole.condition, torch.cat([part.condition for part in parts]))
    for run in (one, again, other, without):
        run.folder.unlock()


def test_a_broken_pair_is_replaced_by_one_of_its_bucket(views: Settings, prepared: Callable[..., Path]) -> None:
    trainer = Trainer(views(cache=prepared(), batch_size=1, max_broken=0.4), lambda _: None)
    before = [trainer.batches.gather((step, 0, 1)) for step in range(9)]
    place = next(one.places[0] for one in before if sum(other.size == one.size for other in before) > 1)
    trainer.data.pairs.broken[place] = "it was deleted"
    for step, one in enumerate(before):
        other = trainer.batches.gather((step, 0, 1))
        assert one.size == other.size == other.views[0][0].bucket
        assert (one.places == other.places) == (one.places[0] != place)
    trainer.folder.unlock()


@pytest.mark.parametrize(
    ("changed", "asked"),
    [
        ({"buckets": False, "resolution": None, "crops": 1, "flip": False}, "whole pictures are asked for"),
        ({"crops": 2}, "2 crops of each picture, mirrored too, in buckets of 32x32 (steps of 8) are asked for"),
        ({"crops": 1, "flip": False}, "1 crop, the middle, of each picture in buckets of 32x32 (steps of 8) are asked for"),
        ({"resolution": 40}, "3 crops of each picture, mirrored too, in buckets of 40x40 (steps of 8) are asked for"),
    ],
)
def test_what_was_not_prepared_is_refused_in_a_line_that_says_both(
    changed: dict[str, Any], asked: str, views: Settings, prepared: Callable[..., Path]
) -> None:
    config = views(cache=prepared(), **changed)
    for refused in (lambda: Trainer(config, lambda _: None), lambda: plan_run(config)):
        with pytest.raises(InputError) as caught:
            refused()
        assert str(caught.value) == (
            f"{prepared()} holds 3 crops of each picture, mirrored too, in buckets of 32x32 (steps of 8); {asked}: take "
            "`--set buckets=true --set resolution=32 --set crops=3 --set flip=true`, or name another data.cache"
        )
        assert caught.value.field == "data.cache" and not config.checkpoint.out.exists()


def test_whole_pictures_are_no_views_and_mirrored_ones_need_not_be_taken(
    views: Settings, prepared: Callable[..., Path], data_folder: Path, base_folder: Path, tmp_path: Path
) -> None:
    prepare_small(data_folder, tmp_path / "whole", base_folder)
    with pytest.raises(InputError, match=r"whole holds whole pictures; 3 crops .* are asked for: leave out buckets, or name"):
        Trainer(views(data=str(data_folder), cache=tmp_path / "whole"), lambda _: None)
    with pytest.raises(InputError, match=r"holds 3 crops of each picture in buckets of 32x32 .* mirrored too"):
        Trainer(views(cache=prepared(flip=False)), lambda _: None)
    trainer = Trainer(views(cache=prepared(), flip=False, batch_size=1), lambda _: None)
    assert not any(trainer.batches.gather((step, 0, 1)).views[0][0].mirrored for step in range(30))
    trainer.folder.unlock()


def test_the_plan_says_the_views(views: Settings, prepared: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zeroconv.training.planning.plan.time_steps", lambda *_: None)
    plan = plan_run(views(cache=prepared()))
    (line,) = [line for line in plan.lines() if line.startswith("# prepared: ")]
    assert line.startswith("# prepared: 3 crops of each picture, mirrored too, in buckets of 32x32 (steps of 8): ")
    assert line.endswith(" views of pictures in 24x40 (6), 40x24 (4), 32x32 (1)") and plan.cache == 0
    assert plan.to_json()["prepared"] == line.removeprefix("# prepared: ")


def test_sdxl_is_told_size_and_place_of_each_stored_part(folder: Path, xl_folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "prepared"
    prepare_small(folder, cache, xl_folder, condition="canny", extract=FIXED, resolution=32, crops=2, flip=True)
    asked: dict[str, Any] = {"buckets": True, "resolution": 32, "crops": 2, "flip": True, "max_broken": 0.2, "extract": FIXED}
    trainer = Trainer(settings_in(tmp_path, xl_folder, folder)(**asked, cache=cache), lambda _: None)
    for step in range(3):
        visits, batch = trainer.batches.gather((step, 0, 1)), trainer.batches(step)
        assert batch.added_conditions is not None and not visits.pairs
        assert batch.added_conditions.time_ids.tolist() == [list(view.time_ids()) for view, _ in visits.views]
    trainer.folder.unlock()
