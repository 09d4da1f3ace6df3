"""Checks of maps on a corpus: nearly every wrong one is warned of with its reason, and nearly no right one."""

from collections import Counter

from tests.conditions.corpus.maps import right, wrong
from zeroconv import conditions


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
