"""CLIP's tokenizer, built from the list of merges that comes with the package: single files carry none."""

import gzip
from functools import cache
from importlib.resources import files
from typing import Any

from transformers import CLIPTokenizer

__all__ = ["clip_tokenizer"]

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
