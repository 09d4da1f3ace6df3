"""What `zeroconv extract --list` shows: every condition in short, or one with its whole contract."""

import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeroconv.conditions import Condition

__all__ = ["all_lines", "one_lines", "to_json"]

WIDTH = 100  # of a line
INDENT = 14


def all_lines() -> Iterator[str]:
    """A few lines for each condition."""
    from zeroconv import conditions

    for known in map(conditions.get, conditions.names()):
        yield from paragraph(known.name, f"{known.summary}; measured by {known.metric}")
        yield from paragraph("", f"map: {short(known)}")
        yield from paragraph("", f"parameters: {parameters(known)}")
    yield ""
    yield "`zeroconv extract CONDITION --list` says more: published ControlNets it suits, weights, licences."


def one_lines(known: "Condition") -> Iterator[str]:
    """All that is known of one condition."""
    contract = known.contract
    rows = {
        known.name: known.summary,
        "map": contract.summary,
        "values": f"{contract.mode}, {contract.values}",
        "channels": contract.channels,
        "polarity": contract.polarity,
        "palette": contract.palette,
        "suits": ", ".join(contract.suits),
        "measured by": known.metric,
        "parameters": parameters(known),
    }
    for title, text in rows.items():
        yield from paragraph(title, text) if text else ()
    for number, weights in enumerate(known.weights):
        source = f"{weights.repository} (licence: {weights.licence})"
        yield from paragraph("" if number else "weights", f"{weights.method}: {weights.purpose}; {source}")


def to_json(*names: str) -> dict[str, Any]:
    """The same for programs."""
    from zeroconv import conditions

    rows = [conditions.get(name) for name in names]
    found = [
        {
            "condition": known.name,
            "summary": known.summary,
            "contract": asdict(known.contract),
            "parameters": conditions.defaults(known),
            "measure": known.metric,
        }
        for known in rows
    ]
    return {"conditions": found, "weights": [vars(weights) for known in rows for weights in known.weights]}


def short(known: "Condition") -> str:
    """The contract in half a line."""
    contract = known.contract
    parts = (f"{contract.mode}, {contract.values}", contract.polarity or contract.palette or contract.channels)
    return "; ".join(part for part in parts if part)


def parameters(known: "Condition") -> str:
    """The extractor's parameters, with their defaults where they have some; `--resolution` is every extractor's."""
    from zeroconv import conditions

    own = {name: value for name, value in conditions.defaults(known).items() if name != "resolution"}
    words = {name: str(value).lower() if isinstance(value, bool) else value for name, value in own.items()}
    return ", ".join(name if value is None else f"{name}={value}" for name, value in words.items())


def paragraph(title: str, text: str) -> list[str]:
    """Lines of at most `WIDTH` letters, the title beside the first."""
    lines = textwrap.wrap(text, WIDTH - INDENT, break_long_words=False, break_on_hyphens=False)
    return [f"{'' if number else title:{INDENT}}{line}" for number, line in enumerate(lines)]
