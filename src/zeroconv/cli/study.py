"""`zeroconv study`: people judge pictures, blind."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.cli.console import print_json, say
from zeroconv.cli.errors import Commands
from zeroconv.errors import InputError
from zeroconv.messages import Message, tell

if TYPE_CHECKING:
    from zeroconv.study import Study

__all__ = ["study"]

study = typer.Typer(cls=Commands, help="Studies with people, blind.", no_args_is_help=True, rich_markup_mode=None)
PORT = 8766
TRIALS, TEACHING = 20, 50
StudyFile = Annotated[str, typer.Argument(metavar="STUDY", help="The file of the study, or postgresql://…/DATABASE#NAME.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@study.command("create")
def create(
    file: Annotated[
        str, typer.Argument(metavar="STUDY", help="The file to make, such as study.sqlite, or postgresql://…/DATABASE#NAME.")
    ],
    method: Annotated[
        list[str], typer.Option(metavar="NAME=FOLDER", help="A method and its pictures, named alike in all; repeat it.")
    ],
    kind: Annotated[
        Literal["ranking", "discrimination"], typer.Option(help="Rank all methods, or tell two models apart.")
    ] = "ranking",
    maps: Annotated[Path | None, typer.Option(help="Folder of the condition maps; fidelity is asked for, too.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="JSON of prompts by name, or a folder of NAME.txt.")] = None,
    raters: Annotated[int, typer.Option(min=1, max=10_000, help="How many people, each with a link.")] = 12,
    count: Annotated[
        int | None, typer.Option(min=1, help="Items to rank, or trials.", show_default="all, or 20 trials")
    ] = None,
    teaching: Annotated[
        int | None, typer.Option(min=1, help="Examples of both models before the trials.", show_default="half, at most 50")
    ] = None,
    size: Annotated[int | None, typer.Option(min=16, max=4096, help="Longer side in pixels of everything shown.")] = None,
    title: Annotated[str, typer.Option(help="Shown to raters.")] = "Picture study",
) -> None:
    """Make a study from folders of pictures; its links are printed.

    The file holds the pictures, without names and metadata, and will hold the votes.
    """
    from zeroconv.study import Study, StudyPlan, common_stems, create_study, read_items, read_prompts

    folders = parse_methods(method)
    stems = common_stems({**folders, **({"maps": maps} if maps else {})})
    if kind == "discrimination":
        maps = None  # one picture is shown, and nothing beside it
        taught = teaching or max(1, min(TEACHING, len(stems) // 2))
        trials = count or max(1, min(TRIALS, len(stems) - taught))
    else:
        if teaching is not None:
            raise InputError("a ranking has no teaching", field="teaching", hint="--kind discrimination has")
        taught = trials = 0
        stems = pick(stems, count)
    texts = read_prompts(prompts) if prompts else {}
    plan = StudyPlan(kind=kind, methods=tuple(folders), raters=raters, teaching=taught, trials=trials, title=title)
    create_study(file, plan, read_items(stems, folders, maps=maps, prompts=texts, size=size))
    if kind == "ranking" and maps is None:
        tell(Message("without --maps raters are asked for quality alone", "study.no-maps", "info"))
    if prompts and (bare := [stem for stem in stems if stem not in texts]):
        tell(Message(f"{len(bare)} of {len(stems)} have no prompt, such as {bare[0]}", "study.no-prompt"))
    with Study(file) as made:
        each = made.raters()[0].total
        say(f"{made.database}: {len(stems)} items of {len(folders)} methods, {raters} raters with {each} questions each")
        print_links(made, f"http://127.0.0.1:{PORT}")


@study.command("links")
def links(
    file: StudyFile,
    url: Annotated[str, typer.Option(help="Address of the server, as raters reach it.")] = f"http://127.0.0.1:{PORT}",
    as_json: AsJson = False,
) -> None:
    """Print the link of every rater, and how far each has come."""
    from zeroconv.study import Study

    with Study(file) as opened:
        if as_json:
            found = [{"rater": one.number + 1, "link": link(url, one.token), "done": one.done, "total": one.total}
                     for one in opened.raters()]  # fmt: skip
            print_json({"links": found})
        else:
            print_links(opened, url)


@study.command("serve")
def serve(
    file: StudyFile,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = PORT,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all, with --url.")] = "127.0.0.1",
    url: Annotated[str | None, typer.Option(help="Public address, if raters reach it from elsewhere.")] = None,
) -> None:
    """Show the pages of a study until Ctrl-C: on this machine alone, unless --url names the address that raters use."""
    from zeroconv.study import Study

    with Study(file) as opened:
        from zeroconv.web.study import StudyServer

        server = StudyServer(opened, port, host, url)
        try:
            print_links(opened, server.url)
            say(f"Serving {opened.database} at {server.url} until Ctrl-C.")
            server.run()
        except KeyboardInterrupt:
            return


@study.command("report")
def report(
    file: StudyFile,
    out: Annotated[Path | None, typer.Option(help="Write an HTML page there, too.")] = None,
    finished_only: Annotated[bool, typer.Option("--finished-only", help="Leave out raters who did not finish.")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge the votes so far: average ranking ± deviation or precision, agreement of raters, significance."""
    from zeroconv.study import Study, report_page, report_study

    with Study(file) as opened:
        found = report_study(opened, finished_only)
    if out is not None:
        write_text(out, report_page(found))
    if as_json:
        print_json(found.to_dict())
        return
    for line in (*found.lines(), *([str(out)] if out else [])):
        typer.echo(line)


def parse_methods(words: list[str]) -> dict[str, Path]:
    """Folders by the name of their method.

    Raises:
        InputError: it is no NAME=FOLDER, or a name comes twice.
    """
    found: dict[str, Path] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not (equals and name.strip() and folder):
            raise InputError(f"got --method {word}", field="method", hint="expected NAME=FOLDER")
        if name.strip() in found:
            raise InputError(f"two methods are called {name.strip()}", field="method", hint="give each a name of its own")
        found[name.strip()] = Path(folder)
    return found


def pick(stems: list[str], count: int | None) -> list[str]:
    """So many of them, spread evenly over the sorted names.

    Raises:
        InputError: there are fewer.
    """
    if count is None:
        return stems
    if count > len(stems):
        raise InputError(f"{count} items are asked for, and all methods have {len(stems)}", field="count")
    return [stems[i * len(stems) // count] for i in range(count)]


def link(url: str, token: str) -> str:
    """The address of a rater's page."""
    return f"{url.rstrip('/')}/study/{token}"


def print_links(opened: "Study", url: str) -> None:
    """A line per rater on standard output: number, what is done, the link."""
    raters = opened.raters()
    width = len(str(len(raters)))
    for one in raters:
        typer.echo(f"{one.number + 1:{width}}  {one.done}/{one.total}  {link(url, one.token)}")
