"""Delivery reports and complaints as mail servers write them, and as strangers might."""

import base64
import random
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path

import flufl.bounce
import pytest
from hypothesis import given, strategies as st

from notification_service.contract.signals import Signal, SignalKind
from notification_service.feedback import reports
from notification_service.feedback.maildir import Maildir
from notification_service.feedback.reports import NoSignal
from notification_service.feedback.return_path import ReturnPath
from tests.unit.fakes import FixedKeys

NOTIFICATION = "0123456789abcdef0123456789abcdef"
NOW = datetime(2026, 11, 30, tzinfo=UTC)
PATH = ReturnPath(FixedKeys(), "bounces.cinema.example")
OURS = PATH.of(NOTIFICATION)
JANE = "jane.smith@example.com"
CORPUS = {file.stem: file.read_text("utf-8") for file in sorted((Path(__file__).parent / "reports").glob("*.eml"))}
BOUNCES = {
    **dict.fromkeys(("amazon_ses", "courier", "exchange", "exim", "exim_old", "gmail", "mail_ru", "postfix"), "5.1.1"),
    **dict.fromkeys(("qmail", "sendmail", "icloud", "domino_report", "human_part_only"), "5.1.1"),
    "office365": "5.1.10",
    "office365_german": "5.2.2",
    # In words alone, each in its own format.
    **dict.fromkeys(("yahoo", "domino", "notes", "ezweb", "gmx", "imail", "mailmarshal", "exchange_old"), "5.1.1"),
    **dict.fromkeys(("opensmtpd", "sendmail_old", "mfilter"), "5.1.1"),
    "kundenserver": "5.0.0",  # too large: nothing about the address
}
DELAYED = {"postfix_delayed": "4.4.1", "sendmail_delayed": "4.4.1", "exim_delayed": "4.3.0"}
SILENT = ("vacation", "receipt", "out_of_office", "challenge")
UNKNOWN_TO_THE_JUDGE = ("ezweb", "human_part_only", "mailmarshal", "mfilter", "notes", "opensmtpd", "sendmail_old")
JUDGED_WRONGLY = ("exim_delayed",)
"""It takes this delay for a bounce, though the mail says that attempts continue."""


def written(name: str, return_path: str = OURS) -> bytes:
    return CORPUS[name].replace("{return_path}", return_path).encode()


def read(content: bytes) -> list[Signal] | NoSignal:
    return reports.signals(content, PATH, NOW)


def signals(content: bytes) -> list[Signal]:
    found = read(content)
    assert isinstance(found, list), found
    return found


def kinds(content: bytes) -> list[tuple[SignalKind, str | None]]:
    return [(each.kind, each.code) for each in signals(content)]


@pytest.mark.parametrize("name", BOUNCES)
def test_a_bounce_of_each_mail_server_names_notification_address_and_code(name: str) -> None:
    (found,) = signals(written(name))
    assert (found.notification_id, found.address, found.kind) == (NOTIFICATION, JANE, SignalKind.BOUNCED)
    assert found.code == BOUNCES[name]
    assert found.source == "report"
    assert found.at.date() == datetime(2026, 11, 29, tzinfo=UTC).date()
    assert JANE not in found.detail
    assert found.detail.isprintable()
    assert len(found.detail) <= 200


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_a_stranger_who_judges_bounces_agrees(name: str) -> None:
    temporary, permanent = flufl.bounce.all_failures(message_from_bytes(written(name)))
    found = read(written(name))
    if name in JUDGED_WRONGLY:
        temporary, permanent = permanent, temporary
    if name in UNKNOWN_TO_THE_JUDGE:
        assert not temporary | permanent, "it knows this format by now"
        return
    ours = found if isinstance(found, list) else []
    assert {each.address for each in ours if each.kind is SignalKind.BOUNCED} == {
        address.decode() for address in permanent
    }
    assert {each.address for each in ours if each.kind is SignalKind.DEFERRED} == {
        address.decode() for address in temporary
    }


