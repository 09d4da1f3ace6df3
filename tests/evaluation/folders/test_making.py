"""Pictures made into folders: the numbers of pictures in memory, the same bytes after any interruption and in any parts."""

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.evaluation.test_fidelity import Folder, squares
from tests.tiny import build_control
from zeroconv.conditions import get
from zeroconv.control import ControlNet
from zeroconv.data import Pair
from zeroconv.errors import InputError
from zeroconv.evaluation import FidelityReport, evaluate
from zeroconv.evaluation.folders import (
    FolderMaker,
    MakingJob,
    PictureFolder,
    Plan,
    Shard,
    judge_folder,
    make_pictures,
    measure_pictures,
    remove_pictures,
)
from zeroconv.evaluation.folders import maker as maker_module
from zeroconv.evaluation.folders.manifest import read_manifest
from zeroconv.evaluation.folders.plan import ConflictingPrompts, name_stems
from zeroconv.evaluation.page import page_of_pictures, render_page
from zeroconv.generation import ControlPipeline, read_metadata, reproduce
from zeroconv.generation.base import describe_base
from zeroconv.images import open_image, write_png
from zeroconv.stable_diffusion import StableDiffusion

FLAT = Pair("flat.png", Image.new("RGB", (64, 64), (9, 9, 9)), "nothing")
PAIRS = Folder([*squares(2).pairs, FLAT, replace(squares(3)[2], name="deep/square-2.png")])
PLAN = Plan("canny", len(PAIRS), 1, 4.0, seed=5, batch_size=2)


@pytest.fixture(scope="module")
def network(base: StableDiffusion) -> ControlNet:
    made = build_control(base.unet, seed=3)
    made.config = replace(made.config, condition="canny")
    return made


def make(
    base: StableDiffusion, network: ControlNet, folder: Path, plan: Plan = PLAN, shard: Shard | None = None
) -> FolderMaker:
    maker = FolderMaker(plan, folder, ControlPipeline(base), network, PAIRS)
    make_pictures(maker, "squares", shard=shard or Shard())
    return maker


@pytest.fixture(scope="module")
def whole(base: StableDiffusion, network: ControlNet, tmp_path_factory: pytest.TempPathFactory) -> FolderMaker:
    """Everything made at once; nobody changes its files."""
    return make(base, network, tmp_path_factory.mktemp("whole") / "pictures", replace(PLAN, curve=(1, 2), conflict=True))


