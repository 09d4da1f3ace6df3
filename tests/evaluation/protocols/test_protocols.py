"""Each protocol says what its page in the documents says, and measures with the faults that it admits."""

import re
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conditions import tiny_networks
from zeroconv import conditions
from zeroconv.conditions import extract, get
from zeroconv.conditions.networks.depth import predict_depth
from zeroconv.conditions.networks.weights import WEIGHTS
from zeroconv.diffusion import SAMPLERS
from zeroconv.errors import InputError
from zeroconv.evaluation.protocols import PROTOCOLS, Protocol, get_protocol
from zeroconv.evaluation.protocols.measures import DEPTH_MEASURE, MS_SSIM
from zeroconv.metrics.ms_ssim import ms_ssim
from zeroconv.metrics.ssim import ssim
from zeroconv.world import make

PAGE = Path(__file__).parents[3] / "docs" / "protocols.md"


def section_of(name: str) -> dict[str, list[str]]:
    """The rows of a protocol's tables by their first cell."""
    (part,) = [part for part in PAGE.read_text("utf-8").split("\n## ")[1:] if f"`{name}`" in part.partition("\n")[0]]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_the_page_and_the_protocol_are_one(protocol: Protocol) -> None:
    rows = section_of(protocol.name)
    width, height = protocol.size
    pictures = "all" if protocol.pictures is None else str(protocol.pictures)
    expected = {
        "size": f"{width} x {height}, {protocol.resize}",
        "sampler, steps, guidance": f"{protocol.sampler}, {protocol.steps}, {protocol.guidance:g}",
        "negative prompt": protocol.negative_prompt or "none",
        "pictures": f"{pictures}, {protocol.pictures_per_map} of each map, seed {protocol.seed}",
        "features": "; ".join(map(str, protocol.features)),
        "references": f"`{protocol.reference}`" if protocol.reference else protocol.references,
        "prompt check": "yes" if protocol.prompt_check else "no",
    }
    assert {name: rows[name][0] for name in expected} == expected
    assert rows.get("aesthetic head", [""])[0] == protocol.aesthetic
    assert f"`{protocol.data}`" in rows["pairs"][0] if protocol.data else rows["pairs"][0].startswith("named with")
    for one in protocol.conditions:
        judge = ", ".join(f"{key}={value}" for key, value in one.judge.items())
        assert rows[one.condition][:2] == [one.measure, judge]
    assert protocol.scale == 1 and protocol.weighting == "uniform" and protocol.sampler in SAMPLERS
    with pytest.raises(FrozenInstanceError):
        protocol.steps = 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_what_it_names_is_there(protocol: Protocol) -> None:
    for one in protocol.conditions:
        known = one.judged
        assert known.metric == one.measure and known.name == one.condition
        assert conditions.reextract_parameters(known, one.judge, {}) == one.judge
        method = one.judge.get("method")
        assert method in (None, "tiny", "hed") or WEIGHTS[method].condition == one.condition
    assert protocol.sources and all(re.match(r"https://|docs/", source.url) for source in protocol.sources)
    with pytest.raises(InputError, match=f"the protocol '{re.escape(protocol.name)}' says nothing of tile; expected one of"):
        protocol.of("tile")


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="expected one of paper, controlnet\\+\\+, controlnet\\+\\+-corrected, tiny"):
        get_protocol("papr")


def photo(seed: int, side: int = 192) -> Image.Image:
    return Image.fromarray(make(seed, size=side).rgb)


def grey(image: Image.Image) -> np.ndarray:
    return np.asarray(image)[..., 0]


def scores(name: str, condition: str, image: Image.Image, known: Image.Image, **judge: Any) -> dict[str, float]:
    rule = get_protocol(name).of(condition)
    return rule.judged.metrics(image, known, **{**rule.judge, **judge})


def test_lines_wrap_as_published_and_not_when_corrected() -> None:
    image, other = photo(920_000_001), photo(920_000_002)
    own, wanted = extract("lineart", image), extract("lineart", other)
    assert scores("controlnet++-corrected", "lineart", image, own) == {MS_SSIM: pytest.approx(1), "SSIM": pytest.approx(1)}
    # By hand: dark lines on white are 255 - white, and 1 - x wraps to white + 2, so that 255 becomes 1 and 254 becomes 0.
    wrapped = ((grey(own).astype(int) + 2) % 256).astype(np.uint8)
    assert (grey(own) >= 254).any() and wrapped[grey(own) == 255].max(initial=1) == 1
    published = scores("controlnet++", "lineart", image, wanted)
    assert published[MS_SSIM] == pytest.approx(ms_ssim(wrapped, grey(wanted)))
    assert scores("controlnet++", "lineart", image, own)[MS_SSIM] < 0.98
    corrected = scores("controlnet++-corrected", "lineart", image, wanted)
    assert corrected == {
        MS_SSIM: pytest.approx(ms_ssim(grey(own), grey(wanted))),
        "SSIM": pytest.approx(max(0.0, ssim(grey(own), grey(wanted)))),
    }
    with pytest.raises(InputError, match="128x128 is too small for MS-SSIM; expected sides of 176 pixels or more"):
        small = photo(920_000_001, 128)
        scores("controlnet++", "lineart", small, extract("lineart", small))


def test_depth_is_divided_as_published_and_stretched_when_corrected(tmp_path: Path) -> None:
    scene = make(920_000_001, size=96)
    image, known = Image.fromarray(scene.rgb), get("depth").ground_truth
    assert known is not None
    wanted, weights = known(scene), tiny_networks.save("dpt", tmp_path / "dpt")
    (raw,) = predict_depth([image], "dpt", weights)
    label = grey(wanted).astype(float)
    label = np.floor((label - label.min()) / (label.max() - label.min()) * 255)

    def by_hand(found: np.ndarray) -> float:
        return float(np.sqrt(((np.floor(np.clip(found, 0, 1) * 255) - label) ** 2).mean()))

    expected = {
        "controlnet++": by_hand(raw / raw.max()),
        "controlnet++-corrected": by_hand((raw - raw.min()) / (raw.max() - raw.min())),
    }
    for name, error in expected.items():
        found = scores(name, "depth", image, wanted, weights=weights)
        assert found == {DEPTH_MEASURE: pytest.approx(1 - error / 255, abs=1e-4), "RMSE": pytest.approx(error, abs=0.02)}
    assert abs(expected["controlnet++"] - expected["controlnet++-corrected"]) > 1


def test_edges_have_no_tolerance() -> None:
    image = photo(920_000_001, 96)
    wanted = extract("canny", image)
    moved = Image.fromarray(np.roll(np.asarray(wanted), 1, axis=1))
    assert scores("controlnet++", "canny", image, wanted) == {"edge F1": 1}
    assert scores("controlnet++", "canny", image, moved)["edge F1"] < 0.7 < get("canny").fidelity(image, moved)
