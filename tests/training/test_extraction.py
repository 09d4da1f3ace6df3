"""Maps made inside training: any extractor, at every visit, with parameters given or drawn, networks on whole batches."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from experiments.hed.convert import tensors_of
from PIL import Image

from tests.conditions.networks.test_hed import keras_arrays
from tests.conditions.tiny_networks import save
from tests.training.conftest import Settings, settings_in
from tests.training.test_trainer import at_probe, interrupted_by, log, same, state
from zeroconv import conditions
from zeroconv.checkpoints import write_safetensors
from zeroconv.conditions.networks.hed import open_hed
from zeroconv.conditions.networks.transformers import open_network
from zeroconv.control import ControlNet
from zeroconv.data import get_maps
from zeroconv.data.sampling_order import draw_randomness, samples_of_step
from zeroconv.diffusion import TimestepDistribution
from zeroconv.training import TrainConfig, Trainer, train
from zeroconv.training.config.defaults import extractor_parameters
from zeroconv.training.data.batches import Batches
from zeroconv.training.data.visits import make_maps
from zeroconv.training.run_folder.folder import RunFolder


@pytest.fixture(scope="module")
def hed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Parameters that ask for a narrow random HED."""
    file = tmp_path_factory.mktemp("hed") / "hed.safetensors"
    write_safetensors(file, tensors_of(keras_arrays()))
    return {"method": "hed", "weights": str(file)}


@pytest.fixture(scope="module")
def dpt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Parameters that ask for a tiny random depth network."""
    return {"method": "dpt", "weights": str(save("dpt", tmp_path_factory.mktemp("dpt") / "dpt"))}


def quiet(_: object) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def run(base_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A run that is opened once and told to make other maps."""
    return Trainer(settings_in(tmp_path_factory.mktemp("maps"), base_folder, data_folder)(batch_size=7), quiet)


def make_others(run: Trainer, condition: str, **extract: Any) -> Batches:
    """The batches of the run with other maps."""
    data = run.config.data.model_copy(update={"condition": condition, "extract": extract})
    run.batches.config = run.batches.gather.config = run.config.model_copy(update={"data": data})
    return run.batches


def test_a_run_with_a_learned_extractor_resumes_to_the_same_bits(settings: Settings, dpt: dict[str, Any]) -> None:
    few: dict[str, Any] = {"condition": "depth", "extract": dpt, "steps": 2, "probe_every": 1, "save_every": 1}
    whole, parts = (settings(**few, out=settings().checkpoint.out / name) for name in ("whole", "parts"))
    train(whole)
    with pytest.raises(KeyboardInterrupt):
        train(parts, interrupted_by(KeyboardInterrupt, at_probe(1)))
    train(parts)
    assert same(state(parts.checkpoint.out), state(whole.checkpoint.out)) and log(parts.checkpoint.out) == log(
        whole.checkpoint.out
    )
    assert TrainConfig.build(whole.checkpoint.out / "config.toml") == whole
    network = ControlNet.from_pretrained(whole.checkpoint.out)
    assert network.config.extract == dpt
    card = (whole.checkpoint.out / "controlnet" / "README.md").read_text("utf-8")
    assert "zeroconv extract depth photo.png --set method=dpt --set weights=dpt --out maps" in card
    with pytest.raises(ValueError, match=r"holds a run with data\.extract = "):
        RunFolder(whole.checkpoint.out).open(settings(condition="depth"))


def test_a_method_makes_pictures_alone_enough(settings: Settings, dpt: dict[str, Any]) -> None:
    for condition in ("depth", "normal"):
        run = Trainer(settings(condition=condition, extract=dpt, out=settings().checkpoint.out / condition), quiet)
        maps = run.batches(0).condition
        assert maps.shape == (2, 3, 32, 32) and len(maps.unique()) > 8
        assert [image.size for image in run.probe.held_out.maps] == [(32, 32)] * 2


@pytest.mark.parametrize("condition", conditions.names())
def test_every_extractor_runs_inside_training_and_draws_anew(run: Trainer, dpt: dict[str, Any], condition: str) -> None:
    """Two looks at the same sample give two maps wherever something is drawn, and the same ones again."""
    known = conditions.get(condition)
    given: dict[str, Any] = {} if known.general_purpose else dpt if condition == "normal" else {"method": "tiny"}
    make_others(run, condition, **given)
    order = [[ref.index for ref in samples_of_step(step, 7, 7, 0)] for step in range(6)]
    seen = [run.batches(step).condition[np.argsort(order[step])] for step in range(6)]
    again = run.batches(0).condition[np.argsort(order[0])]
    assert torch.equal(seen[0], again)
    changed = any(not torch.equal(seen[0], visit) for visit in seen[1:])
    assert changed == (known.draw_parameters is not None)


def test_the_map_of_a_visit_does_not_depend_on_its_batch(run: Trainer, hed: dict[str, Any]) -> None:
    together = make_others(run, "soft-edge", **hed)(2).condition
    for ref, one in zip(samples_of_step(2, 7, 7, 0), together, strict=True):
        drawn = draw_randomness(ref, 0, (4, 4, 4), TimestepDistribution(range(1000)), 0.5).extraction
        (alone,) = make_maps(run.batches.config, [run.batches.pairs.open(ref.index, lambda _: None)[1]], [drawn])
        assert np.abs(np.asarray(alone, int) - one.mul(255).permute(1, 2, 0).numpy()).max() < 1.01


