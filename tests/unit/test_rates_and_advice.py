"""Rates against the limits of providers, and what to do about a bounce."""

import pytest

from notification_service.feedback.advice import advice
from notification_service.feedback.rates import Standing, rates


@pytest.mark.parametrize(
    ("mailbox", "accepted", "complained", "standing"),
    [
        ("yahoo", 10_000, 9, Standing.GOOD),
        ("yahoo", 10_000, 10, Standing.HIGH),
        ("yahoo", 10_000, 29, Standing.HIGH),
        ("yahoo", 10_000, 30, Standing.OVER),
        ("microsoft", 0, 0, Standing.GOOD),
        ("gmail", 10_000, 0, Standing.UNKNOWN),
        ("gmail", 1000, 5, Standing.OVER),
    ],
)
def test_complaints_stand_against_the_published_limits(
    mailbox: str, accepted: int, complained: int, standing: Standing
) -> None:
    (found,) = rates({("payment_failed", mailbox): accepted}, {("payment_failed", mailbox, "complained"): complained})
    assert found.standing is standing


def test_gmail_says_nothing_rather_than_none() -> None:
    (found,) = rates({("payment_failed", "gmail"): 5}, {})
    assert (found.complained, found.complaint_rate, found.bounce_rate) == (None, None, 0.0)


def test_signals_without_a_mail_that_is_counted_have_a_row_too() -> None:
    found = rates({("a", "other"): 3}, {("b", "apple", "bounced"): 1, ("a", "other", "delivered"): 3})
    assert [(each.template, each.mailbox, each.bounced) for each in found] == [("a", "other", 0), ("b", "apple", 1)]


def test_what_is_neither_a_bounce_nor_a_complaint_makes_no_row() -> None:
    assert rates({}, {("a", "unknown", "clicked"): 40, ("a", "other", "delivered"): 9}) == []


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("5.1.1", "no such mailbox"), ("5.1.10", "takes no mail"), ("4.2.2", "full"), ("5.7.26", "refuses us"),
        ("5.0.0", "no reason"), (None, "no reason"), ("", "no reason"), ("dropped", "did not even try"),
        ("5.6.7", "content"), ("4.4.7", "gave up"),
    ],
)  # fmt: skip
def test_each_code_says_what_it_means(code: str | None, part: str) -> None:
    assert part in advice(code).meaning
    assert advice(code).action.endswith(".")
