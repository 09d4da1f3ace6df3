"""The command under `torchrun`: two processes, one run folder, the losses of one process."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.durability.runs import QUIET, ROOT, Cell, Run, Zygote
from zeroconv.data.sampling_order import samples_of_step


def losses(out: Path) -> list[float]:
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [loss for row in rows for loss in row.get("losses", [])]


@pytest.mark.slow
def test_torchrun_trains_with_the_losses_of_one_process(zygote: Zygote, data_folder: Path, tmp_path: Path) -> None:
    arguments = ["train", "--base", str(zygote.base_folder), "--data", str(data_folder), "--steps", "6"]
    for setting in ("batch_size=2", "probe_count=2", "probe_every=3", "probe_steps=1", "save_every=2"):
        arguments += ["--set", setting]
    launchers = {
        1: ["-m", "zeroconv"],
        2: ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "zeroconv"],
    }
    for processes, launcher in launchers.items():
        command = [sys.executable, *launcher, *arguments, "--out", str(tmp_path / str(processes))]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **QUIET}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("step 6: fidelity ") == 1  # the first process alone speaks
    assert losses(tmp_path / "2") == pytest.approx(losses(tmp_path / "1"), rel=1e-6)
    assert len(losses(tmp_path / "1")) == 6


def test_a_pair_that_another_process_finds_broken_is_listed_too(zygote: Zygote, data_folder: Path, tmp_path: Path) -> None:
    """Damaged where no header tells it; the first process does not see it in the only step there is."""
    shutil.copytree(data_folder, tmp_path / "pairs")
    (of_second,) = {ref.index for ref in samples_of_step(0, 2, 7, 0, 1, 2)}
    path = tmp_path / "pairs" / f"{of_second}.png"
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 4] ^= 255
    path.write_bytes(data)
    run = Run(zygote, tmp_path / "pairs", tmp_path / "two", Cell(processes=2))
    run.finish(steps=1, batch_size=2, max_broken=0.2)
    (row,) = [json.loads(line) for line in (run.out / "skipped.jsonl").read_text().splitlines()]
    assert row["name"] == path.name and "cannot be" in row["problem"]
    rows = [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]
    assert [row["code"] for row in rows if row["event"] == "message"].count("data.left-out") == 1


@pytest.mark.slow
def test_what_is_wrong_is_said_once_and_every_process_ends(zygote: Zygote, tmp_path: Path) -> None:
    arguments = ["train", "--base", str(zygote.base_folder), "--data", "nowhere", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "zeroconv"]
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, env={**os.environ, **QUIET}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0 and "error: no data folder at nowhere" in done.stderr
