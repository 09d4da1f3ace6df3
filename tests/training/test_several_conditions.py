"""Training a control of several conditions, from pairs to the network that is kept."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from tests.tiny import build_control
from tests.training.conftest import Settings
from tests.training.test_trainer import at_probe, interrupted_by, log, same, state
from zeroconv.conditions import get
from zeroconv.control import ControlNet
from zeroconv.data.prepared import prepare
from zeroconv.errors import InputError
from zeroconv.messages import Message, listen
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training import TrainConfig, Trainer, train
from zeroconv.training.parts import build_network

BOTH, EDGES = "canny+depth", "canny+soft-edge"


def quiet(_: object) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, each its own map of two conditions, the second inverted so that no one is taken for the other."""
    made, rng = tmp_path_factory.mktemp("two"), np.random.default_rng(0)
    lines: list[str] = []
    for i in range(9):
        size = (48, 32) if i % 3 else (32, 48)
        blocks = Image.fromarray(rng.integers(1, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8))
        whole = blocks.resize(size, Image.Resampling.NEAREST)
        whole.save(made / f"{i}.png")
        ImageOps.invert(whole).save(made / f"{i}-other.png")
        row = {"file_name": f"{i}.png", "text": "abcdefghi"[i], "tile": f"{i}.png", "shuffle": f"{i}-other.png"}
        lines.append(json.dumps(row))
    (made / "metadata.jsonl").write_text("\n".join(lines), "utf-8")
    return made


def test_a_run_keeps_a_network_of_both_and_resumes_to_the_same_bits(settings: Settings) -> None:
    few: dict[str, Any] = {
        "condition": EDGES, "extract": {"canny.low": 30}, "steps": 2, "probe_every": 1, "save_every": 1,
        "condition_dropout": 0.5,
    }  # fmt: skip
    whole, parts = (settings(**few, out=settings().checkpoint.out / name) for name in ("whole", "parts"))
    told: list[Any] = []
    train(whole, told.append)
    with pytest.raises(KeyboardInterrupt):
        train(parts, interrupted_by(KeyboardInterrupt, at_probe(1)))
    train(parts)
    assert same(state(parts.checkpoint.out), state(whole.checkpoint.out)) and log(parts.checkpoint.out) == log(
        whole.checkpoint.out
    )
    assert TrainConfig.build(whole.checkpoint.out / "config.toml") == whole
    network = ControlNet.from_pretrained(whole.checkpoint.out)
    assert (network.config.condition, network.config.conditioning_channels) == (EDGES, 6)
    assert network.config.extract == {"canny.low": 30}
    card = (whole.checkpoint.out / "controlnet" / "README.md").read_text("utf-8")
    assert "--condition canny=canny.png --condition soft-edge=soft-edge.png" in card and "| of soft-edge alone |" in card
    assert "zeroconv extract canny photo.png --set low=30 --out maps" in card
    probe = [row for row in log(whole.checkpoint.out) if row["event"] == "probe"][-1]
    each = probe["conditions"]
    for name in ("fidelity", "uncontrolled", "ceiling"):
        assert probe[name] == pytest.approx((each["canny"][name] + each["soft-edge"][name]) / 2)
    assert each["soft-edge"]["measure"] == get("soft-edge").metric and probe["measure"] == get(EDGES).metric
    line = next(event.line() for event in told if hasattr(event, "conditions"))
    assert f", canny {each['canny']['uncontrolled']:.3f}, soft-edge " in line


