"""Networks divided over processes: they learn what one process learns, and their states open everywhere."""

import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.durability.runs import STEPS, Cell, Run, Zygote
from tests.tiny import build_control
from zeroconv.control import ControlNet
from zeroconv.errors import InputError
from zeroconv.messages import Message, listen
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training import TrainConfig
from zeroconv.training.parts import build_loss
from zeroconv.training.processes import Processes
from zeroconv.training.run_folder.checkpoints import Checkpoints
from zeroconv.training.sharding import divide

ONE, BOTH = Cell(ema_decay=0.9), Cell(processes=2, ema_decay=0.9)
DIVIDED = Cell(processes=2, ema_decay=0.9, shard="all")
SELDOM = {"save_every": 4}


@pytest.fixture(scope="module")
def start(zygote: Zygote, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`start(cell, …)`: a new run, finished or stopped after so many steps."""

    def begin(cell: Cell, steps: int = STEPS, **changed: Any) -> Run:
        run = Run(zygote, data_folder, tmp_path_factory.mktemp("run"), cell)
        run.finish(steps=steps, **SELDOM, **changed)
        return run

    return begin


@pytest.fixture(scope="module")
def straight(start: Any) -> Run:
    """One process, from beginning to end."""
    return start(ONE)


@pytest.fixture(scope="module")
def divided(zygote: Zygote, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two processes that divide everything, of which one is told to stop."""
    run = Run(zygote, data_folder, tmp_path_factory.mktemp("divided"), DIVIDED)
    run.start(save_every=100)
    wait_for(run.folder, "gradients-0.jsonl")
    os.kill(run.started[1], signal.SIGTERM)
    assert run.wait() == [0, 0], run.output()
    found = Checkpoints(run.out / "state").load()
    assert found is not None and 0 < found.step < 5
    return run


def agree(run: Run, straight: Run) -> None:
    """The same losses to 1e-6, and weights that differ by rounding alone."""
    one, other = straight.fingerprint(), run.fingerprint()
    assert other["losses"] == pytest.approx(one["losses"], rel=1e-6) and len(one["losses"]) == STEPS
    assert other["norms"] == pytest.approx(one["norms"], rel=1e-5)
    assert [step for step, _ in other["probes"]] == [0, 4, 8]
    states = [Checkpoints(each.out / "state").load() for each in (straight, run)]
    assert states[0] is not None and states[1] is not None
    assert states[0].tensors.keys() == states[1].tensors.keys()
    for name, tensor in states[0].tensors.items():
        if not name.startswith("optimizer."):
            assert (tensor - states[1].tensors[name]).abs().max() < 1e-4, name


@pytest.mark.parametrize("after", [DIVIDED, BOTH, ONE], ids=str)
def test_divided_processes_train_as_one_and_their_state_opens_in_any_number(
    divided: Run, straight: Run, after: Cell, tmp_path: Path
) -> None:
    run = divided.copy(tmp_path, after)
    files = sorted(path.name for path in next((run.out / "state").iterdir()).iterdir())
    assert len(files) == 3 and files[0] == "manifest.json"  # a file of each process
    run.finish(**SELDOM)
    agree(run, straight)


@pytest.mark.slow
def test_divided_processes_go_on_from_the_state_of_one(start: Any, straight: Run) -> None:
    run = start(ONE, steps=4)
    run.cell = DIVIDED
    run.finish(**SELDOM)
    agree(run, straight)


@pytest.mark.slow
def test_a_divided_run_that_is_killed_ends_with_the_same_bits(divided: Run, tmp_path: Path) -> None:
    """Killed while it writes: every state is loadable, and gradients are the same in every try."""
    whole, killed = divided.copy(tmp_path / "whole", DIVIDED), divided.copy(tmp_path / "killed", DIVIDED)
    whole.finish(save_every=3)
    killed.start(save_every=3)
    wait_for(killed.out / "state", ".step-0000006.*.part")
    killed.kill(random.Random(0))
    assert Checkpoints(killed.out / "state").load() is not None
    killed.finish(save_every=3)
    assert killed.fingerprint() == whole.fingerprint()
    assert killed.gradients() == whole.gradients()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("save_every", "error", "first"),
    [
        (100, "step 6: the loss is nan and the gradient's norm nan; nothing was updated", "(first: {})"),
        (5, "step 5: the weights cannot be kept (", "({} is not finite)"),
    ],
)
def test_a_poisoned_part_of_a_weight_is_named_by_all(
    divided: Run, tmp_path: Path, save_every: int, error: str, first: str
) -> None:
    """The second process alone has it; no process waits for another for ever."""
    run = divided.copy(tmp_path, DIVIDED)
    before = Checkpoints(run.out / "state").load()
    run.start(save_every=save_every, probe_every=100, poison="conv_in.weight")
    assert run.wait() == [1, 1]
    assert run.output().count(f"FloatingPointError: {error}") >= 2
    assert run.output().count(first.format("the weight network.conv_in.weight")) >= 2
    after = Checkpoints(run.out / "state").load()
    assert before is not None and after is not None and before.step == after.step


