"""How long a mail waits for its next try."""

import pytest
from hypothesis import given, strategies as st

from notification_service.delivery.retries import DEFAULT_DELAYS_S, RetrySchedule

SCHEDULE = RetrySchedule(most=5)
HIGH = 0.99
"""A jitter that does not change the delay."""


@pytest.mark.parametrize(("attempt", "seconds"), list(enumerate(DEFAULT_DELAYS_S)))
def test_each_retry_waits_for_the_next_delay(attempt: int, seconds: int) -> None:
    assert SCHEDULE.next_wait(attempt, None, HIGH) == seconds


def test_after_the_last_retry_there_is_no_delay() -> None:
    assert [SCHEDULE.next_wait(attempt, 5, HIGH) for attempt in (5, 6, 1000)] == [None] * 3


def test_more_retries_than_delays_wait_for_the_last_delay() -> None:
    assert [RetrySchedule(most=8).next_wait(attempt, None, HIGH) for attempt in (5, 6, 7, 8)] == [
        3600,
        3600,
        3600,
        None,
    ]


def test_without_retries_the_first_failure_is_the_last() -> None:
    assert RetrySchedule(most=0).next_wait(0, None, HIGH) is None


@pytest.mark.parametrize(
    ("attempt", "named", "seconds"),
    [(0, 1, 5), (0, 5, 5), (0, 6, 30), (0, 300, 600), (0, 3600, 3600), (0, 86400, 3600), (3, 1, 600), (0, 0, 5)],
)
def test_a_wait_that_the_server_names_is_honoured(attempt: int, named: float, seconds: int) -> None:
    assert SCHEDULE.next_wait(attempt, named, HIGH) == seconds


def test_one_mail_in_four_takes_the_next_longer_delay() -> None:
    waits = [SCHEDULE.next_wait(0, None, jitter / 1000) for jitter in range(1000)]
    assert (waits.count(5), waits.count(30)) == (750, 250)


def test_there_is_no_delay_beyond_the_last() -> None:
    assert SCHEDULE.next_wait(4, None, 0) == 3600


@pytest.mark.parametrize(("seconds", "delay"), [(0, 5), (0.1, 5), (5, 5), (5.1, 30), (30, 30), (1e9, 3600)])
def test_a_wait_becomes_the_shortest_delay_that_is_long_enough(seconds: float, delay: int) -> None:
    assert SCHEDULE.delay_for(seconds) == delay


@given(st.integers(0, 20), st.none() | st.floats(0, 1e6), st.floats(0, 1, exclude_max=True), st.integers(0, 10))
def test_a_wait_is_always_a_delay_and_never_shorter_than_the_schedule_says(
    attempt: int, named: float | None, jitter: float, most: int
) -> None:
    seconds = RetrySchedule(most).next_wait(attempt, named, jitter)
    if attempt >= most:
        assert seconds is None
    else:
        assert seconds in DEFAULT_DELAYS_S
        assert seconds >= min(max(DEFAULT_DELAYS_S[min(attempt, 4)], named or 0), DEFAULT_DELAYS_S[-1])


@pytest.mark.parametrize(("seconds", "delay"), [(0.5, 5), (5, 5), (29, 5), (30, 30), (3599, 600), (90000, 3600)])
def test_what_has_a_time_of_its_own_waits_no_longer_than_that(seconds: float, delay: int) -> None:
    assert RetrySchedule(5).delay_within(seconds) == delay
