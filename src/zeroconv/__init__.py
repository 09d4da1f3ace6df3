"""zeroconv: train, run and measure ControlNets."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zeroconv.version import __version__

if TYPE_CHECKING:
    from zeroconv.control.network import ControlNet
    from zeroconv.generation import Control, ControlPipeline
    from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["Control", "ControlNet", "ControlPipeline", "StableDiffusion", "__version__"]

LAZY_IMPORTS = {
    "Control": "zeroconv.generation",
    "ControlNet": "zeroconv.control",
    "ControlPipeline": "zeroconv.generation",
    "StableDiffusion": "zeroconv.stable_diffusion",
}


def __getattr__(name: str) -> Any:
    """Import a public class when it is first asked for: `import zeroconv` itself stays light."""
    if name in LAZY_IMPORTS:
        return getattr(import_module(LAZY_IMPORTS[name]), name)
    raise AttributeError(f"module 'zeroconv' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
