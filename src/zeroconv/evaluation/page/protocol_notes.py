"""The protocol of an evaluation on its page: what deviates, what is taken for granted, and what is wrong with its source."""

from collections.abc import Sequence
from html import escape

from zeroconv.evaluation.protocols import FollowedProtocol, Source

__all__ = ["render_protocol", "summarize_protocol"]


def summarize_protocol(followed: FollowedProtocol) -> str:
    """Half a line for a heading."""
    count = len(followed.deviations)
    return "followed in everything" if count == 0 else f"deviates in {count} setting{'s' if count > 1 else ''}"


def render_protocol(followed: FollowedProtocol) -> str:
    """All that a reader must know to compare the numbers with others of the same protocol."""
    protocol, rule = followed.protocol, followed.rule
    judge = f"The maps are read back in the source by: {rule.source_judge}."
    if rule.difference:
        judge += f" Here: {rule.difference}."
    rows = "".join(
        f'<tr><th scope="row">{escape(one.setting)}</th><td>{escape(one.here)}</td><td>{escape(one.protocol)}</td></tr>'
        for one in followed.deviations.values()
    )
    head = "<thead><tr><th>deviates in</th><th>here</th><th>protocol</th></tr></thead>"
    table = f'<div class="scroll"><table>{head}<tbody>{rows}</tbody></table></div>' if rows else ""
    faults = [f"{one.what} {one.here}" for one in protocol.faults]
    lists = {
        "Taken for granted": followed.unchecked,
        "What the source does not say": protocol.choices,
        "Faults of the source": faults,
    }
    folded = "".join(bullets(name, lines) for name, lines in lists.items() if lines) + render_sources(protocol.sources)
    return (
        f"<p>{words(protocol.about)} {words(judge)}</p>{table}"
        f"<details><summary>Taken for granted, faults, sources</summary>{folded}</details>"
    )


def words(text: str) -> str:
    """Text without the marks of code."""
    return escape(text.replace("`", ""))


def bullets(name: str, lines: Sequence[str]) -> str:
    """A list with its heading."""
    return f"<h3>{escape(name)}</h3><ul>{''.join(f'<li>{words(line)}</li>' for line in lines)}</ul>"


def render_sources(sources: Sequence[Source]) -> str:
    """Where the protocol is written; links where they lead somewhere."""
    items = [
        f'<a href="{escape(one.url)}">{escape(one.text)}</a>'
        if one.url.startswith("https://")
        else f"{escape(one.text)} ({escape(one.url)})"
        for one in sources
    ]
    return f"<h3>Sources</h3><ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"