def test_settings_take_a_list_and_tables_and_refuse_what_makes_no_sense(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[data]\ncondition = ["canny", "depth"]\nextract = {depth = {method = "dpt"}, "canny.low" = 5}\n', "utf-8")
    config = TrainConfig.build(file)
    assert config.data.condition == BOTH and config.data.extract == {"depth.method": "dpt", "canny.low": 5}
    assert TrainConfig.build(assignments=["condition=canny+depth", "extract.depth.method=dpt"]).data.extract == {
        "depth.method": "dpt"
    }
    assert TrainConfig.build(condition=["depth"]).data.condition == "depth"
    refused: tuple[tuple[dict[str, Any], str], ...] = (
        ({"condition": "canny+edges"}, "unknown condition 'edges'"),
        ({"condition": "canny+canny"}, "comes twice"),
        ({"condition_dropout": 0.5}, "condition_dropout with one condition"),
        ({"condition": BOTH, "condition_dropout": 1.0}, "less than 1"),
    )
    for wrong, words in refused:
        with pytest.raises(InputError, match=words):
            TrainConfig.build(**wrong)


def test_all_maps_of_a_pair_are_cut_and_mirrored_together(settings: Settings, folder: Path) -> None:
    given: dict[str, Any] = {"buckets": True, "resolution": 32, "crops": 3, "flip": True, "batch_size": 2}
    trainer = Trainer(settings(data=str(folder), condition="tile+shuffle", **given), quiet)
    for step in range(8):
        condition = trainer.batches(step).condition
        assert condition.shape[1] == 6 and torch.allclose(condition[:, :3], 1 - condition[:, 3:], atol=3 / 255)
    seen = {tuple(trainer.batches(step).condition.shape[-2:]) for step in range(8)}
    assert len(seen) == 2  # of both buckets


def test_maps_are_left_out_by_the_visit_and_everything_else_is_as_before(settings: Settings) -> None:
    given: dict[str, Any] = {"condition": EDGES, "batch_size": 7}
    plain, some = (
        Trainer(settings(**given, condition_dropout=share, out=settings().checkpoint.out / str(share)), quiet)
        for share in (0.0, 0.4)
    )
    zeros = list[tuple[bool, bool]]()
    for step in range(12):
        whole, batch = plain.batches(step), some.batches(step)
        assert (
            torch.equal(whole.epsilon, batch.epsilon) and torch.equal(whole.t, batch.t) and torch.equal(whole.text, batch.text)
        )
        for full, left in zip(whole.condition.split(1), batch.condition.split(1), strict=True):
            empty = [not bool(one.any()) for one in left[0].split(3)]
            zeros.append((empty[0], empty[1]))
            kept = torch.cat([one * (not out) for one, out in zip(full[0].split(3), empty, strict=True)])
            assert torch.equal(left[0], kept)
        assert torch.equal(batch.condition, some.batches(step).condition)
        assert torch.equal(torch.cat([some.batches(step, part, 7).condition for part in range(7)]), batch.condition)
    assert set(zeros) == {(False, False), (True, False), (False, True), (True, True)}
    assert 0.25 < np.mean(np.asarray(zeros)) < 0.55


def test_prepared_maps_are_those_of_the_pictures(settings: Settings, folder: Path, base_folder: Path, tmp_path: Path) -> None:
    rows = [
        line for line in (folder / "metadata.jsonl").read_text("utf-8").splitlines() if json.loads(line)["text"] not in "adg"
    ]
    for path in folder.glob("*.png"):
        (tmp_path / "pairs").mkdir(exist_ok=True)
        (tmp_path / "pairs" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "pairs" / "metadata.jsonl").write_text("\n".join(rows), "utf-8")
    pairs, prepared = str(tmp_path / "pairs"), tmp_path / "prepared"
    prepare(pairs, prepared, base=str(base_folder), condition="tile+shuffle", shard_size=4)
    found = [
        Trainer(settings(data=pairs, condition="tile+shuffle", cache=cache, out=tmp_path / str(bool(cache))), quiet)
        for cache in (None, prepared)
    ]
    assert found[1].batches.gather.prepared is not None
    for step in range(3):
        opened, read = (trainer.batches(step) for trainer in found)
        assert torch.equal(opened.condition, read.condition) and torch.equal(opened.z_0, read.z_0)
    assert not found[1].batches.gather((0, 0, 1)).pairs


def test_drawn_parameters_of_one_condition_keep_all_maps_from_being_prepared(
    data_folder: Path, base_folder: Path, tmp_path: Path
) -> None:
    said: list[Message] = []
    given: dict[str, Any] = {"base": str(base_folder), "condition": BOTH}
    with listen(said.append):
        prepare(str(data_folder), tmp_path / "drawn", **given, extract={"depth.method": "tiny"})
        fixed = {"depth.method": "tiny", "canny.low": 50, "canny.high": 90}
        prepare(str(data_folder), tmp_path / "fixed", **given, extract=fixed)
    (message,) = (message for message in said if message.code == "prepare.drawn-maps")
    assert "draws canny.high, canny.low of canny+depth" in message.text and "--set canny.low=…" in message.text
    manifests = [json.loads((tmp_path / name / "manifest.json").read_text("utf-8")) for name in ("drawn", "fixed")]
    assert [one["maps"] for one in manifests] == [False, True] and manifests[0]["condition"] == BOTH


def test_it_begins_from_a_control_of_one_condition_and_changes_nothing_at_first(
    settings: Settings, base: StableDiffusion, tmp_path: Path
) -> None:
    before = build_control(base.unet, seed=3)
    before.config = replace(before.config, condition="canny", base=base.name)
    folder = before.save_pretrained(tmp_path / "canny")
    told: list[Message] = []
    config = settings(control=str(folder), condition="soft-edge+canny", out=tmp_path / "b")
    with listen(told.append):
        trainer = Trainer(config, quiet)
    (message,) = (message for message in told if message.code == "control.new-conditions")
    assert "followed canny: its channels of canny stay; the channels of soft-edge begin at zero" in message.text
    batch = trainer.batches(0)
    one = ControlNet.from_pretrained(folder)
    with torch.no_grad():
        wide = trainer.network(batch.z_0, batch.t, batch.text, batch.condition)
        narrow = one(batch.z_0, batch.t, batch.text, batch.condition[:, 3:])
    assert all(torch.allclose(wide[site], narrow[site], atol=1e-6) for site in wide) and wide.middle.any()


def test_going_on_with_the_same_conditions_says_nothing_and_another_network_is_refused(
    settings: Settings, tmp_path: Path
) -> None:
    config = settings(condition=EDGES)
    base = Trainer(config, quiet).base
    network = build_network(config, base)
    folder = network.save_pretrained(tmp_path / "both")
    told: list[Message] = []
    with listen(told.append):
        again = build_network(settings(control=str(folder), condition=EDGES), base)
    assert not told and torch.equal(next(again.parameters()), next(network.parameters()))
    narrow = ControlNet.from_unet(base.unet, conditioning_channels=4).save_pretrained(tmp_path / "four")
    with pytest.raises(InputError, match="reads 4 channels; expected 3"):
        build_network(settings(control=str(narrow), condition=EDGES), base)
