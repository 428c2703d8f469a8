"""The MIME message: no value of an event or a setting can inject a header, a part or an address."""

import binascii
import email
import quopri
import re
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.utils import getaddresses
from typing import Any

import pytest
from aiosmtplib.email import quote_address
from hypothesis import example, given, settings, strategies as st

from notification_service.channels.email.mail import Attachment, Mail, OutgoingEmail
from notification_service.channels.email.mime import (
    AttachmentError,
    SenderIdentity,
    _cached_quoted_line,
    _quoted,
    clean,
    clean_subject,
    compose,
    message_id,
)
from notification_service.channels.email.smtp.envelope import _NOT_ONE_ADDRESS
from notification_service.channels.email.template_loading import load
from notification_service.content.branding import Brand
from notification_service.content.profile import SenderProfile
from notification_service.contract.events import parse
from notification_service.contract.outcomes import RejectReason
from notification_service.delivery.ports.composer import MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.addresses import read_mailbox
from tests.fuzzing import examples
from tests.samples import sample
from tests.unit.fakes import TEMPLATES, notification

SINGLE = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted", "X-Event-ID")
HEADERS = {
    *SINGLE,
    "References",
    "X-Auto-Response-Suppress",
    "X-Notification-ID",
    "X-Entity-Ref-ID",
    "Feedback-ID",
    "Content-Type",
}
DATE = datetime(2026, 11, 24, 12, 30, 15, 123456, tzinfo=UTC)
NOTIFICATION = "0123456789abcdef0123456789abcdef"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
IMAGE = Attachment("code.png", "image/png", PNG, content_id="code")
FILE = Attachment("booking.ics", "text/calendar", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")


def compose_one(
    mail: Mail | None = None,
    to: str = "jane@guests.example",
    sender_identity: SenderIdentity | None = None,
    *,
    event_id: str = "evt_1",
    booking_id: str | None = "B1",
    max_attachment_bytes: int = 1_000_000,
) -> OutgoingEmail:
    return compose(
        mail or Mail("You're booked: Inception, Tue 15 Dec, 8:00 PM", "Hello.\n", "<p>Hello.</p>\n"),
        to,
        sender_identity or SenderIdentity("tickets@cinema.example", "Cinema"),
        MessageIds(NOTIFICATION, event_id, "booking_confirmation", booking_id, DATE),
        max_attachment_bytes=max_attachment_bytes,
    )


def parsed(envelope: OutgoingEmail) -> EmailMessage:
    message = email.message_from_bytes(envelope.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def assert_well_formed(envelope: OutgoingEmail, *, references: bool = True) -> EmailMessage:
    """The exact set of headers, once each, read without a defect by both of Python's parsers."""
    content = envelope.content
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", content), "a line end that is not CRLF"
    assert max(map(len, content.split(b"\r\n"))) <= 998
    head, _, _ = content.partition(b"\r\n\r\n")
    assert head.isascii()
    assert not re.search(rb"[^\x20-\x7e\r\n\t]", head)
    message = parsed(envelope)
    lenient: Message = email.message_from_bytes(content)
    due = sorted(HEADERS if references else HEADERS - {"References"})
    assert sorted(message.keys()) == due
    assert sorted(lenient.keys()) == due
    assert (message.defects, lenient.defects) == ([], [])
    assert [defect for value in message.values() for defect in value.defects] == []
    for header in ("from", "to"):
        assert len(message[header].addresses) == 1
        assert len(getaddresses([str(lenient[header])])) == 1
    assert message["to"].addresses[0].addr_spec == envelope.recipient
    assert message["from"].addresses[0].addr_spec == envelope.sender
    return message


# ── forging (pitfalls.md, 17) ────────────────────────────────────────────────────────────────────────────────

WEAPONS = [
    "\r\nBcc: eve@evil.example",
    "\nBcc: eve@evil.example\n\n<script>",
    "\r",
    "\n",
    "\0",
    "\x0b",
    "\x0c",
    "\x1b",
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u2066",
    "\u200b",
    "\ufeff",
    "\ud800",
    "=?UTF-8?Q?=0D=0ABcc:_eve@evil.example?=",
    "=?utf-8?b?DQpCY2M6IGV2ZUBldmlsLmV4YW1wbGU=?=",
    "==??utf-8?q?x??==",
    "=?",
    "?=",
    "Subject: ",
    "To: eve@evil.example",
    "Content-Type: text/html",
    '", eve@evil.example, "',
    "eve@evil.example",
    "<eve@evil.example>",
    ", ",
    '"',
    "\\",
    "(",
    ")",
    ";",
    ":",
    "@",
    "é",
    "日本語",
    "👩‍👩‍👧",
    "a" * 90,
    "é" * 90,
    " ",
    "a b ",
]
ARMED = st.lists(st.sampled_from(WEAPONS) | st.text(max_size=12), max_size=8).map("".join)


@given(subject=ARMED, name=ARMED, event_id=ARMED, booking_id=ARMED.filter(bool))
@settings(max_examples=examples(400))
@example(subject="=?UTF-8?Q?=0D=0ABcc:_eve@evil.example?=", name="x", event_id="\r\nBcc: a@b.example", booking_id="\0")
@example(subject="x", name='"' + "a" * 80 + ' é", eve@evil.example', event_id="e", booking_id="b")
def test_no_value_forges_a_header_or_an_address(subject: str, name: str, event_id: str, booking_id: str) -> None:
    envelope = compose_one(
        Mail(subject, "Hello.\n", "<p>Hello.</p>"),
        sender_identity=SenderIdentity("tickets@cinema.example", name),
        event_id=event_id,
        booking_id=booking_id,
    )
    message = assert_well_formed(envelope)
    assert (envelope.sender, envelope.recipient) == ("tickets@cinema.example", "jane@guests.example")
    assert message["message-id"] == f"<{NOTIFICATION}@cinema.example>"
    assert "eve@evil.example" not in (message["from"].addresses[0].addr_spec, message["to"].addresses[0].addr_spec)


@given(ARMED)
@settings(max_examples=examples(300))
def test_a_cleaned_value_is_one_plain_line_that_stays_what_it_is(text: str) -> None:
    cleaned = clean(text, 200)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]|=\?|\?=", cleaned)
    assert clean(cleaned, 200) == cleaned
    assert len(cleaned) <= 200


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("You're booked: Amélie", "You're booked: Amélie"),
        ("a\r\nBcc: b", "a Bcc: b"),
        ("==??x", "x"),
        ("a\tb\u2028c", "a b c"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
        ("\u202egpj.exe", "gpj.exe"),
        ("  a   b  ", "a b"),
    ],
)
def test_what_is_harmless_is_kept(text: str, cleaned: str) -> None:
    assert clean(text, 200) == cleaned


