"""Threats that show without any server: an address that is more than one, and bombs."""

import base64
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from notification_service.channels.email.mail import Attachment, Mail, OutgoingEmail
from notification_service.channels.email.mime import AttachmentError, SenderIdentity, compose
from notification_service.channels.email.template_loading import load
from notification_service.content.branding import Brand
from notification_service.content.profile import SenderProfile
from notification_service.contract.outcomes import RejectReason
from notification_service.delivery.planning import UnreadableMessage, plan
from notification_service.delivery.ports.composer import MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.addresses import NotAnAddressError, parse_address
from tests.samples import sample
from tests.unit.fakes import LARGEST, TEMPLATES, inbound, notification

MIB = 2**20
IDS = MessageIds("0123456789abcdef0123456789abcdef", "evt-1", "booking_confirmation", "B-1", datetime.now(UTC))


def composed(mail: Mail, max_attachment_bytes: int) -> OutgoingEmail:
    return compose(
        mail,
        "jane@guests.example",
        SenderIdentity("tickets@cinema.example", "Cinema"),
        IDS,
        max_attachment_bytes=max_attachment_bytes,
    )


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("hidden", ["\r\nBcc: eve@evil.example", "eve@evil.example,"], ids=ascii)
def test_an_encoded_word_is_no_part_of_an_address(hidden: str) -> None:
    """Its letters are all allowed before the @ (RFC 5321), and readers that decode it find another header in it."""
    word = base64.b64encode(hidden.encode()).decode()
    with pytest.raises(NotAnAddressError):
        parse_address(f"=?UTF-8?B?{word}?=jane@guests.example")


# ── bombs ────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """The most bytes that may be in memory on top of what is there already."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size


def test_ten_thousand_seats_are_cut_with_a_notice_and_cost_no_memory() -> None:
    data = sample("booking.confirmed", seats=[f"{row}-{seat}" for row in range(100) for seat in range(100)])
    renderer = load(TEMPLATES, SenderProfile(Brand("Cinema")))
    planned = notification(data)
    with at_most(4 * MIB):
        mail = renderer.render(planned.template, planned.event, Recipient("jane@guests.example"))
        envelope = composed(mail, MIB)
    for part in (mail.text, mail.html):
        assert "0-29 (+9970)" in part.replace("\n", " ")
        assert "0-30" not in part
        assert "10000" in part
    assert len(envelope.content) < 40_000


def test_more_seats_than_an_event_may_have_bytes_are_not_even_read() -> None:
    bomb = b'{"booking_id": "B-1", "seats": [' + b'"A-1",' * 10_000_000 + b'"A-1"]}'
    with at_most(MIB):
        planned = plan(inbound(bomb), max_bytes=LARGEST)
    assert isinstance(planned, UnreadableMessage)
    assert planned.outcome.reason is RejectReason.TOO_LARGE
    assert len(str(planned.data)) < 2000


def test_a_hundred_megabytes_attached_are_refused_before_anything_is_copied() -> None:
    bomb = Attachment("tickets.pdf", "application/pdf", bytes(100 * MIB))
    with at_most(MIB), pytest.raises(AttachmentError, match="MAX_ATTACHMENT_BYTES allows 5242880") as caught:
        composed(Mail("x", "x", "x", (bomb,)), 5 * MIB)
    assert caught.value.reason is RejectReason.ATTACHMENT
