"""The page as text: no script, nothing fetched, light and dark, on a phone as on a wall."""

from collections.abc import Iterator
from html import escape
from importlib.resources import files

from zeroconv.evaluation.folders.folder_report import Comparison, SetMeasure
from zeroconv.evaluation.page.cases import extreme_rows, render_case, slot
from zeroconv.evaluation.page.content import PageContent
from zeroconv.evaluation.page.plots import Scale, curve_plot, row_plot, scatter_plot, tick_row
from zeroconv.evaluation.page.protocol_notes import render_protocol, summarize_protocol
from zeroconv.version import __version__

__all__ = ["render_page"]

ROWS = 500  # of the table of all pictures; more are in report.json


def render_page(content: PageContent) -> str:
    """The page of an evaluation: HTML that is complete in itself.

    Raises:
        InputError: when a picture of a case cannot be read any more.
    """
    style = (files("zeroconv.evaluation.page") / "page.css").read_text("utf-8")
    body = "".join(part for part in parts(content))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<title>{escape(content.title)} – zeroconv</title>\n<link rel="icon" href="data:,">\n<style>\n{style}</style>\n'
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def parts(content: PageContent) -> Iterator[str]:
    """The sections, from the main number down to the last picture."""
    report = content.report
    yield render_head(content)
    yield "<main>"
    if content.protocol is not None:
        title, said = f"Protocol {content.protocol.protocol.name}", summarize_protocol(content.protocol)
        yield section("protocol", title, render_protocol(content.protocol), said)
    plots = "".join(render_measure(content, measure) for measure in report.measures)
    yield section(
        "scores",
        "Scores",
        plots + legend(content),
        "every stroke is a picture; the dot is their mean, the bar its 95 % interval",
    )
    if report.compared:
        pairs = "".join(render_comparison(content, report.compare(*pair)) for pair in report.compared)
        yield section("pairs", "Map by map", f'<div class="pairs">{pairs}</div>')
    if len(content.curve) > 1:
        said = f"{content.curve[0].pictures} pictures at each, with the 95 % band"
        yield section("curve", f"{report.measure} against denoising steps", curve_plot(content.curve, report.measure), said)
    if len(report.measures) > 1 or report.set_measures:
        yield section("table", "All numbers", render_table(content), "mean [95 % interval]")
    ends = extreme_rows(content)
    yield section("worst", "Worst cases", "".join(render_case(row, content) for row in ends.worst), f"lowest {report.measure}")
    if ends.best:
        yield section(
            "best", "Best cases", "".join(render_case(row, content) for row in ends.best), f"highest {report.measure}"
        )
    yield section("how", "How it was measured", render_settings(content))
    yield section("rows", "Every picture", render_rows(content))
    yield f"</main><footer>zeroconv {escape(__version__)} · the same numbers are in report.json</footer>"


def section(name: str, title: str, body: str, small: str = "") -> str:
    """A part of the page with its heading."""
    said = f" <small>{escape(small)}</small>" if small else ""
    return f'<section id="{name}"><h2>{escape(title)}{said}</h2>{body}</section>'


def render_head(content: PageContent) -> str:
    """What was evaluated, and the one or two numbers that answer for it."""
    report, judged = content.report, content.report.interval(content.judged)
    left_out = f", {len(report.left_out)} left out whose maps ask for nothing" if report.left_out else ""
    lead = ""
    if content.lead is not None:
        value, about = content.lead
        number, bracket, interval = value.partition(" [")
        lead = render_number(number, bracket.strip() + interval, about)
    number, interval = f"{judged.value:.3f}", f"[{judged.low:.3f}, {judged.high:.3f}]"
    about = f"{report.measure}, {content.judged}; higher obeys better"
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    return (
        f"<header><h1>{escape(content.title)}</h1><p>{escape(report.condition)} maps, {len(report.rows)} pictures{left_out}</p>"
        f'<div class="numbers">{render_number(number, interval, about)}{lead}</div>'
        f"{f'<ul class=notes>{notes}</ul>' if notes else ''}</header>"
    )


def render_number(number: str, interval: str, about: str) -> str:
    """A large number, its interval, and what it is."""
    return f'<p class="number"><b>{escape(number)}</b> <small>{escape(interval)}</small><span>{escape(about)}</span></p>'


