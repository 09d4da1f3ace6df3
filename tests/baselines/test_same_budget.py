"""The baselines: what is connected by zeros begins as the base, budgets outlive a kill, and folders can be evaluated."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from experiments.baselines import denoising, phases
from experiments.baselines.common import Budget, Case, Pairs, to_maps
from experiments.baselines.concatenation import ConcatenationLora, LatentDiffusion, WholeBase
from experiments.baselines.controlnet import ControlNetGaussian, ControlNetLite, ControlNetZero
from experiments.baselines.denoising import GUIDANCE, DenoisingMethod, DenoisingModel, draw_timesteps, sample
from experiments.baselines.lora import BaseLora
from experiments.baselines.methods import METHODS
from experiments.baselines.phases import optimizer_of, phases_of, train_phase
from experiments.baselines.pictures import maps_folder, write_cases, write_pictures
from experiments.baselines.t2i_adapter import Adapter
from PIL import Image
from torch import Tensor, nn

from zeroconv import ControlPipeline, StableDiffusion
from zeroconv.evaluation.folders import judge_folder
from zeroconv.generation import Control

ZERO = (ConcatenationLora, WholeBase, ControlNetLite, ControlNetZero, BaseLora)
WITH_MAPS = (ConcatenationLora, WholeBase, LatentDiffusion, ControlNetLite, ControlNetGaussian, ControlNetZero, Adapter)


def build(method: type[DenoisingMethod], base: StableDiffusion) -> DenoisingModel:
    torch.manual_seed(0)
    return method().build(base)


def inputs(base: StableDiffusion, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
    return pairs.latents[:1], torch.tensor([500]), base.encode_text(["a house"]).hidden_states


def maps_of(method: type[DenoisingMethod], base: StableDiffusion, pairs: Pairs, row: int) -> Tensor:
    maps = to_maps(pairs.maps(method.condition)[row : row + 1])
    return base.encode_images(2 * maps - 1) if method.reads == "latents" else maps


@pytest.mark.parametrize("method", ZERO)
@torch.no_grad()
def test_what_is_connected_by_zeros_begins_as_the_base(
    method: type[DenoisingMethod], base: StableDiffusion, pairs: Pairs
) -> None:
    model, given = build(method, base), inputs(base, pairs)
    found = model(*given, model.read(maps_of(method, base, pairs, 0)))
    assert torch.equal(found, base.unet(*given).sample)


@pytest.mark.parametrize("method", WITH_MAPS)
def test_after_two_steps_another_map_gives_another_prediction(
    method: type[DenoisingMethod], base: StableDiffusion, pairs: Pairs
) -> None:
    model, given = build(method, base), inputs(base, pairs)
    before = {name: tensor.clone() for name, tensor in base.unet.state_dict().items()}
    optimizer = optimizer_of(model, method.optimizer, method.rate)
    for _ in range(2):  # a ControlNet's connections learn in the first, its condition encoder's last layer in the second
        model(*given, model.read(maps_of(method, base, pairs, 0))).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        first, second = (model(*given, model.read(maps_of(method, base, pairs, row))) for row in (0, 1))
    assert not torch.equal(first, second)
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.unet.state_dict().items())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The processor's time, a tenth of a second at each look."""
    now = [0.0]

    def tick() -> float:
        now[0] += 0.1
        return now[0]

    monkeypatch.setattr("experiments.baselines.common.time.process_time", tick)
    monkeypatch.setattr(phases, "SAVE_EVERY", -1.0)
    yield now


