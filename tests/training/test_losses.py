"""Runs have the losses that they had when these were recorded: same seed, same loss, before and after a change."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.record_losses import AVX2, FOLDER, STEPS, TOLERANCES, compute_losses, describe_machine, file_of, record_in
from zeroconv.training.config.optimization import OptimizerName


def recorded(machine: dict[str, str]) -> dict[str, Any]:
    """The losses of a machine's kind, or of another where there are none."""
    path = file_of(machine)
    return json.loads((path if path.exists() else min(FOLDER.glob("losses-*.json"))).read_text("utf-8"))


@pytest.mark.parametrize("until", [15, pytest.param(None, marks=pytest.mark.slow, id="all")])
@pytest.mark.parametrize("optimizer", STEPS)
def test_losses_are_the_recorded_ones(optimizer: OptimizerName, until: int | None, tmp_path: Path) -> None:
    machine = describe_machine()
    kept, found = recorded(machine), compute_losses(optimizer, tmp_path, until)
    assert len(kept["losses"][optimizer]) == STEPS[optimizer]
    expected = kept["losses"][optimizer][:until]
    assert len(found) == len(expected)
    if kept["machine"] == machine:
        assert found == expected
    for last, tolerance in TOLERANCES.items():
        assert found[:last] == pytest.approx(expected[:last], rel=tolerance)


@pytest.mark.soak
def test_losses_of_a_smaller_processor_are_the_recorded_ones() -> None:
    found = record_in(AVX2)
    kept = recorded(found["machine"])
    if kept["machine"] != found["machine"]:
        pytest.skip(f"recorded on {kept['machine']}, this is {found['machine']}")
    assert found == kept
