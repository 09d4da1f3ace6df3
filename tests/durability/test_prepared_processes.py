"""Two processes that train from one prepared folder, and workers of Ray that die while they make one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.data.prepared_folders import content, write_pairs
from tests.durability.runs import QUIET, ROOT, Cell, Run, Zygote
from zeroconv.data.prepared import prepare


@pytest.mark.parametrize("views", [{}, pytest.param({"buckets": True, "resolution": 16, "flip": True}, marks=pytest.mark.slow)])
def test_two_processes_read_one_folder_as_if_each_had_opened_the_pictures(
    views: dict[str, Any], zygote: Zygote, data_folder: Path, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"base": str(zygote.base_folder), "condition": "canny", "extract": {"low": 20, "high": 60}, **views}
    prepare(str(data_folder), tmp_path / "prepared", **asked, shard_size=4)
    before = content(tmp_path / "prepared")
    runs = [Run(zygote, data_folder, tmp_path / name, Cell(processes=2, workers=2)) for name in ("with", "without")]
    runs[0].finish(extract=asked["extract"], cache=str(tmp_path / "prepared"), **views)
    runs[1].finish(extract=asked["extract"], **views)
    assert runs[0].fingerprint() == runs[1].fingerprint() and runs[0].gradients() == runs[1].gradients()
    assert content(tmp_path / "prepared") == before


def workers_of(parent: int) -> list[int]:
    """Processes of Ray that make shards, among the descendants of a process."""
    parents: dict[int, int] = {}
    for path in Path("/proc").iterdir():
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except (ValueError, OSError):
            continue
    found: list[int] = []
    for pid in parents:
        above = pid
        while above in parents and above != parent:
            above = parents[above]
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if above == parent and words.startswith(b"ray::make_part"):
            found.append(pid)
    return found


@pytest.mark.slow
def test_a_worker_of_ray_that_is_killed_neither_loses_nor_repeats_a_pair(zygote: Zygote, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    pairs = write_pairs(tmp_path / "pairs", 120)
    prepare(str(pairs), tmp_path / "local", base=str(zygote.base_folder), shard_size=3)
    command = [sys.executable, "-m", "zeroconv", "data", "prepare", str(pairs), "--out", str(tmp_path / "ray")]
    command += ["--base", str(zygote.base_folder), "--engine", "ray", "--workers", "2", "--shard-size", "3"]
    with (tmp_path / "output.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **QUIET}, stdout=log, stderr=log)
        killed = list[int]()
        while process.poll() is None and not killed:
            if list((tmp_path / "ray").glob("shard-*.json")):  # one is done, others are being made
                for pid in workers_of(process.pid)[:1]:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
            time.sleep(0.005)
        assert process.wait(120) == 0, (tmp_path / "output.txt").read_text()
    assert killed and content(tmp_path / "ray") == content(tmp_path / "local")
