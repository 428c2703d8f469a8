"""Who is to blame for a reply: the channel, the moment, or the message."""

import re
import time
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from notification_service.channels.email.smtp.refusal_causes import HINTS, Cause
from notification_service.channels.email.smtp.replies import Blame, Phase, fingerprint, one_line, read, without_quotes

CHANNEL, ACCOUNT, MOMENT, MESSAGE = Blame.CHANNEL, Blame.ACCOUNT, Blame.MOMENT, Blame.MESSAGE
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
        # A server that closes is the channel's until a recipient is named: behind a relay may stand a customer's.
        (MAIL, 421, "x", CHANNEL),
        *((phase, 421, text, ACCOUNT) for phase in (RCPT, DATA) for text in ("", "x", "4.3.2 Service shutting down")),
        *((MAIL, code, "x", CHANNEL) for code in (454, 530, 534, 535, 538)),
        *(
            (phase, code, "x", ACCOUNT)
            for phase in (RCPT, DATA)
            for code in (454, 530, 534, 535, 538, 500, 502, 503, 504)
        ),
        # At MAIL nobody was named but us.
        (MAIL, 451, "4.3.0 later", CHANNEL),
        (MAIL, 452, "4.3.1 no room", CHANNEL),
        (MAIL, 550, "5.7.60 you may not send as this user", CHANNEL),
        (MAIL, 553, "5.7.1 sender refused", CHANNEL),
        # The recipient.
        (RCPT, 450, "4.2.1 mailbox busy", MOMENT),
        (RCPT, 451, "4.7.1 greylisted", MOMENT),
        # One mail has one recipient: too many are too many an hour.
        (RCPT, 452, "4.5.3 too many recipients", ACCOUNT),
        (RCPT, 452, "4.2.2 over quota", MOMENT),
        (RCPT, 550, "5.1.1 no such user", MESSAGE),
        (RCPT, 550, "no enhanced code", MESSAGE),
        (RCPT, 551, "5.1.6 moved", MESSAGE),
        (RCPT, 553, "5.1.3 bad syntax", MESSAGE),
        (RCPT, 552, "5.2.2 mailbox full", MOMENT),
        (RCPT, 552, "5.3.4 too big", MESSAGE),
        # A relay that does not know us refuses everybody, but any customer's server may say the word.
        (RCPT, 550, "5.7.1 Unable to relay", ACCOUNT),
        (RCPT, 554, "5.7.1 <a@b.example>: Relay access denied", ACCOUNT),
        (RCPT, 550, "5.7.54 relaying denied.", ACCOUNT),
        (RCPT, 451, "4.7.1 relaying temporarily denied", ACCOUNT),
        # Somebody is called so.
        (RCPT, 550, "5.1.1 <relay@guests.example>: no such user", MESSAGE),
        (RCPT, 550, "5.1.1 <jane@relay.example>: no such user", MESSAGE),
        (RCPT, 550, "5.1.1 <jane@my-relay.example>: no such user", MESSAGE),
        (RCPT, 550, "5.1.1 <jane.relay@guests.example>: no such user", MESSAGE),
        (RCPT, 450, "4.2.1 <relay-team@guests.example>: busy", MOMENT),
        *(
            (RCPT, 550, f"5.1.1 {form} is not known here", MESSAGE)
            for word in ("relay", "sender", "helo", "spf", "quota", "spamhaus", "auth")
            for form in (f"<{word}@guests.example>", f"{word}@guests.example", f"jane@{word}.example")
        ),
        # The content.
        (DATA, 451, "4.3.0 later", MOMENT),
        (DATA, 452, "4.2.2 quota", MOMENT),
        (DATA, 552, "5.2.2 mailbox full", MOMENT),
        (DATA, 552, "5.3.4 too big", MESSAGE),
        (DATA, 554, "5.7.1 looks like spam", MESSAGE),
        (DATA, 550, "", MESSAGE),
        # What RFC 5321 does not know cannot be trusted. A customer's own server may say it of a recipient.
        *(
            (phase, code, "??", CHANNEL if phase is MAIL else ACCOUNT)
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
        ("please try again in 24 hours", 86400),
        ("try again in 86400 seconds", 86400),
        ("retry after 1 day", 86400),
        ("retry in 2 days", 172800),
        ("come back in 1h30m", 5400),
        ("try again in 1 hour and 30 minutes", 5400),
        ("1 hour and 30 minutes before you try again", 5400),
        ("Greylisting in action, please come back in 00:30:00", 1800),
        ("try again in 5 mins", 300),
        ("Riprova tra 24 ore", 86400),
        ("Tente novamente em 24 horas", 86400),
        ("Probeer het over 24 uur opnieuw", 86400),
        ("Spróbuj ponownie za 24 godziny", 86400),
        ("Riprova tra 2 giorni", 172800),
        ("your limit resets in 6 hours", 21600),
        ("Daily limit of 500 messages per 24 hours exceeded; it is renewed in 6 hours", 21600),
        ("try again within 4 hours", 14400),
        ("please try again in an hour", 3600),
        ("wait half an hour", 1800),
        ("try again ten minutes later", 600),
        ("300 seconds before the next try", 300),
        ("Bitte versuchen Sie es in 24 Stunden erneut", 86400),
        ("Bitte in 10 Minuten erneut versuchen", 600),
        ("veuillez réessayer dans 15 minutes", 900),
        ("inténtelo de nuevo en 2 horas", 7200),
        ("host mx.x.example said: 450 greylisted, try again in 24 hours", 86400),
        ("come back in 99999 hours", 3 * 86400),
        ("try again in 2 weeks", 3 * 86400),
        ("try again in 1.5 hours", 5400),
        ("next retry at 14:05:00 UTC", None),
        ("your first try was delayed 5 minutes ago", None),
        ("blocked since 3 days", None),
        ("4.2.1 mailbox busy", None),
        ("try again later", None),
        ("in 2026 we close", None),
        ("try again after 5 messages", None),
        ("try again on port 25", None),
        ("try again, 500 messages in 24 hours are too many", None),
        ("more than 100 mails in the last 24 hours", None),
        ("try later: limit of 100 mails per 1 hour", None),
        ("", None),
    ],
)
def test_the_wait_that_a_server_names_is_read(text: str, seconds: float | None) -> None:
    assert read(RCPT, 450, text).wait == seconds


