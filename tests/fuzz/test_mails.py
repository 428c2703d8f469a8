"""Whatever an event or the database says about a booking, the mail is one mail of ours to one address."""

import functools
import json
from datetime import UTC, datetime
from typing import Any

import idna
import pytest
from hypothesis import assume, given, strategies as st

from notification_service.channels.email.composer import EmailComposer
from notification_service.channels.email.mail import OutgoingEmail
from notification_service.channels.email.mime import SenderIdentity
from notification_service.channels.email.rendering import Renderer
from notification_service.channels.email.template_loading import load
from notification_service.content.branding import Brand
from notification_service.content.links import LinkPatterns
from notification_service.content.profile import SenderProfile
from notification_service.contract.events import EVENT_TYPES, parse
from notification_service.contract.inbound import InboundMessage
from notification_service.delivery import planning, recipients
from notification_service.delivery.planning import Notification
from notification_service.delivery.ports.composer import MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.stores.memory.directory import MemoryDirectory
from tests.fuzz.examples import fuzzed
from tests.fuzz.weapons import ARMED, WEAPONS
from tests.fuzz.wire import assert_is_ours
from tests.samples import sample
from tests.unit.fakes import TEMPLATES

SENDER, RECIPIENT = "tickets@cinema.example", "jane@guests.example"
LARGEST_HERE = 16 * 2**20
MOST_ATTACHED = 2**20
NOTIFICATION = "0123456789abcdef0123456789abcdef"
FIRST_NAME, MESSAGE_ID = "the person's first name", "the message id"


@functools.cache
def renderer() -> Renderer:
    return load(
        TEMPLATES, SenderProfile(Brand("Cinema", "help@cinema.example"), links=LinkPatterns(hosts=["pay.example"]))
    )


def fields_of(event_type: str) -> list[str]:
    event = parse({}, event_type)
    assert event is not None
    return [*sorted(set(type(event).model_fields) - {"event_type"}), FIRST_NAME, MESSAGE_ID]


def known(event_type: str) -> dict[str, Any]:
    name = event_type if event_type != "payment.refund" else "payment.refunded"
    return {**sample(name), "event_type": event_type, "user_email": RECIPIENT, "user_id": None}


async def mail_of(event_type: str, armed: dict[str, str]) -> tuple[Notification, Recipient, OutgoingEmail] | None:
    """The way of an event from its bytes to the mail's; None where it is refused before."""
    data = {**known(event_type), **{name: text for name, text in armed.items() if name in fields_of(event_type)}}
    if "seats" in armed:
        data["seats"] = [armed["seats"]]
    if FIRST_NAME in armed:
        data |= {"user_email": None, "user_id": "u"}
    # BSON is UTF-8, so a name that comes from the database holds no lone surrogate.
    first_name = armed.get(FIRST_NAME, "Jane").encode("utf-8", "replace").decode()
    directory = MemoryDirectory({"u": Recipient(RECIPIENT, first_name)}, {})
    inbound = InboundMessage(json.dumps(data).encode(), event_type, message_id=armed.get(MESSAGE_ID))
    planned = planning.plan(inbound, max_bytes=LARGEST_HERE)
    if not isinstance(planned, Notification):
        return None
    composer = EmailComposer(renderer(), SenderIdentity(SENDER, "Cinema"), max_attachment_bytes=MOST_ATTACHED)
    found = await recipients.find(planned.event, directory, composer)
    if not isinstance(found, recipients.Addressee):
        return None
    ids = MessageIds(NOTIFICATION, planned.event_id, planned.template, planned.event.booking_id, datetime.now(UTC))
    return planned, found.recipient, composer.compose(planned.event, found.recipient, ids)


def on_the_wire(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain if domain.isascii() else idna.encode(domain).decode()}"


async def assert_harmless(event_type: str, armed: dict[str, str]) -> bool:
    """Whether it became a mail."""
    made = await mail_of(event_type, armed)
    if made is None:
        return False
    planned, person, envelope = made
    recipient = on_the_wire(person.email or "") if "user_email" in armed else RECIPIENT
    references = planned.event.booking_id is not None
    assert_is_ours(envelope, recipient=recipient, sender=SENDER, with_references=references)
    return True


REFUSED = {"user_email"}
"""The field in which a weapon is no value at all, so that the event is rejected."""


@pytest.mark.parametrize("event_type", EVENT_TYPES)
async def test_each_weapon_in_every_field_of_each_kind_at_once(event_type: str) -> None:
    fields = set(fields_of(event_type)) - REFUSED
    for weapon in WEAPONS:
        assert await assert_harmless(event_type, dict.fromkeys(fields, weapon)), f"{weapon[:40]!r} cost a mail"


@pytest.mark.parametrize("event_type", EVENT_TYPES)
@given(data=st.data())
@fuzzed
async def test_any_text_in_any_fields_of_each_kind(event_type: str, data: st.DataObject) -> None:
    await assert_harmless(event_type, data.draw(st.dictionaries(st.sampled_from(fields_of(event_type)), ARMED)))


@given(weapon=ARMED, where=st.integers(0, 4))
@fuzzed
async def test_no_address_of_an_event_becomes_two(weapon: str, where: int) -> None:
    """The weapon stands before the address, in each of its parts, or behind it."""
    assume("=?" not in weapon)  # tests/unit/test_security.py has these, and they are not refused yet
    parts = ["jane", "@", "guests", ".example"]
    await assert_harmless("booking.confirmed", {"user_email": "".join([*parts[:where], weapon, *parts[where:]])})
