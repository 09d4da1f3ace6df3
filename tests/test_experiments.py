"""Experiments and benchmarks take from the package only what is there: type checkers are told to overlook it in them."""

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from experiments.convergence.cross_normalization import cross_normalize, cross_normalized

from tests.tiny import build_control, build_inputs, numbers
from zeroconv.control import ActiveControl, ControlledUNet

ROOT = Path(__file__).parents[1]
FILES = sorted(path for room in ("experiments", "benchmarks", "examples") for path in (ROOT / room).rglob("*.py"))


def imported_names(path: Path) -> list[tuple[str, str]]:
    """(module, name) of everything a file imports from the package."""
    tree = ast.parse(path.read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [(node.module or "", node.names) for node in found if (node.module or "").split(".")[0] == "zeroconv"]
    return [(module, alias.name) for module, names in ours for alias in names]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_it_imports_exists(path: Path) -> None:
    for module, name in imported_names(path):
        found = importlib.import_module(module)
        assert hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}"), f"{module} has no {name}"


def test_cross_normalized_residuals_have_the_features_mean_and_deviation() -> None:
    residual, features = 5 * numbers(3, 8, 4, 4) + 2, 0.1 * numbers(3, 8, 4, 4, seed=1) - 1
    residual[2] = 0
    found = cross_normalize(residual, features)
    for statistic in (torch.mean, torch.std):
        assert torch.allclose(statistic(found[:2], (1, 2, 3)), statistic(features[:2], (1, 2, 3)), atol=1e-5)
    assert not found[2].any()
    scaled = cross_normalize(1e-3 * residual, features)  # whatever their size, they weigh as much as the base's features
    assert torch.allclose(scaled, found, atol=1e-2)


def test_controls_are_cross_normalized_inside_the_block_alone(unet: Any) -> None:
    network = build_control(unet, seed=1, connection="gaussian")
    z_t, t, text, condition = build_inputs(unet)
    controlled, control = ControlledUNet(unet), ActiveControl(network, network.encode_condition(condition))
    before = controlled(z_t, t, text, [control])
    with cross_normalized():
        inside = controlled(z_t, t, text, [control])
        inside.mean().backward()
        assert all(p.grad is not None for p in network.controlnet_down_blocks.parameters())
        assert torch.equal(controlled(z_t, t, text), unet(z_t, t, text).sample)
    assert not torch.allclose(before, inside) and torch.equal(controlled(z_t, t, text, [control]), before)