def test_a_network_sees_the_whole_batch(run: Trainer, hed: dict[str, Any], dpt: dict[str, Any]) -> None:
    for condition, given, network in (
        ("soft-edge", hed, open_hed(hed["weights"])),
        ("depth", dpt, open_network("dpt", dpt["weights"]).model),
    ):
        seen: list[int] = []
        handle = network.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(len(inputs[0])))
        make_others(run, condition, **given)(0)
        handle.remove()
        assert seen == [7]


def test_probes_are_judged_as_maps_were_made_or_as_the_settings_say(settings: Settings, dpt: dict[str, Any]) -> None:
    depth = conditions.get("depth").fidelity
    run = Trainer(settings(condition="depth", extract=dpt), quiet)
    pictures = [pair.image for pair in run.probe.held_out.pairs]
    assert run.probe.score(pictures).fidelity == pytest.approx(1, abs=0.02)  # its own maps
    out = settings().checkpoint.out
    run = Trainer(settings(condition="depth", extract=dpt, judge={"method": "tiny"}, out=out / "other"), quiet)
    wanted = [depth(image, condition) for image, condition in zip(pictures, run.probe.held_out.maps, strict=True)]
    assert run.probe.score(pictures).fidelity == pytest.approx(sum(wanted) / len(wanted)) != pytest.approx(1, abs=0.02)
    with pytest.raises(ValueError, match="the judge of depth has no parameter 'tile'; expected one of method, weights, device"):
        Trainer(settings(condition="depth", extract=dpt, judge={"tile": 64}, out=out / "third"), quiet)


def test_what_is_given_is_not_drawn(settings: Settings) -> None:
    run = Trainer(settings(extract={"low": 5, "high": 10}), quiet)
    pair = run.batches.pairs.open(0, lambda _: None)[1]
    made = {np.asarray(make_maps(run.config, [pair], [np.random.default_rng(seed)])[0]).tobytes() for seed in range(5)}
    assert made == {np.asarray(conditions.extract("canny", pair.image, low=5, high=10)).tobytes()}
    assert run.probe.held_out.maps[0] == conditions.extract("canny", run.probe.held_out.pairs[0].image, low=5, high=10)


def test_maps_of_the_data_are_left_aside_when_extraction_is_asked_for(run: Trainer) -> None:
    black = Image.new("RGB", (32, 32))
    pair = replace(run.batches.pairs.open(0, lambda _: None)[1], maps={"depth": black})
    ways: list[dict[str, Any]] = [{}, {"method": "tiny"}]
    maps = [make_maps(make_others(run, "depth", **given).config, [pair], [np.random.default_rng(0)]) for given in ways]
    assert maps == [[black], [conditions.extract("depth", pair.image)]]
    assert get_maps([pair, pair], "depth", [{}, {}]) == [black, black]


@pytest.mark.parametrize(
    ("condition", "extract", "device", "expected"),
    [
        ("canny", {"low": 5}, "cuda", {"low": 5}),
        ("depth", {}, "cuda:1", {"device": "cuda:1"}),
        ("soft-edge", {"method": "hed"}, "cuda", {"method": "hed", "device": "cuda"}),
        ("hed", {"method": "hed", "device": "cpu"}, "cuda", {"method": "hed", "device": "cpu"}),
    ],
)
def test_a_learned_extractor_runs_where_the_training_does(
    condition: str, extract: dict[str, Any], device: str, expected: dict[str, Any]
) -> None:
    assert extractor_parameters(TrainConfig.build(condition=condition, extract=extract, device=device)) == expected


@pytest.mark.parametrize(
    ("condition", "extract", "message"),
    [
        ("canny", {"lo": 5}, "canny: there is no parameter 'lo'; expected one of low, high"),
        ("canny", {"low": "much"}, "canny: low is 'much'; expected a finite number"),
        ("canny", {"low": 300}, "canny thresholds are 300 and 200"),
        ("depth", {"method": "midas"}, "depth method is 'midas'; expected one of tiny"),
        ("depth", {"method": "dpt", "weights": "nowhere"}, "dpt needs the weights 'nowhere'"),
        ("depth", {"strength": 2, "method": "tiny"}, "depth: there is no parameter 'strength'"),
        ("soft-edge", {"method": "hed", "weights": "nowhere.safetensors"}, "no HED weights at nowhere"),
        ("scribble", {"width": 99}, "scribble's width is 99"),
        ("canny", {"resolution": 0}, "the detection resolution is 0"),
    ],
)
def test_wrong_parameters_end_in_one_line_before_anything_is_opened(
    settings: Settings, condition: str, extract: dict[str, Any], message: str
) -> None:
    config = settings(condition=condition, extract=extract, base="nowhere")
    with pytest.raises((ValueError, OSError), match=message) as caught:
        train(config)
    assert "\n" not in str(caught.value)
    assert not Path(config.checkpoint.out).exists()
