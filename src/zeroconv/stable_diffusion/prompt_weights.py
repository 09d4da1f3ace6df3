r"""Weights in prompts, as Stable Diffusion web UI and its relatives read them.

| written | weight of the words inside |
|---|---|
| `(word)` | 1.1, and 1.1² in `((word))` |
| `[word]` | 1 / 1.1 |
| `(word:1.3)` | 1.3 |
| `\(word\)` | 1: the parentheses are meant |
| `BREAK` | what follows begins a new window of tokens |

An opening parenthesis without its partner weights everything behind it; a closing one without its partner is meant.
"""

import math
import re
from dataclasses import dataclass

__all__ = ["BREAK", "Segment", "parse_prompt"]

BREAK = "BREAK"
STEP = 1.1
"""What a pair of parentheses multiplies the weight by."""
PIECE = re.compile(r"\\[()\[\]\\]|\(|\[|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|\)|\]|\bBREAK\b|[^\\()\[\]:B]+|.", re.DOTALL)


@dataclass(frozen=True)
class Segment:
    """A part of a prompt whose words all weigh the same.

    Attributes:
        text: the words; `BREAK` with `is_break` is none.
        weight: what their states are multiplied by.
        is_break: whether a new window of tokens begins here.
    """

    text: str
    weight: float = 1.0
    is_break: bool = False


def parse_prompt(prompt: str) -> list[Segment]:
    """The parts of a prompt in their order; neighbours of one weight are joined. The empty prompt has one empty part."""
    parts: list[Segment] = []
    opened: list[tuple[str, int]] = []  # the bracket, and the first part behind it

    def weigh(first: int, factor: float) -> None:
        for index in range(first, len(parts)):
            parts[index] = Segment(parts[index].text, parts[index].weight * factor, parts[index].is_break)

    for found in PIECE.finditer(prompt):
        piece, number = found.group(), found.group(1)
        if piece[0] == "\\" and len(piece) == 2:
            parts.append(Segment(piece[1]))
        elif piece in ("(", "["):
            opened.append((piece, len(parts)))
        elif number is not None and opened and opened[-1][0] == "(" and math.isfinite(float(number)):
            weigh(opened.pop()[1], float(number))
        elif piece == ")" and opened and opened[-1][0] == "(":
            weigh(opened.pop()[1], STEP)
        elif piece == "]" and opened and opened[-1][0] == "[":
            weigh(opened.pop()[1], 1 / STEP)
        elif piece == BREAK:
            parts.append(Segment("", is_break=True))
        else:
            parts.append(Segment(piece))
    for bracket, first in reversed(opened):
        weigh(first, STEP if bracket == "(" else 1 / STEP)
    return join(parts) or [Segment("")]


def join(parts: list[Segment]) -> list[Segment]:
    """Neighbours of one weight as one part."""
    joined: list[Segment] = []
    for part in parts:
        if joined and not part.is_break and not joined[-1].is_break and joined[-1].weight == part.weight:
            joined[-1] = Segment(joined[-1].text + part.text, part.weight)
        else:
            joined.append(part)
    return joined
