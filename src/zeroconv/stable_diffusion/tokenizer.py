"""CLIP's tokenizer, built from the list of merges that comes with the package: single files carry none."""

import gzip
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from transformers import CLIPTokenizer

from zeroconv.checkpoints.files.atomic import write_text

__all__ = ["clip_tokenizer", "write_tokenizer"]

START, END = "<|startoftext|>", "<|endoftext|>"
WINDOW = 77
"""Tokens that CLIP reads, start and end included."""


def clip_tokenizer(pad: str = END) -> Any:
    """A fresh tokenizer with CLIP's 49,408 tokens and its window of 77.

    Args:
        pad: what fills the window: the end token for CLIP ViT-L (SD 1.x, SDXL's first), "!" (token 0) for the OpenCLIP
            encoders (SD 2.x, SDXL's second).

    Source: A. Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021.
    """
    pairs = merges()
    vocabulary = {token: number for number, token in enumerate(tokens(pairs))}
    settings: dict[str, Any] = {"vocab": vocabulary, "merges": list(pairs), "pad_token": pad, "model_max_length": WINDOW}
    return CLIPTokenizer(**settings)


def write_tokenizer(folder: Path, pad: str = END) -> None:
    """The tokenizer's files, those that older releases of transformers look for too.

    Args:
        folder: made if it is not there.
        pad: as in `clip_tokenizer`.
    """
    clip_tokenizer(pad).save_pretrained(folder)
    pairs = merges()
    lines = ["#version: 0.2", *(" ".join(pair) for pair in pairs)]
    write_text(folder / "merges.txt", "\n".join(lines) + "\n")
    numbers = {token: number for number, token in enumerate(tokens(pairs))}
    write_text(folder / "vocab.json", json.dumps(numbers, ensure_ascii=False))
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": pad}
    write_text(folder / "special_tokens_map.json", json.dumps(special, indent=2) + "\n")


@cache
def merges() -> tuple[tuple[str, str], ...]:
    """The 48,894 merges in their order."""
    packed = (files("zeroconv") / "assets" / "clip" / "merges.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").splitlines()
    return tuple((left, right) for left, right in (line.split() for line in lines))


def tokens(pairs: tuple[tuple[str, str], ...]) -> list[str]:
    """All tokens in the order of their numbers: bytes, bytes that end a word, merged pairs, start and end."""
    letters = byte_letters()
    return [*letters, *(f"{letter}</w>" for letter in letters), *(left + right for left, right in pairs), START, END]


def byte_letters() -> list[str]:
    """One printable letter for each byte, in CLIP's order: the printable bytes first, the others moved behind 255."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = 256 - len(printable)
    return [chr(number) for number in (*printable, *range(256, 256 + hidden))]
