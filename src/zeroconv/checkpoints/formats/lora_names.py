"""What the names in a LoRA's file say: which modules of which base it changes, or why it changes none."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from zeroconv.checkpoints.architecture.families import FAMILIES, Family
from zeroconv.checkpoints.formats.foreign_loras import foreign_base, is_update
from zeroconv.checkpoints.formats.identify import foreign_model, identify
from zeroconv.checkpoints.formats.lora_parts import beside_needed, check_factors, kind_of_parts, needed_parts
from zeroconv.checkpoints.formats.textual_inversion import bundled_words
from zeroconv.checkpoints.keys.lora import (
    BUNDLED,
    ENDINGS,
    Place,
    Role,
    Shapes,
    kind_of,
    layout_of,
    own_modules,
    published_spellings,
    split,
)

__all__ = [
    "LoraNames", "check_kinds", "group_by_module", "is_lora", "read_names", "text_width",
    "without_bundled",
]  # fmt: skip

SUPPORTED = "supported are LoRA, LoHa, LoKr and DoRA of linear maps and convolutions"
INPUTS: dict[Role, int] = {"down": 1, "hada_w1_b": 1}
"""Which axis of a factor has the inputs of its weight, where the weight is a matrix."""
RANKED: tuple[Role, ...] = ("down", "hada_w1_b", "lokr_w2_b", "lokr_w1_b")
"""Factors with a row for each direction."""
NAMES = {"": "LoRA", "hada": "LoHa", "lokr": "LoKr"}
"""What an update is called whose factors' names begin so."""


@dataclass(frozen=True)
class LoraNames:
    """What the names and shapes in a LoRA's file say.

    Attributes:
        kind: "LoRA", "LoHa", "LoKr", "DoRA", or several of them.
        layout: whose names it uses.
        family: of the bases that it can be merged into; None when it fits several.
        ranks: the ranks in it, ascending.
        modules: how many modules it changes.
        embeddings: textual-inversion embeddings that are bundled with it, by their words.
    """

    kind: str
    layout: str
    family: Family | None
    ranks: tuple[int, ...]
    modules: int
    embeddings: tuple[str, ...]


def is_lora(names: Collection[str]) -> bool:
    """Whether some of the names are those of updates, of whatever kind."""
    return any(is_update(name) for name in names)


def read_names(shapes: Shapes, what: str) -> LoraNames:
    """What the names and shapes in a LoRA's file say, without a base.

    Args:
        shapes: of its tensors.
        what: what errors call the file.

    Raises:
        ValueError: what merging would say, when it can be merged into no published base.
    """
    names = without_bundled(shapes)
    check_kinds(shapes, what)
    family, found = fit(names, text_width(shapes), what)
    for roles in found.values():
        check_factors(roles, shapes, what)
    own = own_modules()
    spelled = [both for name in names if (both := split(name)) is not None]
    return LoraNames(
        kind=" and ".join(sorted({name_of(roles) for roles in found.values()})),
        layout=layout_of((ending for _, ending in spelled), any(module not in own for module, _ in spelled)),
        family=family,
        ranks=tuple(sorted({rank for roles in found.values() if (rank := rank_of(roles, shapes)) is not None})),
        modules=len(found),
        embeddings=bundled_words(shapes),
    )


def check_kinds(shapes: Shapes, what: str) -> None:
    """Refuse files that hold something else than updates that can be merged.

    Args:
        shapes: of its tensors.
        what: what errors call the file.

    Raises:
        ValueError: saying what.
    """
    names, foreign = without_bundled(shapes), foreign_model(shapes)
    for name in names if foreign is None else ():
        kind = kind_of(name)
        if kind is not None:
            raise ValueError(f"{what} holds {kind}, by its tensor {name!r:.100}; {SUPPORTED}")
    if foreign is not None or not is_lora(names):
        raise ValueError(f"{what} holds no LoRA tensors: {identify(shapes)}; {SUPPORTED}")


