"""The loss is equation 5's, computed as diffusers would; a step that is not finite changes nothing."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
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
from zeroconv.diffusion import NoiseSchedule, snr_weight
from zeroconv.training.data.batches import Batch
from zeroconv.training.loop import StepMetrics, TrainingLoss, optimize


def batch_for(unet: Any, seed: int = 0) -> Batch:
    z_0, t, text, condition = build_inputs(unet, batch=3, seed=seed)
    return Batch(z_0, text, condition, t, numbers(*z_0.shape, seed=seed + 9))


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@torch.no_grad()
def test_loss_is_the_one_diffusers_would_compute(unet: Any, kind: str) -> None:
    network, batch = build_control(unet, seed=1), batch_for(unet)
    found = TrainingLoss(ControlledUNet(unet), network, NoiseSchedule.scaled_linear(), kind)(batch)
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
    found = TrainingLoss(ControlledUNet(unet), network, schedule, "epsilon")(batch)
    z_t, told = schedule.add_noise(batch.z_0, batch.epsilon, batch.t), as_keywords(pooled)
    twin = diffusers_twin(network, unet)
    down, middle = twin(z_t, batch.t, batch.text, batch.condition, return_dict=False, **told)
    residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
    prediction = unet(z_t, batch.t, batch.text, **residuals, **told).sample
    assert found.item() == pytest.approx(((prediction - batch.epsilon) ** 2).mean().item(), rel=1e-5)
    assert batch.to("cpu").added_conditions is not None and plain.to("cpu").added_conditions is None
    with pytest.raises(ValueError, match="needs `added_conditions`"):
        TrainingLoss(ControlledUNet(unet), network, schedule, "epsilon")(plain)


@torch.no_grad()
def test_loss_at_birth_is_the_bases_own(unet: Any) -> None:
    batch, schedule = batch_for(unet), NoiseSchedule.scaled_linear()
    found = TrainingLoss(ControlledUNet(unet), build_control(unet), schedule, "epsilon")(batch)
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
        values: Mapping[int, float | list[float]],
        limit: float = 100.0,
        rate: Callable[[int], float] = lambda _: 1.0,
        check: Callable[[int], bool] = lambda _: True,
        skip: bool = False,
    ) -> list[StepMetrics]:
        """A number a step, or several: the parts of its batch."""

        def parts_of(step: int) -> list[Batch]:
            value = values[step]
            parts = [torch.full((1, 1), part) for part in (value if isinstance(value, list) else [value])]
            return [Batch(x, x, x, x, x) for x in parts]

        def loss_of(batch: Batch) -> Tensor:
            return ((self.layer(batch.z_0) - 1) ** 2).mean()

        numbered = range(min(values), max(values) + 1)
        return list(optimize(loss_of, parts_of, self.optimizer, rate, limit, numbered, check, skip))


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
    optimizer = torch.optim.AdamW(groups)
    loss = TrainingLoss(ControlledUNet(unet), network, NoiseSchedule.scaled_linear(), "epsilon")
    with pytest.raises(FloatingPointError, match="zeroconv data check"):
        list(optimize(loss, lambda _: [poisoned], optimizer, lambda _: 1.0, 1.0, range(1)))
    assert unchanged(network, before) and unchanged(unet, unet_before) and not optimizer.state


def test_parts_of_a_batch_have_its_mean_gradient_and_loss() -> None:
    whole, parts = Line(rate=0.25), Line(rate=0.25)
    (one,) = parts.steps({0: [1.0, 2.0, 3.0]})
    assert one.loss.item() == pytest.approx(1) and one.gradient_norm.item() == pytest.approx(2 * (1 + 2 + 3) / 3)
    whole.steps({0: 2.0})
    assert parts.layer.weight.item() == pytest.approx(whole.layer.weight.item())


def test_a_step_that_is_not_finite_can_be_left_out() -> None:
    line, plain = Line(rate=0.25), Line(rate=0.25)
    states = line.steps({0: 1.0, 1: float("nan"), 2: 1.0}, skip=True)
    assert [state.skipped for state in states] == [False, True, False]
    plain.steps({0: 1.0, 1: 1.0})
    assert line.layer.weight.item() == plain.layer.weight.item()


@torch.no_grad()
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_min_snr_weighs_losses_as_its_paper_says(unet: Any, kind: str) -> None:
    """Equation 6 of arXiv 2303.09556, and its form for v; a γ beyond all ratios changes nothing of ε's loss."""
    batch, schedule, network = batch_for(unet), NoiseSchedule.scaled_linear(), build_control(unet, seed=1)
    alphas = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)[batch.t.numpy()]
    snr = alphas / (1 - alphas)
    wanted = np.minimum(snr, 5) / (snr if kind == "epsilon" else snr + 1)
    assert snr_weight(kind, schedule, batch.t, 5).numpy() == pytest.approx(wanted, rel=1e-4)
    singles = [
        TrainingLoss(ControlledUNet(unet), network, schedule, kind)(
            Batch(*(getattr(batch, name)[i : i + 1] for name in ("z_0", "text", "condition", "t", "epsilon")))
        ).item()
        for i in range(3)
    ]
    found = TrainingLoss(ControlledUNet(unet), network, schedule, kind, 5)(batch).item()
    assert found == pytest.approx(float(np.mean(np.array(singles) * wanted)), rel=1e-4)
    if kind == "epsilon":
        plain = TrainingLoss(ControlledUNet(unet), network, schedule, kind)(batch).item()
        assert TrainingLoss(ControlledUNet(unet), network, schedule, kind, 1e9)(batch).item() == pytest.approx(plain, rel=1e-5)
