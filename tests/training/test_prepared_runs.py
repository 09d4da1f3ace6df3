"""A run from a prepared folder is the run without one, bit by bit, and opens no picture that it does not need."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data.prepared_folders import content, draw, prepare_small, write_pairs
from tests.tiny import count_calls
from tests.training.conftest import Settings
from tests.training.test_trainer import log, same, state
from zeroconv import images, picture_files
from zeroconv.errors import InputError
from zeroconv.messages import Message, listen
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training import TrainConfig, Trainer, train
from zeroconv.training.planning.plan import plan_run

FIXED = {"low": 20, "high": 60}
Prepare = Callable[..., Path]


@pytest.fixture
def prepared(base_folder: Path, tmp_path: Path) -> Prepare:
    """`prepared(pairs)`: a folder of shards of three."""

    def build(pairs: Path | str, **changed: Any) -> Path:
        out = tmp_path / "prepared"
        with listen(lambda _: None):
            asked: dict[str, Any] = {"max_broken": 0.3, **changed}
            prepare_small(pairs, out, asked.pop("base", base_folder), **asked)
        return out

    return build


def folder_of(kind: str, tmp_path: Path) -> Path:
    """A data set in which something is unusual."""
    folder = write_pairs(tmp_path / "pairs", 10, maps="maps" in kind, p3=["ab", "re", "ab"], p5="", p6=["d", "e"])
    if "broken" in kind:
        (folder / "2.png").unlink()
        (folder / "5.png").write_bytes((folder / "5.png").read_bytes()[:90])
        draw(folder / "8.png", 8, side=24)
    return folder


@pytest.mark.parametrize(
    ("kind", "extract", "changed"),
    [
        ("fixed maps, broken", FIXED, {"workers": 2}),
        ("drawn, broken", {}, {"accumulation": 2}),
        ("ready maps", {}, {"ema_decay": 0.9}),
    ],
)
def test_the_run_is_the_one_without_it(
    kind: str, extract: dict[str, Any], changed: dict[str, Any], settings: Settings, prepared: Prepare, tmp_path: Path
) -> None:
    folder = folder_of("maps, ready" if kind.startswith("ready") else kind.replace("maps", ""), tmp_path)
    asked: dict[str, Any] = {"data": str(folder), "max_broken": 0.4, "extract": extract, "steps": 2, **changed}
    cache = prepared(folder, condition="canny", extract=extract)
    train(settings(**asked, out=tmp_path / "without"))
    train(settings(**asked, out=tmp_path / "with", cache=cache))
    assert same(state(tmp_path / "with"), state(tmp_path / "without"))
    assert losses(tmp_path / "with") == losses(tmp_path / "without")
    assert not (tmp_path / "with" / "cache").exists()


def losses(out: Path) -> list[Any]:
    """What the log says of steps and probes."""
    return [row for row in log(out) if row["event"] != "message"]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the picture files that are opened."""
    found: list[str] = []
    lazily = picture_files.open_lazily

    def note(path: Any, photo: bool = False) -> Any:
        found.append(Path(str(path)).name)
        return lazily(path, photo)

    for module in (picture_files, images):
        monkeypatch.setattr(module, "open_lazily", note)
    return found


def test_no_picture_is_opened_but_those_held_out(
    settings: Settings, prepared: Prepare, data_folder: Path, opened: list[str]
) -> None:
    cache = prepared(data_folder, condition="canny", extract=FIXED)
    opened.clear()
    train(settings(extract=FIXED, cache=cache, steps=2))
    assert sorted(opened) == ["7.png", "8.png"]


def test_maps_that_are_drawn_open_their_pictures_and_nothing_is_encoded(
    settings: Settings, prepared: Prepare, data_folder: Path, opened: list[str], base: StableDiffusion
) -> None:
    cache = prepared(data_folder, condition="canny")
    opened.clear()
    run = Trainer(settings(cache=cache, batch_size=7), lambda _: None)
    opened.clear()
    calls = count_calls(base.vae.encoder)
    run.batches(0)
    assert sorted(opened) == [f"{i}.png" for i in range(7)] and calls == []


def test_other_maps_than_those_prepared_are_made_from_the_pictures(
    settings: Settings, prepared: Prepare, data_folder: Path, opened: list[str]
) -> None:
    cache = prepared(data_folder, condition="canny", extract=FIXED)
    for changed in ({"extract": {"low": 20, "high": 61}}, {"condition": "lineart"}):
        run = Trainer(settings(cache=cache, out=settings().checkpoint.out / str(len(opened)), **changed), lambda _: None)
        opened.clear()
        run.batches(0)
        assert len(opened) == 2


def test_it_is_never_written_and_two_runs_share_it(
    settings: Settings, prepared: Prepare, data_folder: Path, tmp_path: Path
) -> None:
    cache = prepared(data_folder, condition="canny", extract=FIXED)
    before = content(cache), {path.name: path.stat().st_mtime_ns for path in (cache, *cache.iterdir())}
    for path in (*cache.iterdir(), cache):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        one, other = (settings(extract=FIXED, cache=cache, steps=2, out=tmp_path / name) for name in ("one", "other"))
        first, second = Trainer(one, lambda _: None), Trainer(other, lambda _: None)
        assert first.batches(0).names == second.batches(0).names
        first.fit()
    finally:
        cache.chmod(0o755)
    assert (content(cache), {path.name: path.stat().st_mtime_ns for path in (cache, *cache.iterdir())}) == before


