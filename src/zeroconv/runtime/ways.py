"""How the networks of a base are run: by which runtime, in how much memory, and where."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import nn

from zeroconv.errors import InputError
from zeroconv.runtime.choice import RUNTIMES, Runtime, UNetRunner, run_unet, usual_runtime
from zeroconv.runtime.offload import Offload, OffloadKind
from zeroconv.runtime.planned_vae import PlannedAutoencoder, check_tile
from zeroconv.runtime.threads import suited_threads
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["Ways"]

USUAL_TILE = 512
"""Pixels a side that an autoencoder is given at a time where pictures are made in tiles."""


@dataclass
class Ways:
    """The ways that were asked for, and what was made for them.

    Attributes:
        base: the base.
        runtime: of its U-Net; None is the usual one.
        vae_tile: the side of the autoencoder's tiles in pixels; None leaves it to the free memory.
        offload: where weights wait; None leaves them on the device.
    """

    base: StableDiffusion
    runtime: Runtime | None = None
    vae_tile: int | None = None
    offload: Offload | None = None
    runners: dict[Runtime, UNetRunner] = field(default_factory=dict[Runtime, UNetRunner])
    autoencoders: dict[tuple[bool, int | None], PlannedAutoencoder] = field(
        default_factory=dict[tuple[bool, int | None], PlannedAutoencoder]
    )
    session: ExitStack | None = None

    @classmethod
    def of(
        cls, base: StableDiffusion, runtime: Runtime | None, vae_tile: int | None = None, offload: OffloadKind | None = None
    ) -> "Ways":
        """Ways that fit each other.

        With offloading the base goes to the CPU's memory, and networks compute where it was.

        Raises:
            InputError: for a tile that there is not, offloading without a GPU, or weights in 8 bits with another runtime.
        """
        check_tile(vae_tile)
        if runtime is not None and runtime not in RUNTIMES:
            raise InputError(f"runtime is {runtime!r}; expected one of {', '.join(RUNTIMES)}", field="runtime")
        if base.options.get("weights") is not None and runtime in ("openvino", "compile", "auto"):
            message = f"the base's weights are in 8 bits, which {runtime} does not run"
            raise InputError(message, field="runtime", hint="leave out the runtime, or weights in 8 bits")
        away = None if offload is None else Offload(offload, base.device)
        if away is not None:
            base.to("cpu")
        return cls(base, runtime, vae_tile, away)

    @property
    def device(self) -> torch.device:
        """Where networks compute."""
        return self.base.device if self.offload is None else self.offload.device

    @property
    def waiting(self) -> torch.device:
        """Where the weights of ControlNets are between steps."""
        return self.base.device if self.offload is None or self.offload.kind == "sequential" else self.offload.device

    def way(self, steps: int) -> Runtime:
        """The runtime of pictures of so many denoising steps."""
        if self.base.options.get("weights") is not None:
            return "torch"  # a plan would pack them as whole numbers again
        return self.runtime or usual_runtime(self.base.unet, steps)

    def runner(self, steps: int) -> UNetRunner:
        """What runs the U-Net for pictures of so many denoising steps."""
        way = "torch" if self.offload is not None else self.way(steps)
        if way not in self.runners:
            self.runners[way] = run_unet(self.base.unet, way)
        return self.runners[way]

    def autoencoder(self, steps: int, tiled: bool = False) -> PlannedAutoencoder:
        """What runs the autoencoder for pictures of so many denoising steps; large ones in tiles, if `tiled`."""
        way = self.offload is None and self.way(steps) != "torch", self.vae_tile or (USUAL_TILE if tiled else None)
        found = self.autoencoders.get(way)
        if found is None or found.vae is not self.base.vae:
            found = self.autoencoders[way] = PlannedAutoencoder(self.base.vae, way[1], way[0])
        return found

    @contextmanager
    def use(self, *networks: nn.Module) -> Generator[None]:
        """Inside the block networks are on the device, if they wait elsewhere."""
        with ExitStack() as stack:
            if self.offload is not None:
                stack.enter_context(self.offload.use(*networks))
            yield

    @contextmanager
    def denoising(self, steps: int, size: tuple[int, int]) -> Generator[None]:
        """A block in which `keep` holds networks on the device, with as many threads as pay; OpenVINO has its own.

        Args:
            steps: denoising steps.
            size: width and height of what the U-Net computes at a time, in pixels.
        """
        threads = suited_threads(self.base, size) if self.way(steps) in ("torch", "plan") else nullcontext()
        with ExitStack() as self.session, threads:
            yield
        self.session = None

    def keep(self, *networks: nn.Module) -> None:
        """Hold the U-Net and its ControlNets on the device until the end of the block, if they wait elsewhere."""
        if self.offload is None or self.session is None:
            return
        waiting = [self.base.unet, *(networks if self.offload.kind == "sequential" else ())]
        self.session.enter_context(self.offload.use(*{id(one): one for one in waiting}.values()))
        self.session = None  # once