def files(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_several_pictures_of_each_map_and_a_negative_prompt(
    base: StableDiffusion, network: ControlNet, whole: FolderMaker, tmp_path: Path
) -> None:
    plan = replace(PLAN, count=4, pictures_per_map=2, negative_prompt="blurry")
    maker = make(base, network, tmp_path / "pictures", plan)
    report = measure_pictures(maker).sets
    first = whole.stems[0]
    assert maker.stems[:2] == [first, f"{first}-2"] and [row.stem for row in report.rows] == maker.stems[:4]
    assert [row.seed for row in report.rows] == [5, 6, 7, 8]
    maps = [report.maps[stem].read_bytes() for stem in maker.stems[:4]]
    assert maps[0] == maps[1] != maps[2] == maps[3]
    made = [maker.file("with-control", row) for row in range(2)]
    assert open_image(made[0]).tobytes() != open_image(made[1]).tobytes()
    assert read_metadata(made[0]).request.negative_prompt == "blurry"
    assert set(whole.plan.settings()) == set(plan.settings()) - {"pictures_per_map", "negative_prompt"}
    for other in (replace(plan, negative_prompt=""), replace(plan, pictures_per_map=1)):  # what is left out differs too
        with pytest.raises(InputError, match=r"has pictures with (negative_prompt 'blurry'|pictures_per_map 2)"):
            make(base, network, tmp_path / "pictures", other)


def test_the_report_is_that_of_pictures_in_memory(base: StableDiffusion, network: ControlNet, whole: FolderMaker) -> None:
    request: dict[str, Any] = {"num_inference_steps": 1, "guidance_scale": 4.0, "seed": 5, "batch_size": 2}
    memory = evaluate(ControlPipeline(base), network, "canny", PAIRS, **request)
    report = measure_pictures(whole)
    assert isinstance(report.fidelity, FidelityReport)
    assert report.fidelity.to_dict() == memory.to_dict() and report.fidelity.lines() == memory.lines()
    assert report.fidelity.left_out == 1 and len(report.fidelity.rows) == 3
    for mine, theirs in zip(report.fidelity.examples, memory.examples, strict=True):
        assert all(one.tobytes() == getattr(theirs, name).tobytes() for name, one in vars(mine).items())


def test_guidance_on_the_control_changes_controlled_pictures_alone(
    base: StableDiffusion, network: ControlNet, whole: FolderMaker, tmp_path: Path
) -> None:
    plan = replace(PLAN, count=2, control_guidance_scale=6.0)
    maker = make(base, network, tmp_path / "pictures", plan)
    for row in range(2):
        with_control, without = (open_image(maker.file(name, row)).tobytes() for name in ("with-control", "without-control"))
        assert without == open_image(whole.file("without-control", row)).tobytes()
        assert with_control != open_image(whole.file("with-control", row)).tobytes()
    assert read_metadata(maker.file("with-control", 0)).request.control_guidance_scale == 6.0
    request: dict[str, Any] = {"num_inference_steps": 1, "guidance_scale": 4.0, "seed": 5, "batch_size": 2}
    memory = evaluate(ControlPipeline(base), network, "canny", Folder(PAIRS.pairs[:2]), control_guidance_scale=6.0, **request)
    assert measure_pictures(maker).fidelity.to_dict() == memory.to_dict()
    assert memory.to_dict()["settings"]["control_guidance_scale"] == 6.0
    with pytest.raises(InputError, match=r"has pictures with control_guidance_scale 6.0"):
        make(base, network, tmp_path / "pictures", replace(plan, control_guidance_scale=None))


def test_every_folder_is_one_that_anybody_can_judge(whole: FolderMaker) -> None:
    report = measure_pictures(whole)
    with pytest.warns(UserWarning, match="are few"):
        again = judge_folder(whole.folder / "with-control", truth=whole.folder / "truth")
    assert again.values("pictures") == [row.controlled for row in report.fidelity.rows]
    assert [row.prompt for row in again.rows] == [row.prompt for row in report.fidelity.rows]
    found = read_manifest(whole.folder / "without-control")
    assert found is not None and list(found) == ["square-0", "square-1", "deep_square-2"]


def test_a_picture_carries_what_makes_it_again(base: StableDiffusion, network: ControlNet, whole: FolderMaker) -> None:
    file = whole.folder / "without-control" / "square-1.png"
    request = read_metadata(file).request
    assert (request.prompt, request.seed, request.num_inference_steps) == ("square number 1", 6, 1)
    assert reproduce(file, base)[0].images[0].tobytes() == open_image(file).tobytes()
    assert read_metadata(whole.folder / "with-control" / "square-1.png").controls[0].condition == "canny"


class Killed(BaseException):
    """The end of a process, at any write."""


@pytest.mark.parametrize("writes", [9])
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    base: StableDiffusion, network: ControlNet, whole: FolderMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    left = writes

    def dying(image: Image.Image, path: Path, *more: Any) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return real(image, path, *more)

    real, plan = maker_module.write_png, whole.plan
    monkeypatch.setattr("zeroconv.evaluation.folders.maker.write_png", dying)
    monkeypatch.setattr("zeroconv.generation.png_metadata.write_png", dying)
    with pytest.raises(Killed):
        make(base, network, tmp_path, plan)
    monkeypatch.undo()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("with*/*.png")}
    make(base, network, tmp_path, plan)
    assert files(tmp_path) == files(whole.folder)
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items()), "what was there stays"


def test_shards_make_the_same_bytes_and_are_missed_until_all_are_there(
    base: StableDiffusion, network: ControlNet, whole: FolderMaker, tmp_path: Path
) -> None:
    one = make(base, network, tmp_path, whole.plan, Shard(2, 2))
    with pytest.raises(InputError, match="the pictures of 2 of 4 pairs are not made yet: run the other shards"):
        measure_pictures(one)
    make(base, network, tmp_path, whole.plan, Shard(1, 2))
    assert files(tmp_path) == files(whole.folder)
    assert make_pictures(one, "squares") == 0, "nothing is left to do"


def test_more_sets_and_pairs_are_added_to_what_is_there(
    base: StableDiffusion, network: ControlNet, whole: FolderMaker, tmp_path: Path
) -> None:
    make(base, network, tmp_path, replace(PLAN, count=2))  # a batch and no more
    first = {path: path.stat().st_mtime_ns for path in tmp_path.glob("with*/*.png")}
    assert len(first) == 4
    make(base, network, tmp_path, whole.plan)
    assert files(tmp_path) == files(whole.folder)
    assert all(path.stat().st_mtime_ns == before for path, before in first.items())


def test_pictures_of_other_settings_are_not_mixed(base: StableDiffusion, network: ControlNet, tmp_path: Path) -> None:
    plan = replace(PLAN, count=1)
    make(base, network, tmp_path / "pictures", plan)
    with pytest.raises(InputError, match=r"with seed 5, and 6 is asked for: name another --out, or begin anew with --fresh"):
        make(base, network, tmp_path / "pictures", replace(plan, seed=6))
    with pytest.raises(InputError, match="weights of the control"):
        make(base, build_control(base.unet, seed=4), tmp_path / "pictures", plan)
    (tmp_path / "pictures" / "mine.txt").write_text("mine", "utf-8")
    remove_pictures(tmp_path / "pictures")
    assert [path.name for path in tmp_path.rglob("*")] == ["pictures", "mine.txt"]
    with pytest.raises(InputError, match="no folder of an evaluation"):
        remove_pictures(tmp_path / "pictures")


