"""Checks of maps on a corpus: nearly every wrong one is warned of with its reason, and nearly no right one."""

from collections import Counter

from tests.conditions.corpus.maps import LINES, right, wrong
from zeroconv import conditions
from zeroconv.errors import InputError, NothingAskedError


def test_right_maps_are_left_alone() -> None:
    said = Counter(
        (case.condition, case.what, message.code)
        for case in right()
        for message in conditions.get(case.condition).check(case.image)
    )
    assert len(right()) > 400
    assert said.total() <= 0.005 * len(right()), said.most_common()


def test_wrong_maps_are_warned_of_with_the_right_reason() -> None:
    missed = Counter[tuple[str, str, str]]()
    for case in wrong():
        codes = {message.code for message in conditions.get(case.condition).check(case.image)}
        if not codes & set(case.codes):
            missed[case.condition, case.what, ", ".join(codes) or "nothing"] += 1
    assert len(wrong()) > 600
    assert missed.total() <= 0.05 * len(wrong()), missed.most_common()


def test_photographs_have_no_score_as_maps_of_lines_and_maps_have_one() -> None:
    """In colours and in grey; the error names the contract. Maps that are in order are never refused."""
    pictures = [case for case in wrong() if case.condition in LINES and case.what in ("photograph", "grey photograph")]
    assert len(pictures) > 250
    scored: list[tuple[str, str]] = []
    for case in pictures:
        known = conditions.get(case.condition)
        try:
            known.fidelity(case.image, case.image)
            scored.append((case.condition, case.what))
        except InputError as error:
            assert not isinstance(error, NothingAskedError) and str(error).endswith(str(known.contract))
    assert len(scored) <= 0.01 * len(pictures), scored
    refused = [
        case
        for case in right()
        for message in conditions.get(case.condition).check(case.image)
        if message.code in conditions.get(case.condition).refuses
    ]
    assert not refused
