"""Batches: a pure function of step, process and settings, made of keyed samples with emptied prompts."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.training.conftest import Settings, settings_in
from zeroconv.errors import InputError
from zeroconv.training import Trainer, train
from zeroconv.training.data.batches import Batch

FIELDS = ("z_0", "text", "condition", "t", "epsilon")


@pytest.fixture(scope="module")
def trainer(base_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A run that is opened once and trains nothing."""
    return Trainer(settings_in(tmp_path_factory.mktemp("batches"), base_folder, data_folder)(batch_size=6), lambda _: None)


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in FIELDS)


@pytest.mark.parametrize("world_size", [1, 2, 3, 6])
def test_processes_share_the_batch_of_one(trainer: Trainer, world_size: int) -> None:
    whole = trainer.batches(4)
    parts = [trainer.batches(4, rank, world_size) for rank in range(world_size)]
    assert {len(part.t) for part in parts} == {6 // world_size}
    for name in FIELDS:
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))


def test_a_batch_does_not_depend_on_those_before_it(trainer: Trainer) -> None:
    forward = [trainer.batches(step) for step in range(5)]
    assert all(same(trainer.batches(step), forward[step]) for step in reversed(range(5)))


def test_a_batch_that_cannot_be_shared_is_refused(trainer: Trainer) -> None:
    with pytest.raises(ValueError, match="rank 0 of 4 processes cannot take its part of a batch of 6"):
        trainer.batches(0, 0, 4)


def test_batches_are_made_of_samples_and_emptied_prompts(trainer: Trainer) -> None:
    batch, again = trainer.batches(3), trainer.batches(3)
    assert batch.added_conditions is again.added_conditions is None
    for name in ("z_0", "text", "condition", "t", "epsilon"):
        assert torch.equal(getattr(batch, name), getattr(again, name))
    assert batch.z_0.shape == batch.epsilon.shape == (6, 4, 4, 4)
    assert batch.condition.shape == (6, 3, 32, 32) and set(batch.condition.unique().tolist()) <= {0.0, 1.0}
    emptied = [
        [torch.equal(text, trainer.batches.empty_text.hidden_states[0]) for text in trainer.batches(epoch).text]
        for epoch in range(20)
    ]
    share = sum(map(sum, emptied)) / 120
    assert 0.35 < share < 0.65 and all(any(place) for place in zip(*emptied, strict=True))


def test_pictures_of_several_sizes_are_refused_by_name(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    lines: list[str] = []
    for i, side in enumerate((40, 32, 40, 32, 32)):
        Image.new("RGB", (side, 32), (200, 0, 0)).save(folder / f"{i}.png")
        lines.append(json.dumps({"file_name": f"{i}.png", "text": "a"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    message = r"2 of 3 pairs cannot be used, 1 may be left out .*pair '0\.png' is 40x32, others 32x32 .*line 1.: train on"
    with pytest.raises(InputError, match=message):
        train(settings(data=str(folder), probe_count=2))
