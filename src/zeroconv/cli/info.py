"""`zeroconv info`: what is in this file, and what can it be used with?"""

from pathlib import Path
from typing import Annotated

import typer

from zeroconv.cli.console import print_json, to_printable

__all__ = ["info"]

UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def info(
    path: Annotated[str, typer.Argument(help="A .safetensors file, a folder, or an embedded name.")],
    no_hash: Annotated[bool, typer.Option("--no-hash", help="Do not read a file to its end for its SHA-256.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a file is: layout, family, size, what is missing, what it fits, from the names and shapes in its header.

    For its SHA-256 it is read to its end, unless --no-hash is given. Exit code 1 when it is nothing this project can use.
    """
    from zeroconv.checkpoints import embedded_names, resolve
    from zeroconv.checkpoints.inspect.describe import describe

    kinds = [kind for kind in ("base", "ControlNet", "LoRA") if path in embedded_names(kind)]
    found = describe(resolve(path, kinds[0]) if kinds else Path(path), hashed=not no_hash)
    if as_json:
        print_json(found.to_json())
    else:
        lines = {
            "kind": found.kind,
            "layout": found.layout,
            "family": found.family.title if found.family else "not known from the tensors",
            "parameters": f"{found.parameters:,}",
            "types": ", ".join(f"{kind} ({number} tensors)" for kind, number in found.dtypes.items()),
            "size": size_text(found.bytes),
            **found.details,
            "sha256": found.sha256 or ("not asked for" if no_hash else "not one file"),
            "missing": ", ".join(found.missing) or "nothing",
            "use with": found.fits or "nothing here",
        }
        for name, value in lines.items():
            typer.echo(f"{to_printable(name):14} {to_printable(value):.500}")
    if found.refused:
        raise ValueError(f"{path} cannot be used here: {found.refused}")


def size_text(size: int) -> str:
    """Bytes for people."""
    unit, name = next(((unit, name) for unit, name in UNITS if size >= unit), (1, "bytes"))
    return f"{size / unit:.1f} {name}" if unit > 1 else f"{size} {name}"