def test_a_reply_becomes_one_printable_bounded_line() -> None:
    assert one_line("5.1.1 no\r\nsuch\tuser\0\x1b[31m \u202e") == "5.1.1 no such user [31m"
    assert len(one_line("x" * 10_000)) == 500


@given(st.sampled_from(Phase), st.integers(-10, 1000), st.text())
def test_any_reply_has_a_blame_and_only_a_refusal_of_one_mail_closes_it(phase: Phase, code: int, text: str) -> None:
    reading = read(phase, code, text)
    if reading.blame is MESSAGE:
        assert 500 <= code < 600
        assert phase in (RCPT, DATA) or reading.code[2:] in ("2.3", "3.4") or reading.code[2:].startswith("6.")
    if phase is CONNECT or (phase is MAIL and not 400 <= code < 600):
        assert reading.blame is CHANNEL
    if reading.blame is ACCOUNT:
        assert phase in (RCPT, DATA)
        # By its code alone, 421 has the provider's hint.
        assert reading.hint or code == 421


REFUSALS = re.compile(r"(?P<phase>[A-Z]+) (?P<blame>[A-Z]+) (?P<code>\d{3})[ -](?P<text>.*)")


def corpus(name: str) -> list[tuple[Phase, Blame, int, str]]:
    lines = (Path(__file__).parent / f"refusals_{name}.txt").read_text("utf-8").splitlines()
    found = [REFUSALS.fullmatch(line) for line in lines if line and not line.startswith("#")]
    return [
        (Phase[each["phase"]], Blame[each["blame"]], int(each["code"]), each["text"].replace(r"\n", "\n"))
        for each in found
        if each
    ]


LEARNED, HELD_OUT = corpus("learned"), corpus("held_out")


@pytest.mark.parametrize("blame", Blame)
@pytest.mark.parametrize("replies", [LEARNED, HELD_OUT], ids=["learned", "held out"])
def test_what_real_servers_say_is_blamed_on_whom_they_mean(
    replies: list[tuple[Phase, Blame, int, str]], blame: Blame
) -> None:
    """In one test for each blame: eight hundred tests would take longer to start than to run."""
    meant = [(phase, code, text) for phase, to_blame, code, text in replies if to_blame is blame]
    assert [reply for reply in meant if read(*reply).blame is not blame] == []


def test_the_replies_of_real_servers_are_many_and_none_was_passed_over() -> None:
    written = sum(
        line.startswith(("RCPT", "DATA", "MAIL"))
        for name in ("learned", "held_out")
        for line in (Path(__file__).parent / f"refusals_{name}.txt").read_text("utf-8").splitlines()
    )
    assert len(LEARNED) + len(HELD_OUT) == written > 300


