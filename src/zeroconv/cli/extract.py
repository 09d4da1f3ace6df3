"""`zeroconv extract`: condition maps of pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zeroconv.cli.console import Progress, print_json
from zeroconv.cli.controls import parse_mode, parse_size
from zeroconv.cli.errors import one_line
from zeroconv.cli.folders import output_folder
from zeroconv.messages import Message, tell

if TYPE_CHECKING:
    from PIL import Image

    from zeroconv.conditions import Condition

__all__ = ["extract"]

PERFECT = "pixel-perfect"


def extract(
    condition: Annotated[str | None, typer.Argument(help="Such as canny.")] = None,
    images: Annotated[list[Path] | None, typer.Argument(metavar="IMAGE...", help="PNG, JPEG or WebP files.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the maps.")] = Path("outputs"),
    assignments: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Such as low=50 or method=xdog.")] = [],  # noqa: B006
    resolution: Annotated[
        str, typer.Option(help="At which to look: pixels of the shorter side, or pixel-perfect, the map's own.")
    ] = PERFECT,
    tile: Annotated[int | None, typer.Option(help="Networks look at larger pictures in tiles of so many pixels too.")] = None,
    size: Annotated[str | None, typer.Option(help="Of the maps, PIXELS or WIDTHxHEIGHT; the pictures' if left out.")] = None,
    resize: Annotated[str | None, typer.Option(help="To --size: crop (if left out), stretch or fill.")] = None,
    json_pose: Annotated[bool, typer.Option("--json-pose", help="Also write NAME-pose.json, in OpenPose's layout.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Show every condition, or all about CONDITION.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Extract a condition from pictures: NAME.png becomes NAME-CONDITION.png of the same size.

    Pictures that cannot be read are passed over and named at the end.
    """
    from zeroconv import conditions
    from zeroconv.conditions.raster.tiling import resize_for_detection
    from zeroconv.conditions.user_maps import check_user_map
    from zeroconv.images import image_size, write_png

    if listed:
        show(condition, as_json)
        return
    if condition is None or not images:
        raise typer.BadParameter("expected a CONDITION and one or more pictures, or --list")
    known = conditions.get(condition)
    words = parse_parameters(known, assignments, tile)
    parameters = open_hole(known, words)
    shorter, pixels, mode = parse_resolution(resolution), parse_size(size) if size else None, parse_mode(resize)
    if json_pose and (known.name != "pose" or pixels is not None):
        raise typer.BadParameter("--json-pose goes with the condition pose, at the pictures' own size")
    if mode is not None and pixels is None:
        raise typer.BadParameter("--resize says how maps get another size; expected --size too")
    if warning := known.domain_warning(parameters, "--set method=…"):
        tell(Message(warning, "extract.domain"))
    for path in images:
        image_size(path)  # every file is looked at before the first map is written
    written, documents, unread = list[Path](), list[Path](), dict[Path, str]()
    with output_folder(out), Progress("picture") as progress:
        for count, path in enumerate(images, 1):
            try:
                picture = open_picture(path, known)
            except (OSError, ValueError) as error:
                unread[path] = one_line(error)
                continue
            if pixels is None:
                image = conditions.extract(known.name, picture, resolution=shorter, **parameters)
            elif shorter is None:
                image = conditions.extract_at_size(known.name, picture, pixels, mode or "crop", **parameters)
            else:
                image = conditions.extract(known.name, resize_for_detection(picture, shorter), **parameters)
                image = conditions.fit_map(image, pixels, known.name, mode or "crop")
            check_user_map(known, image, str(path))
            written.append(write_png(image, free_path(out, f"{path.stem}-{known.name}", written)))
            if json_pose:
                documents.append(write_pose(picture, shorter, parameters, written[-1].with_suffix(".json")))
            progress(count, len(images))
    if as_json:
        read = [path for path in images if path not in unread]
        maps = [{"image": str(path), "map": str(made)} for path, made in zip(read, written, strict=True)]
        maps = [{**one, "json": str(made)} for one, made in zip(maps, documents, strict=True)] if documents else maps
        fitted = {"resolution": shorter or PERFECT, "size": pixels, "resize": (mode or "crop") if pixels else None}
        failed = [{"image": str(path), "error": error} for path, error in unread.items()]
        print_json({"condition": known.name, "parameters": words, **fitted, "maps": maps, "failed": failed})
    else:
        for path in (*written, *documents):
            typer.echo(path)
    if unread:
        lines = [*list(unread.values())[:3], *([f"and {len(unread) - 3} more"] if len(unread) > 3 else [])]
        many = f"{len(unread)} of {len(images)} pictures could not be read: " if len(images) > 1 else ""
        raise ValueError(many + "; ".join(lines))


