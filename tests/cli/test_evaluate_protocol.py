"""`zeroconv evaluate --protocol`: what deviates is listed, by the terminal, `report.json` and `report.html`."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run
from tests.conditions import tiny_networks
from zeroconv.conditions import get
from zeroconv.images import write_png
from zeroconv.world import make


@pytest.fixture
def references(tmp_path: Path) -> Path:
    for i in range(3):
        write_png(Image.fromarray(make(930_000_000 + i, size=64).rgb), tmp_path / "others" / f"{i}.png")
    return tmp_path / "others"


def test_a_control_by_the_protocol_of_the_tiny_world(run: Run, references: Path, control_folder: Path) -> None:
    words = ["--control", control_folder, "--protocol", "tiny", "--count", 3, "--steps", 1, "--guidance", 4]
    words += ["--steps-curve", "none", "--reference", references, "--out", "report"]
    result = run("evaluate", *words)
    assert result.code == 0, result.err
    assert "deviates in      denoising steps: 1; the protocol has 12" in result.out
    report = json.loads(Path("report/report.json").read_text("utf-8"))
    deviations = {one["setting"]: (one["here"], one["protocol"]) for one in report["protocol"]["deviations"]}
    assert deviations == {
        "denoising steps": ("1", "12"),  # guidance is written, and the protocol's
        "references": (str(references), "world:400@930000000"),
        "pictures": ("3", "200"),
        "size": ("64x64", "128x128"),
    }
    assert (report["settings"]["guidance_scale"], report["settings"]["sampler"]) == (4, "dpm++2m")
    measured = {one["name"] for one in report["set_measures"]}
    assert measured == {"named things found", "in the right colour", "CLIP score", "CMMD", "Fréchet distance"}
    page = Path("report/report.html").read_text("utf-8")
    assert "Protocol tiny" in page and "deviates in 4 settings" in page and "world:400@930000000" in page


def test_a_folder_by_a_published_protocol_with_a_network_of_its_layout(run: Run, tmp_path: Path) -> None:
    known, lines = get("depth"), list[str]()
    assert known.ground_truth is not None
    for i in range(2):
        scene = make(920_000_000 + i, size=64)
        write_png(Image.fromarray(scene.rgb), Path(f"a/{i}.png"))
        write_png(known.ground_truth(scene), Path(f"depth/{i}.png"))
        lines.append(json.dumps({"stem": str(i), "prompt": scene.caption, "sampler": "UniPC", "steps": 20, "guidance": 7.5}))
    Path("a/manifest.jsonl").write_text("\n".join(lines), "utf-8")
    network = tiny_networks.save("dpt", tmp_path / "dpt")
    words = ["a", "--maps", "depth", "--protocol", "controlnet++", "--features", "none", "--judge", f"weights={network}"]
    result = run("evaluate", *words, "--out", "report", "--json")
    assert result.code == 0, result.err
    protocol = result.json["protocol"]
    assert [one["setting"] for one in protocol["deviations"]] == [
        "judge weights", "inception features", "clip features", "pictures of each map", "size"
    ]  # fmt: skip
    assert result.json["settings"] == {"judge": {"method": "dpt", "weights": str(network)}, "size": [512, 512]}
    assert result.json["measure"] == "1 - RMSE / 255" and len(protocol["faults"]) == 7
    assert any(one.startswith("negative prompt worst quality, low quality: nothing says it") for one in protocol["unchecked"])
    page = Path("report/report.html").read_text("utf-8")
    assert "Faults of the source" in page and "https://arxiv.org/abs/2404.07987" in page and "<script" not in page


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (["--protocol", "papr"], ["'papr'", "expected one of paper, controlnet++"]),
        (["--protocol", "paper"], ["'paper' is about the 2,000 validation pictures of ADE20K", "--data"]),
        (["--protocol", "paper", "--data", "world:2@900000000"], ["'paper' says nothing of canny", "segmentation"]),
    ],
)
def test_what_cannot_be_followed_is_said_in_one_line(run: Run, words: list[str], pieces: list[str]) -> None:
    result = run("evaluate", "--control", "tiny-canny", *words, "--out", "report")
    assert result.code == 1 and result.err.count("error:") == 1
    for piece in pieces:
        assert piece in result.err
