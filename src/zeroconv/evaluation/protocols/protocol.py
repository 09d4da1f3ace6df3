"""What a protocol is: everything that the figures of one evaluation depend on, as one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from zeroconv import conditions
from zeroconv.conditions import Condition
from zeroconv.conditions.condition import Score
from zeroconv.errors import InputError

__all__ = ["ConditionProtocol", "Fault", "FeatureSet", "Protocol", "Source"]


@dataclass(frozen=True, kw_only=True)
class ConditionProtocol:
    """How fidelity to the maps of one condition is measured.

    Attributes:
        condition: its name.
        judge: who reads the maps back: parameters of the condition's score, or of `score`.
        measure: the name of the fidelity.
        source_judge: who reads them back in the source.
        difference: what is different here, and what that may change; empty where nothing is.
        score: the measure in place of the condition's own, as `Condition.score`.
        pooled_iou: whether intersections and unions are also counted over all pictures.
    """

    condition: str
    judge: Mapping[str, Any]
    measure: str
    source_judge: str
    difference: str = ""
    score: Score | None = None
    pooled_iou: bool = False

    @property
    def judged(self) -> Condition:
        """The condition with the protocol's measure."""
        known = conditions.get(self.condition)
        return known if self.score is None else replace(known, score=self.score, metric=self.measure)


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """Features that whole sets are measured on.

    Attributes:
        kind: of the network.
        weights: what opens it: "tiny-clip" or a name on the hub; empty for a file that the user has.
        network: its name, as `FeatureExtractor.name` says it.
        metrics: rows of a report that count.
        resizer: of Inception.
        file: what the file is called that the user must have; empty where there is none.
        groups: whether distances are the mean over the first, second … pictures of the maps.
    """

    kind: Literal["inception", "clip"]
    weights: str
    network: str
    metrics: tuple[str, ...]
    resizer: str = ""
    file: str = ""
    groups: bool = False

    def __str__(self) -> str:
        of = ", ".join(self.metrics)
        return f"{of} on {self.weights or self.file}{f', resizer {self.resizer}' if self.resizer else ''}"


@dataclass(frozen=True)
class Source:
    """Where a protocol, or a part of it, is written.

    Attributes:
        text: authors, title, year, or a repository and its files.
        url: of it.
    """

    text: str
    url: str


@dataclass(frozen=True)
class Fault:
    """What is wrong with the source's own evaluation.

    Attributes:
        what: it does, and what that changes.
        here: what becomes of it in this protocol.
    """

    what: str
    here: str


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """An evaluation with a name.

    Attributes:
        name: as users write it.
        about: one sentence.
        data: as `--data` takes it; empty where the pairs are not embedded.
        pairs: which pairs, in words.
        size: width and height in pixels at which pictures are made and judged.
        resize: how pictures of another shape are fitted.
        sampler: its canonical name.
        steps: of denoising.
        guidance: scale of classifier-free guidance.
        negative_prompt: of the unconditional side.
        scale: strength of the control.
        weighting: of the connections.
        seed: of the first pair; pair i has `seed + i`.
        pictures: maps that are judged; None is all of the pairs.
        pictures_per_map: made from each.
        conditions: that it is about.
        features: on which sets are measured.
        aesthetic: the file of a linear head on the CLIP among them; empty for none.
        prompt_check: whether the things that captions name are looked for.
        reference: as `data`, scenes that sets are compared with; empty where the user must have them.
        references: which pictures those are, in words; empty where there are none.
        choices: what the source does not say, and what was chosen here.
        faults: of the source.
        sources: of everything.
    """

    name: str
    about: str
    data: str
    pairs: str
    size: tuple[int, int]
    resize: Literal["crop", "stretch", "fill"]
    sampler: str
    steps: int
    guidance: float
    negative_prompt: str = ""
    scale: float = 1.0
    weighting: str = "uniform"
    seed: int = 0
    pictures: int | None
    pictures_per_map: int = 1
    conditions: tuple[ConditionProtocol, ...]
    features: tuple[FeatureSet, ...] = ()
    aesthetic: str = ""
    prompt_check: bool = False
    reference: str = ""
    references: str = ""
    choices: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    sources: tuple[Source, ...] = field(default=())

    def of(self, condition: str) -> ConditionProtocol:
        """What it says of a condition.

        Raises:
            InputError: when it says nothing.
        """
        known = {one.condition: one for one in self.conditions}
        if condition not in known:
            said = f"the protocol {self.name!r} says nothing of {condition}; expected one of {', '.join(known)}"
            raise InputError(said, field="protocol")
        return known[condition]

    def making(self) -> dict[str, Any]:
        """How pictures are made, by the names of the options of `zeroconv evaluate`."""
        names = ("sampler", "steps", "guidance", "scale", "weighting", "seed")
        return {
            **{name: getattr(self, name) for name in names},
            "negative": self.negative_prompt,
            "per_map": self.pictures_per_map,
            "control_guidance": None,  # no source guides the control by itself
        }