@pytest.mark.parametrize("name", DELAYED)
def test_a_delay_is_no_bounce(name: str) -> None:
    assert kinds(written(name)) == [(SignalKind.DEFERRED, DELAYED[name])]


def test_a_complaint_is_found_by_the_envelope_sender_that_it_quotes() -> None:
    (found,) = signals(written("feedback_loop"))
    assert (found.kind, found.notification_id, found.address) == (SignalKind.COMPLAINED, NOTIFICATION, JANE)
    (found,) = signals(written("feedback_without_recipient"))
    assert (found.kind, found.notification_id, found.address) == (SignalKind.COMPLAINED, NOTIFICATION, None)


def test_a_report_on_a_signature_that_failed_is_no_complaint() -> None:
    assert signals(written("auth_failure")) == []


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "something new"])
def test_other_feedback_is_no_complaint(kind: str) -> None:
    assert signals(written("feedback_loop").replace(b"abuse\n", kind.encode() + b"\n")) == []


@pytest.mark.parametrize("name", SILENT)
def test_an_automatic_answer_is_no_bounce(name: str) -> None:
    assert read(written(name)) is NoSignal.NOT_A_REPORT


def test_an_automatic_answer_that_quotes_a_bounce_is_none_though_its_envelope_sender_is_empty() -> None:
    quoted = f"Hello,\n\n<{JANE}>:\n550 5.1.1 user unknown\nThe mail could not be delivered.\n"
    answer = f"Return-Path: <>\nFrom: Jane <{JANE}>\nTo: {OURS}\nAuto-Submitted: auto-replied\n\n{quoted}"
    assert read(answer.encode()) is NoSignal.NOT_A_REPORT
    assert kinds(answer.replace(f"Jane <{JANE}>", "MAILER-DAEMON@mx.example").encode()) == [
        (SignalKind.BOUNCED, "5.1.1")
    ]


def in_words(text: str, subject: str = "Mail", kind: str = "text/plain", charset: str = "utf-8") -> bytes:
    head = f"From: postmaster@mx.example\nTo: {OURS}\nSubject: {subject}\nMessage-ID: <1@mx.example>\n"
    return f"{head}Content-Type: {kind}; charset={charset}\n\n".encode() + text.encode(charset)


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        (f"Ihre Nachricht an {JANE} konnte nicht zugestellt werden.", "iso-8859-1"),
        (f"Votre message à {JANE} n'a pas pu être remis.", "windows-1252"),
        (f"No se pudo entregar el mensaje a {JANE}.", "utf-8"),
        (f"Sua mensagem para {JANE} não foi possível ser entregue: não pôde ser entregue.", "iso-8859-1"),
        (f"Ваше письмо для {JANE} не может быть доставлено.", "koi8-r"),
        (f"次のあて先へは送信できませんでした。\n{JANE}\n", "iso-2022-jp"),
        (f"您的邮件无法送达 {JANE} 退信", "gb2312"),
        (f"Message for {JANE}:\n<<< 550 gone away\n", "utf-8"),
        (f"Nie można dostarczyć wiadomości do {JANE}", "iso-8859-2"),
        (f"İletiniz {JANE} adresine teslim edilemedi.", "iso-8859-9"),
        (f"Ditt meddelande till {JANE} kunde inte levereras.", "iso-8859-1"),
        (f"Din meddelelse til {JANE} kunne ikke leveres.", "iso-8859-1"),
        (f"Zprávu pro {JANE} nebylo možné doručit.", "iso-8859-2"),
        (f"{JANE} 에게 메시지를 전달할 수 없습니다", "euc-kr"),
        (f"無法傳遞您的郵件給 {JANE}", "big5"),
        (f"Tu mensaje no se ha entregado a {JANE}", "utf-8"),
        (f"A sua mensagem não foi entregue a {JANE}", "iso-8859-1"),
        (f"Сообщение для {JANE} не доставлено", "koi8-r"),
        (f"Il messaggio a {JANE} non è stato recapitato", "iso-8859-1"),
        (f"Viestiäsi ei voitu toimittaa: {JANE}", "iso-8859-1"),
        (f"تعذر تسليم رسالتك إلى {JANE}", "windows-1256"),
        (f"आपका संदेश {JANE} को डिलीवर नहीं हुआ", "utf-8"),
    ],
)
def test_a_mailer_that_says_so_in_another_language_is_read(text: str, charset: str) -> None:
    (found,) = signals(in_words(text, charset=charset))
    assert (found.kind, found.address, found.notification_id) == (SignalKind.BOUNCED, JANE, NOTIFICATION)
    assert found.detail.isprintable()