def test_a_run_goes_on_with_it_or_without_it(settings: Settings, prepared: Prepare, data_folder: Path, tmp_path: Path) -> None:
    cache = prepared(data_folder)
    train(settings(out=tmp_path / "whole", steps=2))
    train(settings(out=tmp_path / "parts", steps=1))
    train(settings(out=tmp_path / "parts", steps=2, cache=cache))
    assert same(state(tmp_path / "parts"), state(tmp_path / "whole"))


def refusal(config: TrainConfig) -> str:
    """The one line with which a run is refused."""
    with pytest.raises(InputError) as caught:
        train(config)
    assert not config.checkpoint.out.exists()
    assert caught.value.field == "data.cache" and "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_of_other_pairs_is_refused(settings: Settings, prepared: Prepare, data_folder: Path, tmp_path: Path) -> None:
    cache = prepared(data_folder)
    other = write_pairs(tmp_path / "other", 8)
    assert "with 9 pairs, the data set has 8: prepare it again" in refusal(settings(data=str(other), cache=cache))
    other = write_pairs(tmp_path / "other", 9)
    assert ": the caption of '0.png' has changed: prepare it again" in refusal(settings(data=str(other), cache=cache))
    other_names = (other / "metadata.jsonl").read_text().replace('"4.png"', '"map.png"')
    (other / "metadata.jsonl").write_text(other_names)
    cache = prepared(write_pairs(tmp_path / "again", 9), fresh=True)
    said = refusal(settings(data=str(other), cache=cache))
    assert ": pair 4 was '4.png' there and is 'map.png': prepare it again, or name another data.cache" in said


@pytest.mark.parametrize("stamps", ["kept", "all newer"])
def test_a_picture_that_was_replaced_is_never_seen_with_the_old_latents(
    stamps: str, settings: Settings, prepared: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = write_pairs(tmp_path / "pairs", 10)
    cache = prepared(pairs)
    asked: dict[str, Any] = {"data": str(pairs), "cache": cache, "steps": 1}
    monkeypatch.setattr("zeroconv.data.prepared.comparison.COMPARED", 5)
    if stamps != "kept":  # as in a copy of the data set
        for path in pairs.iterdir():
            os.utime(path, ns=(1, 1))
        told: list[Message] = []
        with listen(told.append):
            Trainer(settings(**asked), lambda _: None).folder.unlock()
        assert [one.code for one in told] == []  # it belongs into the log, where `fit` puts it
        trainer = Trainer(settings(**asked), lambda _: None)
        assert [one.code for one in trainer.opening] == ["data.compared"]
        assert "10 pairs have files of another time" in trainer.opening[0].text
        trainer.folder.unlock()
    (pairs / "3.png").unlink()  # only the list and held-out pictures need to be there
    assert train(settings(**asked)).step == 1
    draw(pairs / "3.png", 3)
    shutil.rmtree(settings().checkpoint.out)
    draw(pairs / "4.png", 77)
    for refused in (lambda: train(settings(**asked)), lambda: plan_run(settings(**asked))):
        with pytest.raises(InputError, match=r"was prepared from another picture or map than that of '4\.png' now: the same"):
            refused()
    prepared(pairs)
    assert train(settings(**asked)).step == 1


def test_a_folder_of_another_base_or_size_is_refused(
    settings: Settings, prepared: Prepare, data_folder: Path, xl_folder: Path, tmp_path: Path
) -> None:
    cache = prepared(data_folder, base=str(xl_folder))
    assert "was prepared with another text encoder" in refusal(settings(cache=cache))
    larger = write_pairs(tmp_path / "pairs", 9)
    cache = prepared(larger, fresh=True)
    for index in range(9):
        draw(larger / f"{index}.png", index, side=32)
    assert "was prepared for pictures of 16x16, they are 32x32" in refusal(settings(data=str(larger), cache=cache))


def test_one_that_is_damaged_or_not_finished_is_refused(settings: Settings, prepared: Prepare, data_folder: Path) -> None:
    cache = prepared(data_folder, condition="canny", extract=FIXED)
    path = cache / "shard-00001.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    for workers in (0, 1):
        with pytest.raises(InputError) as caught:
            train(settings(extract=FIXED, cache=cache, batch_size=7, workers=workers))
        said = str(caught.value)
        assert (
            "\n" not in said and "shard-00001.safetensors is damaged (pair " in said and "`zeroconv data prepare` again" in said
        )
    manifest = cache / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"complete": true', '"complete": false'))
    other = settings(extract=FIXED, cache=cache, out=settings().checkpoint.out / "other")
    assert "is not finished: the same `zeroconv data prepare` again" in refusal(other)


def test_runs_keep_latents_together_where_nothing_was_prepared(
    settings: Settings, base: StableDiffusion, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    own, one = (Trainer(settings(out=tmp_path / name, batch_size=7), lambda _: None).batches(0) for name in ("own", "again"))
    first = Trainer(settings(out=tmp_path / "one", cache=shared, batch_size=7), lambda _: None)
    made = first.batches(0)
    calls = count_calls(base.vae.encoder)
    second = Trainer(settings(out=tmp_path / "two", cache=shared, batch_size=6, probe_count=3), lambda _: None)
    second.batches(0)
    again = Trainer(settings(out=tmp_path / "three", cache=shared, batch_size=7), lambda _: None).batches(0)
    assert calls == [] and torch.equal(made.z_0, own.z_0) and torch.equal(again.z_0, one.z_0)
    assert "shared is no prepared folder: latents and texts are kept there" in first.opening[-1].text
    assert len(list(shared.iterdir())) == 1 and not (tmp_path / "one" / "cache").exists()