@pytest.mark.slow
def test_muon_gathers_its_matrices_and_an_unlocked_decoder_is_divided_too(start: Any) -> None:
    whole = start(Cell(optimizer="muon"), unlock_decoder=True)
    run = start(Cell(processes=2, optimizer="muon", shard="control", accumulation=3), unlock_decoder=True)
    agree(run, whole)
    assert ControlNet.from_pretrained(run.out).decoder is not None


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{}, {"base_dtype": "int8", "checkpoint_encoder": True}], ids=["whole", "int8"])
def test_narrow_types_are_divided_too(start: Any, changed: dict[str, Any]) -> None:
    """Weights are gathered in bfloat16, gradients summed in float32, as they are where nothing is divided.

    Activations' gradients are summed in another order: after the second step losses differ by what bfloat16 rounds away.
    """
    cell = Cell(processes=2, precision="bf16", ema_decay=0.9)
    whole = start(cell, **changed).fingerprint()
    run = start(replace(cell, shard="control" if changed else "all"), **changed)
    divided = run.fingerprint()
    assert divided["losses"][:2] == pytest.approx(whole["losses"][:2], rel=1e-6)
    assert divided["losses"] == pytest.approx(whole["losses"], rel=3e-3) and len(whole["losses"]) == STEPS
    found = Checkpoints(run.out / "state").load()
    assert found is not None and {one.dtype for one in found.tensors.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"optimizer": "prodigy"}, "optimizer 'prodigy' finds one learning rate from sums over all weights"),
        ({"optimizer": "adamw8bit"}, "optimizer 'adamw8bit' scales blocks of a weight's moments"),
        ({"precision": "bf16", "base_dtype": "int8"}, "shard is 'all', and base_dtype 'int8'; expected 'bfloat16'"),
    ],
)
def test_what_cannot_be_divided_is_refused(changed: dict[str, Any], message: str, unet: Any, base: StableDiffusion) -> None:
    """Prodigy would take a learning rate of its own in each process."""
    config = TrainConfig.build(shard="all", base="tiny", **changed)
    loss = build_loss(config, base, build_control(unet), "cpu")
    with pytest.raises(InputError, match=message):
        divide(loss, Processes(size=2), config)


def wait_for(folder: Path, pattern: str) -> None:
    begun = time.monotonic()
    while not list(folder.glob(pattern)):
        time.sleep(0.002)
        assert time.monotonic() - begun < 60, pattern


def test_a_flipped_bit_in_one_part_is_noticed(divided: Run, tmp_path: Path) -> None:
    run = divided.copy(tmp_path, DIVIDED)
    path = max(next((run.out / "state").iterdir()).glob("*.safetensors"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 8
    path.write_bytes(data)
    told: list[Message] = []
    with listen(told.append):
        assert Checkpoints(run.out / "state").load() is None
    assert [message.code for message in told] == ["run.damaged-state"] and path.name in told[0].text
