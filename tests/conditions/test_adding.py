"""CONTRIBUTING's recipe: one file more in the folder, and every room works with the condition that it holds."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zeroconv import conditions
from zeroconv.cli import main
from zeroconv.conditions import Condition, registry
from zeroconv.errors import InputError
from zeroconv.images import open_image
from zeroconv.stable_diffusion import StableDiffusion

RECIPE = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture
def posterize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Condition]:
    """The recipe's file, as if it lay in `src/zeroconv/conditions`."""
    (code,) = re.findall(r"## Adding a condition\n.*?```python\n(.*?)```", RECIPE.read_text("utf-8"), re.DOTALL)
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "posterize.py").write_text(code, "utf-8")
    monkeypatch.setattr(conditions, "__path__", [*conditions.__path__, str(folder)])
    registry.known_conditions.cache_clear()
    yield conditions.get("posterize")
    registry.known_conditions.cache_clear()
    sys.modules.pop("zeroconv.conditions.posterize", None)


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """Five pictures of 32 x 32 with captions."""
    folder, rng = tmp_path / "pairs", np.random.default_rng(0)
    folder.mkdir()
    for i in range(5):
        blocks = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        blocks.resize((32, 32), Image.Resampling.NEAREST).save(folder / f"{i}.png")
    lines = [json.dumps({"file_name": f"{i}.png", "text": "abcde"[i]}) for i in range(5)]
    (folder / "metadata.jsonl").write_text("\n".join(lines), "utf-8")
    return folder


def test_one_file_is_enough(
    posterize: Condition, nano: StableDiffusion, data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Extract, train, evaluate and generate on the command line."""

    def run(*words: object) -> dict[str, Any]:
        capsys.readouterr()
        assert main([*map(str, words), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert "posterize" in conditions.names() and conditions.find("posterize") is posterize
    photo = data_folder / "0.png"
    run("extract", "posterize", photo, "--set", "levels=3", "--resolution", 20, "--size", "64x48", "--out", tmp_path)
    assert set(np.unique(np.asarray(open_image(tmp_path / "0-posterize.png")))) <= {0, 127, 255}
    few = ("steps=3", "batch_size=2", "probe_count=2", "probe_every=3", "probe_steps=1", "save_every=3")
    settings = [word for one in few for word in ("--set", one)]
    run("train", "--base", nano.name, "--data", data_folder, "--condition", "posterize", "--out", tmp_path / "run", *settings)
    report = run(
        "evaluate", "--control", tmp_path / "run", "--base", nano.name, "--data", data_folder, "--steps", 1,
        "--count", 2, "--out", tmp_path / "report",
    )  # fmt: skip
    assert (report["condition"], report["measure"], report["pictures"]) == ("posterize", "equal pixels", 2)
    for words in (["--image", photo], ["--condition", tmp_path / "0-posterize.png", "--resize", "fill"]):
        made = run(
            "generate", "--base", nano.name, "--control", tmp_path / "run", *words, "--prompt", "a", "--steps", 1,
            "--size", 64, "--out", tmp_path / "made",
        )  # fmt: skip
        assert len(made["maps"]) == 1


def test_its_parameters_are_checked_and_described(posterize: Condition) -> None:
    image = Image.new("RGB", (20, 10), (200, 90, 30))
    refused: list[tuple[dict[str, Any], str]] = [
        ({"levels": "many"}, "posterize: levels is 'many'; expected a whole number"),
        ({"levels": 1}, "posterize levels is 1; expected 2 to 16"),
        ({"colours": 3}, "posterize: there is no parameter 'colours'; expected one of levels, resolution"),
    ]
    for wrong, message in refused:
        with pytest.raises(InputError, match=message) as caught:
            conditions.extract("posterize", image, **wrong)
        assert caught.value.field == next(iter(wrong))
    schema = conditions.json_schema(posterize)["properties"]
    assert schema["levels"] == {"default": 4, "title": "Levels", "type": "integer"}
    assert set(schema) == {"levels", "resolution"}
    drawn = conditions.draw_parameters("posterize", np.random.default_rng(0), image.size, {})
    assert posterize.fidelity(image, conditions.extract("posterize", image, **drawn), **drawn) == 1
    assert posterize.check(image) != []


def test_a_program_registers_a_condition_of_its_own(posterize: Condition) -> None:
    mine = replace(posterize, name="mine", aliases=("my-own",))
    conditions.register(mine)
    assert conditions.get("my-own") is mine and conditions.names()[-2:] == ("mine", "posterize"), "the others first"
    image = Image.new("RGB", (9, 9), (200, 90, 30))
    assert conditions.extract("mine", image) == conditions.extract("posterize", image)
    for taken in (replace(mine, aliases=()), replace(mine, name="hed"), replace(mine, name="other")):
        with pytest.raises(ValueError, match=r"there is a condition '(mine|hed|my-own)' already; expected another name"):
            conditions.register(taken)