def fit(names: Collection[str], width: int | None, what: str) -> tuple[Family | None, dict[Place, dict[Role, str]]]:
    """The family whose published base has every module, None if several have, and the tensors of each module.

    Args:
        names: of all tensors but bundled ones.
        width: of the text states that they read, where it is known.
        what: what errors call the file.

    Raises:
        ValueError: that of the family which knows the most of the names, when none has all.
    """
    likely = [family for family in FAMILIES.values() if family.text_width == width] or list(FAMILIES.values())
    fitting, errors = dict[str, dict[Place, dict[Role, str]]](), list[tuple[int, ValueError]]()
    for family in likely:
        known = published_spellings(family.key)
        try:
            fitting[family.key] = group_by_module(names, known, what)
        except ValueError as error:
            errors.append((sum(both is None or both[0] not in known for both in map(split, names)), error))
    if not fitting:
        raise min(errors, key=lambda pair: pair[0])[1]
    key, found = next(iter(fitting.items()))
    return FAMILIES[key] if len(fitting) == 1 else None, found


def group_by_module(names: Collection[str], known: Mapping[str, Place], what: str) -> dict[Place, dict[Role, str]]:
    """The names of the tensors of each module, by what they are.

    Args:
        names: of all tensors but bundled ones.
        known: every way to write a module of the base -> its part and our name.
        what: what errors call the file.

    Raises:
        ValueError: for a module that the base has not, two tensors that are the same thing, or one without the others that
            it needs.
    """
    spelled = {name: both for name in names if (both := split(name)) is not None}
    unknown = [name for name in names if name not in spelled or spelled[name][0] not in known]
    if unknown:
        raise ValueError(f"{what} {describe_unknown(unknown, len(names))}")
    found: dict[Place, dict[Role, str]] = defaultdict(dict)
    for name, (module, ending) in spelled.items():
        roles, role = found[known[module]], ENDINGS[ending][0]
        if role in roles:
            raise ValueError(f"{what} has both {roles[role]!r} and {name!r} for one module; expected one of them")
        roles[role] = name
    for roles in found.values():
        missing = next((role for role in needed_parts(roles) if role not in roles), None)
        if missing:
            name = next(iter(roles.values()))
            raise ValueError(f"{what} has {name!r} without its {missing!r} tensor; expected every factor of the update")
        if others := beside_needed(roles):
            first, other = roles[needed_parts(roles)[0]], roles[others[0]]
            raise ValueError(f"{what} has both {first!r} and {other!r} for one module; expected the factors of one update")
    return dict(found)


def describe_unknown(unknown: Collection[str], count: int) -> str:
    """What follows the file's name in an error about `unknown` names, some of `count`."""
    foreign = foreign_base(unknown)
    if foreign is not None:
        whose, name = foreign
        return f"is a LoRA for {whose}, by its tensor {name!r:.100}; expected a LoRA of SD 1.5, SD 2.1 or SDXL"
    return (
        f"has {len(unknown)} of {count} tensors that fit no module of this base, the first is {next(iter(unknown))!r:.100}; "
        "expected a LoRA made for a base of this family"
    )


def without_bundled(names: Collection[str]) -> list[str]:
    """The names but those of textual-inversion embeddings that some trainers bundle with their LoRA."""
    return [name for name in names if not name.startswith(BUNDLED)]


def name_of(roles: Collection[Role]) -> str:
    """The kind of an update, for people."""
    kind = NAMES[kind_of_parts(roles)]
    if not {"magnitude", "dora_scale"} & set(roles):
        return kind
    return "DoRA" if kind == "LoRA" else f"DoRA of {kind}"


def rank_of(roles: Mapping[Role, str], shapes: Shapes) -> int | None:
    """The number of directions of an update; None where nothing is factored."""
    return next((shapes[roles[role]][0] for role in RANKED if role in roles and shapes[roles[role]]), None)


def text_width(shapes: Shapes) -> int | None:
    """Channels of the text states that the updated cross-attention reads; None when no tensor tells."""
    for name, shape in shapes.items():
        both = split(name)
        if both is not None and "attn2" in name and ("to_k" in name or "to_v" in name) and len(shape) > 1:
            axis = INPUTS.get(ENDINGS[both[1]][0])
            if axis is not None:
                return shape[axis]
    return None