def test_a_report_in_html_alone_and_one_in_two_parts_are_one_signal() -> None:
    html = f"<html><body><p>Delivery has failed:</p><p>&lt;{JANE}&gt; <b>{JANE}</b><br>550 5.1.1</p></body></html>"
    (found,) = signals(in_words(html, kind="text/html"))
    assert (found.address, found.code) == (JANE, "5.1.1")
    assert "<" not in found.detail.replace("<(", "")
    both = "\n".join(
        f"--x\nContent-Type: text/{kind}\n\n{text}"
        for kind, text in (("plain", f"Undeliverable: {JANE} 550 5.1.1"), ("html", html))
    )
    assert len(signals(in_words(f"{both}\n--x--\n", kind="multipart/alternative; boundary=x"))) == 1


def test_a_report_that_names_nobody_is_about_the_notification_all_the_same() -> None:
    (found,) = signals(in_words("This could not be delivered.\n"))
    assert (found.kind, found.address, found.notification_id) == (SignalKind.BOUNCED, None, NOTIFICATION)


@pytest.mark.parametrize(
    "said", ["user is over quota", "The number of messages in recipient's mailbox exceeded the local limit."]
)
def test_a_mailbox_that_is_full_by_words_alone_is_not_one_that_refuses(said: str) -> None:
    (found,) = signals(in_words(f"This could not be delivered.\n\n<{JANE}>:\n{said}\n"))
    assert (found.kind, found.code) == (SignalKind.BOUNCED, "5.2.2")


@pytest.mark.parametrize(
    "said",
    [
        "554 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
        "550 SPF check failed for the domain",
        "554 Message blocked as spam",
        "550 Mail rejected for policy reasons",
        "Your message was blocked by our Spam Firewall.",
    ],
)
def test_a_refusal_of_us_by_words_alone_is_not_the_fault_of_the_address(said: str) -> None:
    diagnostic = f"Final-Recipient: rfc822; {JANE}\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; {said}\n"
    words = in_words(f"This could not be delivered.\n\n<{JANE}>:\n{said}\n")
    for report in (status(MTA + diagnostic), words):
        ((kind, code),) = kinds(report)
        assert kind is SignalKind.BOUNCED
        assert str(code).startswith("5.7.")


@pytest.mark.parametrize("said", ["mailbox is full: retry timeout exceeded", "retry time not reached for any host"])
def test_a_server_that_gave_up_after_trying_for_days_has_not_refused_the_address(said: str) -> None:
    assert kinds(in_words(f"This could not be delivered.\n\n  {JANE}\n    {said}\n")) == [(SignalKind.BOUNCED, "4.4.7")]


@pytest.mark.parametrize(
    ("given", "diagnostic", "code"),
    [
        ("5.0.0", "421 4.7.0 try later", "4.4.7"),
        ("5.0.0", "451 4.7.1 greylisted", "4.4.7"),
        ("5.1.0", "550 5.1.0 user unknown", "5.1.1"),
        ("5.2.0", "550 5.2.0 mailbox full", "5.2.2"),
        ("5.3.0", "553 5.3.0 DNSBL:RBL 192.0.2.1 is blocked", "5.7.0"),
        ("5.5.0", "550 5.5.0 no thanks", "5.5.0"),
        ("5.7.0", "550 5.7.0 no such user", "5.7.0"),
    ],
)
def test_a_code_that_ends_with_nothing_in_particular_leaves_it_to_the_words(
    given: str, diagnostic: str, code: str
) -> None:
    fields = f"Final-Recipient: rfc822; {JANE}\nAction: failed\nStatus: {given}\nDiagnostic-Code: smtp; {diagnostic}\n"
    assert kinds(status(MTA + fields)) == [(SignalKind.BOUNCED, code)]


