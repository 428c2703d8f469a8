"""Who gets the mail: the event's own address, else the user's, else that of the booking's user."""

from collections.abc import AsyncIterator
from dataclasses import replace

from notification_service.addresses import NotAnAddressError, parse_address
from notification_service.events import Event
from notification_service.outcomes import Rejected, RejectReason
from notification_service.ports import Directory, Person


async def find(event: Event, directory: Directory) -> Person | Rejected:
    """A person whose `email` is an address, or why there is none. Raises `StoreUnavailableError`."""
    faults = []
    async for source, person in _candidates(event, directory):
        try:
            return replace(person, email=parse_address(person.email or ""))
        except NotAnAddressError as problem:
            faults.append(f"{source}: {problem}")
    if faults:
        return Rejected(RejectReason.BAD_ADDRESS, "; ".join(faults))
    return Rejected(
        RejectReason.NO_RECIPIENT,
        "no user_email in the event, and neither its user_id nor its booking_id leads to a user; "
        "add the user or the address and replay it",
    )


async def _candidates(event: Event, directory: Directory) -> AsyncIterator[tuple[str, Person]]:
    if event.user_email:
        yield "user_email of the event", Person(event.user_email)
    if event.user_id and (person := await directory.user(event.user_id)):
        yield "email of the event's user", person
    if event.booking_id and (person := await directory.user_of_booking(event.booking_id)):
        yield "email of the booking's user", person
