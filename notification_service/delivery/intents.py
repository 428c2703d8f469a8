"""What is written down before anything is handed to a provider, or of what never will be. Pure."""

from datetime import UTC, datetime

from notification_service.contract.facts import EMAIL, Fact, notification_id
from notification_service.delivery.jobs import Job
from notification_service.delivery.planning import Unreadable
from notification_service.delivery.ports.ledger import Intent


def of_job(job: Job, template_digest: str, message_id: str) -> Intent:
    notice = job.notice
    return Intent(
        notification_id=job.notification_id,
        owner=job.owner,
        event_id=notice.event_id,
        event_type=notice.event.event_type,
        channel=EMAIL,
        template=notice.template,
        template_digest=template_digest,
        recipient=job.recipient or "",
        created_at=job.created_at,
        booking_id=notice.event.booking_id,
        message_id=message_id,
        fact=notice.fact.key,
        event_data=notice.data,
    )


def of_unreadable(event: Unreadable) -> Intent:
    """Under the digest of its bytes, so that the same bytes are one record however often they come."""
    fact = Fact(f"unreadable:{event.digest}")
    return Intent(
        notification_id=notification_id(fact, None, "none"),
        owner="",
        event_id=event.event_id,
        event_type=event.event_type,
        channel=EMAIL,
        template=None,
        template_digest=None,
        recipient="",
        created_at=datetime.now(UTC),
        booking_id=None,
        message_id=None,
        fact=fact.key,
        event_data=event.data,
    )