@pytest.mark.parametrize("said", ["User jane.smith not listed in Domino Directory", "<Jane.Smith>... User unknown"])
def test_the_name_of_the_address_alone_is_not_kept_either(said: str) -> None:
    fields = f"Final-Recipient: rfc822; {JANE}\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: x; {said}\n"
    (found,) = signals(status(MTA + fields))
    assert found.code == "5.1.1"
    assert "smith" not in found.detail.lower()


def test_a_subject_is_read_as_its_reader_sees_it() -> None:
    encoded = "=?utf-8?b?VW56dXN0ZWxsYmFy?="  # Unzustellbar
    (found,) = signals(in_words(f"An: {JANE}\n", subject=encoded))
    assert (found.kind, found.address) == (SignalKind.BOUNCED, JANE)
    assert read(in_words(f"An: {JANE}\n", subject="=?no-charset?b?VW56dXN0ZWxsYmFy?=")) is NoSignal.NOT_A_REPORT


def test_the_words_say_why_where_the_fields_do_not() -> None:
    fields = f"{MTA}Final-Recipient: rfc822; {JANE}\nAction: failed\nStatus: 5.0.0\n"
    for said, code in (("mailbox is full", "5.2.2"), ("Unknown user", "5.1.1"), ("Unrouteable address", "5.0.0")):
        words = f"This could not be delivered:\n\n  {JANE}\n    {said}\n"
        report = status(fields).replace(b"--x\n", f"--x\nContent-Type: text/plain\n\n{words}\n--x\n".encode(), 1)
        assert kinds(report) == [(SignalKind.BOUNCED, code)]


def test_a_receipt_that_a_mailer_writes_is_no_bounce() -> None:
    fields = f"Final-Recipient: rfc822; {JANE}\nDisposition: automatic-action/MDN-sent-automatically; deleted\n"
    receipt = status(f"{fields}\n\n--x\nContent-Type: text/plain\n\nThis was not delivered: undeliverable.\n")
    assert read(receipt.replace(b"delivery-status", b"disposition-notification")) is NoSignal.NOT_A_REPORT


def test_a_delay_in_words_is_told_though_nothing_failed() -> None:
    text = f"<{JANE}>... Deferred\nWarning: message still undelivered after 4 hours\n"
    assert [kind for kind, _ in kinds(in_words(text, subject="Warning: could not send"))] == [SignalKind.DEFERRED]


def test_a_line_about_the_original_message_is_not_taken_for_its_copy() -> None:
    said = f"The original message was received at Sun, 29 Nov 2026\n\n{JANE} [User unknown]\n"
    (found,) = signals(in_words(said, subject="Returned Mail"))
    assert (found.address, found.code) == (JANE, "5.1.1")


def test_a_mailer_that_says_nothing_of_a_failure_is_not_read_as_one() -> None:
    for text in ("Welcome to our mail service.", "Your quota is 90 % used.", "Please confirm: 550 people did."):
        assert read(in_words(text)) is NoSignal.NOT_A_REPORT


@pytest.mark.parametrize(
    "junk", ["\n" * 70_000, " " * 70_000, "-" * 70_000, "<" * 70_000, "a@" * 35_000, "<a " * 20_000]
)
def test_no_text_takes_long_to_read(junk: str) -> None:
    begun = time.process_time()
    for kind in ("text/plain", "text/html"):
        read(in_words(f"{junk} undeliverable", subject=junk[:4000].strip() or "x", kind=kind))
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("name", [*BOUNCES, "feedback_loop", *DELAYED])
def test_a_report_without_our_mac_changes_nothing(name: str) -> None:
    forged = re.sub(r"(?<=\.[0-9a-f]{2})[a-z2-7]{16}", "a" * 16, OURS)
    for path in (forged, "bounces@cinema.example", f"b+{NOTIFICATION}@cinema.example"):
        assert read(written(name, path)) is NoSignal.UNTRUSTED


