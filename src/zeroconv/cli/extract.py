"""`zeroconv extract`: condition maps of pictures."""

from pathlib import Path
from typing import Annotated, Any

import typer

from zeroconv.cli.console import Progress, print_json, say
from zeroconv.cli.folders import output_folder

__all__ = ["extract"]


def extract(
    condition: Annotated[str | None, typer.Argument(help="Such as canny.")] = None,
    images: Annotated[list[Path] | None, typer.Argument(metavar="IMAGE...", help="PNG, JPEG or WebP files.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the maps.")] = Path("outputs"),
    assignments: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Such as low=50 or method=xdog.")] = [],  # noqa: B006
    listed: Annotated[bool, typer.Option("--list", help="Show every condition, its methods and their weights.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Extract a condition from pictures: NAME.png becomes NAME-CONDITION.png of the same size."""
    from zeroconv import conditions
    from zeroconv.images import image_size, open_image, write_png

    if listed:
        list_conditions(as_json)
        return
    if condition is None or not images:
        raise typer.BadParameter("expected a CONDITION and one or more pictures, or --list")
    known = conditions.get(condition)
    parameters: dict[str, Any] = dict(map(parse_assignment, assignments))
    if not known.of_any_picture and "method" not in parameters:
        say(f"warning: {known.name} is read by the embedded annotator, which knows the tiny world alone: for photographs "
            "choose another --set method=… (--list shows them)")  # fmt: skip
    for path in images:
        image_size(path)  # every file is looked at before the first map is written
    written: list[Path] = []
    with output_folder(out), Progress("picture") as progress:
        for path in images:
            image = conditions.extract(known.name, open_image(path), **parameters)
            for warning in known.check(image):
                say(f"warning: {path}: {warning}")
            written.append(write_png(image, free_path(out, f"{path.stem}-{known.name}", written)))
            progress(len(written), len(images))
    if as_json:
        maps = [{"image": str(path), "map": str(made)} for path, made in zip(images, written, strict=True)]
        print_json({"condition": known.name, "parameters": parameters, "maps": maps})
        return
    for path in written:
        typer.echo(path)


def list_conditions(as_json: bool) -> None:
    """Every condition with what measures it, and the weights that its learned methods need, with their licences."""
    from zeroconv import conditions
    from zeroconv.conditions.weights import WEIGHTS

    rows = [conditions.get(name) for name in conditions.NAMES]
    if as_json:
        found = [{"condition": row.name, "summary": row.summary, "map": row.contract, "measure": row.measure} for row in rows]
        print_json({"conditions": found, "weights": [vars(weights) for weights in WEIGHTS.values()]})
        return
    for row in rows:
        typer.echo(f"{row.name:13} {row.summary}; measured by {row.measure}")
        for weights in WEIGHTS.values():
            if weights.condition == row.name:
                typer.echo(f"{'':13}   method={weights.method}: {weights.purpose}; {weights.repository}, {weights.licence}")


def parse_assignment(text: str) -> tuple[str, float | bool | str]:
    """`low=50` as a name and a number, `safe=true` as a name and yes or no, anything else as a name and a word.

    Raises:
        typer.BadParameter: when it is no assignment.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise typer.BadParameter(f"got {text!r}; expected KEY=VALUE, such as low=50")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    try:
        number = float(value)
    except ValueError:
        return name, value
    return name, int(number) if number.is_integer() else number


def free_path(folder: Path, stem: str, taken: list[Path]) -> Path:
    """A name that no other picture of this call has."""
    path, number = folder / f"{stem}.png", 1
    while path in taken:
        number += 1
        path = folder / f"{stem}-{number}.png"
    return path