OURS = [(code, text) for phase, blame, code, text in LEARNED if blame is ACCOUNT and phase is RCPT and code >= 500]
QUOTES = [
    "<a@x.example>: Recipient address rejected: unverified address: host mx.x.example[203.0.113.9] said: {}",
    "<a@x.example>: Recipient address rejected: undeliverable address: host mx said: {} (in reply to RCPT TO command)",
    "Recipient address verification failed: {}",
    "the remote server responded with {}",
    "Remote host said: {}",
    "{} (in reply to RCPT TO command)",
    "could not be delivered; the error was: {}",
    "Callout verification failed:\n{}",
    "mx.x.example replied: {}",
    "SMTP error from remote mail server after RCPT TO: {}",
    'mx.x.example answered "{}"',
    "delivery failed ({})",
    "upstream server: {}",
]


@given(
    st.sampled_from(OURS), st.sampled_from(QUOTES), st.sampled_from((RCPT, DATA)), st.sampled_from((450, 451, 550, 554))
)
def test_what_a_server_quotes_of_another_blames_nobody(
    quoted: tuple[int, str], quote: str, phase: Phase, code: int
) -> None:
    """The attack: customers choose addresses at servers of their own, and what those say is quoted to us."""
    reading = read(phase, code, f"{code // 100}.1.1 " + quote.format(f"{quoted[0]} {quoted[1]}"))
    assert reading.blame is (MOMENT if code < 500 else MESSAGE)
    assert not reading.session_spent


@given(st.sampled_from(QUOTES), st.text(st.characters(codec="ascii"), max_size=80), st.sampled_from((450, 550)))
def test_whatever_is_quoted_says_nothing_of_us(quote: str, said: str, code: int) -> None:
    assert read(RCPT, code, quote.format(f"550 5.7.1 {said}")).blame not in (CHANNEL, ACCOUNT)


def test_a_quote_that_begins_late_leaves_what_the_server_says_itself() -> None:
    text = "4.1.8 <tickets@cinema.example>: Sender address rejected: unverified address: host mx said: 550 no relay"
    assert without_quotes(text) == "4.1.8 : Sender address rejected:"
    assert read(RCPT, 450, text).blame is ACCOUNT


@pytest.mark.parametrize(
    ("code", "text", "named"),
    [
        (553, "5.7.1 <t@c.example>: Sender address rejected: not owned by user mailer", "FROM_EMAIL"),
        (450, "4.7.1 <web-1>: Helo command rejected: Host not found", "SMTP_EHLO_NAME"),
        (550, "5.4.5 Daily user sending limit exceeded", "SMTP_MAILS_PER_DAY"),
        (554, "5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org", "relay"),
        (550, "5.7.26 Unauthenticated email from c.example is not accepted due to domain's DMARC policy", "DMARC"),
        (530, "5.7.57 Client not authenticated to send mail", "SMTP_USERNAME"),
        (554, "5.2.0 STOREDRV.Submission.Exception:OutboundSpamException", "support"),
        (554, "5.7.1 Relay access denied", "SMTP_USERNAME"),
        (503, "5.5.1 bad sequence of commands", "operator"),
        (452, "4.5.3 too many recipients in this session", "SMTP_MAX_MAILS"),
    ],
)
def test_a_refusal_of_us_comes_with_what_to_do(code: int, text: str, named: str) -> None:
    reading = read(RCPT, code, text)
    assert reading.blame is ACCOUNT
    assert named in reading.hint


def test_there_is_a_hint_for_all_that_an_operator_can_mend() -> None:
    assert set(HINTS) == set(Cause) - {Cause.RECIPIENT, Cause.ADDRESS, Cause.FULL}
    assert not any("\n" in hint for hint in HINTS.values())


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (421, "4.7.0 Too many messages in this connection"),
        (421, "Max message per connection reached, closing transmission channel"),
        (421, "Connection closed by server. Maximum message count per session reached."),
        (452, "4.5.3 Too many recipients this session"),
        (452, "4.4.5 Maximum number of messages per session exceeded."),
        (451, "Requested action aborted\nMails per session limit exceeded"),
        (
            550,
            "This message has exceeded the max number of messages per session. Open a new session and try again. IB510",
        ),
        (421, "4.4.2 mx.cinema.example Error: timeout exceeded"),
        (421, "4.4.2 idle timeout"),
        (421, "4.7.0 Connection expired, try reconnecting. gsmtp"),
        (451, "4.4.2 Timeout - closing connection. gsmtp"),
        (554, "too many transactions in one connection"),
        (421, "SMTP session idle for too long, closing"),
        (450, "4.7.0 Error: too many mails over this connection"),
        (421, "4.5.0 session time limit reached"),
    ],
)
def test_what_belongs_to_the_session_alone_is_known(code: int, text: str) -> None:
    assert read(MAIL, code, text).session_spent
    assert read(MAIL, code, text).blame is CHANNEL


