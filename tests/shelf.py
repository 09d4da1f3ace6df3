"""Weight files of every kind, all of them whole, the doors they can be given to, and a watch over what they cause."""

import json
import os
import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.loras import Factors, kohya
from tests.originals import write_base_file
from tests.tiny import FAMILIES, build_control, build_unet, save_base
from zeroconv import ControlNet, StableDiffusion
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.formats.controlnet_layouts import write_layout
from zeroconv.cli import main

TEXT = {"sd15": 768, "sd21": 1024, "sdxl": 2048}
LAYOUTS = ("folder", "webui", "lllyasviel", "difference", "control-lora")
GUEST = "guest_of_a_file"  # what code from a file would be called

happened: list[str] = []
home: list[Path] = []


def listen(event: str, arguments: Any) -> None:
    """Note what no weight file may cause: programs, sockets, code of theirs, files elsewhere."""
    if not home:
        return
    if event in (
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "subprocess.Popen",
        "socket.connect",
        "socket.getaddrinfo",
    ):
        happened.append(f"{event} {arguments}")
    elif event == "import" and GUEST in str(arguments[0]):
        happened.append(f"import {arguments[0]}")
    elif event == "exec" and str(arguments[0].co_filename).startswith(str(home[0])):
        happened.append(f"exec {arguments[0].co_filename}")
    elif event == "open" and isinstance(arguments[0], str) and written(arguments[2]) and not inside(arguments[0]):
        happened.append(f"open {arguments}")
    elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink") and not inside(str(arguments[0])):
        happened.append(f"{event} {arguments}")


def written(flags: Any) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def inside(path: str) -> bool:
    return str(Path.cwd() / path).startswith(str(home[0])) or "__pycache__" in path or path == os.devnull


sys.addaudithook(listen)


@contextmanager
def watching(folder: Path) -> Generator[None]:
    """`happened` gets what happens meanwhile, beside reading, and writing below a folder."""
    happened.clear()
    home.append(folder)
    try:
        yield
    finally:
        home.clear()


class Runs:
    """A guest that would run a program when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("true",)  # pyright: ignore[reportDeprecated]


@dataclass(frozen=True)
class Shelf:
    """One of every kind of file, all of them whole, and the base they are tried on.

    Attributes:
        at: its folder.
        base: of SD 1.5, in the diffusers layout, of text width 768 in its U-Net.
    """

    at: Path
    base: StableDiffusion

    def __getitem__(self, name: str) -> Path:
        return self.at / name


def build_shelf(at: Path, base: StableDiffusion) -> Shelf:
    """Whole files: a base, ControlNets of every family in every layout, a LoRA of each family, an autoencoder, a U-Net."""
    write_base_file(at / "base.safetensors", "sd15", torch.float16)
    tensors = read_safetensors(at / "base.safetensors")
    for name, start in (("vae", "first_stage_model."), ("unet", "model.diffusion_model.")):
        write_safetensors(at / f"{name}.safetensors", {n: tensor for n, tensor in tensors.items() if n.startswith(start)})
    inpainting = {**tensors, "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(32, 9, 3, 3, dtype=torch.float16)}
    write_safetensors(at / "inpainting.safetensors", inpainting)
    save_base(at / "base")
    for family, config in FAMILIES.items():
        unet = build_unet({**config, "cross_attention_dim": TEXT[family]})
        control = build_control(unet, seed=3)
        control.save_pretrained(at / f"{family}-folder")
        for layout in LAYOUTS[1:]:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="offsets of rank")
                written = write_layout(control.state_dict(), layout, unet.state_dict(), rank=2)
            write_safetensors(at / f"{family}-{layout}.safetensors", written)
        key = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
        pair = Factors(torch.zeros(2, TEXT[family]), torch.zeros(32, 2))
        write_safetensors(at / f"{family}-lora.safetensors", kohya({"unet": {key: pair}}))
    return Shelf(at, replace(base, unet=build_unet({**FAMILIES["sd15"], "cross_attention_dim": 768})))


DOORS: dict[str, Callable[[Shelf, Path], object]] = {
    "base": lambda shelf, path: StableDiffusion.from_pretrained(path),
    "control": lambda shelf, path: ControlNet.from_pretrained(path, unet=shelf.base.unet),
    "lora": lambda shelf, path: shelf.base.add_lora(path),
    "vae": lambda shelf, path: StableDiffusion.from_pretrained(shelf["base"], vae=path),
}


def refused(call: Callable[[], object], *pieces: str) -> str:
    """The one line with which a call is refused; every piece is a pattern that must be in it."""
    with pytest.raises((ValueError, OSError)) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line and 20 < len(line) < 500, line
    for piece in pieces:
        caught.match(piece)
    return line


def refused_by_command(capsys: pytest.CaptureFixture[str], words: list[object], *pieces: str) -> None:
    """The same of a command: exit code 1, one line on standard error, nothing on standard output that looks like success."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and "unexpected" not in lines[0], lines

    def fail() -> None:
        raise ValueError(lines[0])

    refused(fail, *pieces)


def settle(path: Path, **changes: Any) -> Path:
    """Change settings in a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")
    return path


def doors(shelf: Shelf, path: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """The doors that take a file by itself, with this one."""
    for door in ("base", "control", "lora"):
        yield door, lambda door=door: DOORS[door](shelf, path)