def test_the_mac_of_one_notification_does_not_open_another() -> None:
    other = OURS.replace("0123456789abcdef", "f" * 16, 1)
    assert read(written("postfix", other)) is NoSignal.UNTRUSTED


@pytest.mark.parametrize(
    "around",
    [
        str.upper,
        lambda path: f"SRS0=Ab1c=XY=bounces.cinema.example={path.partition('@')[0]}@forwarder.example",
        lambda path: f"prvs=1234567890={path}",
        lambda path: f'"{path}" <{path}>',
        lambda path: path.replace("@", "@mail.forwarder."),
    ],
)
def test_forwarders_and_servers_that_fold_case_do_not_lose_it(around: object) -> None:
    assert callable(around)
    assert len(signals(written("postfix", around(OURS)))) == 1


@pytest.mark.parametrize(
    "header",
    ["To", "Delivered-To", "X-Original-To", "Envelope-To", "X-Forwarded-To", "Received"],
)
def test_any_header_that_says_to_whom_the_report_came_is_enough(header: str) -> None:
    value = f"from a by b for <{OURS}>; now" if header == "Received" else f"<{OURS}>"
    assert len(signals(f"{header}: {value}\n".encode() + written("postfix", "x@y.example"))) == 1


def test_the_headers_of_the_returned_mail_alone_are_enough_even_folded() -> None:
    bare = CORPUS["sendmail"].replace("To: <{return_path}>", "To: <postmaster@relay.example>")
    folded = bare.replace("Return-Path: <{return_path}>", f"Return-Path:\n\t<{OURS[:40]}\n {OURS[40:]}>")
    assert len(signals(folded.encode())) == 1


def status(fields: str, *, kind: str = "message/delivery-status", extra: str = "") -> bytes:
    return (
        f"From: MAILER-DAEMON@mx.example\nTo: {OURS}\nMIME-Version: 1.0\nMessage-ID: <1@mx.example>\n"
        f"Content-Type: multipart/report; report-type=delivery-status; boundary=x\n\n--x\n"
        f"Content-Type: {kind}\n{extra}\n"
        f"{fields}\n--x--\n"
    ).encode()


MTA = "Reporting-MTA: dns; mx.example\n\n"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("Final-Recipient: rfc822; a@b.example\nAction: FAILED\nStatus: 5.2.1\n", (SignalKind.BOUNCED, "5.2.1")),
        ("FINAL-RECIPIENT : rfc822;a@b.example\nACTION: Failed\nSTATUS: 5.2.1\n", (SignalKind.BOUNCED, "5.2.1")),
        (
            "Final-Recipient: rfc822;a@b.example\nAction: failed (why)\nStatus: 5.2.1 (x)\n",
            (SignalKind.BOUNCED, "5.2.1"),
        ),
        ("Final-Recipient: RFC822;\n a@b.example\nAction: failed\nStatus: 5.2.1\n", (SignalKind.BOUNCED, "5.2.1")),
        ("Final-Recipient: rfc822;a@b.example\nStatus: 5.2.1\n", (SignalKind.BOUNCED, "5.2.1")),
        ("Final-Recipient: rfc822;a@b.example\nStatus: 4.2.1\n", (SignalKind.DEFERRED, "4.2.1")),
        ("Final-Recipient: rfc822;a@b.example\nAction: delivered\nStatus: 2.0.0\n", (SignalKind.DELIVERED, "2.0.0")),
        ("Final-Recipient: rfc822;a@b.example\nAction: failed\nStatus: 4.4.7\n", (SignalKind.BOUNCED, "4.4.7")),
        (
            "Final-Recipient: rfc822;a@b.example\nAction: failed\nDiagnostic-Code: smtp; 550 user unknown\n",
            (SignalKind.BOUNCED, "5.1.1"),
        ),
        (
            "Final-Recipient: rfc822;a@b.example\nDiagnostic-Code: smtp; 550 no thanks\n",
            (SignalKind.BOUNCED, "5.0.0"),
        ),
        (
            "Final-Recipient: rfc822;a@b.example\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: 550 5.7.1 spam\n",
            (SignalKind.BOUNCED, "5.7.1"),
        ),
        ("Final-Recipient: rfc822;a@b.example\nAction: failed\n", (SignalKind.BOUNCED, None)),
        ("Final-Recipient: rfc822;a@b.example\nAction: expired\nStatus: \n", (SignalKind.BOUNCED, "4.4.7")),
        ("Final-Recipient: rfc822;a@b.example\nAction: Undeliverable\n", (SignalKind.BOUNCED, None)),
        ("Final-Recipient: rfc822;a@b.example\nAction: deferred\n", (SignalKind.DEFERRED, None)),
        (
            "Final-Recipient: rfc822;a@b.example\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: 552 over quota\n",
            (SignalKind.BOUNCED, "5.2.2"),
        ),
    ],
)
def test_fields_are_read_in_any_spelling_and_without_those_that_are_missing(
    fields: str, expected: tuple[SignalKind, str | None]
) -> None:
    assert kinds(status(MTA + fields)) == [expected]


