"""`kill -9` at random moments: the run ends with the same bits, whatever the number of processes, workers and parts."""

import random
import time
from pathlib import Path

import pytest

from tests.durability.runs import STEPS, Cell, Run, Zygote
from zeroconv.training.run_folder.checkpoints import Checkpoints

CELLS = [
    Cell(),
    Cell(optimizer="muon", accumulation=3),
    Cell(ema_decay=0.9, accumulation=3),
    Cell(workers=2, optimizer="muon", ema_decay=0.9),
    Cell(processes=2),
    Cell(processes=2, accumulation=3, optimizer="muon"),
    Cell(processes=2, ema_decay=0.9, optimizer="muon"),
    Cell(processes=2, workers=2, accumulation=3, ema_decay=0.9),
    Cell(processes=2, ema_decay=0.9, shard="all"),
    Cell(optimizer="adamw8bit", precision="fp16", accumulation=3),
    Cell(processes=2, optimizer="prodigy", precision="bf16", ema_decay=0.9),
]


@pytest.fixture(scope="module")
def straight(zygote: Zygote, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Cell, tuple[Run, float]]:
    """Runs that nobody touches, made when they are asked for, and how long they take."""

    class Straight(dict[Cell, tuple[Run, float]]):
        def __missing__(self, cell: Cell) -> tuple[Run, float]:
            run, begun = Run(zygote, data_folder, tmp_path_factory.mktemp("straight"), cell), time.monotonic()
            run.finish()
            self[cell] = run, time.monotonic() - begun
            return self[cell]

    return Straight()


def kill_and_compare(cell: Cell, kills: int, seed: int, straight: dict[Cell, tuple[Run, float]], folder: Path) -> int:
    """Kill runs of a cell until there were so many kills; each run ends as the straight one. How many runs that took."""
    (whole, seconds), drawn = straight[cell], random.Random(seed)
    expected, gradients = whole.fingerprint(), whole.gradients()
    assert all(len(hashes) == 1 for hashes in gradients.values()) and len(gradients) == STEPS * cell.processes
    done, runs = 0, 0
    while done < kills:
        run = Run(whole.zygote, whole.data, folder / str(runs), cell)
        done += run.kill_until(min(12, kills - done), 1.1 * seconds, drawn)
        run.finish()
        assert run.fingerprint() == expected
        assert run.gradients() == gradients  # of every try of every step
        runs += 1
    return runs


EVERY_VALUE = [CELLS[3], CELLS[5], CELLS[9]]  # workers, two processes, parts, averages, three optimizers, fp16
PLAIN = [CELLS[0], CELLS[4]]


@pytest.mark.parametrize("cell", [*EVERY_VALUE, *(pytest.param(cell, marks=pytest.mark.slow) for cell in PLAIN)], ids=str)
def test_a_killed_run_ends_as_if_nobody_had_touched_it(
    cell: Cell, straight: dict[Cell, tuple[Run, float]], tmp_path: Path
) -> None:
    assert kill_and_compare(cell, 2, 0, straight, tmp_path) >= 1


@pytest.mark.soak
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_two_hundred_kills(cell: Cell, straight: dict[Cell, tuple[Run, float]], tmp_path: Path) -> None:
    begun = time.monotonic()
    runs = kill_and_compare(cell, 28, 1, straight, tmp_path)
    print(f"{cell}: 28 kills, {runs} runs, {time.monotonic() - begun:.0f} s")  # `make soak` shows it


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_another_number_of_processes_goes_on_with_the_same_samples(
    before: int, after: int, straight: dict[Cell, tuple[Run, float]], tmp_path: Path
) -> None:
    """The losses are those of one process to 1e-6: sums of gradients are rounded in another order."""
    whole, _ = straight[Cell()]
    run = Run(whole.zygote, whole.data, tmp_path, Cell(processes=before))
    run.start(steps=4, warmup_steps=2)
    assert run.wait() == [0] * before, run.output()
    run.cell = Cell(processes=after)
    run.finish()
    one, other = whole.fingerprint(), run.fingerprint()
    assert other["losses"] == pytest.approx(one["losses"], rel=1e-6)
    assert other["norms"] == pytest.approx(one["norms"], rel=1e-5)


def test_two_processes_train_as_one(straight: dict[Cell, tuple[Run, float]]) -> None:
    one, other = straight[Cell()][0].fingerprint(), straight[Cell(processes=2)][0].fingerprint()
    assert other["losses"] == pytest.approx(one["losses"], rel=1e-6)
    assert other["norms"] == pytest.approx(one["norms"], rel=1e-5)
    states = [Checkpoints(straight[cell][0].out / "state").load() for cell in (Cell(), Cell(processes=2))]
    assert states[0] is not None and states[1] is not None
    for name, tensor in states[0].tensors.items():
        if name.startswith("network."):
            assert (tensor - states[1].tensors[name]).abs().max() < 1e-4, name


def test_parts_and_workers_change_nothing(straight: dict[Cell, tuple[Run, float]]) -> None:
    one, other = straight[Cell()][0].fingerprint(), straight[Cell(workers=2)][0].fingerprint()
    assert one == other
    parts = straight[Cell(accumulation=3)][0].fingerprint()
    assert parts["losses"] == pytest.approx(one["losses"], rel=1e-6)