@pytest.mark.parametrize(
    "text",
    [
        "4.3.2 closing",
        "4.7.0 Too many connections from your address",
        "4.7.0 too many concurrent sessions from 192.0.2.7",
        "4.7.0 try again later",
        "host mx.x said: 421 too many messages in this connection",
    ],
)
def test_what_a_fresh_session_would_not_mend_is_not_the_sessions(text: str) -> None:
    assert not read(MAIL, 421, text).session_spent


@pytest.mark.parametrize("phase", [RCPT, DATA])
@pytest.mark.parametrize(
    ("code", "text"),
    [
        (550, "4.7.1 Please try again later"),
        (550, "4.3.0 Server busy"),
        (550, "Temporary failure, please try again later"),
        (550, "Greylisted, please try again in 300 seconds"),
        (554, "5.7.1 <jane@guests.example>: Recipient address rejected: Greylisted for 5 minutes"),
        (554, "5.7.1 Temporarily unavailable, try again in 10 minutes"),
        (554, "5.3.0 local error in processing, please resend later"),
        (554, "Internal error, please retry"),
        (550, "5.3.0 System error, retry in a few minutes"),
        (550, "Temporary lookup failure"),
        (550, "Service momentarily unavailable, come back soon"),
        (554, "Bitte versuchen Sie es sp\u00e4ter erneut"),
        (550, "Veuillez r\u00e9essayer plus tard"),
        (550, "Int\u00e9ntelo de nuevo m\u00e1s tarde"),
    ],
)
def test_a_code_for_ever_with_words_for_a_while_is_tried_again(phase: Phase, code: int, text: str) -> None:
    """The other way round, a mail that would have been accepted has bounced."""
    assert read(phase, code, text).blame is MOMENT


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (550, "5.1.1 user unknown, check the address and try again later"),
        (550, "No such user here; please check and try again"),
        (550, "5.1.1 <jane@guests.example>: temporarily no such user"),
        (554, "5.7.1 Looks like spam: change the text and try again"),
        (552, "5.3.4 Message too big, make it smaller and try again"),
        (550, "5.7.1 This message needs a reader of version 3 or later"),
        (550, "5.7.1 Retrying will NOT succeed"),
        (550, "host mx.x.example said: 450 4.7.1 try again later"),
    ],
)
def test_words_about_another_try_that_name_no_while_leave_a_refusal_one(code: int, text: str) -> None:
    assert read(RCPT, code, text).blame is MESSAGE


SAME = [
    (
        "5.7.1 <jane@guests.example>: blocked by our filter at 12:31:02, id 4f1a99c0",
        "5.7.1 <joe.x@other.example>: blocked by our filter at 08:00:59, id 77bb01",
    ),
    (
        "5.7.1 message refused, see https://mail.example/help?id=abc&to=jane - gsmtp d9443c01a7336-1d0b45si",
        "5.7.1 message refused, see https://mail.example/help?id=xyz&to=joe - gsmtp 5b1f17b1804b1-43f0si",
    ),
    ("5.7.1 refused [vHxNsqbiNgpEf]", "5.7.1 refused [QkLmzTTbvWaQr]"),
    ("5.7.1 refused for jane@guests.example (192.0.2.7)", "5.7.1 refused for joe@guests.example ([2001:db8::1])"),
    ("5.7.1 refused by mx1.mail.example\non Mon, 30 Nov 2026", "5.7.1 refused by mx.mail.example on Tue, 1 Dec 2026"),
    (
        "5.1.1 <a@x.example>: undeliverable address: host mx.x.example said: 550 no",
        "5.1.1 <b@y.example>: undeliverable address: host mx.y.example said: 554 go away",
    ),
]


NAMES = ["relay", "dmarc", "sender.rejected", "quota-exceeded", "Spamhaus", "helo", "too-many", "your.account", "a+b(c"]


@pytest.mark.parametrize(
    "said", ["5.1.1 {}: user unknown", "User {} not found", "The mailbox {} does not exist", "no such user: {}"]
)
@pytest.mark.parametrize("name", NAMES)
def test_how_a_customer_is_called_blames_nobody(name: str, said: str) -> None:
    """A server may write the name without brackets and without a domain, or the domain alone."""
    assert read(RCPT, 550, said.format(name), f"{name}@guests.example").blame is MESSAGE
    domain = f"{name.lower()}.example"
    assert read(RCPT, 550, said.format(domain), f"jane@{domain}").blame is MESSAGE


