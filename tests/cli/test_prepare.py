"""`zeroconv data prepare` and what it says, from the first shard to a training that reads them."""

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.data.prepared_folders import write_pairs


def test_prepare_check_train_and_mend(run: Run, base_folder: Path) -> None:
    write_pairs(Path("pairs"), 7)
    words = ["data", "prepare", "pairs", "--out", "prepared", "--base", base_folder, "--condition", "canny", "--shard-size", 3]
    words += ["--set", "low=20", "--set", "high=60", "--workers", 1]
    result = run(*words, "--json")
    assert result.code == 0, result.err
    assert (result.json["pairs"], result.json["shards"], result.json["made"], result.json["broken"]) == (7, 3, 3, [])
    assert "preparing 7/7, " not in result.out
    assert run(*words).out.startswith("7 of 7 pairs, 0 of 3 shards made, ")
    assert run("data", "check", "prepared").out == "3 of 3 shards are whole; 7 pairs, 0 left out\n"
    small = ["batch_size=2", "probe_count=2", "probe_steps=1", "extract.low=20", "extract.high=60", "data.cache=prepared"]
    settings = [word for setting in small for word in ("--set", setting)]
    trained = run("train", "--base", base_folder, "--data", "pairs", "--steps", 1, "--out", "run", *settings)
    assert trained.code == 0, trained.err
    assert not Path("run/cache").exists()
    path = Path("prepared/shard-00001.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    result = run("data", "check", "prepared", "--json")
    assert result.code == 1 and result.json["problems"] == [f"{path} is damaged"]
    assert result.err.splitlines()[-1].startswith(f"error: 1 of 3 shards are damaged (first: {path} is damaged): the same")
    assert run(*words).out.startswith("7 of 7 pairs, 1 of 3 shards made, ")
    assert run("data", "check", "prepared").code == 0


def test_what_is_wrong_is_one_line(run: Run, base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pairs(Path("pairs"), 3)
    monkeypatch.setitem(sys.modules, "ray", None)
    base = ["--out", "prepared", "--base", base_folder, "--workers", 1]
    for words, message in (
        (["nowhere", *base], "error: no data folder at nowhere"),
        (["pairs", *base, "--set", "low=3"], "parameters of an extractor are given without a condition: name one"),
        (["pairs", *base, "--condition", "cany"], "cany"),
        (["pairs", *base, "--condition", "canny", "--set", "lo=3"], "there is no parameter 'lo'"),
        (["pairs", *base, "--engine", "ray"], "error: ray is not installed: pip install 'zeroconv[ray]'"),
    ):
        result = run("data", "prepare", *words)
        assert result.code == 1 and message in result.err.splitlines()[-1], result.err
        assert "Traceback" not in result.err
    assert run("data", "prepare", "pairs", *base, "--engine", "spark").code == 2
