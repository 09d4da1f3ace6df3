"""Taming Transformers, PITI and Sketch-Guided Diffusion: the laws of their networks, and of their trainings."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from experiments.baselines import phases, piti, sketch_guided, taming
from experiments.baselines.class_planes import planes_of_classes, planes_of_maps
from experiments.baselines.code_transformer import CodeTransformer, sample_codes
from experiments.baselines.common import Budget, Case, Method, Pairs
from experiments.baselines.edge_predictor import EdgePredictor, GuidedSampler, edge_errors, read_features
from experiments.baselines.phases import phases_of, total
from experiments.baselines.piti import NormalizedGuidance, Piti, PITIModel
from experiments.baselines.sketch_guided import SketchGuided
from experiments.baselines.taming import PictureTraining, Taming, picture_error
from experiments.baselines.vqgan import Quantizer, adaptive_weight, discriminator_loss
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from tests.tiny import numbers
from zeroconv import StableDiffusion
from zeroconv.diffusion import CFGDenoiser, build_scheduler, generator, initial_noise, sample_latents


def test_codes_are_the_nearest_and_gradients_go_past_them() -> None:
    quantizer = Quantizer(7, 3)
    quantizer.codebook.copy_(numbers(7, 3))
    z, weights = numbers(2, 3, 4, 5, seed=1).requires_grad_(True), numbers(2, 3, 4, 5, seed=2)
    found = quantizer(z)
    vectors = z.detach().permute(0, 2, 3, 1).reshape(-1, 3)
    wanted = torch.cdist(vectors, quantizer.codebook).argmin(1)
    assert torch.equal(found.codes.flatten(), wanted)
    assert torch.allclose(found.values.detach().permute(0, 2, 3, 1).reshape(-1, 3), quantizer.codebook[wanted], atol=1e-6)
    (gradient,) = torch.autograd.grad((found.values * weights).sum(), z, retain_graph=True)
    assert torch.equal(gradient, weights)
    (gradient,) = torch.autograd.grad(found.commitment, z)
    assert torch.allclose(gradient, 2 * (z - found.values).detach() / z.numel())


def test_codes_move_to_the_means_of_their_latents_and_unused_ones_are_replaced() -> None:
    quantizer, drawn = Quantizer(3, 2), generator(0, "test")
    z = torch.tensor([[3.0, 0.0], [3.2, 0.2], [-3.0, 0.0], [-3.2, -0.2]]).T.reshape(1, 2, 2, 2)
    quantizer.update(z, quantizer(z).codes, drawn)
    found = {tuple(code) for code in quantizer.codebook.tolist()}
    assert found <= {tuple(vector) for vector in z.flatten(2)[0].T.tolist()}  # at first all are latents of the batch
    quantizer.codebook.copy_(torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 90.0]]))
    quantizer.sizes.fill_(1.0)
    quantizer.sums.copy_(quantizer.codebook)
    for _ in range(100):
        quantizer.update(z, torch.tensor([[[0, 0], [1, 1]]]), drawn)
    assert torch.allclose(quantizer.codebook[:2], torch.tensor([[3.1, 0.1], [-3.1, -0.1]]), atol=0.02)
    assert quantizer.codebook[2].norm() < 4  # nothing was near


def test_the_discriminators_weight_balances_both_gradients() -> None:
    torch.manual_seed(0)
    training, x = PictureTraining(), numbers(2, 3, 32, 32).tanh()
    y = training.vqgan.decode(training.vqgan.encode(x))
    last, reconstruction, fooled = training.vqgan.last.weight, picture_error(x, y), -training.discriminator(y).mean()
    weight = adaptive_weight(reconstruction, fooled, last)
    first, second = (torch.autograd.grad(part, last, retain_graph=True)[0] for part in (reconstruction, weight * fooled))
    assert not weight.requires_grad and second.norm() == pytest.approx(first.norm().item(), rel=0.05)
    training.loss(x, generator(0, "test"), adversarial=True).backward()
    found = [p.grad for p in training.discriminator.parameters()]
    with torch.no_grad():
        quantized = training.vqgan.quantizer(training.vqgan.encode(x))
        y = training.vqgan.decode(quantized.values)
    alone = discriminator_loss(training.discriminator(x), training.discriminator(y))
    wanted = torch.autograd.grad(alone, list(training.discriminator.parameters()))
    assert all(a is not None and torch.allclose(a, b, atol=1e-6) for a, b in zip(found, wanted, strict=True))


def test_a_sequence_continued_from_the_cache_has_the_logits_of_the_whole() -> None:
    torch.manual_seed(0)
    network, tokens = CodeTransformer(5, 7, 4, 32, 2, 4).eval(), torch.tensor([[0, 1, 2, 3, 5, 6, 7], [4, 3, 2, 1, 11, 10, 9]])
    with torch.no_grad():
        whole = network(tokens)[0]
        part, cache = network(tokens[:, :4])
        pieces = [part]
        for place in range(4, 7):
            part, cache = network(tokens[:, place : place + 1], cache)
            pieces.append(part)
        assert torch.allclose(torch.cat(pieces, 1), whole, atol=1e-5)
        changed = tokens.clone()
        changed[:, 5] = 8
        later = network(changed)[0]
    assert torch.allclose(later[:, :5], whole[:, :5], atol=1e-6) and not torch.allclose(later[:, 5:], whole[:, 5:], atol=1e-3)


def test_codes_are_drawn_from_the_likeliest_for_each_picture_by_itself() -> None:
    torch.manual_seed(0)
    network, maps = CodeTransformer(5, 7, 4, 32, 2, 4).eval(), torch.tensor([[0, 1, 2, 3], [4, 3, 2, 1]])

    def draw(rows: slice, top_k: int, temperature: float = 1.0) -> Tensor:
        return sample_codes(network, maps[rows], top_k, temperature, [generator(i, "test") for i in range(2)[rows]])

    both = draw(slice(0, 2), 7)
    assert torch.equal(both[1:], draw(slice(1, 2), 7)) and both.shape == (2, 4)
    greedy = draw(slice(0, 2), 1)
    with torch.no_grad():
        logits = network(torch.cat([maps, greedy[:, :-1] + 5], 1))[0]
    assert torch.equal(logits[:, 3:].argmax(-1), greedy) and torch.equal(draw(slice(0, 2), 7, 1e-6), greedy)


def test_a_map_and_its_classes_have_the_same_planes(pairs: Pairs, cases: list[Case]) -> None:
    planes = planes_of_classes(pairs.classes)
    assert planes.shape == (2, 32, 64, 64) and torch.equal(planes.sum(1), torch.ones(2, 64, 64))
    assert torch.equal(planes_of_maps([Image.fromarray(one) for one in pairs.segmentation]), planes)
    assert not planes_of_maps([case.maps["segmentation"] for case in cases])[:, -1].any()


@torch.no_grad()
def test_piti_begins_as_the_base_and_speaks_like_its_text_encoder(base: StableDiffusion, pairs: Pairs) -> None:
    torch.manual_seed(0)
    model, text = PITIModel(base), base.encode_text(["a house", ""]).hidden_states
    z, t = pairs.latents, torch.tensor([500, 20])
    assert torch.equal(model(z, t, text), base.unet(z, t, text).sample)
    planes = planes_of_classes(pairs.classes)
    states = model.read(planes, torch.tensor([False, True]))
    assert states.shape == text.shape and torch.equal(states[1], text[1]) and torch.equal(states[0], model.read(planes)[0])
    assert 1 / 3 < states[0].std() / text[0].std() < 3


def test_normalized_guidance_keeps_mean_and_deviation() -> None:
    rows = numbers(4, 3, 8, 8)
    guided = NormalizedGuidance(lambda *_: rows, 5.0)(rows[:2], torch.tensor(0), 0)
    for statistic in (torch.mean, torch.std):
        assert torch.allclose(statistic(guided, (1, 2, 3)), statistic(rows[2:], (1, 2, 3)), atol=1e-5)
    assert torch.allclose(NormalizedGuidance(lambda *_: rows, 1.0)(rows[:2], torch.tensor(0), 0), rows[2:], atol=1e-5)
    assert not torch.allclose(guided, rows[2:], atol=0.1)


@pytest.fixture(scope="module")
def predictor(base: StableDiffusion, pairs: Pairs) -> EdgePredictor:
    torch.manual_seed(0)
    text = base.encode_text(["", ""]).hidden_states
    with torch.no_grad():
        values = read_features(base.unet, pairs.latents, torch.tensor([100, 700]), text).values
        network = EdgePredictor(values.shape[1], 8)
        for _ in range(50):
            network(values)  # means and deviations of its norms
    return network.requires_grad_(False).eval()


def test_features_come_with_the_prediction_and_their_gradient_lowers_the_error(
    base: StableDiffusion, pairs: Pairs, predictor: EdgePredictor
) -> None:
    z, t, edges = pairs.latents, torch.tensor([500, 20]), pairs.map_latents("scribble", base)
    text = base.encode_text(["a house", "a car"]).hidden_states
    with torch.no_grad():
        assert torch.allclose(read_features(base.unet, z, t, text).prediction, base.unet(z, t, text).sample, atol=1e-5)
    sampler = GuidedSampler(base.unet, predictor, 1.6, 4.0, 0.5)
    with torch.no_grad():
        _, direction = sampler.pull(z, t, text, text, edges)
        before, after = (
            edge_errors(predictor, read_features(base.unet, at, t, text), edges) for at in (z, z - 0.1 * direction)
        )
    assert torch.all(after < before) and torch.allclose(direction.flatten(1).norm(dim=1), torch.ones(2))


def test_guided_steps_are_those_of_the_library_and_a_pull_of_known_length(
    base: StableDiffusion, pairs: Pairs, predictor: EdgePredictor
) -> None:
    text, empty = base.encode_text(["a red house"]).hidden_states, base.encode_text([""]).hidden_states
    noise, edges = initial_noise((8, 16, 16), [3]), pairs.map_latents("scribble", base)[:1]

    def sample(strength: float, steps: int, part: float) -> Tensor:
        sampler = GuidedSampler(base.unet, predictor, strength, 4.0, part)
        return sampler(noise, build_scheduler("ddim", base.scheduler_config, steps), steps, text, empty, edges)

    def both(z: Tensor, t: Tensor, _: int) -> Tensor:
        return base.unet(z, t, torch.cat([empty, text])).sample

    with torch.no_grad():
        wanted = sample_latents(CFGDenoiser(both, 4.0), noise, build_scheduler("ddim", base.scheduler_config, 2), 2, [3])
    assert torch.allclose(sample(0.0, 2, 0.5), wanted, atol=1e-3)
    free, pulled = sample(0.0, 1, 1.0), sample(1.6, 1, 1.0)
    assert (pulled - free).norm() == pytest.approx(1.6 * (noise - free).norm().item(), rel=1e-3)


Making = Callable[[], Method]


@pytest.mark.parametrize(("make", "last"), [(Taming, "transformer"), (Piti, "both"), (lambda: SketchGuided(1.6), "edges")])
def test_a_killed_training_ends_as_if_nothing_had_happened(
    make: Making,
    last: str,
    tmp_path: Path,
    base: StableDiffusion,
    pairs: Pairs,
    cases: list[Case],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, drawn = [0.0], list[int]()

    def tick() -> float:
        now[0] += 0.125
        return now[0]

    def draw(*given: Any, **more: Any) -> Any:
        drawn.append(1)
        if len(drawn) == kill_at:
            raise KeyboardInterrupt
        return keep(*given, **more)

    keep, kill_at = pairs.draw, 0
    monkeypatch.setattr("experiments.baselines.common.time.process_time", tick)
    monkeypatch.setattr(phases, "SAVE_EVERY", -1.0)
    monkeypatch.setattr(pairs, "draw", draw)
    monkeypatch.setattr(taming, "BATCH", dict.fromkeys(taming.BATCH, 2))
    for module in (piti, sketch_guided):
        monkeypatch.setattr(module, "BATCH", 2)
        monkeypatch.setattr(module, "STEPS", 2)
        monkeypatch.setattr(module, "open_tiny_base", lambda: copy_of(base))

    def train(name: str) -> dict[str, Tensor]:
        drawn.clear()
        folder = tmp_path / name / "seed-0"
        make().train(folder, pairs, Budget(1.25, seed=1))
        return {f"{path.name} {key}": t for path in folder.glob("*.safetensors") for key, t in load_file(path).items()}

    whole = train("whole")
    steps = len(drawn)
    phases_done = phases_of(tmp_path / "whole" / "seed-0")
    assert steps > 3 and phases_done[last].steps > 1
    if last == "both":  # it trains the encoder of the phase before again, which counts once
        weights = load_file(tmp_path / "whole" / "seed-0" / "phase-both.safetensors")
        assert total(list(phases_done.values())).parameters == sum(tensor.numel() for tensor in weights.values())
    kill_at = steps
    with pytest.raises(KeyboardInterrupt):
        train("killed")
    now[0] += 1000
    kill_at = 0
    resumed = train("killed")
    assert len(drawn) == 1  # the step that was missing
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[key], resumed[key]) for key in whole)
    made = make().generate(tmp_path / "whole" / "seed-0", cases, 5)
    again = make().generate(tmp_path / "killed" / "seed-0", cases[1:], 5)
    assert differ(made[1], again[0]) <= 2 and differ(made[0], made[1]) > 2


def copy_of(base: StableDiffusion) -> StableDiffusion:
    """The base with a U-Net of its own, as trainings change it."""
    return StableDiffusion(**{**vars(base), "unet": copy.deepcopy(base.unet).requires_grad_(False).eval()})


def differ(one: Any, other: Any) -> int:
    """The largest difference of two pictures, in levels."""
    return max(abs(a - b) for a, b in zip(one.tobytes(), other.tobytes(), strict=True))


def test_what_another_strength_has_learnt_is_taken_over(
    tmp_path: Path, base: StableDiffusion, pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketch_guided, "open_tiny_base", lambda: base)
    monkeypatch.setattr(sketch_guided, "BATCH", 2)
    first, second = (tmp_path / f"sketch-guided-{name}" / "seed-0" for name in ("1.6", "3.2"))
    SketchGuided(1.6).train(first, pairs, Budget(0.01))
    SketchGuided(3.2).train(second, pairs, Budget(0.01))
    assert all((first / path.name).read_bytes() == path.read_bytes() for path in second.iterdir())