def test_a_budget_is_kept_across_a_kill(tmp_path: Path, clock: list[float]) -> None:
    def run(folder: Path, killed_at: int | None, until: float = 1.0) -> tuple[phases.Phase, Tensor]:
        torch.manual_seed(0)
        network, seen = nn.Linear(4, 4), list[int]()

        def loss_of(step: int, share: float) -> Tensor:
            assert 0 <= share < 1
            if step == killed_at:
                raise KeyboardInterrupt
            seen.append(step)
            return (network(torch.ones(1, 4) * (step % 3)) - 1).square().mean()

        phase = train_phase(folder, "all", network, loss_of, Budget(4.0), 2, until)
        return phase, network.weight.detach().clone()

    whole, _ = run(tmp_path / "whole", None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", 9)
    clock[0] += 1000  # whatever else the machine did in between
    resumed, weight = run(tmp_path / "killed", None)
    assert whole.spent == pytest.approx(4.0, abs=0.15) and resumed.spent == pytest.approx(4.0, abs=0.15)
    assert abs(resumed.steps - whole.steps) <= 1 and resumed.samples == 2 * resumed.steps
    again, same = run(tmp_path / "killed", 0)  # done: nothing is computed
    assert again == resumed and torch.equal(weight, same)
    assert phases_of(tmp_path / "killed") == {"all": resumed}
    half, _ = run(tmp_path / "half", None, until=0.5)
    assert half.spent == pytest.approx(2.0, abs=0.15)


def test_draws_belong_to_seed_and_step_and_visit_every_pair(pairs: Pairs) -> None:
    one, same, other = pairs.draw(0, 3, 4), pairs.draw(0, 3, 4), pairs.draw(1, 3, 4)
    assert one.rows == same.rows and one.captions == same.captions
    assert torch.equal(one.noise(torch.zeros(3)), same.noise(torch.zeros(3)))
    assert not torch.equal(one.noise(torch.zeros(3)), other.noise(torch.zeros(3)))
    assert sorted(one.rows) == [0, 0, 1, 1]
    captions = [caption for step in range(50) for caption in pairs.draw(0, step, 4).captions]
    assert 0.35 < sum(caption == "" for caption in captions) / 200 < 0.65
    drawn = torch.cat([draw_timesteps("high-first", pairs.draw(0, step, 4), 0.5) for step in range(25)])
    late = torch.cat([draw_timesteps("high-first", pairs.draw(0, step, 4), 0.9) for step in range(25)])
    cubic = torch.cat([draw_timesteps("cubic", pairs.draw(0, step, 4), 0.0) for step in range(100)])
    assert drawn.min() >= 400 and late.min() < 400 and cubic.float().mean() == pytest.approx(750, abs=60)


def test_the_shared_sampler_makes_the_pictures_of_the_library(
    base: StableDiffusion, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denoising, "STEPS", 3)
    model: Any = build(ControlNetGaussian, base)
    found = sample(base, model, cases[:1], "segmentation", 5)
    map_, pipeline = cases[0].maps["segmentation"], ControlPipeline(base).optimize(runtime="torch")
    made = pipeline(
        cases[0].prompt, [Control(model.network, map_)], num_inference_steps=3, guidance_scale=GUIDANCE, seed=5,
        plain_prompt=True,
    ).images[0]  # fmt: skip
    assert max(abs(a - b) for a, b in zip(found[0].tobytes(), made.tobytes(), strict=True)) <= 2


def test_a_folder_can_be_evaluated_and_is_completed(tmp_path: Path, cases: list[Case]) -> None:
    asked: list[str] = []

    def generate(part: Any) -> list[Image.Image]:
        asked.extend(case.name for case in part)
        return [case.image for case in part]

    write_cases(tmp_path, cases)
    for shown in (cases[:1], cases):
        write_pictures(tmp_path / "mine", shown, "segmentation", 3, generate, {"steps": 10})
    assert asked == [case.name for case in cases]
    with pytest.warns(UserWarning, match="few"):
        report = judge_folder(tmp_path / "mine", maps=maps_folder(tmp_path, "segmentation"), judge={"method": "tiny"})
    assert report.condition == "segmentation" and [row.seed for row in report.rows] == [3, 4]
    assert [row.prompt for row in report.rows] == [case.prompt for case in cases] and report.interval("pictures").value > 0.5


def test_every_method_has_its_name() -> None:
    assert all(name == method.name and method.title for name, method in METHODS.items())
