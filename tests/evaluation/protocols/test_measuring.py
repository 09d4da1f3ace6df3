"""What a protocol measures of whole sets: pooled IoU and groups by hand, weights that are not there in one line."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.folders.drawings import write_maps, write_pictures
from zeroconv.conditions import get
from zeroconv.conditions.palettes import UNKNOWN
from zeroconv.errors import InputError
from zeroconv.evaluation.folders import Entry, PictureFolder, SetMeasure, Sizes
from zeroconv.evaluation.protocols import Deviation, FollowedProtocol, get_protocol, make_reference, open_protocol_measurers
from zeroconv.evaluation.protocols.measuring import class_counts, in_groups, pooled_iou, pooled_measurer
from zeroconv.images import write_png
from zeroconv.world import make


def test_pooled_iou_by_hand() -> None:
    """Two pictures: wall is met in 2 of 4 and 3 of 4 pixels' unions; the mean of ratios is another number."""
    wanted = [np.array([[0, 0], [1, UNKNOWN]]), np.array([[0, 0], [0, 1]])]
    found = [np.array([[0, 1], [1, 0]]), np.array([[0, 0], [0, 0]])]
    counts = sum(class_counts(a, b) for a, b in zip(found, wanted, strict=True))
    assert isinstance(counts, np.ndarray)
    assert counts[:, :2].tolist() == [[1 + 3, 1 + 0], [2 + 4, 2 + 1]] and counts[:, 2:].sum() == 0
    assert pooled_iou(counts) == pytest.approx((4 / 6 + 1 / 3) / 2)
    same = class_counts(wanted[1], wanted[1])
    assert pooled_iou(same) == 1


def test_pooled_iou_of_a_folder_counts_all_of_its_pictures(tmp_path: Path) -> None:
    known, entries = get("segmentation"), list[Entry]()
    assert known.ground_truth is not None
    for i in range(2):
        scene = make(920_000_000 + i, size=64)
        write_png(Image.fromarray(scene.rgb), tmp_path / f"p{i}.png")
        write_png(known.ground_truth(scene), tmp_path / "maps" / f"p{i}.png")
        entries.append(Entry(f"p{i}", map=tmp_path / "maps" / f"p{i}.png"))
    folder = PictureFolder.open(tmp_path).with_maps({f"p{i}": tmp_path / "maps" / f"p{i}.png" for i in range(2)})
    measure = pooled_measurer(known, {"method": "tiny"}, Sizes())
    (row,) = measure(folder, None)
    parts = [measure(folder.select([stem]), None)[0].value for stem in folder.stems]
    assert row.name == "pooled mIoU" and 0.3 < row.value < 1 and row.value != pytest.approx(sum(parts) / 2)


def test_groups_are_the_first_second_and_further_pictures_of_a_map(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "a", [0, 0, 0, 0])
    maps = write_maps(tmp_path / "canny", 2)
    of = {f"p{i}": maps / f"p{i // 2}.png" for i in range(4)}  # two pictures of each map
    seen: list[list[str]] = []

    def measure(folder: PictureFolder, reference: PictureFolder | None) -> Sequence[SetMeasure]:
        del reference
        seen.append(folder.stems)
        return [SetMeasure("FID", float(folder.stems[0][1:]) * 10)]

    (row,) = in_groups(measure)(PictureFolder.open(pictures).with_maps(of), None)
    assert seen == [["p0", "p2"], ["p1", "p3"]]
    assert (row.value, row.procedure["mean of groups"]) == (5, [0, 10])


