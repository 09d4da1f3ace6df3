"""Saved with its card, and without: the library writes weights and configuration, publishing adds what people read."""

from pathlib import Path
from typing import Any

from tests.tiny import build_control
from zeroconv.publishing import model_card, save_with_card


def test_the_card_is_beside_weights_and_configuration_and_nowhere_else(unet: Any, tmp_path: Path) -> None:
    network = build_control(unet, base="owner/base")
    files = {"config.json", "diffusion_pytorch_model.safetensors"}
    assert {path.name for path in network.save_pretrained(tmp_path / "plain").iterdir()} == files
    folder = save_with_card(network, tmp_path / "shown", title="Edges", licence="mit")
    assert {path.name for path in folder.iterdir()} == {*files, "README.md"}
    text, _, mark = (folder / "README.md").read_text("utf-8").rpartition("\n<!-- zeroconv ")
    assert len(mark) == len("0123456789abcdef -->\n") and text == model_card(network.config, title="Edges", licence="mit")
    for file in files:
        assert (folder / file).read_bytes() == (tmp_path / "plain" / file).read_bytes()