def test_steps_and_conflicting_prompts_are_measured_on_the_same_maps(whole: FolderMaker) -> None:
    report = measure_pictures(whole)
    assert [(point.steps, point.pictures) for point in report.curve] == [(1, 3), (2, 3)]
    assert report.curve[0].fidelity == report.fidelity.controlled
    fidelity = get("canny").fidelity
    one = whole.folder / "conflicting-prompts" / "square-1.png"
    by_hand = fidelity(open_image(one), open_image(whole.folder / "maps" / "square-1.png"))
    assert report.sets.rows[1].scores["conflicting prompts"]["edge F1"] == by_hand
    assert read_metadata(one).request.prompt != "square number 1" and read_metadata(one).request.seed == 6
    plain = report.to_dict()
    assert plain["comparisons"][1]["of"] == "conflicting prompts" and plain["steps_curve"][0]["steps"] == 1
    assert plain["conflicting_rows"][1]["prompt"] == read_metadata(one).request.prompt


def test_each_map_gets_another_prompt_whatever_else_is_evaluated() -> None:
    pairs = squares(9)
    found = ConflictingPrompts(pairs, pairs.names, 0)
    prompts = [found.of(row, pair.caption) for row, pair in enumerate(pairs.pairs)]
    assert sorted(prompts) == sorted(pair.caption for pair in pairs.pairs), "each is used once"
    assert all(prompt != pair.caption for prompt, pair in zip(prompts, pairs.pairs, strict=True))
    other = ConflictingPrompts(pairs, pairs.names, 1)
    assert prompts != [other.of(row, pair.caption) for row, pair in enumerate(pairs.pairs)]
    same = Folder([replace(pair, caption="one") for pair in pairs.pairs])
    with pytest.raises(InputError, match="none contradicts"):
        ConflictingPrompts(same, same.names, 0).of(0, "one")


def test_stems_are_file_names_that_everybody_can_read() -> None:
    assert name_stems(["images/house.png", "images/tree.v2.png"]) == ["house", "tree.v2"]
    assert name_stems(["a/x.png", "b/x.png", "b/X.jpg"]) == ["a_x", "b_x", "b_X-2"]
    assert name_stems(["../../etc/passwd", "C:\\x.png", "…", ".png"]) == [".._.._etc_passwd".strip("."), "C__x", "_", "png"]
    assert name_stems(["same", "same", "same"]) == ["same", "same-2", "same-3"]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "-1/2", "1/0"])
def test_a_shard_is_one_of_several(text: str) -> None:
    with pytest.raises(InputError, match=r"expected NUMBER/OF"):
        Shard.parse(text)
    assert [list(Shard(number, 2).of_batches(5)) for number in (1, 2)] == [[0, 2, 4], [1, 3]]


def test_a_process_that_is_killed_leaves_nothing_half_made(
    base: StableDiffusion, network: ControlNet, whole: FolderMaker, tmp_path: Path
) -> None:
    process = get_context("fork").Process(target=make, args=(base, network, tmp_path, whole.plan))
    process.start()
    while process.is_alive() and len(list(tmp_path.glob("with-control/*.png"))) < 2:
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    there = files(tmp_path)
    assert there.items() <= files(whole.folder).items(), "whatever is there is whole"
    make(base, network, tmp_path, whole.plan)
    assert files(tmp_path) == files(whole.folder)


@pytest.mark.slow
def test_a_cluster_makes_the_same_bytes(base: StableDiffusion, network: ControlNet, whole: FolderMaker, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    control, data = network.save_pretrained(tmp_path / "control"), tmp_path / "data"
    for pair in PAIRS.pairs[:2]:
        write_png(pair.image, data / f"{pair.name}.png")
        (data / f"{pair.name}.txt").write_text(pair.caption, "utf-8")
    plan = replace(PLAN, count=2, batch_size=1)
    job = MakingJob(plan, tmp_path / "ray", str(data), str(control), describe_base(base))
    assert make_pictures(job.maker(), str(data), job=job) == 4
    here = replace(job, folder=tmp_path / "here")
    assert make_pictures(here.maker(), str(data)) == 4
    assert files(tmp_path / "ray") == files(tmp_path / "here")
    assert make_pictures(job.maker(), str(data), job=job) == 0


def test_several_conditions_of_one_control_are_kept_and_judged_side_by_side(base: StableDiffusion, tmp_path: Path) -> None:
    both = build_control(base.unet, seed=3, conditioning_channels=6)
    both.config = replace(both.config, condition="canny+soft-edge")
    pairs, plan = squares(2), Plan("canny+soft-edge", 2, 1, 4.0)
    memory = evaluate(ControlPipeline(base), both, plan.condition, pairs, num_inference_steps=1, guidance_scale=4.0)
    maker = FolderMaker(plan, tmp_path, ControlPipeline(base), both, pairs)
    make_pictures(maker, "squares")
    report = measure_pictures(maker)
    assert report.fidelity.to_dict() == memory.to_dict()
    assert open_image(tmp_path / "maps" / "square-0.png").size == (128, 64)
    page = render_page(page_of_pictures(report, PictureFolder.open(tmp_path / "truth")))
    assert "map: soft-edge" in page and "soft-edge found in it" in page
