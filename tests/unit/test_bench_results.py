"""The interval that `make bench` prints beside a median."""

import pytest

from benchmarks.results import interval


@pytest.mark.parametrize(
    ("count", "least", "most"),
    [(1, 0, 0), (5, 0, 4), (6, 0, 5), (9, 1, 7), (10, 1, 8), (20, 5, 14)],
)
def test_the_interval_holds_the_median_in_95_of_100_cases(count: int, least: int, most: int) -> None:
    assert interval(list(reversed(range(count)))) == (least, most)