@pytest.mark.parametrize("action", ["relayed", "expanded", "Relayed"])
def test_what_nobody_will_report_on_further_says_nothing(action: str) -> None:
    assert signals(status(f"{MTA}Final-Recipient: rfc822;a@b.example\nAction: {action}\nStatus: 2.0.0\n")) == []


def test_one_report_on_several_recipients_is_a_signal_for_each() -> None:
    blocks = "\n".join(
        f"Final-Recipient: rfc822; {name}@b.example\nAction: {action}\nStatus: {code}\n"
        for name, action, code in (("a", "failed", "5.1.1"), ("b", "delayed", "4.4.1"), ("c", "failed", "5.2.2"))
    )
    found = signals(status(MTA + blocks))
    assert [(each.address, each.code) for each in found] == [
        ("a@b.example", "5.1.1"),
        ("b@b.example", "4.4.1"),
        ("c@b.example", "5.2.2"),
    ]
    assert len({each.source_id for each in found}) == 3


def test_the_address_that_we_wrote_to_counts_not_the_one_that_it_was_changed_into() -> None:
    fields = "Final-Recipient: rfc822;j@inside.example\nOriginal-Recipient: rfc822;jane@b.example\nAction: failed\n"
    assert signals(status(MTA + fields))[0].address == "jane@b.example"


def test_what_a_gateway_did_to_the_parts_is_undone() -> None:
    fields = f"{MTA}Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.1.1\n"
    packed = base64.encodebytes(fields.encode()).decode()
    encoded = status(packed, extra="Content-Transfer-Encoding: base64\n")
    plain = status(fields, kind="text/plain")
    octets = status(packed, kind="application/octet-stream", extra="Content-Transfer-Encoding: base64\n")
    international = status(fields.replace("rfc822", "utf-8"), kind="message/global-delivery-status")
    nested = (
        b"From: MAILER-DAEMON@gw.example\nContent-Type: multipart/mixed; boundary=y\n\n--y\n"
        + status(fields).partition(b"MIME-Version: 1.0\n")[2].replace(b"Message-ID", b"X-To: " + OURS.encode() + b"\nM")
        + b"\n--y\nContent-Type: text/plain\n\nscanned by a gateway for "
        + OURS.encode()
        + b"\n--y--\n"
    )
    for each in (encoded, plain, octets, international, nested):
        assert kinds(each) == [(SignalKind.BOUNCED, "5.1.1")]


def test_a_report_that_the_mail_itself_quotes_is_not_about_us() -> None:
    quoted = written("postfix")
    wrapped = b"From: a@b.example\nTo: " + OURS.encode() + b"\nContent-Type: message/rfc822\n\n" + quoted
    assert read(wrapped) is NoSignal.NOT_A_REPORT


