"""Generators whose share of the gap is known beforehand: one that returns the truth, one that ignores its map."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.evaluation.test_fidelity import Folder, squares
from tests.tiny import build_control
from zeroconv import conditions
from zeroconv.control import ControlNet
from zeroconv.evaluation import FidelityReport, HeldOut, evaluate
from zeroconv.generation import ControlPipeline
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.probing.probe import Probe

PAIRS = squares()
TRUTHS = {pair.caption: pair.image for pair in PAIRS.pairs}
BLANK = Image.new("RGB", (64, 64), (128, 128, 128))


@dataclass
class Lossless(StableDiffusion):
    """A base whose autoencoder loses nothing: latents are the pictures themselves."""

    def encode_images(self, images: Tensor, encode: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        return images

    def decode(self, latents: Tensor, decode: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        return (latents / 2 + 0.5).clamp(0, 1)


class Generator(ControlPipeline):
    """A pipeline that knows the truth of its prompts, and shows it where `obeys` says so."""

    def __init__(self, base: StableDiffusion, obeys: Sequence[str], reconstructs: bool = False) -> None:
        super().__init__(base)
        self.obeys, self.reconstructs = obeys, reconstructs

    def __call__(self, prompt: Any, controls: Any = (), *args: Any, **request: Any) -> Any:
        shown = ("controlled" if controls else "uncontrolled") in self.obeys
        images = [TRUTHS[text] if shown else BLANK for text in prompt]
        if self.reconstructs:
            images = HeldOut(PAIRS.pairs, [], []).reconstruct(self.base) if shown else images
        return SimpleNamespace(images=images)


@pytest.fixture(scope="module")
def lossless(base: StableDiffusion) -> Lossless:
    return Lossless(**vars(base))


@pytest.fixture(scope="module")
def network(base: StableDiffusion) -> ControlNet:
    return build_control(base.unet, seed=3)


def report_of(generator: ControlPipeline, network: ControlNet, pairs: Folder = PAIRS) -> FidelityReport:
    return evaluate(generator, network, "canny", pairs, num_inference_steps=1)


def test_the_truth_closes_the_whole_gap(lossless: Lossless, network: ControlNet) -> None:
    report = report_of(Generator(lossless, ["controlled"]), network)
    assert report.controlled.value == report.ceiling.value == 1 and report.uncontrolled.value == 0
    assert report.share is not None and (report.share.value, report.share.low, report.share.high) == (1, 1, 1)


def test_the_best_this_autoencoder_can_do_closes_the_whole_gap(base: StableDiffusion, network: ControlNet) -> None:
    report = report_of(Generator(base, ["controlled"], reconstructs=True), network)
    assert report.controlled == report.ceiling and report.ceiling.value > report.uncontrolled.value == 0
    assert report.share is not None and report.share.value == 1


@pytest.mark.parametrize("obeys", [[], ["controlled", "uncontrolled"]])
def test_a_generator_that_ignores_its_map_closes_nothing(lossless: Lossless, network: ControlNet, obeys: list[str]) -> None:
    """Whatever its pictures are: blank ones, or by luck the truth, where no gap is left to close."""
    report = report_of(Generator(lossless, obeys), network)
    assert all(row.controlled == row.uncontrolled for row in report.rows)
    assert report.share is None if obeys else report.share is not None and report.share.value == 0


def test_one_of_three_obeyed_closes_a_third(lossless: Lossless, network: ControlNet) -> None:
    class Sometimes(Generator):
        def __call__(self, prompt: Any, controls: Any = (), *args: Any, **request: Any) -> Any:
            images = super().__call__(prompt, controls, **request).images
            return SimpleNamespace(images=[images[0], BLANK, BLANK])

    report = report_of(Sometimes(lossless, ["controlled"]), network)
    assert report.share is not None and report.share.value == pytest.approx(1 / 3)


def test_a_probe_says_what_an_evaluation_of_the_same_pairs_says(lossless: Lossless, network: ControlNet) -> None:
    for obeys in (["controlled"], []):
        generator = Generator(lossless, obeys)
        report, probe = report_of(generator, network), Probe(generator, "canny", PAIRS.pairs, 1, 7.5)
        assert probe.run(network).fidelity == report.controlled.value
        assert probe.run(None).fidelity == report.uncontrolled.value
        assert probe.ceiling().interval == report.ceiling
    fidelity = conditions.get("canny").fidelity
    maps = [conditions.extract("canny", pair.image) for pair in PAIRS.pairs]
    assert all(fidelity(pair.image, found) == 1 for pair, found in zip(PAIRS.pairs, maps, strict=True))
    assert torch.equal(torch.tensor([row.ceiling for row in report_of(Generator(lossless, []), network).rows]), torch.ones(3))
