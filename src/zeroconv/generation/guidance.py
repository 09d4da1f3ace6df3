"""The guidance of a call: which rows of a batch it asks for, and the denoiser that it makes of them (section 3.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

from zeroconv.diffusion import CFGDenoiser, ControlGuidanceDenoiser, Denoiser
from zeroconv.generation.request import GenerationRequest
from zeroconv.messages import Message

__all__ = ["Guidance"]


@dataclass(frozen=True)
class Guidance:
    """Guidance by the prompt, and by the controls where they have a scale of their own.

    Attributes:
        scale: β; 1 is none.
        control_scale: γ, see `ControlGuidanceDenoiser`; None: the controls act on the rows that the weighting says.
    """

    scale: float = 1.0
    control_scale: float | None = None

    @property
    def sides(self) -> int:
        """Rows for each picture: 1 to 3. The last is that of the prompt under the controls."""
        return 1 + (self.scale != 1) + (self.control_scale is not None)

    def prompts(self, requests: Sequence[GenerationRequest]) -> list[str]:
        """The prompt of each row: the unconditional ones first, then the prompts, twice if one of them is uncontrolled."""
        prompts = [one.prompt for one in requests]
        unconditional = [one.negative_prompt for one in requests] if self.scale != 1 else []
        return unconditional + prompts * (1 if self.control_scale is None else 2)

    def wrap(self, denoiser: Denoiser) -> Denoiser:
        """The guided denoiser around one that is asked with these rows."""
        if self.control_scale is None:
            return denoiser if self.scale == 1 else CFGDenoiser(denoiser, self.scale)
        if self.scale == 1:
            return CFGDenoiser(denoiser, self.control_scale)
        return ControlGuidanceDenoiser(denoiser, self.scale, self.control_scale)

    def idle_reasons(self, controls: int) -> list[Message]:
        """Why a scale of the controls changes nothing, or makes them change nothing.

        Args:
            controls: how many there are.
        """
        if self.control_scale is None or (controls and self.control_scale):
            return []
        if controls:
            said = "the guidance on the control is 0: no control has an effect; 1 adds what they add without guidance"
        else:
            said = "guidance on the control is asked for and there is no control: it has no effect"
        return [Message(said, "no-effect.control-guidance")]
