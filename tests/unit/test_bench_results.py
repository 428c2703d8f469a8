"""What `make bench` prints beside its medians, and what it keeps for the picture."""

import pytest

from benchmarks.compare import against_the_floor
from benchmarks.measuring import Figures
from benchmarks.plot import by_distance
from benchmarks.results import interval


@pytest.mark.parametrize(
    ("count", "least", "most"),
    [(1, 0, 0), (5, 0, 4), (6, 0, 5), (9, 1, 7), (10, 1, 8), (20, 5, 14)],
)
def test_the_interval_holds_the_median_in_95_of_100_cases(count: int, least: int, most: int) -> None:
    assert interval(list(reversed(range(count)))) == (least, most)


def rounds(*rates: float) -> list[Figures]:
    return [Figures(1000, 1000 / rate, rate, 1.0, 1.0, 8, 50.0) for rate in rates]


def test_what_a_service_sends_of_the_floor_is_told_for_each_distance() -> None:
    found = {
        0.0: {"floor": rounds(1000, 1200), "ours": rounds(250, 360), "node": rounds(500, 480)},
        40.0: {"floor": rounds(46, 47), "ours": rounds(138, 188), "node": rounds(92)},
    }
    told = [line.split() for line in against_the_floor(found)]
    assert told[3:] == [
        ["program", "0", "ms", "40", "ms"],
        ["ours", "0.28", "(0.25-0.30)", "3.50", "(3.00-4.00)"],
        ["node", "0.45", "(0.40-0.50)", "2.00", "(2.00-2.00)"],
    ]


@pytest.mark.parametrize("left_out", ["floor", "ours"])
def test_where_the_floor_or_the_services_are_left_out_nothing_is_told_of_it(left_out: str) -> None:
    runs = {"floor": rounds(1000), "ours": rounds(250)}
    del runs[left_out]
    assert against_the_floor({0.0: runs}) == []


def test_a_program_that_failed_at_one_distance_has_no_ratio_there() -> None:
    found = {0.0: {"floor": rounds(1000), "ours": rounds(250)}, 40.0: {"floor": rounds(46)}}
    assert against_the_floor(found)[-1].split() == ["ours", "0.25", "(0.25-0.25)", "-"]


def test_the_picture_has_a_point_for_each_round_trip_with_the_spread_of_its_rounds() -> None:
    kept = {
        "40": {"ours": [130.0, 140.0, 135.0], "node": [92.0]},
        "0": {"ours": [250.0], "node": [400.0], "usual": []},
        "10": {"ours": [200.0], "faststream": [20.0]},
    }
    assert by_distance(kept) == {
        "ours": [[0.0, 250.0, 250.0, 250.0], [10.0, 200.0, 200.0, 200.0], [40.0, 135.0, 130.0, 140.0]],
        "node": [[0.0, 400.0, 400.0, 400.0], [40.0, 92.0, 92.0, 92.0]],
    }
