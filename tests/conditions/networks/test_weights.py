"""Weights of learned extractors: found, opened once, and refused in one clear line when absent or wrong."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conditions.scenes import rendering
from tests.conditions.tiny_networks import RECIPES, save_all
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.conditions.depth import depth
from zeroconv.conditions.networks.transformers import CLASSES, open_network
from zeroconv.conditions.networks.transformers import RECIPES as PUBLISHED
from zeroconv.conditions.networks.weights import WEIGHTS, find_weights
from zeroconv.conditions.normal import normal
from zeroconv.conditions.pose import pose
from zeroconv.conditions.segmentation import segmentation


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_all(tmp_path_factory.mktemp("weights"))


def test_a_network_is_opened_once_and_ready(folders: dict[str, Path]) -> None:
    network = open_network("dpt", folders["dpt"])
    assert network is open_network("dpt", str(folders["dpt"]))
    assert not network.model.training and not any(p.requires_grad for p in network.model.parameters())
    saved = read_safetensors(folders["dpt"] / "model.safetensors")
    assert sum(t.numel() for t in saved.values()) == sum(t.numel() for t in network.model.state_dict().values())


def test_older_names_of_tensors_are_understood(folders: dict[str, Path]) -> None:
    """Published files keep the names of their day; what is opened has today's."""
    on_disk = read_safetensors(folders["segformer"] / "model.safetensors")
    opened = open_network("segformer", folders["segformer"]).model.state_dict()
    assert on_disk.keys() != opened.keys() and len(on_disk) == len(opened)


def one_line(caught: pytest.ExceptionInfo[Exception]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("method", list(WEIGHTS))
def test_absent_weights_are_one_clear_line(method: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="which are not on this machine: HF_HUB_OFFLINE is set") as caught:
        find_weights(method, cache_folder=tmp_path)
    line = one_line(caught)
    assert WEIGHTS[method].repository in line and WEIGHTS[method].licence in line and "weights=FOLDER" in line


def test_weights_in_the_hubs_cache_are_used_without_a_network(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    commit, place = "0123456789" * 4, tmp_path / "models--someone--depth"
    shutil.copytree(folders["dpt"], place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    for name in ("someone/depth", f"someone/depth@{commit}"):
        assert find_weights("dpt", name, tmp_path) == place / "snapshots" / commit
    with pytest.raises(FileNotFoundError, match="'someone/depth@other'"):
        find_weights("dpt", "someone/depth@other", tmp_path)


def test_a_pipeline_in_the_hubs_cache_is_used_when_all_its_parts_are_there(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    known = WEIGHTS["marigold"]
    place = tmp_path / f"models--{known.repository.replace('/', '--')}" / "snapshots" / known.revision
    shutil.copytree(folders["marigold"], place)
    assert find_weights("marigold", cache_folder=tmp_path) == place
    (place / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE is set") as caught:
        find_weights("marigold", cache_folder=tmp_path)
    one_line(caught)


@pytest.mark.parametrize(
    ("extractor", "word"),
    [
        (depth, "depth method is 'hed'; expected one of tiny, depth-anything, dpt"),
        (pose, "pose method is 'hed'; expected one of tiny, blazepose, vitpose, sapiens2"),
        (segmentation, "segmentation method is 'hed'; expected one of tiny, segformer, mask2former, oneformer"),
        (normal, "normal method is 'hed'; expected one of tiny, marigold, sapiens2, depth-anything, dpt"),
    ],
)
def test_unknown_methods_are_refused(extractor: Any, word: str) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        extractor(rendering(0), method="hed")
    one_line(caught)


def test_weights_that_do_not_fit_are_refused_in_one_line(folders: dict[str, Path], tmp_path: Path) -> None:
    def refused(kind: type[Exception], word: str, weights: str | Path, method: str = "dpt") -> None:
        with pytest.raises(kind, match=word) as caught:
            open_network(method, weights)
        one_line(caught)

    refused(ValueError, "has a network of type 'dpt'; depth-anything needs 'depth_anything'", folders["dpt"], "depth-anything")
    word = r"has a \['Sapiens2ForPoseEstimation'\]; sapiens2-normal needs a Sapiens2ForNormalEstimation"
    refused(ValueError, word, folders["sapiens2-pose"], "sapiens2-normal")
    refused(FileNotFoundError, r"neither a folder nor owner/name", "nowhere at all")
    refused(FileNotFoundError, r"has no config\.json", tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(folders["dpt"], broken)
    tensors = read_safetensors(broken / "model.safetensors")
    name, tensor = next(iter(tensors.items()))
    write_safetensors(broken / "model.safetensors", {k: v for k, v in tensors.items() if k != name})
    refused(ValueError, "are not complete", broken)
    write_safetensors(broken / "model.safetensors", tensors | {name: torch.zeros(*tensor.shape, 2)})
    refused(ValueError, r"do not fit their config\.json", broken)
    (broken / "model.safetensors").unlink()
    (broken / "pytorch_model.bin").write_bytes(b"pickle")
    refused(FileNotFoundError, "is a pickle, which only `zeroconv convert` opens", broken)
    (broken / "config.json").write_text('{"model_type": "dpt", "hidden_size": "many"}')
    shutil.copy(folders["dpt"] / "model.safetensors", broken)
    refused(ValueError, r"do not fit their config\.json", broken)


@pytest.mark.parametrize(
    "told",
    [{"size": {"height": 0}}, {"size": 10**9}, {"image_mean": [1]}, {"image_std": [0, 1, 1]}, {"resample": 77}, {"size": "x"},
     {"image_mean": [math.nan] * 3}],
)  # fmt: skip
def test_preprocessing_that_makes_no_sense_is_refused(folders: dict[str, Path], tmp_path: Path, told: dict[str, Any]) -> None:
    shutil.copytree(folders["segformer"], tmp_path / "odd")
    (tmp_path / "odd" / "preprocessor_config.json").write_text(json.dumps(RECIPES["segformer"] | told))
    with pytest.raises(ValueError, match=r"preprocessor_config\.json") as caught:
        open_network("segformer", tmp_path / "odd")
    one_line(caught)


def test_every_row_of_the_table_is_complete_and_says_what_is_taken() -> None:
    """A commit, or one proposal to a repository, so that what was extracted can be extracted again."""
    assert PUBLISHED.keys() == {WEIGHTS[method].family for method in CLASSES}
    assert CLASSES.keys() | {"marigold"} == WEIGHTS.keys()
    for weights in WEIGHTS.values():
        assert weights.licence and weights.purpose and weights.repository.count("/") == 1
        assert weights.condition in ("depth", "segmentation", "pose", "normal")
        assert re.fullmatch(r"[0-9a-f]{40}|refs/pr/\d+", weights.revision)