def open_picture(path: Path, known: "Condition") -> "Image.Image":
    """A picture; one that a map with a hole is made of keeps the hole that it has."""
    from zeroconv.images import decode, open_image, to_8bit

    return to_8bit(decode(path, photo=True)) if known.needs_mask else open_image(path)


def open_hole(known: "Condition", parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters with the mask opened whose path is given for a map with a hole.

    Raises:
        FileNotFoundError: when it is not there.
        ValueError: when it cannot be read.
    """
    from zeroconv.generation.picture_input import open_mask

    mask = parameters.get("mask")
    return {**parameters, "mask": open_mask(mask)} if known.needs_mask and isinstance(mask, str) else parameters


def write_pose(picture: "Image.Image", shorter: int | None, parameters: dict[str, Any], path: Path) -> Path:
    """The people of a picture as JSON, looked for as for its map.

    Args:
        picture: the picture.
        shorter: pixels of its shorter side at which they are looked for; None is its own.
        parameters: of the extractor.
        path: of the file.
    """
    from zeroconv.conditions.openpose.json_format import scale_people, write_people
    from zeroconv.conditions.parameters import accepted_kwargs
    from zeroconv.conditions.pose import estimate_people
    from zeroconv.conditions.raster.tiling import resize_for_detection

    seen = resize_for_detection(picture, shorter)
    people = estimate_people(seen, **accepted_kwargs(estimate_people, parameters))
    factors = picture.width / seen.width, picture.height / seen.height
    return write_people(path, scale_people(people, factors), picture.size)


def show(condition: str | None, as_json: bool) -> None:
    """Every condition in short, or all about one."""
    from zeroconv import conditions
    from zeroconv.cli import condition_list

    if as_json:
        print_json(condition_list.to_json(*([condition] if condition else conditions.names())))
        return
    for line in condition_list.one_lines(conditions.get(condition)) if condition else condition_list.all_lines():
        typer.echo(line)


def parse_parameters(known: "Condition", assignments: list[str], tile: int | None) -> dict[str, Any]:
    """The extractor's parameters from `--set` and `--tile`.

    Raises:
        typer.BadParameter: when one is no assignment, or the condition has no tiles.
    """
    from zeroconv import conditions

    parameters: dict[str, Any] = dict(map(parse_assignment, assignments))
    if "resolution" in parameters:
        raise typer.BadParameter("got --set resolution=…; expected --resolution PIXELS")
    if tile is None:
        return parameters
    tiled = [name for name in conditions.names() if "tile" in conditions.defaults(conditions.get(name))]
    if known.name not in tiled:
        raise typer.BadParameter(f"{known.name} has no --tile; {', '.join(tiled)} have")
    return {**parameters, "tile": tile}


def parse_resolution(text: str) -> int | None:
    """Pixels of the shorter side; None is pixel-perfect.

    Raises:
        typer.BadParameter: when it cannot be read.
    """
    if text == PERFECT:
        return None
    if not text.isdecimal() or not int(text):
        raise typer.BadParameter(f"got resolution {text!r}; expected PIXELS of the shorter side, such as 512, or {PERFECT}")
    return int(text)


def parse_assignment(text: str) -> tuple[str, bool | float | str]:
    """`low=50` as a name and a number, `safe=true` as a name and yes or no, anything else as a name and a word.

    Raises:
        typer.BadParameter: when it is no assignment.
    """
    from zeroconv.conditions import read_value

    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise typer.BadParameter(f"got {text!r}; expected KEY=VALUE, such as low=50")
    return name, read_value(value)


def free_path(folder: Path, stem: str, taken: list[Path]) -> Path:
    """A name that no other picture of this call has."""
    path, number = folder / f"{stem}.png", 1
    while path in taken:
        number += 1
        path = folder / f"{stem}-{number}.png"
    return path