def render_measure(content: PageContent, measure: str) -> str:
    """The spread of one measure for every set, on one axis."""
    report = content.report
    scale = Scale.of([value for name in report.folders for value in report.values(name, measure)])
    rows: list[str] = []
    for name in report.folders:
        mean, values = report.interval(name, measure), report.values(name, measure)
        drawing = row_plot(values, mean, scale, f"{name}, {measure}")
        number = f"<b>{mean.value:.3f}</b><small>[{mean.low:.3f}, {mean.high:.3f}]</small>"
        rows.append(
            f'<div class="row set-{slot(content, name)}"><p class="name">{escape(name)}</p><div class="strip">{drawing}</div>'
            f'<p class="value">{number}</p></div>'
        )
    axis = f'<div class="row"><p class="name"></p><div class="axis">{tick_row(scale)}</div><p class="value"></p></div>'
    return f'<div class="measure"><h3>{escape(measure)}</h3>{"".join(rows)}{axis}</div>'


def legend(content: PageContent) -> str:
    """What the ceiling is, where there is one."""
    if content.ceiling is None:
        return ""
    what = (
        "the true pictures themselves"
        if content.truth is content.report.folders.get(content.ceiling)
        else ("the autoencoder's reconstruction of the true pictures, which no picture of this base can be expected to beat")
    )
    return f'<p class="soft">{escape(content.ceiling)}: {what}.</p>'


def render_comparison(content: PageContent, found: Comparison) -> str:
    """Two sets, map by map."""
    report, d = content.report, found.difference
    names = [row.stem for row in report.rows]
    drawing = scatter_plot(report.values(found.of), report.values(found.to), names, (found.to, found.of))
    about = f"{found.of} minus {found.to}, mean over the same maps"
    number = render_number(f"{d.value:+.3f}", f"[{d.low:+.3f}, {d.high:+.3f}]", about)
    said = f"{found.of} is larger for {found.ahead:.0%} of the maps, the dots above the line."
    if d.low <= 0 <= d.high:
        said += " The interval holds 0: neither is shown to be ahead."
    kind = f"pair set-{slot(content, found.of)}"
    return f'<div class="{kind}">{drawing}<div>{number}<p class="soft">{escape(said)}</p></div></div>'


def render_table(content: PageContent) -> str:
    """Every measure of every set, and the numbers of whole sets under them."""
    report = content.report
    heads = "".join(f"<th>{escape(name)}</th>" for name in report.folders)
    lines = [
        f'<tr><th scope="row">{escape(measure)}</th>'
        + "".join(f"<td>{escape(str(report.interval(name, measure)))}</td>" for name in report.folders)
        + "</tr>"
        for measure in report.measures
    ]
    for name in dict.fromkeys(one.name for one in report.set_measures):
        found: dict[str, SetMeasure] = {one.of: one for one in report.set_measures if one.name == name}
        procedure = "; ".join(f"{key}: {value}" for key, value in next(iter(found.values())).procedure.items())
        cells = "".join(f"<td>{escape(str(found[one])) if one in found else '–'}</td>" for one in report.folders)
        better = next(iter(found.values())).better
        lines.append(
            f'<tr title="{escape(procedure)}"><th scope="row">{escape(name)} <small>{better} is better</small></th>{cells}</tr>'
        )
    return f'<div class="scroll"><table><thead><tr><th></th>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def render_settings(content: PageContent) -> str:
    """Everything that the numbers depend on."""
    groups: list[str] = []
    for name, values in content.settings.items():
        entries = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in values.items())
        groups.append(f"<div><h3>{escape(name)}</h3><dl>{entries}</dl></div>")
    for one in content.report.set_measures:
        entries = "".join(f"<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>" for key, value in one.procedure.items())
        groups.append(f"<div><h3>{escape(one.name)} of {escape(one.of)}</h3><dl>{entries}</dl></div>" if entries else "")
    return f'<div class="settings">{"".join(groups)}</div>'


def render_rows(content: PageContent) -> str:
    """A table of all pictures, folded."""
    report = content.report
    heads = "".join(f"<th>{escape(name)}</th>" for name in report.folders)
    lines = [
        f'<tr><th scope="row">{escape(row.stem)}</th>'
        + "".join(f"<td>{row.scores[name][report.measure]:.3f}</td>" for name in report.folders)
        + f'<td class="prompt">{escape(row.prompt or "")}</td></tr>'
        for row in report.rows[:ROWS]
    ]
    left = (
        f'<p class="soft">The first {ROWS} of {len(report.rows)}; all are in report.json.</p>'
        if len(report.rows) > ROWS
        else ""
    )
    head = f"<thead><tr><th>{escape(report.measure)}</th>{heads}<th>prompt</th></tr></thead>"
    table = f"<table>{head}<tbody>{''.join(lines)}</tbody></table>"
    return f'<details><summary>{len(report.rows)} rows</summary>{left}<div class="scroll">{table}</div></details>'