@given(ARMED | st.text("\u2066\u2067\u2068\u2069\u202e\r\na ", max_size=20))
@settings(max_examples=examples(300))
@example("\u206812 Angry Men\u2069")
def test_a_subject_keeps_isolates_that_are_closed_and_no_other_mark(text: str) -> None:
    subject = clean_subject(text)
    assert clean(subject, 200) == clean(text, 200)
    depth = 0
    for character in subject:
        depth += {"\u2068": 1, "\u2069": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("\u206812 Angry Men\u2069 12", "\u206812 Angry Men\u2069 12"),
        ("\u206812 Angry Men", "12 Angry Men"),
        ("\u206912 Angry Men\u2068", "12 Angry Men"),
        ("\u2068" + "a" * 300 + "\u2069", "a" * 200),
        ("\u202e12\u2068x\u2069", "12\u2068x\u2069"),
    ],
)
def test_an_isolate_without_its_end_reaches_no_subject(text: str, subject: str) -> None:
    assert clean_subject(text) == subject


@given(st.text(st.characters(blacklist_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), max_size=190))
@settings(max_examples=examples(200))
# Python 3.11's own folding loses the space before the fourth word of this one.
@example("Ýöûr påýméñt öf $1,234,567.89 dîd ñöt gö thröûgh ··················")
@example("You're booked: Inception, الثلاثاء، 15 ديسمبر، 8:00 م")
def test_a_subject_is_read_back_as_it_was_meant(subject: str) -> None:
    envelope = compose_one(Mail(subject, "x", "x"))
    meant = clean(subject, 200)
    assert str(parsed(envelope)["subject"]) == meant
    lenient = str(email.message_from_bytes(envelope.content)["subject"] or "")
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", lenient)
    assert str(make_header(decode_header(unfolded))) == meant