@pytest.mark.parametrize(
    ("name", "said"),
    [("relay", "Relay access denied"), ("sender", "5.7.1 Sender rejected"), ("quota", "Daily quota used up")],
)
def test_a_refusal_of_us_stays_one_whoever_it_is_said_of(name: str, said: str) -> None:
    assert read(RCPT, 550, said, f"{name}@guests.example").blame is ACCOUNT


@pytest.mark.parametrize("said", ["Nope, not {} today", "nope ({}): not today", "Nope. {}"])
def test_words_that_name_the_recipient_alone_have_one_fingerprint(said: str) -> None:
    """Six customers hear the same, though each hears another name."""
    prints = {
        fingerprint(554, said.format(name), f"{name}@guests.example") for name in ("jane", "Joe.X", "zoë", "o'neil")
    }
    prints |= {fingerprint(554, said.format(host), f"jane@{host}") for host in ("guests", "bücher", "evil-host")}
    assert len(prints) == 1


@pytest.mark.parametrize(
    "text",
    [
        *(f"5.{detail} no" for detail in ("1.1", "1.10", "1.3", "1.2", "1.6")),
        *(
            "No such user here",
            "Unknown user",
            "Mailbox not found",
            "<a@b.example>: Recipient address rejected: User unknown",
        ),
        *(
            "The mailbox a does not exist",
            "Benutzer unbekannt",
            "The email account that you tried to reach is disabled",
            "такого пользователя нет",
            "宛先が存在しません",
            "delivery error: dd Not a valid recipient - mta1.mail.yahoo.com",
        ),
    ],
)
def test_that_nobody_is_of_an_address_is_known(text: str) -> None:
    """Three mistyped addresses in a row are no reason to stop every mail."""
    assert read(RCPT, 550, text).names_address


@pytest.mark.parametrize(
    "text",
    [
        "Nope",
        "5.7.1 Recipient address rejected: Access denied",
        "Requested action not taken: mailbox unavailable",
        "5.6.0 no",
        "5.7.1 Account disabled. Please contact our support",
    ],
)
def test_what_names_no_address_may_be_about_us(text: str) -> None:
    reading = read(RCPT, 550, text)
    assert reading.blame is MESSAGE
    assert not reading.names_address


@pytest.mark.parametrize("code", [550, 552, 554])
def test_a_full_mailbox_that_is_quoted_passes_too(code: int) -> None:
    assert read(DATA, code, "LMTP error after end of data: 552 5.2.2 mailbox full").blame is MOMENT


@pytest.mark.parametrize(("one", "other"), SAME)
def test_refusals_that_differ_only_in_whom_and_when_have_one_fingerprint(one: str, other: str) -> None:
    assert fingerprint(550, one) == fingerprint(550, other)


def test_refusals_for_another_reason_have_another_fingerprint() -> None:
    texts = [
        "5.1.1 <jane@guests.example>: user unknown",
        "5.2.1 <jane@guests.example>: user disabled",
        "5.7.1 <jane@guests.example>: user unknown",
        "5.7.1 message rejected as spam",
        "5.7.1 message rejected for its attachment",
        "5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; failed",
        "5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException; failed",
        "",
    ]
    for one, other in combinations(texts, 2):
        assert fingerprint(550, one) != fingerprint(550, other)
    assert fingerprint(550, "no") != fingerprint(554, "no")


@given(st.sampled_from([text for _, _, _, text in LEARNED]), st.integers(0, 10**9))
def test_a_fingerprint_does_not_depend_on_addresses_and_ids(text: str, number: int) -> None:
    other = re.sub(r"[\w.+-]+@[\w.-]+", f"p{number}@d{number}.example", text).replace("192.0.2.7", f"198.51.{number}.9")
    assert fingerprint(550, text) == fingerprint(550, other)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 120_000,
        *(word * 40_000 for word in ("in ", "in 1", "5.", "relay", "try 1 ", "over ", "a.b", "<", "a@", "Ab")),
        *(word * 20_000 for word in ("sender from ", "your limit ", "mails per a ", "recipient is ", "not ")),
    ],
)
def test_no_reply_takes_long_to_read(text: str) -> None:
    started = time.perf_counter()
    read(RCPT, 450, text)
    fingerprint(450, text)
    one_line(text)
    assert time.perf_counter() - started < 0.5


def test_a_number_that_no_words_follow_is_no_quoted_reply() -> None:
    """An id can look like a reply code; equal refusals with other ids are equal all the same."""
    said = [f"Computer says no to this one (ref {number})" for number in (77, 277, 477, 577)]
    assert [without_quotes(text) for text in said] == said
    assert len({fingerprint(554, text) for text in said}) == 1
    assert without_quotes("host mx.x said 550 no relay") == "host mx.x"
