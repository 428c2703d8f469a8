"""Finds the id of a notification, which depends on the report by which its fact first became known."""

import asyncio
from dataclasses import replace

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import PaymentSucceeded
from notification_service.contract.notification_ids import Fact, notification_id
from notification_service.delivery.planning import Notification
from notification_service.delivery.state import DeliveryState


async def identified(
    notification: Notification, channel: ChannelKind, state: DeliveryState
) -> tuple[Notification, str]:
    """The notification under the fact that was first reported, and its id."""
    notification = await _by_first_report(notification, state)
    fact, first = notification.fact, None
    if fact.report:
        first = await state.first_report(channel.own(fact.key), fact.report)
    return notification, notification_id(fact, first, notification.template, channel)


async def _by_first_report(notification: Notification, state: DeliveryState) -> Notification:
    """Give a payment the fact key under which it was first reported, and note for its booking that it is paid."""
    fact, event = notification.fact, notification.event
    if not isinstance(event, PaymentSucceeded):
        return notification
    first, _ = await asyncio.gather(_first_key(fact, state), _note_paid(event, state))
    return replace(notification, fact=fact.known_as(first))


async def _first_key(fact: Fact, state: DeliveryState) -> str:
    return await state.first_report(fact.alias, fact.key) if fact.alias else fact.key


async def _note_paid(event: PaymentSucceeded, state: DeliveryState) -> None:
    if event.booking_id:
        await state.note_paid(event.booking_id, event.timestamp)