@pytest.mark.parametrize(
    "name", ["Größe Ünder alles, wîe ès îst", "映画 館", "Kino", "Lumière Cinéma, à 100 % été àü où ç"]
)
def test_the_senders_name_is_read_back_with_its_spaces(name: str) -> None:
    message = parsed(compose_one(sender_identity=SenderIdentity("tickets@cinema.example", name)))
    (sender,) = message["from"].addresses
    assert (sender.display_name, sender.addr_spec) == (
        " ".join(name.replace(",", " ").split()),
        "tickets@cinema.example",
    )


@given(ARMED | st.text() | st.text(st.characters(max_codepoint=127)))
@settings(max_examples=examples(300))
def test_what_is_plain_already_is_cleaned_as_anything_else_is(text: str) -> None:
    spaced = "".join(" " if c in "\r\n\t\v\f\u2028\u2029" else c for c in text)
    kept = "".join(c for c in spaced if c in "\u200c\u200d" or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    while "=?" in kept or "?=" in kept:
        kept = re.sub(r"=\?|\?=", "", kept)
    assert clean(text, 40) == " ".join(kept.split())[:40].rstrip()


@given(
    st.sampled_from(["To", "Cc", "Bcc", "From", "Sender", "Reply-To", "Content-Type", "X-Mailer", "Return-Path"]), ARMED
)
def test_a_header_name_in_a_value_stays_a_value(name: str, value: str) -> None:
    assert_well_formed(
        compose_one(Mail(f"{name}: {value}", f"{name}: {value}", f"{name}: {value}"), event_id=f"{name}:{value}")
    )


@given(text=ARMED, html=ARMED)
@settings(max_examples=examples(200))
def test_no_text_leaves_its_part(text: str, html: str) -> None:
    seen = assert_well_formed(compose_one(Mail("x", text, html)))
    parts = [part.get_content_type() for part in seen.walk()]
    assert parts == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize(
    "text", [".", "..\n.\n", "From me\n", "a\r\n.\r\nMAIL FROM:<x>\n", "x" * 5000, "é" * 5000, " \n\t\n"]
)
def test_a_text_is_read_back_as_it_was(text: str) -> None:
    message = assert_well_formed(compose_one(Mail("x", text, text)))
    for part in message.iter_parts():
        assert isinstance(part, EmailMessage)
        assert part.get_content().replace("\r\n", "\n") == text.replace("\r\n", "\n")


LINES = st.lists(
    st.text(max_size=12)
    | st.sampled_from([".", " ", "\t", "=", "\r", "\n", "é", "x" * 74, "x" * 75, "x" * 76, "é" * 90, "x " * 600]),
    max_size=12,
)


@given(LINES.map("".join))
@settings(max_examples=examples(400))
@example("x" * 100 + "\r\r\ny\nz")
@example("a \nb\t\n.\n")
def test_quoted_printable_is_read_back_as_it_was_and_no_line_is_too_long(text: str) -> None:
    meant = text.replace("\r\n", "\n").encode("utf-8", "replace")
    for _ in range(2):  # the second time out of what is remembered
        quoted = _quoted(text)
        assert quopri.decodestring(quoted.replace(b"\r\n", b"\n")) == meant
        assert max(map(len, quoted.split(b"\r\n"))) <= 76
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n|[ \t](?:\r|$)", quoted)


@given(LINES.map("".join))
@settings(max_examples=examples(400))
def test_line_by_line_is_as_the_whole(text: str) -> None:
    # The encoder of whole texts takes a carriage return for a line end, and lets a line with a space at its end grow.
    plain = re.sub(r"[ \t]+(?=\n|$)", "", text.replace("\r", ""))
    whole = binascii.b2a_qp(plain.encode("utf-8", "replace"), istext=True)
    assert _quoted(plain) == whole.replace(b"\n", b"\r\n")


def test_what_is_remembered_of_mails_is_bounded() -> None:
    _cached_quoted_line.cache_clear()
    _quoted("x" * 1001)
    assert _cached_quoted_line.cache_info().currsize == 0
    _quoted("\n".join(map(str, range(5000))))
    assert _cached_quoted_line.cache_info().currsize == 1024


# ── the rules of craft.md ────────────────────────────────────────────────────────────────────────────


def test_m1_m3_the_headers_of_a_mail_from_a_machine() -> None:
    message = assert_well_formed(compose_one())
    assert message["from"] == "Cinema <tickets@cinema.example>"
    assert message["message-id"] == f"<{NOTIFICATION}@cinema.example>"
    assert message["date"].datetime == DATE.replace(microsecond=0)
    assert message["auto-submitted"] == "auto-generated"
    assert message["x-auto-response-suppress"] == "OOF, AutoReply"
    assert message["x-event-id"] == "evt_1"
    assert message["x-notification-id"] == message["x-entity-ref-id"] == NOTIFICATION
    assert "precedence" not in message
    assert "list-unsubscribe" not in message


@pytest.mark.parametrize(
    ("attachments", "tree"),
    [
        ((), ["multipart/alternative", "text/plain", "text/html"]),
        ((IMAGE,), ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]),
        ((FILE,), ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar"]),
        (
            (FILE, IMAGE),
            [
                "multipart/mixed",
                "multipart/alternative",
                "text/plain",
                "multipart/related",
                "text/html",
                "image/png",
                "text/calendar",
            ],
        ),
    ],
    ids=["plain", "image", "file", "both"],
)
def test_m2_the_parts_stand_in_the_order_that_clients_expect(
    attachments: tuple[Attachment, ...], tree: list[str]
) -> None:
    message = assert_well_formed(compose_one(Mail("x", "text", "<img src='cid:code'>", attachments)))
    assert [part.get_content_type() for part in message.walk()] == tree
    assert [defect for part in message.walk() for defect in part.defects] == []


def test_m2_files_and_images_arrive_as_they_were() -> None:
    message = parsed(compose_one(Mail("x", "text", "html", (FILE, IMAGE))))
    image = next(part for part in message.walk() if part.get_content_type() == "image/png")
    file = next(part for part in message.walk() if part.get_content_type() == "text/calendar")
    assert image.get_payload(decode=True) == PNG
    assert (image["content-id"], image.get_content_disposition()) == ("<code>", "inline")
    assert file.get_payload(decode=True) == FILE.content
    assert (file.get_filename(), file.get_content_disposition()) == ("booking.ics", "attachment")


def test_m4_headers_fold_at_78_and_a_long_subject_is_cut() -> None:
    envelope = compose_one(Mail("word " * 100, "x", "x"))
    head, _, _ = envelope.content.partition(b"\r\n\r\n")
    subject = re.search(rb"Subject: .*?\r\n(?! )", head, re.DOTALL)
    assert subject
    assert max(map(len, subject.group().split(b"\r\n"))) <= 78
    assert len(str(parsed(envelope)["subject"])) <= 200


def test_m5_one_booking_is_one_thread_and_another_is_another() -> None:
    one, again, other = (
        str(parsed(compose_one(event_id=event, booking_id=booking))["references"])
        for event, booking in (("a", "B1"), ("b", "B1"), ("c", "B2"))
    )
    assert one == again != other
    assert re.fullmatch(r"<booking\.[0-9a-f]{32}@cinema\.example>", one)
    assert_well_formed(compose_one(booking_id=None), references=False)


def test_m5_the_message_id_is_that_of_the_notification() -> None:
    assert message_id("n1", "cinema.example") == "<n1@cinema.example>"


@pytest.mark.parametrize(
    "name", ["booking.confirmed", "booking.confirmed.long", "booking.cancelled", "payment.failed.retry"]
)
def test_m4_m7_a_sample_mail_is_small_and_its_lines_are_short(name: str) -> None:
    renderer = load(TEMPLATES, SenderProfile(Brand("Cinema", "help@cinema.example")))
    planned = notification(sample(name))
    mail = renderer.render(planned.template, planned.event, Recipient("jane@guests.example", "Jane"))
    envelope = compose_one(mail)
    assert_well_formed(envelope)
    assert len(envelope.content) < 100_000
    assert len(mail.html.encode()) < 40_000
    assert len(mail.subject) <= 60


@pytest.mark.parametrize("field", ["movie_title", "cinema_name", "booking_id", "transaction_id", "showtime", "seats"])
def test_m7_no_single_field_makes_a_mail_that_is_clipped(field: str) -> None:
    renderer = load(TEMPLATES, SenderProfile(Brand("Cinema")))
    value = "long word " * 20_000
    event = parse({"booking_id": "B", field: [value] if field == "seats" else value}, "booking.confirmed")
    assert event
    mail = renderer.render("booking_confirmation", event, Recipient("jane@guests.example"))
    assert len(compose_one(mail).content) < 100_000


@pytest.mark.parametrize("value", ["a" * 500, "https://tickets.example/" + "x" * 900, "a/b?c=d&e" * 30])
def test_a_long_unbroken_value_is_never_turned_into_encoded_words(value: str) -> None:
    envelope = compose_one(
        event_id=value, sender_identity=SenderIdentity("tickets@" + "sub." * 20 + "cinema.example", "Cinema")
    )
    head = envelope.content.partition(b"\r\n\r\n")[0]
    assert b"=?" not in head
    for name in (b"References", b"Message-ID", b"X-Event-ID"):
        assert re.search(rb"^" + name + rb": \S+\r$", head, re.MULTILINE)
    assert_well_formed(envelope)


@pytest.mark.parametrize("attachments", [(), (IMAGE,), (FILE,), (FILE, IMAGE)], ids=["plain", "image", "file", "both"])
def test_the_same_mail_is_the_same_bytes(attachments: tuple[Attachment, ...]) -> None:
    mails = [compose_one(Mail("x", "text", "html", attachments)) for _ in range(3)]
    assert len({mail.content for mail in mails}) == 1
    assert compose_one(Mail("x", "other text", "html", attachments)).content != mails[0].content


@pytest.mark.parametrize("attachments", [(), (IMAGE,), (FILE,), (FILE, IMAGE)], ids=["plain", "image", "file", "both"])
def test_a_boundary_belongs_to_everything_that_it_parts(attachments: tuple[Attachment, ...]) -> None:
    def boundaries(mail: Mail) -> list[str]:
        return re.findall(r'boundary="(.+?)"', compose_one(mail).content.decode())

    first = boundaries(Mail("x", "text", "html", attachments))
    changed = [Mail("x", "text.", "html", attachments), Mail("x", "text", "html.", attachments)]
    for n, attachment in enumerate(attachments):
        other = replace(attachment, content=attachment.content + b".")
        changed.append(Mail("x", "text", "html", (*attachments[:n], other, *attachments[n + 1 :])))
    assert len(set(first)) == len(first)
    assert not any(set(first) & set(boundaries(mail)) for mail in changed)
    content = compose_one(Mail("x", "text", "html", attachments)).content
    for boundary in first:
        parted = re.findall(rb"^--%b(?:--)?\r$" % re.escape(boundary.encode()), content, re.MULTILINE)
        assert content.count(boundary.encode()) == len(parted) + 1


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("to", "recipient"),
    [
        ("jane@bücher.example", "jane@xn--bcher-kva.example"),
        ("jane@straße.example", "jane@xn--strae-oqa.example"),
        ("jane@日本.example", "jane@xn--wgv71a.example"),
    ],
)
def test_m8_a_domain_that_is_not_ascii_is_written_as_idna_2008(to: str, recipient: str) -> None:
    envelope = compose_one(to=to)
    assert envelope.recipient == recipient
    assert not envelope.needs_smtputf8
    assert_well_formed(envelope)


