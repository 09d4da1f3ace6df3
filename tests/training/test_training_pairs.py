"""Pairs that cannot be used: left out, listed, counted; all others are seen exactly when they would have been."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.data.prepared_folders import write_pairs
from tests.training.conftest import Settings
from tests.training.test_trainer import log, same, state
from zeroconv.data import Pair
from zeroconv.errors import InputError
from zeroconv.training import Event, Message, ProbeEvent, Trainer, train
from zeroconv.training.data.training_pairs import TrainingPairs, choose_held_out, open_held_out


class Numbers:
    """A data set whose pairs are their numbers; some cannot be opened."""

    max_captions = 1

    def __init__(self, count: int, broken: set[int]) -> None:
        self.names: Sequence[str] = [str(i) for i in range(count)]
        self.broken, self.image = broken, Image.new("RGB", (1, 1))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pair:
        if index in self.broken:
            raise InputError(f"{index} is broken")
        return Pair(str(index), self.image, "")


def accept(_: Pair) -> None:
    """Every pair will do."""


def test_one_percent_of_ten_thousand_is_left_out_and_the_rest_stays_in_its_order() -> None:
    broken = set(range(7, 10_000, 100))
    pairs = TrainingPairs(Numbers(10_000, broken), range(10_000), 0.1, {})
    seen = [pairs.open(place, accept)[0] for place in range(10_000)]
    assert [place for place, found in enumerate(seen) if found != place] == sorted(broken)
    assert all(seen[place] == place + 1 for place in broken)
    assert pairs.broken == {index: f"{index} is broken" for index in broken}


def test_what_is_known_to_be_broken_is_not_opened() -> None:
    pairs = TrainingPairs(Numbers(10, set()), [1, 3, 5, 7, 9], 0.5, {3: "no", 9: "no", 2: "held out"})
    assert pairs.broken == {1: "no", 4: "no"}
    assert [pairs.open(place, accept)[1].name for place in range(5)] == ["1", "5", "5", "7", "1"]
    assert pairs.name(2) == "5"


def test_too_many_are_refused_with_the_first() -> None:
    pairs = TrainingPairs(Numbers(10, {2, 3}), range(10), 0.1, {})
    with pytest.raises(
        InputError, match=r"2 of 10 pairs cannot be used, 1 may be left out \(first: 2 is broken\): .*max_broken"
    ):
        pairs.open(2, accept)
    with pytest.raises(InputError, match="1 of 1 pairs cannot be used, 0 may be left out"):
        TrainingPairs(Numbers(1, set()), [0], 0.99, {0: "no"})


def test_held_out_pairs_are_the_last_that_can_be_used() -> None:
    broken = {9: "no header"}
    indices, opened = open_held_out(Numbers(10, {8, 6}), 3, broken, None)
    assert indices == [4, 5, 7] and [pair.name for pair in opened] == ["4", "5", "7"]
    assert broken == {9: "no header", 8: "8 is broken", 6: "6 is broken"}
    with pytest.raises(InputError, match="the data set has 3 pairs and 3 are held out: give more pairs"):
        open_held_out(Numbers(3, set()), 3, {}, None)
    with pytest.raises(InputError, match=r"3 pairs, 1 of them usable, and 2 are held out: .*first: pair 'b' is too wide"):
        choose_held_out(["a", "b", "c"], 2, {1: "pair 'b' is too wide", 2: "no"}, None)


def test_held_out_pairs_stay_those_of_the_beginning() -> None:
    assert open_held_out(Numbers(20, set()), 2, {}, ["8", "9"])[0] == [8, 9]
    with pytest.raises(InputError, match="the run holds out '30', which is not in the data any more"):
        open_held_out(Numbers(20, set()), 2, {}, ["9", "30"])
    with pytest.raises(InputError, match="9 is broken"):
        open_held_out(Numbers(20, {9}), 2, {}, ["8", "9"])


@pytest.fixture
def folder(data_folder: Path, tmp_path: Path) -> Path:
    """A data set that a test may change."""
    shutil.copytree(data_folder, tmp_path / "data")
    return tmp_path / "data"


def skipped(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "skipped.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_goes_on_without_a_picture_that_breaks_and_resumes_to_the_same_bits(
    settings: Settings, folder: Path, workers: int
) -> None:
    """It goes when all headers were looked at; when the second run begins it is known to be missing."""
    whole, parts = (
        settings(data=str(folder), steps=6, workers=workers, out=folder.parent / name) for name in ("whole", "parts")
    )
    told: list[str] = []

    def lose(event: Event) -> None:
        if isinstance(event, ProbeEvent) and event.step == 0:
            (folder / "2.png").unlink()
        elif isinstance(event, Message) and event.code == "data.left-out":
            told.append(event.text)

    train(whole, lose)
    assert [row["name"] for row in skipped(whole.checkpoint.out)] == ["2.png"]
    assert len(told) == 1 and told[0].startswith("pair '2.png' cannot be used and is left out from now on: no such file")
    train(parts, stop_at(parts.checkpoint.out, 4))
    train(parts)
    assert same(state(parts.checkpoint.out), state(whole.checkpoint.out))
    assert [row["name"] for row in skipped(parts.checkpoint.out)] == ["2.png"]


def stop_at(out: Path, step: int) -> Any:
    def report(event: Event) -> None:
        if getattr(event, "step", None) == step:
            (out / "stop").touch()

    return report


def test_a_header_that_is_broken_is_said_before_the_first_step(settings: Settings, folder: Path) -> None:
    (folder / "1.png").write_bytes(b"no picture")
    config, events = settings(data=str(folder)), list[Event]()
    train(config, events.append)
    assert [row["name"] for row in skipped(config.checkpoint.out)] == ["1.png"]
    assert any(
        "1 of 7 pairs cannot be used and are left out" in row["text"] for row in log(config.checkpoint.out) if "text" in row
    )


def test_a_grown_data_set_keeps_its_held_out_pairs(settings: Settings, folder: Path) -> None:
    config = settings(data=str(folder), steps=2)
    train(config)
    before = json.loads((config.checkpoint.out / "held-out.json").read_text())
    rows = (folder / "metadata.jsonl").read_text().splitlines()
    shutil.copy(folder / "0.png", folder / "new.png")
    (folder / "metadata.jsonl").write_text("\n".join([*rows, json.dumps({"file_name": "new.png", "text": "new"})]))
    trainer = Trainer(settings(data=str(folder)), lambda _: None)
    assert trainer.data.held_out == before["names"] == ["7.png", "8.png"]
    assert [trainer.data.pairs.name(place) for place in range(8)][-1] == "new.png"
    trainer.fit()


def test_a_data_set_that_grew_is_said_and_keeps_its_held_out_pairs(settings: Settings, tmp_path: Path) -> None:
    config = settings(data=str(write_pairs(tmp_path / "pairs", 10)), steps=2)
    train(config)
    kept = json.loads((config.checkpoint.out / "held-out.json").read_text())
    assert kept == {"names": ["8.png", "9.png"], "pairs": 10}
    write_pairs(tmp_path / "pairs", 13)
    told: list[Event] = []
    train(settings(data=str(tmp_path / "pairs"), steps=4), told.append)
    (found,) = [one.text for one in told if isinstance(one, Message) and one.code == "data.other-count"]
    assert found == "the data set has 13 pairs and had 10: from here on they are seen in another order"
    assert json.loads((config.checkpoint.out / "held-out.json").read_text()) == {**kept, "pairs": 13}