@pytest.mark.parametrize(
    ("name", "given", "aesthetic", "said"),
    [
        ("paper", [], None, "measures FID on pt_inception-2015-12-05-6726825d.pth, which is not on this machine"),
        ("paper", ["inception:nowhere.safetensors"], None, "measures FID on nowhere.safetensors, which is not"),
        ("controlnet++", ["none", "nowhere/clip"], None, "measures CLIP score on nowhere/clip, which is not on this machine"),
        ("paper", ["tiny-clip", "none"], "head.safetensors", "head.safetensors"),
    ],
)
def test_weights_that_are_not_here_are_named(
    name: str, given: list[str], aesthetic: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZEROCONV_INCEPTION", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    followed = FollowedProtocol(get_protocol(name), "segmentation")
    with pytest.raises((InputError, FileNotFoundError), match=said):
        open_protocol_measurers(followed, given, aesthetic, {})


@pytest.mark.parametrize(
    ("name", "condition", "said"),
    [
        ("paper", "segmentation", "oneformer needs the weights 'shi-labs/oneformer_ade20k_swin_tiny"),
        ("controlnet++", "segmentation", "mask2former needs the weights 'facebook/mask2former-swin-small-ade-semantic"),
        ("controlnet++", "depth", "dpt needs the weights 'Intel/dpt-large"),
        ("controlnet++-corrected", "soft-edge", "ZEROCONV_HED"),
    ],
)
def test_judges_that_are_not_here_are_named_before_anything_is_made(
    name: str, condition: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("ZEROCONV_HED", raising=False)
    followed = FollowedProtocol(get_protocol(name))
    judge = followed.choose_judge(condition, None)
    with pytest.raises(FileNotFoundError, match=said):
        open_protocol_measurers(followed, ["none"], None, judge)


def test_what_is_left_out_or_another_network_deviates() -> None:
    followed = FollowedProtocol(get_protocol("paper"), "segmentation")
    assert len(open_protocol_measurers(followed, ["tiny-clip", "none"], None, {})) == 2  # with the tiny world's prompt check
    assert {key: one.here for key, one in followed.deviations.items()} == {
        "inception features": "left out",
        "network of CLIP score, aesthetic score": "clip-96x4-patch16-128",
        "aesthetic score": "left out",
    }
    own = FollowedProtocol(get_protocol("tiny"), "canny")
    assert len(open_protocol_measurers(own, [], None, {})) == 2 and own.deviations == {}


def test_options_deviate_when_they_are_written_and_differ() -> None:
    followed = FollowedProtocol(get_protocol("tiny"))
    options = {"sampler": "DPM++ 2M", "steps": 20, "guidance": 3.0, "scale": 1.0, "weighting": "uniform", "seed": 0}
    options |= {"negative": "", "per_map": 1}
    settled = followed.settle(options, {"sampler", "guidance"})
    assert (settled["steps"], settled["guidance"], settled["sampler"]) == (12, 3.0, "DPM++ 2M")
    assert list(followed.deviations.values()) == [Deviation("guidance scale", "3", "4")]
    assert str(followed.deviations["guidance scale"]) == "guidance scale: 3; the protocol has 4"
    followed.settle({**options, "control_guidance": 2.0}, {"control_guidance"})
    assert str(followed.deviations.pop("guidance on the control")) == "guidance on the control: 2; the protocol has none"
    assert followed.choose_data(None) == "world:200@900000000" and len(followed.deviations) == 1
    followed.choose_data("world:2@900000000")
    assert followed.deviations["pairs"].here == "world:2@900000000"
    with pytest.raises(InputError, match=r"the 2,000 validation pictures of ADE20K .* not on this machine: .* --data"):
        FollowedProtocol(get_protocol("paper")).choose_data(None)


def test_a_manifest_says_how_pictures_were_made(tmp_path: Path) -> None:
    made = {"num_inference_steps": 12, "guidance_scale": 7.5, "sampler": "DPM++ 2M", "control_guidance_scale": None}
    folder = PictureFolder.open(write_pictures(tmp_path / "a", [0], ["one"], more=made))
    followed = FollowedProtocol(get_protocol("tiny"), "canny")
    followed.check_making(folder)
    assert [one.setting for one in followed.deviations.values()] == ["guidance scale"]
    assert len(followed.unchecked) == 2 and followed.unchecked[0].startswith("negative prompt none: nothing says it")
    assert json.loads(json.dumps(followed.to_dict()))["deviations"][0]["here"] == "7.5"


def test_references_of_the_tiny_world_are_rendered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    followed = FollowedProtocol(replace(get_protocol("tiny"), reference="world:2@930000000"), "canny")
    folder = make_reference(followed, None, tmp_path / "reference")
    assert folder is not None
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == ["world-930000000.png", "world-930000001.png"]
    assert np.array_equal(np.asarray(Image.open(files[1])), make(930_000_001).rgb)
    before = files[0].stat().st_mtime_ns
    make_reference(followed, None, folder)
    assert files[0].stat().st_mtime_ns == before and followed.deviations == {}
    assert make_reference(FollowedProtocol(get_protocol("paper"), "segmentation"), None, folder) is None
