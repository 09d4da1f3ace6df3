"""What a dry run promises: nothing written, every setting resolved, memory as a real step needs it."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.durability.runs import QUIET, ROOT
from tests.tiny import NANO, SD15, build_inputs, build_unet
from tests.training.conftest import Settings
from zeroconv.runtime.packed_modules import packed_bytes
from zeroconv.stable_diffusion import PromptEncoding, StableDiffusion
from zeroconv.training import TrainConfig
from zeroconv.training.data.batches import Batch
from zeroconv.training.optimization.optimizer import new_optimizer
from zeroconv.training.parts import lock_and_build
from zeroconv.training.planning import plan
from zeroconv.training.planning.memory import Account, estimate_memory, optimizer_bytes
from zeroconv.training.run_folder.state import gather_state


@pytest.fixture(autouse=True)
def opened_base(monkeypatch: pytest.MonkeyPatch, base: StableDiffusion) -> None:
    monkeypatch.setattr(plan, "open_base", lambda _: base)


BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}


class Vae:
    """All that a plan asks of an autoencoder."""

    config = SimpleNamespace(block_out_channels=(1, 1, 1, 1))


class PlainText(StableDiffusion):
    """A base without encoders, whose text states are zeros."""

    @property
    def networks(self) -> tuple[Any, ...]:
        return (self.unet,)

    def encode_text(self, prompts: Sequence[str], weighted: bool = False) -> PromptEncoding:
        return PromptEncoding(torch.zeros(len(prompts), 16, 16))


def test_an_account_counts_what_lives_at_once() -> None:
    with Account() as account:
        first = torch.zeros(1000)
        second = first + 1
        view = second[:10]
        del first
        third = view * 2
        assert account.live == 4000 + 40 and account.peak == 8000
        del second, view, third
    assert account.live == 0


@pytest.mark.parametrize("name", ["adamw", "muon", "adamw8bit", "prodigy"])
def test_moments_have_the_bytes_that_were_expected(base: StableDiffusion, settings: Settings, name: Any) -> None:
    _, network = lock_and_build(settings(), base)
    optimizer = new_optimizer(network, name, 1e-3, 0.01)
    torch.stack([p.square().sum() for p in network.parameters()]).sum().backward()
    optimizer.step()
    state = gather_state(network, optimizer)
    moments = [tensor for key, tensor in state.items() if key.startswith("optimizer.") and tensor.ndim]
    found = sum(tensor.nbytes for tensor in moments)
    assert found == pytest.approx(optimizer_bytes(network, name), rel=0.03)  # Prodigy keeps no zeros


def test_a_plan_fills_in_every_setting_and_writes_nothing(settings: Settings, tmp_path: Path) -> None:
    found = plan.plan_run(settings(optimizer=None, timesteps=None, ema_decay=0.9))
    assert not (tmp_path / "run").exists()
    assert found.config.optimization.optimizer == "muon" and found.config.optimization.learning_rate == 1e-3
    assert {"optimization.optimizer", "optimization.timesteps", "model.base_dtype"} <= set(found.decided)
    assert "optimization.precision" not in found.decided
    assert found.seconds is not None and found.seconds > 0 and found.pairs == 7
    text = "\n".join(found.lines())
    assert 'optimizer = "muon"  # the base decides' in text and "parameters learn" in text
    values = json.loads(json.dumps(found.to_json()))
    assert values["memory"]["total"] == sum(size for name, size in values["memory"].items() if name != "total")


def test_settings_move_the_expected_memory_as_they_should(settings: Settings) -> None:
    unet = build_unet(NANO)
    base = PlainText(unet, Vae(), None, None, BETAS)

    def expected(**changed: Any) -> Any:
        config = settings(batch_size=8, **changed)
        return estimate_memory(config, *lock_and_build(config, base), config.optimization.optimizer or "adamw", (64, 64))

    plain = expected()
    assert plain.gradients == plain.weights and plain.optimizer == 2 * plain.weights and not plain.average
    assert expected(checkpoint_decoder=True).activations < plain.activations
    assert expected(checkpoint_encoder=True).activations < plain.activations
    assert expected(accumulation=4).activations < 0.5 * plain.activations
    assert expected(pack_base=True).base == plain.base + packed_bytes(unet)
    assert expected(base_dtype="bfloat16").base < 0.6 * plain.base
    assert expected(optimizer="adamw8bit").optimizer < plain.optimizer


MEASURE = """
import resource, sys
import torch
from tests.tiny import numbers
from tests.training.test_planning import batch_of, build_plain
from zeroconv.training import TrainConfig
from zeroconv.training.loop import optimize
from zeroconv.training.parts import build_loss, build_optimizer, lock_and_build

torch.set_num_threads(1)
torch.nn.Conv2d(8, 8, 3, padding=1)(numbers(1, 8, 8, 8)).sum().backward()
before = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
config = TrainConfig.build(None, sys.argv[1:], optimizer="adamw", batch_size=1)
base, network = lock_and_build(config, build_plain())
loss, optimizer = build_loss(config, base, network, "cpu"), build_optimizer(network, config.optimization, base)
for _ in optimize(loss, lambda _: [batch_of()], optimizer, lambda _: 1.0, 1.0, range(2)):
    pass
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss begins with the parent's
print(1024 * int(peak.split()[1]) - before)
"""


def build_plain() -> StableDiffusion:
    """A base of 70 million parameters."""
    widths = {"block_out_channels": (64, 128, 256, 256), "attention_head_dim": 8}
    return PlainText(build_unet({**SD15, **widths}).requires_grad_(False), Vae(), None, None, BETAS)


def batch_of() -> Batch:
    z_0, t, text, condition = build_inputs(build_unet(NANO), batch=1, side=24)
    return Batch(z_0, text, condition, t, z_0)


@pytest.mark.slow
@pytest.mark.parametrize(("words", "within"), [([], 0.25), (["checkpoint_decoder=true"], 0.4)], ids=str)
def test_expected_memory_is_what_a_process_takes(words: list[str], within: float) -> None:
    """What the kernels and the allocator keep for themselves is in no account."""
    environment = {**os.environ, **QUIET, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    command = [sys.executable, "-W", "ignore", "-c", MEASURE, *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    config = TrainConfig.build(None, words, optimizer="adamw", batch_size=1)
    found = estimate_memory(config, *lock_and_build(config, build_plain()), "adamw", (192, 192))
    assert found.total == pytest.approx(int(done.stdout), rel=within)
