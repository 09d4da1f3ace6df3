"""The loss is equation 5's, computed as diffusers would; a step that is not finite changes nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor, nn

from tests.tiny import (
    SDXL,
    as_keywords,
    build_control,
    build_inputs,
    build_pooled,
    build_unet,
    copies,
    diffusers_twin,
    numbers,
    unchanged,
)
from zeroconv.control import ControlledUNet
from zeroconv.diffusion import NoiseSchedule
from zeroconv.training.batches import Batch
from zeroconv.training.loop import StepState, optimize, training_loss


def batch_for(unet: Any, seed: int = 0) -> Batch:
    z_0, t, text, condition = build_inputs(unet, batch=3, seed=seed)
    return Batch(z_0, text, condition, t, numbers(*z_0.shape, seed=seed + 9))


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@torch.no_grad()
def test_loss_is_the_one_diffusers_would_compute(unet: Any, kind: str) -> None:
    network, batch = build_control(unet, seed=1), batch_for(unet)
    found = training_loss(ControlledUNet(unet), network, batch, NoiseSchedule.scaled_linear(), kind)
    betas: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    scheduler: Any = DDPMScheduler(1000, **betas)
    z_t = scheduler.add_noise(batch.z_0, batch.epsilon, batch.t)
    down, middle = diffusers_twin(network, unet)(z_t, batch.t, batch.text, batch.condition, return_dict=False)
    residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
    prediction = unet(z_t, batch.t, batch.text, **residuals).sample
    velocity = scheduler.get_velocity(batch.z_0, batch.epsilon, batch.t)
    wanted = batch.epsilon if kind == "epsilon" else velocity
    assert found.item() == pytest.approx(((prediction - wanted) ** 2).mean().item(), rel=1e-5)


@torch.no_grad()
def test_loss_of_xl_is_told_the_pooled_text() -> None:
    unet = build_unet(SDXL)
    pooled, plain = build_pooled(unet, batch=3), batch_for(unet)
    network, schedule = build_control(unet, seed=1), NoiseSchedule.scaled_linear()
    batch = replace(plain, added_conditions=pooled)
    found = training_loss(ControlledUNet(unet), network, batch, schedule, "epsilon")
    z_t, told = schedule.add_noise(batch.z_0, batch.epsilon, batch.t), as_keywords(pooled)
    twin = diffusers_twin(network, unet)
    down, middle = twin(z_t, batch.t, batch.text, batch.condition, return_dict=False, **told)
    residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
    prediction = unet(z_t, batch.t, batch.text, **residuals, **told).sample
    assert found.item() == pytest.approx(((prediction - batch.epsilon) ** 2).mean().item(), rel=1e-5)
    assert batch.to("cpu").added_conditions is not None and plain.to("cpu").added_conditions is None
    with pytest.raises(ValueError, match="needs `added_conditions`"):
        training_loss(ControlledUNet(unet), network, plain, schedule, "epsilon")


@torch.no_grad()
def test_loss_at_birth_is_the_bases_own(unet: Any) -> None:
    batch, schedule = batch_for(unet), NoiseSchedule.scaled_linear()
    found = training_loss(ControlledUNet(unet), build_control(unet), batch, schedule, "epsilon")
    plain = unet(schedule.add_noise(batch.z_0, batch.epsilon, batch.t), batch.t, batch.text).sample
    assert found.item() == pytest.approx(((plain - batch.epsilon) ** 2).mean().item(), rel=1e-6)


class Line:
    """y = w x, learnt from one number per batch: the smallest thing with a loss."""

    def __init__(self, rate: float = 0.5) -> None:
        self.layer = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.layer.weight)
        groups = [{"params": list(self.layer.parameters()), "lr": 0.0, "full_lr": rate}]
        self.optimizer = torch.optim.SGD(groups, lr=rate)

    def steps(
        self, values: dict[int, float], limit: float = 100.0, rate: Callable[[int], float] = lambda _: 1.0
    ) -> list[StepState]:
        def batch_of(step: int) -> Batch:
            x = torch.full((1, 1), values[step])
            return Batch(x, x, x, x, x)

        def loss_of(batch: Batch) -> Tensor:
            return ((self.layer(batch.z_0) - 1) ** 2).mean()

        numbered = range(min(values), max(values) + 1)
        return list(optimize(loss_of, batch_of, self.optimizer, rate, limit, numbered))


def test_steps_are_counted_from_one_and_go_down_the_gradient() -> None:
    line = Line(rate=0.25)
    states = line.steps({0: 1.0, 1: 1.0, 2: 1.0})
    assert [s.step for s in states] == [1, 2, 3]
    assert [s.loss for s in states] == pytest.approx([1, 0.25, 0.0625])  # w: 0, ½, ¾
    assert [s.gradient_norm for s in states] == pytest.approx([2, 1, 0.5])
    assert line.layer.weight.item() == pytest.approx(0.875)
    assert line.layer.weight.grad is None


def test_gradients_are_clipped_to_the_norm_and_reported_as_they_were() -> None:
    line = Line(rate=0.25)
    (state,) = line.steps({0: 1.0}, limit=0.4)
    assert state.gradient_norm == pytest.approx(2)
    assert line.layer.weight.item() == pytest.approx(0.25 * 0.4, rel=1e-4)


def test_rate_scales_every_step_and_is_asked_by_its_number() -> None:
    line, asked = Line(rate=0.25), list[int]()

    def rate(step: int) -> float:
        asked.append(step)
        return 0.0 if step == 6 else 1.0

    states = line.steps({5: 1.0, 6: 1.0, 7: 1.0}, rate=rate)
    assert asked == [5, 6, 7] and [s.step for s in states] == [6, 7, 8]
    assert [s.loss for s in states] == pytest.approx([1, 0.25, 0.25])


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e30])
def test_a_step_that_is_not_finite_leaves_the_weights_as_they_were(poison: float) -> None:
    line = Line()
    line.steps({0: 1.0})
    before = copies(line.layer.state_dict().items())
    with pytest.raises(FloatingPointError, match=r"step 2: the loss is (nan|inf).*nothing was updated: lower learning_rate"):
        line.steps({1: poison})
    assert unchanged(line.layer, before)


def test_a_controlnet_survives_a_poisoned_batch(unet: Any) -> None:
    network, unet_before = build_control(unet, seed=1), copies(unet.state_dict().items())
    before, good = copies(network.state_dict().items()), batch_for(unet)
    poisoned = Batch(good.z_0, good.text, good.condition * float("nan"), good.t, good.epsilon)
    groups = [{"params": list(network.parameters()), "lr": 1e-3, "full_lr": 1e-3}]
    optimizer, schedule, controlled = torch.optim.AdamW(groups), NoiseSchedule.scaled_linear(), ControlledUNet(unet)

    def loss_of(batch: Batch) -> Tensor:
        return training_loss(controlled, network, batch, schedule, "epsilon")

    with pytest.raises(FloatingPointError, match="zeroconv data check"):
        list(optimize(loss_of, lambda _: poisoned, optimizer, lambda _: 1.0, 1.0, range(1)))
    assert unchanged(network, before) and unchanged(unet, unet_before) and not optimizer.state
