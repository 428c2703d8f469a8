"""Logins that replace sessions which ended out of step: a few at once, then two a second."""

from notification_service.channels.email.smtp.login_spacing import LoginSpacing


def test_a_login_that_replaces_nothing_never_waits() -> None:
    spacing = LoginSpacing(1, 0.0)
    assert [spacing.next_login(0.0) for _ in range(100)] == [0.0] * 100


def test_replacements_wait_once_twice_the_sessions_were_replaced() -> None:
    spacing = LoginSpacing(2, 0.0)
    for _ in range(7):
        spacing.given_up()
    assert [spacing.next_login(0.0) for _ in range(7)] == [0, 0, 0, 0, 0.5, 1.0, 1.5]


def test_time_brings_replacements_at_once_back_and_no_more_of_them() -> None:
    spacing = LoginSpacing(1, 0.0)
    for _ in range(7):
        spacing.given_up()
    assert [spacing.next_login(0.0) for _ in range(3)] == [0, 0, 0.5]
    assert [spacing.next_login(1000.0) for _ in range(3)] == [0, 0, 0.5]
