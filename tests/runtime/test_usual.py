"""How networks are run unless somebody says otherwise: by steps, device and memory, never by the clock."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from tests.tiny import SD15
from zeroconv import ControlPipeline, StableDiffusion
from zeroconv.control import ControlledUNet
from zeroconv.messages import Message, listen
from zeroconv.runtime import choice, memory
from zeroconv.runtime.choice import PAYS, usual_runtime
from zeroconv.runtime.planned_unet import PlannedUNet
from zeroconv.runtime.ways import Ways


def test_plans_pay_from_a_number_of_steps_on_where_layers_can_be_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    unet: Any = UNet2DConditionModel(**SD15)
    assert [usual_runtime(unet, steps) for steps in (1, PAYS - 1, PAYS, 50)] == ["torch", "torch", "plan", "plan"]
    assert usual_runtime(copy.deepcopy(unet).to("meta"), 50) == "torch"
    assert usual_runtime(copy.deepcopy(unet).half(), 50) == "torch"
    monkeypatch.setattr(choice, "can_pack", lambda *_: False)
    assert usual_runtime(unet, 50) == "torch"


def test_too_little_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    unet, told = UNet2DConditionModel(**SD15), list[Message]()
    monkeypatch.setattr(choice, "available_memory", lambda: 100_000)
    with listen(told.append):
        assert usual_runtime(unet, 50) == "torch"
    assert [message.code for message in told] == ["runtime.memory"] and "0.0 GB of memory are free" in told[0].text
    monkeypatch.setattr(choice, "available_memory", lambda: None)
    assert usual_runtime(unet, 50) == "plan"


def test_memory_of_the_machine_and_of_a_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = tmp_path / "meminfo"
    machine.write_text("MemTotal: 9000 kB\nMemAvailable: 5000 kB\n", "ascii")
    monkeypatch.setattr(memory, "MEMORY", machine)
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    assert memory.available_memory() == 5000 * 1024
    (tmp_path / "memory.max").write_text("3000000\n", "ascii")
    (tmp_path / "memory.current").write_text("1000000\n", "ascii")
    assert memory.available_memory() == 2_000_000
    (tmp_path / "memory.max").write_text("max\n", "ascii")
    assert memory.available_memory() == 5000 * 1024
    monkeypatch.setattr(memory, "MEMORY", tmp_path / "nothing")
    assert memory.available_memory() is None


def test_a_pipeline_takes_the_usual_way_until_it_is_told_another() -> None:
    pipeline = ControlPipeline(StableDiffusion.from_pretrained("tiny"))
    assert isinstance(pipeline.ways.runner(PAYS), PlannedUNet) and isinstance(pipeline.ways.runner(PAYS - 1), ControlledUNet)
    usual, fewer = (pipeline("a house", num_inference_steps=steps).latents for steps in (PAYS, PAYS - 1))
    pipeline.optimize(runtime="torch")
    assert isinstance(pipeline.ways.runner(PAYS), ControlledUNet)
    plain = pipeline("a house", num_inference_steps=PAYS).latents
    assert not torch.equal(usual, plain) and float((usual - plain).norm() / plain.norm()) < 1e-4
    assert torch.equal(pipeline("a house", num_inference_steps=PAYS - 1).latents, fewer)


def test_weights_in_8_bits_are_never_packed(base: StableDiffusion) -> None:
    for runtime in (None, "plan"):
        assert Ways(replace(base, options={"weights": "int8"}), runtime).way(20) == "torch"
        assert Ways(base, "plan").way(20) == "plan"
