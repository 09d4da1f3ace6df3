"""A LoRA on the base: laws of the sum, and the same pictures as with the factors applied beside every layer."""

import hashlib
import math
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests import loras
from tests.loras import ALPHA, Parts, Updates, build_parts, random_updates
from tests.tiny import FAMILIES, as_keywords, build_control, build_inputs, build_pooled, copies, unchanged
from zeroconv.stable_diffusion import StableDiffusion, lora
from zeroconv.stable_diffusion.lora import add_lora

RANK = 2


@pytest.fixture
def parts() -> Parts:
    """Networks of a tiny SD 1.5 that a test may change."""
    return build_parts("sd15")


def save(path: Path, tensors: dict[str, Tensor]) -> Path:
    safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def write(folder: Path, parts: Parts, seed: int = 0) -> tuple[Path, Updates]:
    """A kohya file for every layer of a base."""
    updates = random_updates(parts, RANK, seed)
    return save(folder / f"{seed}.safetensors", loras.kohya(updates)), updates


def state(parts: Parts) -> dict[str, dict[str, Tensor]]:
    return {part: copies(network.state_dict().items()) for part, network in parts.networks().items()}


def same(parts: Parts, before: dict[str, dict[str, Tensor]]) -> bool:
    return all(unchanged(network, before[part]) for part, network in parts.networks().items())


def outputs(parts: Parts) -> list[Tensor]:
    """What every network says."""
    z_t, t, text, _ = build_inputs(parts.unet)
    words = torch.tensor([[1, 7, 5, 3, 31]])
    keywords = as_keywords(build_pooled(parts.unet))
    with torch.no_grad():
        said = [parts.unet(z_t, t, text, **keywords).sample, parts.text_encoder(words).last_hidden_state]
        return said if parts.text_encoder_2 is None else [*said, parts.text_encoder_2(words).text_embeds]


