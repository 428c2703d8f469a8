"""Who is to blame for a reply: the channel, the moment, or the message."""

import time

import pytest
from hypothesis import given, strategies as st

from notification_service.channels.smtp.replies import Blame, Phase, one_line, read

CHANNEL, MOMENT, MESSAGE = Blame.CHANNEL, Blame.MOMENT, Blame.MESSAGE
CONNECT, MAIL, RCPT, DATA = Phase.CONNECT, Phase.MAIL, Phase.RCPT, Phase.DATA


@pytest.mark.parametrize(
    ("phase", "code", "text", "blame"),
    [
        # Whatever is said before the first mail is about us or the server.
        (CONNECT, 421, "4.3.2 too busy", CHANNEL),
        (CONNECT, 454, "4.7.0 TLS not available", CHANNEL),
        (CONNECT, 535, "5.7.8 Username and Password not accepted", CHANNEL),
        (CONNECT, 550, "5.7.1 your address is listed", CHANNEL),
        (CONNECT, 554, "5.7.1 go away", CHANNEL),
        (CONNECT, 450, "4.7.1 wait", CHANNEL),
        # These are the channel's in every phase.
        *((phase, code, "x", CHANNEL) for phase in (MAIL, RCPT, DATA) for code in (421, 454, 530, 534, 535, 538)),
        # The sender: 4xx passes, 5xx is the setting's fault.
        (MAIL, 451, "4.3.0 later", MOMENT),
        (MAIL, 452, "4.3.1 no room", MOMENT),
        (MAIL, 550, "5.7.60 you may not send as this user", CHANNEL),
        (MAIL, 553, "5.7.1 sender refused", CHANNEL),
        # The recipient.
        (RCPT, 450, "4.2.1 mailbox busy", MOMENT),
        (RCPT, 451, "4.7.1 greylisted", MOMENT),
        (RCPT, 452, "4.5.3 too many recipients", MOMENT),
        (RCPT, 452, "4.2.2 over quota", MOMENT),
        (RCPT, 550, "5.1.1 no such user", MESSAGE),
        (RCPT, 550, "no enhanced code", MESSAGE),
        (RCPT, 551, "5.1.6 moved", MESSAGE),
        (RCPT, 553, "5.1.3 bad syntax", MESSAGE),
        (RCPT, 552, "5.2.2 mailbox full", MOMENT),
        (RCPT, 552, "5.3.4 too big", MESSAGE),
        # A relay that does not know us refuses everybody.
        (RCPT, 550, "5.7.1 Unable to relay", CHANNEL),
        (RCPT, 554, "5.7.1 <a@b.example>: Relay access denied", CHANNEL),
        (RCPT, 550, "5.7.54 relaying denied.", CHANNEL),
        (RCPT, 451, "4.7.1 relaying temporarily denied", CHANNEL),
        # Somebody is called so.
        (RCPT, 550, "5.1.1 <relay@guests.example>: no such user", MESSAGE),
        (RCPT, 550, "5.1.1 <jane@relay.example>: no such user", MESSAGE),
        (RCPT, 550, "5.1.1 <jane@my-relay.example>: no such user", MESSAGE),
        (RCPT, 550, "5.1.1 <jane.relay@guests.example>: no such user", MESSAGE),
        (RCPT, 450, "4.2.1 <relay-team@guests.example>: busy", MOMENT),
        # The content.
        (DATA, 451, "4.3.0 later", MOMENT),
        (DATA, 452, "4.2.2 quota", MOMENT),
        (DATA, 552, "5.2.2 mailbox full", MOMENT),
        (DATA, 552, "5.3.4 too big", MESSAGE),
        (DATA, 554, "5.7.1 looks like spam", MESSAGE),
        (DATA, 550, "", MESSAGE),
        # What RFC 5321 does not know cannot be trusted.
        *(
            (phase, code, "??", CHANNEL)
            for phase in (MAIL, RCPT, DATA)
            for code in (-1, 0, 99, 220, 250, 354, 600, 999)
        ),
    ],
)
def test_who_is_to_blame(phase: Phase, code: int, text: str, blame: Blame) -> None:
    assert read(phase, code, text).blame is blame


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (550, "5.1.1 no such user", "5.1.1"),
        (550, "host said: 5.7.26 unauthenticated", "5.7.26"),
        (550, "no such user", "550"),
        (550, "version 1.2.3 of 5.1.1234", "550"),
        (552, "5.2.2", "5.2.2"),
    ],
)
def test_the_enhanced_code_is_taken_where_there_is_one(code: int, text: str, expected: str) -> None:
    assert read(RCPT, code, text).code == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 Greylisted, please try again in 300 seconds", 300),
        ("4.7.1 Greylisting in action, please come back in 5 minutes", 300),
        ("try again after 60s", 60),
        ("retry in 1 hour", 3600),
        ("Please wait 90 sec.", 90),
        ("blocked for 2 hours", 7200),
        ("try again in 10 min", 600),
        ("come back in 99999 hours", 86400),
        ("4.2.1 mailbox busy", None),
        ("try again later", None),
        ("in 2026 we close", None),
        ("", None),
    ],
)
def test_the_wait_that_a_server_names_is_read(text: str, seconds: float | None) -> None:
    assert read(RCPT, 450, text).wait == seconds


def test_a_reply_becomes_one_printable_bounded_line() -> None:
    assert one_line("5.1.1 no\r\nsuch\tuser\0\x1b[31m \u202e") == "5.1.1 no such user [31m"
    assert len(one_line("x" * 10_000)) == 500


@given(st.sampled_from(Phase), st.integers(-10, 1000), st.text())
def test_any_reply_has_a_blame_and_only_a_4xx_or_a_full_mailbox_is_the_moments(
    phase: Phase, code: int, text: str
) -> None:
    reading = read(phase, code, text)
    if reading.blame is MOMENT:
        assert 400 <= code < 500 or reading.code[1:] == ".2.2"
    if reading.blame is MESSAGE:
        assert 500 <= code < 600
        assert phase in (RCPT, DATA)


@pytest.mark.parametrize("text", ["in " * 40_000, "in 1" * 30_000, "5." * 60_000, "relay" * 20_000, "x" * 120_000])
def test_no_reply_takes_long_to_read(text: str) -> None:
    started = time.perf_counter()
    read(RCPT, 450, text)
    one_line(text)
    assert time.perf_counter() - started < 0.5
