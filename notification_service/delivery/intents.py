"""Makes the intent of a notification, and of a message that cannot be read. Pure."""

from datetime import UTC, datetime

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.notification_ids import Fact, notification_id
from notification_service.delivery.jobs import Job
from notification_service.delivery.planning import UnreadableMessage
from notification_service.delivery.ports.ledger import Intent


def of_job(job: Job, channel: ChannelKind, template_digest: str, message_id: str) -> Intent:
    notification = job.notification
    return Intent(
        notification_id=job.notification_id,
        owner=job.owner,
        event_id=notification.event_id,
        event_type=notification.event.event_type,
        channel=channel,
        template=notification.template,
        template_digest=template_digest,
        recipient=job.recipient or "",
        created_at=job.created_at,
        booking_id=notification.event.booking_id,
        message_id=message_id,
        fact=notification.fact.key,
        event_data=notification.data,
        assignment=job.assignment,
    )


def of_unreadable(event: UnreadableMessage, channel: ChannelKind) -> Intent:
    """The fact is the digest of the body, so that equal bodies have one record."""
    fact = Fact(f"unreadable:{event.digest}")
    return Intent(
        notification_id=notification_id(fact, None, "none", channel),
        owner="",
        event_id=event.event_id,
        event_type=event.event_type,
        channel=channel,
        template=None,
        template_digest=None,
        recipient="",
        created_at=datetime.now(UTC),
        booking_id=None,
        message_id=None,
        fact=fact.key,
        event_data=event.data,
    )