def beside(layer: Any, down: Tensor, up: Tensor, scale: float) -> Any:
    """A hook that adds scale · up(down(x)) to what a layer says about x."""

    def add(_layer: nn.Module, args: tuple[Any, ...], said: Tensor) -> Tensor:
        if isinstance(layer, nn.Conv2d):
            low = functional.conv2d(args[0], down, None, layer.stride, layer.padding)  # pyright: ignore[reportArgumentType]
            return said + scale * functional.conv2d(low, up)
        return said + scale * functional.linear(functional.linear(args[0], down), up)

    return layer.register_forward_hook(add)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_merged_base_says_what_the_base_says_with_the_factors_beside_every_layer(family: str, tmp_path: Path) -> None:
    parts = build_parts(family)
    path, updates = write(tmp_path, parts)
    plain = outputs(parts)
    hooks = [
        beside(parts.networks()[part].get_submodule(name), pair.down, pair.up, 0.7 * ALPHA / RANK)
        for part, name, pair in loras.each(updates)
    ]
    expected = outputs(parts)
    for hook in hooks:
        hook.remove()
    report = add_lora(parts, path, 0.7)
    assert sum(report.modules.values()) == len(hooks)
    for said, wanted, before in zip(outputs(parts), expected, plain, strict=True):
        torch.testing.assert_close(said, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
        assert float((wanted - before).abs().max()) > 0.01 * float(before.abs().max())


def test_a_weight_of_zero_changes_no_bit(parts: Parts, tmp_path: Path) -> None:
    parts.unet.conv_in.weight[0] = -0.0
    before = state(parts)
    add_lora(parts, write(tmp_path, parts)[0], 0.0)
    assert same(parts, before)
    assert bool(parts.unet.conv_in.weight[0].signbit().all())


def test_several_add_up_and_each_can_be_taken_out_again(parts: Parts, tmp_path: Path) -> None:
    before = state(parts)
    (first, first_updates), (second, second_updates) = write(tmp_path, parts, 0), write(tmp_path, parts, 1)
    add_lora(parts, first, 0.5)
    add_lora(parts, second, -2.0)
    for part, network in parts.networks().items():
        for name, pair in first_updates[part].items():
            other = second_updates[part][name]
            both = [(p.up.flatten(1) @ p.down.flatten(1)) * ALPHA / RANK for p in (pair, other)]
            weight = before[part][f"{name}.weight"]
            expected = weight + (0.5 * both[0] - 2.0 * both[1]).reshape(weight.shape)
            torch.testing.assert_close(network.get_parameter(f"{name}.weight").data, expected, rtol=1e-5, atol=1e-5)
    add_lora(parts, second, 2.0)
    add_lora(parts, first, -0.5)
    for part, network in parts.networks().items():
        for name, tensor in network.state_dict().items():
            torch.testing.assert_close(tensor, before[part][name], rtol=1e-5, atol=1e-5)


def test_half_precision_is_summed_in_single_and_rounded_once(parts: Parts, tmp_path: Path) -> None:
    path, updates = write(tmp_path, parts)
    for network in parts.networks().values():
        network.half()
    before = state(parts)["unet"]
    add_lora(parts, path)
    for name, pair in updates["unet"].items():
        weight = before[f"{name}.weight"]
        delta = (ALPHA / RANK) * (pair.up.flatten(1) @ pair.down.flatten(1)).reshape(weight.shape)
        assert torch.equal(parts.unet.get_parameter(f"{name}.weight"), (weight.float() + delta).half())


def test_weights_that_are_mapped_from_a_file_are_changed_in_memory_alone(parts: Parts, tmp_path: Path) -> None:
    file = save(tmp_path / "unet.safetensors", parts.unet.state_dict())
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    mapped = safetensors.torch.load_file(file)
    before = copies(mapped.items())
    parts.unet.load_state_dict(mapped, assign=True)
    parts.unet.requires_grad_(False)
    identity = parts.unet.conv_in.weight
    path, updates = write(tmp_path, parts)
    add_lora(parts, path)
    assert parts.unet.conv_in.weight is identity and not identity.requires_grad
    assert not any(torch.equal(parts.unet.get_parameter(f"{n}.weight"), before[f"{n}.weight"]) for n in updates["unet"])
    assert all(torch.equal(mapped[name], before[name]) for name in mapped)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest


def test_every_merge_raises_the_revision_of_the_base(base_folder: Path, tmp_path: Path) -> None:
    opened = StableDiffusion.from_pretrained(base_folder)
    network = build_control(opened.unet, variant="lora", rank=2)
    assert opened.revision == 0
    file, _ = write(tmp_path, Parts(opened.unet, opened.text_encoder))
    for revision in (1, 2):
        opened.add_lora(file, 0.5)
        assert opened.revision == revision
    with pytest.raises(ValueError, match="expected a finite number"):
        opened.add_lora(file, math.nan)
    add_lora(opened, file, -1.0)
    assert opened.revision == 3 and opened.options["loras"] == [[str(file), 0.5]] * 2
    network.check_base(opened.unet)  # it borrows the weights themselves, merged or not


def test_the_report_says_what_was_changed_and_by_how_much(parts: Parts, tmp_path: Path) -> None:
    path, updates = write(tmp_path, parts)
    names = {part: list(found) for part, found in updates.items()}
    before = state(parts)
    report = add_lora(parts, path, -0.25)
    after = state(parts)
    assert (report.layout, report.ranks, report.weight, report.path) == ("kohya", (RANK,), -0.25, path)
    assert report.modules == {part: len(found) for part, found in names.items()}
    for part, change in report.change.items():
        found = names[part]
        old = torch.cat([before[part][f"{name}.weight"].flatten() for name in found])
        new = torch.cat([after[part][f"{name}.weight"].flatten() for name in found])
        assert math.isclose(change, float((new - old).norm() / old.norm()), rel_tol=1e-3)
    line = str(report)
    assert line.startswith(
        f"0.safetensors: LoRA of rank 2 (kohya) at weight -0.25, changed {len(names['unet'])} modules of the U-Net"
    )
    assert line.count("%") == 2 and "\n" not in line


def test_only_the_parts_that_a_file_names_are_changed(parts: Parts, tmp_path: Path) -> None:
    before = state(parts)
    updates = random_updates(parts, RANK)
    report = add_lora(parts, save(tmp_path / "it.safetensors", loras.kohya({"text_encoder": updates["text_encoder"]})))
    assert list(report.modules) == ["text_encoder"]
    assert unchanged(parts.unet, before["unet"]) and not unchanged(parts.text_encoder, before["text_encoder"])


def test_a_file_that_fits_all_but_one_module_changes_nothing(parts: Parts, tmp_path: Path) -> None:
    written = loras.kohya(random_updates(parts, RANK))
    last = [name for name in written if name.endswith("lora_up.weight")][-1]
    before = state(parts)
    for name, broken in (("shape", torch.zeros(17, 2)), ("number", torch.full_like(written[last], math.nan))):
        with pytest.raises(ValueError, match=last):
            add_lora(parts, save(tmp_path / f"{name}.safetensors", {**written, last: broken}))
        assert same(parts, before)


def test_an_update_that_half_precision_cannot_hold_is_refused_before_anything_changes(parts: Parts, tmp_path: Path) -> None:
    path, _ = write(tmp_path, parts)
    for network in parts.networks().values():
        network.half()
    before = state(parts)
    with pytest.raises(ValueError, match=r"would leave the range of torch.float16 .*expected a smaller weight"):
        add_lora(parts, path, 1e6)
    assert same(parts, before)


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_a_weight_must_be_finite(weight: float, parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the weight of a LoRA is"):
        add_lora(parts, write(tmp_path, parts)[0], weight)


def test_files_that_are_no_lora_are_refused(parts: Parts, tmp_path: Path) -> None:
    before = state(parts)
    path, _ = write(tmp_path, parts)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="cut off"):
        add_lora(parts, cut)
    with pytest.raises(ValueError, match="holds no LoRA tensors"):
        add_lora(parts, save(tmp_path / "base.safetensors", parts.unet.state_dict()))
    with pytest.raises(FileNotFoundError, match=r"^there is no LoRA at .*nowhere\.safetensors: expected a "):
        add_lora(parts, tmp_path / "nowhere.safetensors")
    sdxl = build_parts("sdxl")
    with pytest.raises(ValueError, match="fit no module of this base"):
        add_lora(parts, write(tmp_path, sdxl, 7)[0])
    assert same(parts, before)
    assert set(lora.TITLES) == set(sdxl.networks())