def test_m8_smtputf8_is_asked_for_only_when_an_address_needs_it() -> None:
    assert compose_one(to="jané@guests.example").needs_smtputf8
    assert compose_one(sender_identity=SenderIdentity("kinó@cinema.example", "Kinó")).needs_smtputf8
    assert not compose_one(sender_identity=SenderIdentity("kino@cinema.example", "Kinó")).needs_smtputf8
    assert not compose_one(Mail("é", "é", "é")).needs_smtputf8


def test_m8_a_recipient_that_needs_smtputf8_is_still_one_address() -> None:
    envelope = compose_one(to="jané@guests.example")
    assert envelope.recipient == "jané@guests.example"
    message = parsed(envelope)
    assert len(message["to"].addresses) == 1
    assert "To: jané@guests.example\r\n".encode() in envelope.content
    assert sorted(message.keys()) == sorted(HEADERS)


@given(st.emails())
@settings(max_examples=examples(100))
def test_any_recipient_is_one_to_and_the_envelopes(address: str) -> None:
    envelope = compose_one(to=address)
    assert envelope.recipient == address
    assert_well_formed(envelope)


# ── attachments ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x.ics",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "a\0b",
        "a\r\nb",
        "\u202egpj.exe",
        " x",
        "a" * 101,
        "=?x?=",
    ],
)
def test_a_file_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(AttachmentError, match="is no file name") as caught:
        compose_one(Mail("x", "x", "x", (Attachment(name, "text/plain", b"x"),)))
    assert caught.value.reason is RejectReason.ATTACHMENT


