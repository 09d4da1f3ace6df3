"""`zeroconv data prepare` and what it says, from the first shard to a training that reads them."""

import re
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.data.prepared_folders import write_pairs, write_sizes


def test_prepare_check_train_and_mend(run: Run, base_folder: Path) -> None:
    write_pairs(Path("pairs"), 7)
    words = ["data", "prepare", "pairs", "--out", "prepared", "--base", base_folder, "--condition", "canny", "--shard-size", 3]
    words += ["--set", "low=20", "--set", "high=60", "--workers", 1]
    result = run(*words, "--json")
    assert result.code == 0, result.err
    assert (result.json["pairs"], result.json["shards"], result.json["made"], result.json["broken"]) == (7, 3, 3, [])
    assert "preparing 7/7, " not in result.out
    assert run(*words).out.startswith("7 of 7 pairs, 0 of 3 shards made, ")
    assert run("data", "check", "prepared").out == "3 of 3 shards are whole; 7 pairs, 0 left out\nwhole pictures of 16x16\n"
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


def test_views_are_prepared_checked_and_trained_on(run: Run, base_folder: Path) -> None:
    write_sizes(Path("pairs"))
    words = ["data", "prepare", "pairs", "--out", "views", "--base", base_folder, "--workers", 1, "--max-broken", 0.2]
    words += ["--crops", 2, "--flip", "--resolution", 32]
    result = run(*words, "--json")
    assert result.code == 0 and (result.json["pairs"], result.json["views"]) == (8, 24), result.err
    assert "7 of 8 pairs in 24 views, 0 of 1 shards made, " in run(*words).out
    held = "2 crops of each picture, mirrored too, in buckets of 32x32 (steps of 8)"
    assert f"\n{held}: 24 views of pictures in 24x40 (3), 40x24 (3), 32x32 (1)\n" in run("data", "check", "views").out
    buckets = {"24x40": 3, "32x32": 1, "40x24": 3}
    assert run("data", "check", "views", "--json").json["views"] == {
        "resolution": 32, "step": 8, "crops": 2, "flip": True, "buckets": buckets,
    }  # fmt: skip
    small = ["batch_size=2", "probe_count=2", "probe_steps=1", "data.cache=views", "max_broken=0.2"]
    asked = ["train", "--base", base_folder, "--data", "pairs", "--steps", 1, "--out", "run", "--dry-run"]
    asked += [word for setting in small for word in ("--set", setting)]
    result = run(*asked)
    assert result.code == 1 and f"error: views holds {held}; whole pictures are asked for: take" in result.err
    (taken,) = re.findall("`(.*)`", result.err)
    assert f"\n# prepared: {held}: 24 views" in run(*asked, *taken.split()).out
