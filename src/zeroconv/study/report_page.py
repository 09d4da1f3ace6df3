"""The report of a study as one HTML file: tables and a drawing of each ranking, with nothing loaded from elsewhere."""

from collections.abc import Iterable, Sequence
from html import escape

from zeroconv.study.discrimination import DiscriminationResult
from zeroconv.study.ranking import RankingResult
from zeroconv.study.report import StudyReport, discrimination_lines, format_mean, format_p, ranking_notes

__all__ = ["report_page"]

ROW, LEFT, WIDE = 34, 190, 560  # pixels of the drawing: height of a row, room for names, width of the scale
SIGNIFICANT = 0.05
STYLE = """
:root { --paper: #f6f5f1; --card: #fffefb; --ink: #23252b; --soft: #676a73; --line: #dedbd2; --accent: #0b6e58; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --card: #1e2126; --ink: #e8e6e0; --soft: #a0a3ab; --line: #33373f; --accent: #5ecfb1; }
}
body { margin: 0 auto; max-width: 52rem; padding: 2rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; font-variant-numeric: tabular-nums; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 0.6rem; }
p { margin: 0.3rem 0; color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 0.75rem; padding: 1.1rem 1.25rem;
  margin-top: 1.25rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin-top: 0.8rem; font-size: 0.93rem; }
th, td { text-align: right; padding: 0.3rem 0.6rem; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
th, td:not(:first-child) { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; min-width: 9rem; overflow-wrap: break-word; }
tr.clear td { font-weight: 650; }
svg { display: block; width: 100%; height: auto; margin-top: 0.4rem; }
svg text { fill: var(--ink); font-size: 14px; }
svg .soft { fill: var(--soft); }
svg .grid { stroke: var(--line); }
svg .whisker { stroke: var(--accent); stroke-width: 2; stroke-linecap: round; }
svg .dot { fill: var(--accent); }
.number { font-size: 2rem; color: var(--ink); margin: 0; }
"""


def report_page(report: StudyReport) -> str:
    """The whole page."""
    sections = [ranking_section(result) for result in report.rankings]
    if report.discrimination is not None:
        sections.append(discrimination_section(report.discrimination))
    if not sections:
        sections.append("<section><p>No votes to judge yet.</p></section>")
    title = escape(report.title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}: result</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n<body>\n'
        f"<h1>{title}</h1>\n<p>{escape(report.counts())}. The study was made on {escape(report.created[:10])}.</p>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


def ranking_section(result: RankingResult) -> str:
    """One aspect: the drawing, agreement and tests, and the pairs."""
    rows = ((one.method, format_mean(one.mean, one.deviation)) for one in result.methods)
    pairs = [
        (f"{one.first} over {one.second}", f"{one.difference:.2f}", format_p(one.p), format_p(one.p_holm))
        for one in result.comparisons
    ]
    clear = [one.p_holm < SIGNIFICANT for one in result.comparisons]
    notes = paragraphs(ranking_notes(result))
    how = (
        f"Average human ranking, {len(result.methods)} is best, ± standard deviation over the means of {result.raters} raters; "
        f"{result.votes} rankings."
    )
    return (
        f"<section>\n<h2>{escape(result.aspect.capitalize())}</h2>\n<p>{how}</p>\n{drawing(result)}\n"
        f"{table(('method', 'rank'), rows)}\n{notes}\n"
        + (table(("pair", "difference", "Wilcoxon", "with Holm's correction"), pairs, clear) if pairs else "")
        + "\n</section>"
    )


def discrimination_section(result: DiscriminationResult) -> str:
    """Precision, its tests, and the trials by model."""
    rows = ((one.method, str(one.shown), str(one.recognized)) for one in result.models)
    how = f"Precision ± standard deviation over {result.raters} raters; 0.50 is guessing"
    notes = paragraphs([how, *discrimination_lines(result)[1 : -len(result.models)]])
    number = escape(format_mean(result.precision, result.deviation))
    return (
        f'<section>\n<h2>Which model made this?</h2>\n<p class="number">{number}</p>\n{notes}\n'
        f"{table(('pictures of', 'shown', 'recognized'), rows)}\n</section>"
    )


def paragraphs(lines: Iterable[str]) -> str:
    """Lines as sentences."""
    stripped = (line.strip() for line in lines)
    return "".join(f"<p>{escape(line[0].upper() + line[1:])}.</p>" for line in stripped)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], marked: Sequence[bool] | None = None) -> str:
    """A table; marked rows are bold."""
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    classes = [' class="clear"' if one else "" for one in marked or [False] * len(lines)]
    body = "\n".join(f"<tr{name}>{line}</tr>" for name, line in zip(classes, lines, strict=True))
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def drawing(result: RankingResult) -> str:
    """A row per method: a dot at its mean, a line as long as the deviation to both sides."""
    count = len(result.methods)
    height = ROW * count + 28

    def x(rank: float) -> float:
        return round(LEFT + (WIDE - 20) * (min(max(rank, 1), count) - 1) / (count - 1), 1)

    parts = [f'<line class="grid" x1="{x(i)}" x2="{x(i)}" y1="4" y2="{ROW * count}"/>' for i in range(1, count + 1)]
    parts += [f'<text class="soft" x="{x(i)}" y="{height - 8}" text-anchor="middle">{i}</text>' for i in range(1, count + 1)]
    for place, one in enumerate(result.methods):
        y, spread = ROW * place + ROW / 2, one.deviation or 0.0
        name = one.method if len(one.method) <= 22 else f"{one.method[:21]}…"
        parts.append(f'<text x="0" y="{y + 5}">{escape(name)}</text>')
        parts.append(f'<line class="whisker" x1="{x(one.mean - spread)}" x2="{x(one.mean + spread)}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="dot" cx="{x(one.mean)}" cy="{y}" r="6"/>')
    label = escape(f"Average ranking of {count} methods for {result.aspect}")
    return f'<svg viewBox="0 0 {LEFT + WIDE} {height}" role="img" aria-label="{label}">\n' + "\n".join(parts) + "\n</svg>"