@pytest.mark.parametrize("name", ["booking.ics", "Reçu n° 1.pdf", "日本.png", 'a"b.txt', "a;b=c.txt", "é" * 100])
def test_any_other_file_name_arrives_as_it_is(name: str) -> None:
    message = assert_well_formed(compose_one(Mail("x", "x", "x", (Attachment(name, "text/plain", b"x"),))))
    assert [part.get_filename() for part in message.iter_attachments()] == [name]


@pytest.mark.parametrize("sizes", [(101,), (60, 41), (1,) * 101])
def test_more_bytes_than_the_setting_allows_are_refused(sizes: tuple[int, ...]) -> None:
    files = tuple(Attachment(f"{n}.bin", "application/octet-stream", b"x" * size) for n, size in enumerate(sizes))
    with pytest.raises(AttachmentError, match="MAX_ATTACHMENT_BYTES"):
        compose_one(Mail("x", "x", "x", files), max_attachment_bytes=100)


def test_as_many_bytes_as_the_setting_allows_go_out() -> None:
    files = tuple(Attachment(f"{n}.bin", "application/octet-stream", b"x" * 50) for n in range(2))
    message: Any = assert_well_formed(compose_one(Mail("x", "x", "x", files), max_attachment_bytes=100))
    assert len(list(message.iter_attachments())) == 2


