"""One evaluation that follows a protocol: what it takes from it, where it deviates, and what nobody can check."""

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zeroconv.diffusion import canonical_sampler
from zeroconv.errors import InputError
from zeroconv.evaluation.folders import FolderReport, PictureFolder
from zeroconv.evaluation.protocols.protocol import ConditionProtocol, Protocol
from zeroconv.images import open_lazily

__all__ = ["Deviation", "FollowedProtocol"]

REQUESTED = {
    "sampler": "sampler", "num_inference_steps": "steps", "guidance_scale": "guidance", "negative_prompt": "negative",
    "weighting": "weighting", "control_guidance_scale": "control_guidance",
}  # fmt: skip
"""What a picture of ours, or a manifest, says of how it was made, by the names of the options."""

WORDS = {
    "steps": "denoising steps", "guidance": "guidance scale", "negative": "negative prompt", "scale": "control strength",
    "per_map": "pictures of each map", "control_guidance": "guidance on the control",
}  # fmt: skip
NO_DEVIATIONS = frozenset(("device", "batch_size"))


@dataclass(frozen=True)
class Deviation:
    """One thing that is not as the protocol says.

    Attributes:
        setting: what.
        here: its value in this evaluation.
        protocol: the protocol's.
    """

    setting: str
    here: str
    protocol: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.here}; the protocol has {self.protocol}"


@dataclass
class FollowedProtocol:
    """A protocol, and how it was followed.

    Attributes:
        protocol: which.
        condition: that is evaluated; known from `choose` on.
        deviations: by setting.
        unchecked: what is taken for granted.
    """

    protocol: Protocol
    condition: str = ""
    deviations: dict[str, Deviation] = field(default_factory=dict[str, Deviation])
    unchecked: list[str] = field(default_factory=list[str])

    @property
    def rule(self) -> ConditionProtocol:
        """What the protocol says of the condition."""
        return self.protocol.of(self.condition)

    def deviate(self, setting: str, here: object, there: object) -> None:
        """Note a value that is not the protocol's; one that is deviates in nothing."""
        if here != there:
            self.deviations[setting] = Deviation(setting, plain(here), plain(there))

    def settle(self, options: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
        """How pictures are made: as the protocol says, but for what was given.

        Args:
            options: values by the names of the options.
            given: names of those that somebody wrote.

        Raises:
            InputError: for an unknown sampler.
        """
        settled = dict(options)
        for name, there in self.protocol.making().items():
            if name not in given:
                settled[name] = there
                continue
            here = canonical_sampler(options[name]) if name == "sampler" else options[name]
            self.deviate(WORDS.get(name, name), here, there)
        return settled

    def choose_data(self, given: str | None) -> str:
        """The held-out pairs.

        Raises:
            InputError: when the protocol's are not embedded, and none are named.
        """
        there = self.protocol.data
        if given is None:
            if not there:
                said = f"the protocol {self.protocol.name!r} is about {self.protocol.pairs}, which are not on this machine"
                raise InputError(said, field="data", hint="name a folder that has them with --data")
            return there
        if there:
            self.deviate("pairs", given, there)
        else:
            self.unchecked.append(f"that {given} holds {self.protocol.pairs}")
        return given

    def choose_judge(self, condition: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Who reads the maps back.

        Raises:
            InputError: when the protocol says nothing of the condition.
        """
        self.condition = condition
        for key, value in (given or {}).items():
            if key not in NO_DEVIATIONS:
                self.deviate(f"judge {key}", value, self.rule.judge.get(key, "its default"))
        return {**self.rule.judge, **(given or {})}

    def check_making(self, pictures: PictureFolder) -> None:
        """Compare what pictures, or their manifest, say of how they were made."""
        there = self.protocol.making()
        said = read_making(pictures)
        for name in ("sampler", "steps", "guidance", "negative"):
            if name not in said:
                self.unchecked.append(f"{WORDS.get(name, name)} {plain(there[name])}: nothing says it of these pictures")
            else:
                self.deviate(WORDS.get(name, name), said[name], there[name])
        self.deviate(WORDS["control_guidance"], said.get("control_guidance"), there["control_guidance"])
        self.unchecked.append(f"that the maps are of {self.protocol.pairs}")

    def check_report(self, report: FolderReport, size: tuple[int, int], count: int | None = None) -> None:
        """Compare what was measured: how many pictures, of which size, how many of each map.

        Args:
            report: what was measured.
            size: of the pictures as they were made.
            count: of the pictures that were asked for; those that are there if left out.
        """
        folder = next(iter(report.folders.values()))
        stems = [*report.left_out, *folder.stems]
        maps = {hashlib.sha256(report.maps[stem].read_bytes()).digest() for stem in stems}
        per_map, wanted = len(stems) / max(len(maps), 1), self.protocol.pictures_per_map
        if wanted > 1 or per_map > 1.05:  # two scenes may have one map, such as nobody's pose
            self.deviate("pictures of each map", round(per_map, 2), wanted)
        if per_map > 1.05:
            self.unchecked.append(
                "that the pictures of a map are independent, which they are not: the intervals are too narrow"
            )
        if self.protocol.pictures is not None:
            self.deviate("pictures", count or len(stems), self.protocol.pictures * wanted)
        self.deviate("size", f"{size[0]}x{size[1]}", f"{self.protocol.size[0]}x{self.protocol.size[1]}")

    def lines(self) -> list[str]:
        """What a person must know, under the numbers."""
        name = self.protocol.name
        if not self.deviations:
            return [f"  protocol         {name}, without deviations"]
        return [f"  protocol         {name}", *(f"  deviates in      {one}" for one in self.deviations.values())]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        protocol, rule = self.protocol, self.rule
        left_out = ("conditions", "features", "faults", "sources", "choices")
        values = {key: value for key, value in vars(protocol).items() if key not in left_out}
        return {
            **json.loads(json.dumps(values)),
            "condition": {key: value for key, value in vars(rule).items() if key != "score"},
            "features": [str(one) for one in protocol.features],
            "choices": list(protocol.choices),
            "faults": [asdict(one) for one in protocol.faults],
            "sources": [asdict(one) for one in protocol.sources],
            "deviations": [asdict(one) for one in self.deviations.values()],
            "unchecked": list(self.unchecked),
        }


def plain(value: object) -> str:
    """A value as people write it."""
    if isinstance(value, str | None):
        return value or "none"
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def read_making(pictures: PictureFolder) -> dict[str, Any]:
    """What the first picture says of how it was made: its manifest, or itself if `zeroconv` wrote it."""
    stem = pictures.stems[0]
    found: dict[str, Any] = dict(embedded_request(pictures.files[stem]))
    found.update(pictures.entries[stem].more)
    named = {ours: found[theirs] for theirs, ours in REQUESTED.items() if theirs in found}
    named.update({ours: found[ours] for ours in REQUESTED.values() if ours in found})
    if isinstance(named.get("sampler"), str):
        with suppress(InputError):  # one that there is not here stays as its maker calls it
            named["sampler"] = canonical_sampler(named["sampler"])
    return named


def embedded_request(file: Path) -> Mapping[str, Any]:
    """The request in a PNG that `zeroconv` wrote; nothing in others."""
    if file.suffix.lower() != ".png":
        return {}
    try:
        with open_lazily(file, photo=True) as image:
            request = json.loads(image.info["zeroconv"])["request"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}
