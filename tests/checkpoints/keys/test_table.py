"""Tables of names: bijections that copy nothing, and say which tensor does not fit."""

import re
from typing import Any

import pytest
import torch

from tests.checkpoints.reduced import assert_round_trip, equal, shapes_of
from zeroconv.checkpoints.keys import Entry, Table

SMALL = Table(
    (
        Entry("a", ("x",)),
        Entry("conv", ("lin",), "linear"),
        Entry("proj", ("p.weight",), "transposed"),
        Entry("qkv", ("q", "k", "v"), "thirds"),
    )
)
THEIRS = {
    "a": torch.arange(4.0),
    "conv": torch.arange(6.0).view(3, 2, 1, 1),
    "proj": torch.arange(6.0).view(2, 3),
    "qkv": torch.arange(12.0).view(6, 2),
}


def test_every_form_says_what_it_does() -> None:
    ours = SMALL.to_ours(THEIRS)
    assert shapes_of(ours) == {"x": (4,), "lin": (3, 2), "p.weight": (3, 2), "q": (2, 2), "k": (2, 2), "v": (2, 2)}
    assert ours["p.weight"][2, 0] == THEIRS["proj"][0, 2] and ours["k"].tolist() == [[4.0, 5.0], [6.0, 7.0]]
    assert equal(assert_round_trip(SMALL, ours), THEIRS)


def test_a_table_with_other_prefixes_and_the_sum_of_two_are_tables() -> None:
    both = SMALL.add_prefix("file.", "net.") + SMALL
    assert len(both.entries) == 8 and both.theirs[0] == "file.a" and both.ours[3:6] == ("net.q", "net.k", "net.v")
    assert both.to_theirs(both.to_ours({**THEIRS, **{f"file.{k}": t for k, t in THEIRS.items()}})).keys() == set(both.theirs)


@pytest.mark.parametrize("entry", [Entry("a", ("new",)), Entry("new", ("k",))])
def test_a_name_that_stands_twice_is_refused(entry: Entry) -> None:
    with pytest.raises(ValueError, match=r"^the name '(a|k)' stands 2 times among (theirs|ours); expected each once$"):
        Table((*SMALL.entries, entry))


@pytest.mark.parametrize(("ours", "form"), [(("a", "b"), "same"), (("a",), "thirds"), (("a",), "reshaped")])
def test_a_form_takes_its_number_of_names(ours: tuple[str, ...], form: Any) -> None:
    with pytest.raises(ValueError, match=rf"^'t': the form '{form}' does not go with {len(ours)} of our names$"):
        Entry("t", ours, form)


def test_a_tensor_that_is_missing_or_unknown_is_named() -> None:
    with pytest.raises(ValueError, match=r"^f\.pth has 3 tensors, expected 4: tensor 'a' is missing \(1 missing, 0 unknown\)$"):
        SMALL.to_ours({name: tensor for name, tensor in THEIRS.items() if name != "a"}, "f.pth")
    with pytest.raises(ValueError, match=r"^the file has 5 .* 4: tensor 'b' is unknown \(0 missing, 1 unknown\)$"):
        SMALL.to_ours({**THEIRS, "b": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"^the network has 0 .* 6: tensor 'k' is missing \(6 missing, 0 unknown\)$"):
        SMALL.to_theirs({})


@pytest.mark.parametrize(
    ("name", "shape"), [("conv", (3, 2, 3, 3)), ("conv", (3, 2)), ("proj", (6,)), ("qkv", (5, 2)), ("qkv", ())]
)
def test_a_shape_that_a_form_does_not_allow_is_named(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"^tensor '{name}' \('.*'\) has shape {re.escape(str(shape))}; expected [^\n]*$"):
        SMALL.to_ours({**THEIRS, name: torch.zeros(shape)})


@pytest.mark.parametrize(("name", "shape"), [("lin", (3, 2, 1, 1)), ("p.weight", (6,)), ("v", (3, 2)), ("q", (3, 2))])
def test_so_is_ours(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^tensor '.*' \('.*'\) has shape [^\n]*; expected [^\n]*$"):
        SMALL.to_theirs({**SMALL.to_ours(THEIRS), name: torch.zeros(shape)})
