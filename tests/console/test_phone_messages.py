"""SMS and push beside the e-mails: in the lists, and as a lock screen shows them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from notification_service.console import phone_messages
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.delivery.settlements import Done
from notification_service.settings import Settings
from tests.samples import sample
from tests.stack.place import RECORDS, Document, Place
from tests.unit.phones import NUMBER, Phones

TITLE = 'The <b>Third</b> "Man"'


async def sent(settings: Settings, kind: ChannelKind, **changes: Any) -> Document:  # noqa: ANN401 - whatever JSON holds
    """The record of a cancellation that went out by this channel."""
    phones = Phones(kind, composer=phone_messages.composers(settings)[kind])
    data = sample("booking.cancelled", movie_title=TITLE, showtime="2027-01-15T20:00+01:00", **changes)
    assert isinstance(await phones.handle(**data), Done)
    ((name, record),) = phones.ledger.records.items()
    now = datetime.now(UTC)
    return {
        "_id": name,
        "event_id": data["event_id"],
        "event_ids": [data["event_id"]],
        "event_type": "booking.cancelled",
        "event_data": data,
        "event_whole": True,
        "fact": "booking:BOOK-789012:cancelled",
        "notification_type": kind.value,
        "template": "booking_cancellation",
        "template_digest": record.intent.template_digest,
        "booking_id": "BOOK-SHOWN",
        "recipient": record.recipient,
        "message_id": record.intent.message_id,
        "mail_digest": phones.sent[0].digest,
        "status": "sent",
        "outcome": "sent",
        "attempts": [{"at": now, "result": "accepted", "duration_ms": 31.0, "code": 200, "device": "0a1b2c3d"}],
        "created_at": now,
        "updated_at": now,
    }


@pytest.fixture
async def shown(seen: Place, settings: Settings) -> Any:  # noqa: ANN401 - a generator of records
    addresses = {"phone": NUMBER, "device_tokens": ["ab" * 32]}
    records = {kind: await sent(settings, kind, **addresses) for kind in (ChannelKind.SMS, ChannelKind.PUSH)}
    seen.database[RECORDS].insert_many(list(records.values()))
    yield records
    seen.database[RECORDS].delete_many({"booking_id": "BOOK-SHOWN"})


def words(record: Document) -> Iterator[str]:
    yield from ("byte for byte the message", record["message_id"], "Booking cancelled")


async def test_an_sms_and_a_push_are_shown_as_they_went_out(
    operator: httpx.AsyncClient, shown: dict[ChannelKind, Document]
) -> None:
    for kind, more in (
        (ChannelKind.SMS, ("The SMS, as a lock screen shows it", "segment", "GSM-7")),
        (ChannelKind.PUSH, ("The push message, as a lock screen shows it", "of 4096 bytes", "device 0a1b2c3d")),
    ):
        page = (await operator.get(f"/console/notifications/{shown[kind]['_id']}")).text
        for text in (*words(shown[kind]), *more):
            assert text in page
        assert "<b>" not in page
        assert "The &lt;b&gt;Third" in page
        assert "<iframe" not in page
        assert NUMBER not in page
        assert "ab" * 32 not in page


async def test_who_asks_sees_the_number(operator: httpx.AsyncClient, shown: dict[ChannelKind, Document]) -> None:
    page = await operator.get(f"/console/notifications/{shown[ChannelKind.SMS]['_id']}?addresses=1")
    assert NUMBER in page.text


async def test_a_text_that_has_changed_since_says_so(
    operator: httpx.AsyncClient, shown: dict[ChannelKind, Document], seen: Place
) -> None:
    record = shown[ChannelKind.SMS]
    seen.database[RECORDS].update_one({"_id": record["_id"]}, {"$set": {"mail_digest": "0" * 32}})
    page = await operator.get(f"/console/notifications/{record['_id']}")
    assert "The message that was sent differs: a setting, the user or the booking has changed since." in page.text


async def test_lists_name_the_channel_and_show_one_alone(
    operator: httpx.AsyncClient, shown: dict[ChannelKind, Document]
) -> None:
    ids = {kind: record["_id"] for kind, record in shown.items()}
    both = (await operator.get("/console/?q=BOOK-SHOWN")).text
    assert all(name in both for name in (">SMS", ">Push", *ids.values()))
    alone = (await operator.get("/console/?channel=push")).text
    assert ids[ChannelKind.PUSH] in alone
    assert ids[ChannelKind.SMS] not in alone
    assert '<option value="push" selected>Push</option>' in alone