def test_non_ascii_text_and_addresses_are_read() -> None:
    fields = f"{MTA}Final-Recipient: utf-8; jürgen@b.example\nAction: failed\nStatus: 5.1.1\n"
    (found,) = signals(status(fields, kind="message/global-delivery-status"))
    assert found.address is None or found.address.endswith("@b.example")
    assert found.kind is SignalKind.BOUNCED


def test_a_huge_report_is_read_to_a_limit() -> None:
    huge = written("postfix").replace(b"This is a MIME", b"x" * (8 * reports.MAX_BYTES), 1)
    assert isinstance(read(huge), NoSignal)
    assert len(signals(written("postfix") + b"y" * (8 * reports.MAX_BYTES))) == 1


def test_ten_thousand_recipients_and_parts_in_parts_are_bounded() -> None:
    blocks = "\n".join(f"Final-Recipient: rfc822; a{n}@b.example\nAction: failed\n" for n in range(10_000))
    assert len(signals(status(MTA + blocks))) <= 100
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000))
    assert isinstance(read(b"From: MAILER-DAEMON@x\n" + deep), NoSignal)


def test_the_same_report_twice_is_one_and_two_reports_are_two() -> None:
    first, again = signals(written("postfix")), signals(b"X-Fetched: now\n" + written("postfix"))
    assert first[0].source_id == again[0].source_id
    assert signals(written("exim"))[0].source_id != first[0].source_id


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Fri, 29 Nov 2999 10:00:00 +0000", "Sun, 29 Nov 2026 10:00:02 +9999"]
)
def test_a_report_of_no_time_or_one_to_come_is_of_now(date: str) -> None:
    text = re.sub(r"(?m)^Date: .*$", f"Date: {date}", CORPUS["qmail"])
    (found,) = signals(text.replace("{return_path}", OURS).encode())
    assert found.at <= NOW


def test_a_local_part_is_short_enough_for_every_server() -> None:
    assert len(OURS.partition("@")[0]) <= 64
    assert OURS.lower() == OURS


ANY_NAME = st.sampled_from(sorted(CORPUS))


@given(name=ANY_NAME, cut=st.integers(0, 4000), junk=st.binary(max_size=200), at=st.integers(0, 4000))
def test_a_report_that_is_cut_and_overwritten_crashes_nothing(name: str, cut: int, junk: bytes, at: int) -> None:
    content = written(name)
    found = read((content[:at] + junk + content[at + len(junk) :])[: len(content) - cut])
    for each in found if isinstance(found, list) else ():
        assert each.notification_id == NOTIFICATION
        assert each.detail.isprintable()


@given(fields=st.text(max_size=400), name=ANY_NAME)
def test_any_text_in_the_fields_crashes_nothing(fields: str, name: str) -> None:
    read(status(fields))
    read(written(name).replace(b"Action: ", b"Action: " + fields.encode("utf-8", "replace")))


@given(content=st.binary(max_size=2000))
def test_any_bytes_are_no_report(content: bytes) -> None:
    assert isinstance(read(content), NoSignal)


async def test_200_fuzzed_reports_in_a_maildir_crash_nothing_and_each_is_read_once(tmp_path: Path) -> None:
    chance, heard = random.Random(3), list[Signal]()  # noqa: S311 - the same mails each time
    for folder in ("new", "cur", "tmp"):
        (tmp_path / folder).mkdir()
    for number in range(200):
        content = bytearray(written(chance.choice(sorted(CORPUS))))
        for _ in range(chance.randrange(60)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        del content[chance.randrange(len(content)) :]
        (tmp_path / "new" / f"m{number}").write_bytes(content)

    async def publish(found: Sequence[Signal]) -> None:
        heard.extend(found)

    counts = await Maildir(tmp_path).take(PATH, publish)
    assert (counts.mails, counts.unreadable, counts.signals) == (200, 0, len(heard))
    assert {each.notification_id for each in heard} == {NOTIFICATION}
    assert (await Maildir(tmp_path).take(PATH, publish)).mails == 0