@pytest.mark.parametrize(
    ("address", "wire"),
    [
        ("jane..doe@docomo.example", '"jane..doe"@docomo.example'),
        ("jane.@docomo.example", '"jane."@docomo.example'),
        (".jane@docomo.example", '".jane"@docomo.example'),
        ('"jane..doe"@docomo.example', '"jane..doe"@docomo.example'),
        ('Jane <"jane.doe"@bücher.example>', "jane.doe@xn--bcher-kva.example"),
    ],
)
def test_a_local_part_with_odd_dots_goes_out_in_quotes(address: str, wire: str) -> None:
    envelope = compose_one(to=read_mailbox(address))
    assert envelope.recipient == wire
    message = parsed(envelope)
    assert message["To"].defects == ()
    assert [(each.username, each.domain) for each in message["To"].addresses] == [apart(wire)]
    assert getaddresses([str(email.message_from_bytes(envelope.content)["To"])]) == [("", wire)]
    sender = compose_one(sender_identity=SenderIdentity(read_mailbox(address), "Cinema"))
    assert sender.sender == wire
    assert [(each.username, each.domain) for each in parsed(sender)["From"].addresses] == [apart(wire)]


def apart(wire: str) -> tuple[str, str]:
    """Without the quotes, which Python's parser takes off."""
    local, _, domain = wire.rpartition("@")
    return local.strip('"'), domain


@settings(max_examples=examples(20), deadline=None)
@given(
    st.text("ab.!#$%&'*+/=?^_`{|}~-\"\\<>@ ,;:()[]\r\n", max_size=14),
    st.sampled_from(["{}@docomo.example", '"{}"@docomo.example', "x <{}@docomo.example>", "mailto:{}@docomo.example"]),
)
def test_whatever_is_read_as_an_address_is_one_address_on_the_wire(local: str, form: str) -> None:
    try:
        address = read_mailbox(form.format(local))
    except ValueError:
        return
    envelope = compose_one(to=address)
    to = parsed(envelope)["To"]
    assert [(each.username, each.domain) for each in to.addresses] == [apart(envelope.recipient)]
    assert {name for name, _ in parsed(envelope).items()} <= HEADERS
    assert quote_address(envelope.recipient) == f"<{envelope.recipient}>"
    assert not _NOT_ONE_ADDRESS.search(envelope.recipient)
