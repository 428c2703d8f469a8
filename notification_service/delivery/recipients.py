"""Who gets the mail: the event's own address, else the user's, else that of the booking's user."""

from dataclasses import replace

from notification_service.contract.events import Event
from notification_service.contract.outcomes import Rejected, RejectReason
from notification_service.contract.remarks import Remark
from notification_service.delivery.ports.directory import Directory, Recipient
from notification_service.foundation.addresses import NotAnAddressError, read_mailbox


async def find(event: Event, directory: Directory) -> Recipient | Rejected:
    """A person whose `email` is an address, or why there is none. Raises `StoreUnavailableError`."""
    faults = []
    for source, ask in _SOURCES:
        if person := await ask(event, directory):
            try:
                return replace(person, email=read_mailbox(person.email or ""))
            except NotAnAddressError as problem:
                faults.append(f"{source}: {problem}")
    if faults:
        return Rejected(RejectReason.BAD_ADDRESS, "; ".join(faults))
    return Rejected(
        RejectReason.NO_RECIPIENT,
        "no user_email in the event, and neither its user_id nor its booking_id leads to a user; "
        "add the user or the address and replay it",
    )


def passed_over(event: Event, person: Recipient) -> tuple[Remark, ...]:
    """What the event says of its own recipient, where the mail goes to another address because that is none."""
    if not event.user_email or event.user_email == person.email:
        return ()
    try:
        read_mailbox(event.user_email)
    except NotAnAddressError as problem:
        return (Remark("user_email", f"is passed over for the address of the account: {problem}"),)
    return ()


async def _named(event: Event, _: Directory) -> Recipient | None:
    return Recipient(event.user_email) if event.user_email else None


async def _user(event: Event, directory: Directory) -> Recipient | None:
    return await directory.user(event.user_id) if event.user_id else None


async def _user_of_booking(event: Event, directory: Directory) -> Recipient | None:
    return await directory.user_of_booking(event.booking_id) if event.booking_id else None


_SOURCES = (
    ("user_email of the event", _named),
    ("email of the event's user", _user),
    ("email of the booking's user", _user_of_booking),
)
