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
from zeroconv.training.loop import StepMetrics, optimize, training_loss


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
        self,
        values: dict[int, float],
        limit: float = 100.0,
        rate: Callable[[int], float] = lambda _: 1.0,
        check: Callable[[int], bool] = lambda _: True,
    ) -> list[StepMetrics]:
        def batch_of(step: int) -> Batch:
            x = torch.full((1, 1), values[step])
            return Batch(x, x, x, x, x)

        def loss_of(batch: Batch) -> Tensor:
            return ((self.layer(batch.z_0) - 1) ** 2).mean()

        numbered = range(min(values), max(values) + 1)
        return list(optimize(loss_of, batch_of, self.optimizer, rate, limit, numbered, check))


def test_steps_are_counted_from_one_and_go_down_the_gradient() -> None:
    line = Line(rate=0.25)
    states = line.steps({0: 1.0, 1: 1.0, 2: 1.0})
    assert [s.step for s in states] == [1, 2, 3]
    assert [s.loss.item() for s in states] == pytest.approx([1, 0.25, 0.0625])  # w: 0, ½, ¾
    assert [s.gradient_norm.item() for s in states] == pytest.approx([2, 1, 0.5])
    assert line.layer.weight.item() == pytest.approx(0.875)
    assert line.layer.weight.grad is None


def test_gradients_are_clipped_to_the_norm_and_reported_as_they_were() -> None:
    line = Line(rate=0.25)
    (state,) = line.steps({0: 1.0}, limit=0.4)
    assert state.gradient_norm.item() == pytest.approx(2)
    assert line.layer.weight.item() == pytest.approx(0.25 * 0.4, rel=1e-4)


def test_rate_scales_every_step_and_is_asked_by_its_number() -> None:
    line, asked = Line(rate=0.25), list[int]()

    def rate(step: int) -> float:
        asked.append(step)
        return 0.0 if step == 6 else 1.0

    states = line.steps({5: 1.0, 6: 1.0, 7: 1.0}, rate=rate)
    assert asked == [5, 6, 7] and [s.step for s in states] == [6, 7, 8]
    assert [s.loss.item() for s in states] == pytest.approx([1, 0.25, 0.25])


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e30])
def test_a_step_that_is_not_finite_leaves_the_weights_as_they_were(poison: float) -> None:
    line = Line()
    line.steps({0: 1.0})
    before = copies(line.layer.state_dict().items())
    with pytest.raises(FloatingPointError, match=r"step 2: the loss is (nan|inf).*nothing was updated: lower learning_rate"):
        line.steps({1: poison})
    assert unchanged(line.layer, before)


READS = ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__")
"""What waits for a device: each brings a tensor's numbers to the program."""


@pytest.mark.parametrize(("every", "reads"), [(1, 12), (4, 3), (12, 1)])
def test_the_device_is_waited_for_at_checks_alone(monkeypatch: pytest.MonkeyPatch, every: int, reads: int) -> None:
    line, inside = Line(rate=0.25), [0]
    counts: dict[str, int] = dict.fromkeys(READS, 0)
    for name in READS:
        read = getattr(Tensor, name)

        def watch(self: Tensor, *args: Any, name: str = name, read: Any = read, **options: Any) -> Any:
            counts[name] += inside[0] == 0
            inside[0] += 1
            try:
                return read(self, *args, **options)
            finally:
                inside[0] -= 1

        monkeypatch.setattr(Tensor, name, watch)
    states = line.steps(dict.fromkeys(range(12), 1.0), check=lambda step: step % every == 0)
    assert counts["cpu"] == reads, counts  # the losses and norms since the last check, in one transfer
    assert counts["item"] + counts["tolist"] + counts["numpy"] == 0
    assert all(state.loss.ndim == 0 and not state.loss.requires_grad for state in states)


def test_a_check_names_the_first_step_that_was_not_finite() -> None:
    line = Line()
    with pytest.raises(FloatingPointError, match=r"step 3: the loss is nan .*nothing since the last saved state can be kept"):
        line.steps({0: 1.0, 1: 1.0, 2: float("nan"), 3: 1.0, 4: 1.0, 5: 1.0}, check=lambda step: step % 5 == 0)
    other = Line()
    with pytest.raises(FloatingPointError, match=r"step 5: the loss is nan .*nothing was updated"):
        other.steps({0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0, 4: float("nan")}, check=lambda step: step % 5 == 0)
    assert bool(other.layer.weight.isfinite().all())


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
