"""Build the pages of every module, class and function from their docstrings, without a network.

    python docs/api.py site

A warning (a link or a name that leads nowhere) is an error.
"""

import pkgutil
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pdoc  # pyright: ignore[reportMissingImports] - `make docs` installs it
import pdoc.render  # pyright: ignore[reportMissingImports]

import zeroconv


def load_everything() -> list[str]:
    """Import every module, with the names that packages import only when they are asked for."""
    names = ["zeroconv", *(found.name for found in pkgutil.walk_packages(zeroconv.__path__, "zeroconv."))]
    names.remove("zeroconv.__main__")
    for module in map(import_module, names):
        for name in getattr(module, "__all__", ()):
            setattr(module, name, getattr(module, name))
    return names


def main() -> None:
    """Write the site into the folder that is named."""
    folder = Path(sys.argv[1])
    names = load_everything()
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message="The module specification .* already been added")  # all are named
    pdoc.render.configure(docformat="google", footer_text=f"zeroconv {zeroconv.__version__}")
    pdoc.pdoc(*names, output_directory=folder)
    print(folder / "index.html")


if __name__ == "__main__":
    main()
